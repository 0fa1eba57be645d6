//! Properties that follow from the settings of a strategy.

use super::strategy::{ContinualStrategy, PretextOnly, StageStart};
use crate::Result;

/// Samples of previous stages that take part in a later stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplaySource {
    /// No samples of previous stages.
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

/// Settings of a strategy: the strategy's properties, and the constructor of the strategy. All methods but [`StrategySettings::check`] have a
/// default.
pub(crate) trait StrategySettings {
    /// Checks that every setting is in range.
    fn check(&self) -> Result<()>;

    /// The samples of previous stages that take part in a later stage.
    fn replay_source(&self) -> ReplaySource {
        ReplaySource::Nothing
    }

    /// Number of auxiliary parameter sets, each as large as the model, that a later stage holds in memory, such as a teacher.
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

    /// Number of samples from which the importance of parameters is estimated, one by one after the last epoch.
    fn n_importance_samples(&self) -> usize {
        0
    }

    /// The strategy at the start of a stage.
    ///
    /// # Errors
    /// Files of the previous stage that are missing or damaged.
    fn build(&self, start: &StageStart<'_>) -> Result<Box<dyn ContinualStrategy>> {
        let _ = start;
        Ok(Box::new(PretextOnly))
    }
}
