//! Joint training: the last stage trains on the data of all stages at once, an upper bound of a comparison.
//!
//! Earlier stages only admit their families to the model and leave a folder, so that resuming, adding stages and reports need no special case. Each
//! modality gets as many batches as in a stage of its own, so that no strategy sees more data.

use serde::{Deserialize, Serialize};

use super::settings::{ReplaySource, StrategySettings};
use crate::Result;

/// Settings of joint training: none.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JointConfig {}

impl StrategySettings for JointConfig {
    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn replay_source(&self) -> ReplaySource {
        ReplaySource::AllSamples
    }

    fn defers_training(&self) -> bool {
        true
    }
}
