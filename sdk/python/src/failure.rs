//! A call that failed, as the contract reports it.

use medcoss_abi::message::ErrorBody;
use medcoss_abi::{PluginError, code};

/// A code of the contract and a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// One of [`medcoss_abi::code`].
    pub code: i32,
    /// What was found and what was expected; a remedy stands on a line of its own.
    pub message: String,
}

impl Failure {
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A setting, a request or an installation that the user can fix.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(code::BAD_REQUEST, message)
    }

    /// A fault of the module, of its worker or of the bridge.
    pub(crate) fn fault(message: impl Into<String>) -> Self {
        Self::new(code::PANIC, message)
    }
}

impl From<Failure> for PluginError {
    fn from(failure: Failure) -> Self {
        let body = ErrorBody { message: failure.message, causes: Vec::new() };
        // A text and an empty list can always be written.
        let body = serde_json::to_string(&body).unwrap_or_default();
        Self { code: failure.code, body: body.into() }
    }
}
