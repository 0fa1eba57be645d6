//! One model for each modality: every stage starts from the model that the run started from.

use serde::{Deserialize, Serialize};

use super::settings::StrategySettings;
use crate::Result;

/// Settings of one model for each modality: none.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SingleConfig {}

impl StrategySettings for SingleConfig {
    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn has_one_model_per_stage(&self) -> bool {
        true
    }
}
