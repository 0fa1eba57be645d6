//! Optimisation: AdamW in two groups, and the learning rate as a function of the step or the epoch.

mod adamw;
mod polynomial_schedule;
mod schedule;

pub use adamw::{adamw, adamw_of_all};
pub use polynomial_schedule::PolynomialSchedule;
pub use schedule::Schedule;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::ranges::{check_below_one, check_not_negative, check_positive};

/// Optimiser settings. The defaults are the paper's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimiserConfig {
    /// Learning rate for an effective batch of 256 samples; scaled in proportion.
    pub base_learning_rate: f64,
    /// Minimum learning rate, at the end of the cosine.
    pub min_learning_rate: f64,
    /// Decoupled weight decay; none on one-dimensional parameters (biases, norms, LayerScale).
    pub weight_decay: f64,
    /// Decay of the first moment.
    pub beta_1: f64,
    /// Decay of the second moment.
    pub beta_2: f64,
    /// Constant added to the root of the second moment.
    pub epsilon: f64,
    /// What an update does to a parameter that none of its batches gave a gradient.
    pub missing_gradients: MissingGradients,
}

/// What an update does to a parameter without a gradient, such as the embedder of a modality that none of the accumulated batches had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissingGradients {
    /// Nothing: the parameter, its moments and its number of updates stay (PyTorch 2).
    #[default]
    Skip,
    /// An update with a gradient of zero, from the parameter's first gradient in a stage on: weight decay, and a step along the fading first moment
    /// (PyTorch 1, with which the reference was trained).
    Zero,
}

impl Default for OptimiserConfig {
    fn default() -> Self {
        Self {
            base_learning_rate: 1.5e-4,
            min_learning_rate: 0.0,
            weight_decay: 0.05,
            beta_1: 0.9,
            beta_2: 0.95,
            epsilon: 1e-8,
            missing_gradients: MissingGradients::default(),
        }
    }
}

impl OptimiserConfig {
    /// Checks that the rates are in range.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub fn check(&self) -> Result<()> {
        check_positive("optimiser.base_learning_rate", self.base_learning_rate)?;
        check_not_negative("optimiser.min_learning_rate", self.min_learning_rate)?;
        check_not_negative("optimiser.weight_decay", self.weight_decay)?;
        check_below_one("optimiser.beta_1", self.beta_1)?;
        check_below_one("optimiser.beta_2", self.beta_2)?;
        // An update divides by it where the gradients were 0.
        check_positive("optimiser.epsilon", self.epsilon)
    }
}
