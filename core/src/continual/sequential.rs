//! Sequential training: one modality after another, with nothing against forgetting. The lower bound of a comparison.

use serde::{Deserialize, Serialize};

use super::settings::StrategySettings;
use crate::Result;

/// Settings of sequential training: none.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequentialConfig {}

impl StrategySettings for SequentialConfig {
    fn check(&self) -> Result<()> {
        Ok(())
    }
}
