//! Errors of calls into plugins.

use medcoss_abi::{code, message::ErrorBody};

use crate::untrusted_text::{untrusted_bytes, untrusted_text};

/// Largest number of causes that are kept of a plugin's error.
const MOST_CAUSES: usize = 8;
/// Longest error body in bytes that is parsed. A longer body is shown from its beginning and not copied.
const LONGEST_BODY: usize = 4 << 20;

/// The side that caused a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The host refused the request before it asked the plugin.
    Request,
    /// The plugin reported an error, with this [`medcoss_abi::code`].
    Reported(i32),
    /// The plugin's answer breaks the contract.
    Contract,
}

/// A failed call into a plugin: the plugin, the operation, and the reason. The causes are the error's `source` chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plugin {plugin} ({operation}): {message}")]
pub struct PluginError {
    /// Id and version of the plugin.
    pub plugin: String,
    /// Name of the operation, as in the contract.
    pub operation: String,
    /// The side that caused the failure.
    pub fault: Fault,
    /// Finding and expectation; the remedy follows on a line of its own.
    pub message: String,
    #[source]
    cause: Option<Box<Cause>>,
}

/// A cause beneath a plugin's error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
struct Cause {
    message: String,
    #[source]
    beneath: Option<Box<Cause>>,
}

impl PluginError {
    /// Whether the user can fix the error: settings, files, unsupported file types. Otherwise the plugin's code is at
    /// fault.
    pub fn is_user_error(&self) -> bool {
        match self.fault {
            Fault::Request => true,
            Fault::Contract => false,
            Fault::Reported(given) => {
                [code::BAD_REQUEST, code::UNREADABLE, code::CORRUPT, code::UNSUPPORTED].contains(&given)
            }
        }
    }

    /// An error for a request that the host refused before it asked the plugin.
    pub(crate) fn request(plugin: &str, operation: &str, message: impl Into<String>) -> Self {
        Self::new(plugin, operation, Fault::Request, message.into())
    }

    /// An error for an answer that breaks the contract.
    pub(crate) fn contract(plugin: &str, operation: &str, message: impl AsRef<str>) -> Self {
        let message = format!(
            "{}\nhint: this is a fault in the plugin; report it to its authors, or use another version",
            untrusted_text(message.as_ref())
        );
        Self::new(plugin, operation, Fault::Contract, message)
    }

    /// The error that the plugin reported. A body that breaks the contract's format is shown unparsed.
    pub(crate) fn reported(plugin: &str, operation: &str, error: &medcoss_abi::PluginError) -> Self {
        // Only the plugin's promise says that the body is UTF-8.
        let body = error.body.as_rstr().as_rslice().as_slice();
        let parsed = (body.len() <= LONGEST_BODY).then(|| serde_json::from_slice(body).ok()).flatten();
        let ErrorBody { message, causes } = parsed.unwrap_or_else(|| ErrorBody {
            message: format!("code {}: {}", error.code, untrusted_bytes(body)),
            causes: Vec::new(),
        });
        let mut beneath = None;
        for cause in causes.iter().take(MOST_CAUSES).rev() {
            beneath = Some(Box::new(Cause { message: untrusted_text(cause), beneath }));
        }
        let message = match untrusted_text(&message) {
            empty if empty.trim().is_empty() => format!("failed with code {} and no message", error.code),
            text => text,
        };
        Self { cause: beneath, ..Self::new(plugin, operation, Fault::Reported(error.code), message) }
    }

    fn new(plugin: &str, operation: &str, fault: Fault, message: String) -> Self {
        Self { plugin: plugin.into(), operation: operation.into(), fault, message, cause: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    fn reported(code: i32, body: &str) -> PluginError {
        PluginError::reported("gait 0.1.0", "open", &medcoss_abi::PluginError { code, body: body.into() })
    }

    #[test]
    fn causes_become_a_chain_and_the_plugin_is_named() {
        let error = reported(code::CORRUPT, r#"{"message":"a.edf is damaged","causes":["no header","end of file"]}"#);
        assert_eq!(error.to_string(), "plugin gait 0.1.0 (open): a.edf is damaged");
        let first = error.source().expect("a cause");
        assert_eq!(first.to_string(), "no header");
        assert_eq!(first.source().map(|cause| cause.to_string()).as_deref(), Some("end of file"));
        assert!(error.is_user_error());
    }

    #[test]
    fn a_body_that_is_no_json_or_says_nothing_still_gives_a_message() {
        assert_eq!(reported(7, "boom").message, "code 7: boom");
        assert_eq!(reported(7, r#"{"message":" "}"#).message, "failed with code 7 and no message");
        assert!(!reported(code::PANIC, r#"{"message":"the plugin panicked"}"#).is_user_error());
    }

    #[test]
    fn endless_text_is_cut() {
        let body = serde_json::json!({ "message": "x".repeat(100_000), "causes": vec!["y"; 1000] });
        let error = reported(1, &body.to_string());
        assert!(error.message.len() < 4200);
        let n = std::iter::successors(error.source(), |&cause| cause.source()).count();
        assert_eq!(n, MOST_CAUSES);
        let longer = format!("{{\"message\":\"{}\"}}", "x".repeat(LONGEST_BODY));
        let error = reported(1, &longer);
        assert!(error.message.starts_with("code 1: {\"message\":\"xxx") && error.message.len() < 4200);
    }
}
