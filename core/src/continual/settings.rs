//! What the settings of a strategy say about it.

use super::strategy::{ContinualStrategy, PretextOnly, StageStart};
use crate::{Result, SettingError};

/// The samples of previous stages that take part in a later stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplaySource {
    /// None.
    Nothing,
    /// The buffers, with the distillation objective.
    DistilledBuffers {
        /// Whether samples are mixed within a batch.
        mixup: bool,
    },
    /// The buffers, with the pretext objective.
    Buffers,
    /// All samples, with the pretext objective.
    AllSamples,
}

/// The settings of a strategy: what they say about it, and the strategy that they configure. All but [`StrategySettings::check`] may be left out.
pub(crate) trait StrategySettings {
    /// Makes sure that every setting is in range.
    fn check(&self) -> Result<()>;

    /// The samples of previous stages that take part in a later stage.
    fn replay_source(&self) -> ReplaySource {
        ReplaySource::Nothing
    }

    /// Sets of values as large as the model that a later stage holds beside it, such as a teacher.
    fn n_auxiliary_models(&self) -> usize {
        0
    }

    /// Whether every stage starts from the model that the run started from.
    fn has_one_model_per_stage(&self) -> bool {
        false
    }

    /// Whether only the last stage trains, on the data of all stages.
    fn defers_training(&self) -> bool {
        false
    }

    /// Whether the model of an earlier stage can be recovered exactly from a later one.
    fn recovers_earlier_models(&self) -> bool {
        false
    }

    /// Samples that are encoded one by one after the last epoch, to estimate the importance of parameters.
    fn n_importance_samples(&self) -> usize {
        0
    }

    /// The strategy for one stage.
    ///
    /// # Errors
    /// Files of the previous stage that are missing or damaged.
    fn build(&self, start: &StageStart<'_>) -> Result<Box<dyn ContinualStrategy>> {
        let _ = start;
        Ok(Box::new(PretextOnly))
    }
}

/// A factor of a loss must be finite and at least 0.
pub(super) fn check_weight(setting: &str, value: f64) -> Result<()> {
    match value >= 0.0 && value.is_finite() {
        true => Ok(()),
        false => Err(SettingError::out_of_range(setting, value, "0.0 or above").into()),
    }
}
