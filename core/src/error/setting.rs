//! Settings out of range, or that contradict each other.

/// Errors of settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// A value out of range.
    #[error("{name} is {found}, expected {expected}")]
    OutOfRange {
        /// Name of the setting, as configurations have it.
        name: String,
        /// The found value.
        found: String,
        /// The permitted range.
        expected: String,
    },
    /// The setting `store = "materialised"` with a strategy that keeps no buffer.
    #[error("buffer.store is \"materialised\", but strategy \"{strategy}\" keeps no samples")]
    StoreWithoutBuffer {
        /// Name of the strategy.
        strategy: &'static str,
    },
    /// A number of positions that differs from the model's.
    #[error("model.positions.{family} is {found}, but the model has {expected} positions for this family")]
    Positions {
        /// Token family.
        family: String,
        /// Number of positions in the setting.
        found: usize,
        /// Number of positions of the model.
        expected: usize,
    },
    /// A grid of positions that a family cannot have.
    #[error("model.positions.{family} is the grid {found:?}, which is none for its samples")]
    PositionGrid {
        /// Token family.
        family: String,
        /// The grid in the setting.
        found: Vec<usize>,
    },
    /// A pooling that needs a class token, for a family without one.
    #[error("family {family} has no class token")]
    NoClassToken {
        /// Token family.
        family: String,
    },
    /// A task that needs another kind of tokens than the modality's.
    #[error("modality {modality} has {found}, expected {expected}")]
    Tokens {
        /// The modality.
        modality: String,
        /// Kind of the modality's tokens.
        found: &'static str,
        /// Kind of tokens that the task needs.
        expected: &'static str,
    },
    /// A metric that the predictions of the task do not allow.
    #[error("{metric} is not a metric of these predictions")]
    Metric {
        /// Name of the metric.
        metric: &'static str,
    },
    /// A family that the published layout does not have.
    #[error("there is no family {family} to leave out")]
    NoSuchFamily {
        /// Name of the family.
        family: String,
    },
}

impl SettingError {
    /// An error for a setting out of range.
    pub(crate) fn out_of_range(
        name: impl Into<String>,
        found: impl std::fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::OutOfRange { name: name.into(), found: found.to_string(), expected: expected.into() }
    }
}
