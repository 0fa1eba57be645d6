//! What came of a probe.

use medcoss_abi::message::Description;
use serde::{Deserialize, Serialize};

use crate::plugin::LOADER_REFUSES;

/// What came of probing one plugin of one library.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// It can be used.
    Accepted(Box<Description>),
    /// It cannot.
    Refused {
        /// Why.
        reason: String,
        /// The remedy.
        hint: Option<String>,
        /// What it printed, cut.
        #[serde(default)]
        printed: String,
    },
}

impl Outcome {
    /// Whether the next probe of the same file would find the same. Not where the loader refused it, which may have missed another library.
    pub(crate) fn is_lasting(&self) -> bool {
        !matches!(self, Self::Refused { reason, .. } if reason.starts_with(LOADER_REFUSES))
    }
}
