//! The outcome of a probe.

use medcoss_abi::message::Description;
use serde::{Deserialize, Serialize};

use crate::plugin::LOADER_REFUSES;

/// Outcome of probing one plugin of one library.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// The plugin can be used.
    Accepted(Box<Description>),
    /// The plugin cannot be used.
    Refused {
        /// Reason of the error.
        reason: String,
        /// The remedy.
        hint: Option<String>,
        /// Output that the library printed, shortened.
        #[serde(default)]
        printed: String,
    },
}

/// An outcome, and the file that it is of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Probed {
    pub(crate) outcome: Outcome,
    /// SHA-256 of the library file that the child read.
    pub(crate) sha256: String,
}

impl Outcome {
    /// Whether the next probe of the same file would give the same outcome. Not so where the dynamic loader refused the
    /// library, for which another library may have been missing.
    pub(crate) fn is_lasting(&self) -> bool {
        !matches!(self, Self::Refused { reason, .. } if reason.starts_with(LOADER_REFUSES))
    }
}
