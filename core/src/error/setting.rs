//! Settings out of range, or that contradict each other.

/// Why a setting cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// A value out of range.
    #[error("{name} is {found}, expected {expected}")]
    OutOfRange {
        /// Name of the setting, as configurations have it.
        name: String,
        /// The value.
        found: String,
        /// The range.
        expected: String,
    },
    /// Samples to be materialised by a strategy that has no buffer.
    #[error("buffer.store is \"materialised\", but strategy \"{strategy}\" keeps no samples")]
    StoreWithoutBuffer {
        /// The strategy.
        strategy: &'static str,
    },
    /// Another number of positions than the model has.
    #[error("model.positions.{family} is {found}, but the model has {expected} positions for this family")]
    Positions {
        /// Token family.
        family: String,
        /// The setting.
        found: usize,
        /// Positions of the model.
        expected: usize,
    },
    /// A pooling that needs a class token, of a family without one.
    #[error("family {family} has no class token")]
    NoClassToken {
        /// Token family.
        family: String,
    },
    /// A task that needs other tokens than a modality has.
    #[error("modality {modality} has {found}, expected {expected}")]
    Tokens {
        /// The modality.
        modality: String,
        /// Tokens that it has.
        found: &'static str,
        /// What the task needs.
        expected: &'static str,
    },
    /// A metric of other predictions.
    #[error("{metric} is not a metric of these predictions")]
    Metric {
        /// Name of the metric.
        metric: &'static str,
    },
    /// A family to leave out that is not one of the published.
    #[error("there is no family {family} to leave out")]
    NoSuchFamily {
        /// Its name.
        family: String,
    },
}

impl SettingError {
    /// A value out of range.
    pub(crate) fn out_of_range(
        name: impl Into<String>,
        found: impl std::fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::OutOfRange { name: name.into(), found: found.to_string(), expected: expected.into() }
    }
}
