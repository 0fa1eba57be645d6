//! Experience replay: the pretext task on the buffers beside the new modality.

use serde::{Deserialize, Serialize};

use super::settings::{ReplaySource, StrategySettings};
use crate::Result;

/// Settings of experience replay: none.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayConfig {}

impl StrategySettings for ReplayConfig {
    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn replay_source(&self) -> ReplaySource {
        ReplaySource::Buffers
    }
}
