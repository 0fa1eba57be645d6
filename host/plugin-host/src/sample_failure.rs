//! A sample that a plugin did not simply deliver.

use std::sync::Arc;

use medcoss_abi::code;
use medcoss_caller::View;

/// Why a sample was not simply delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The sample is sound, and has nothing to learn. In the evaluation view it was delivered nevertheless; in training its part of the
    /// batch is void.
    Skipped,
    /// The data are at fault: missing, damaged, of another kind, or not fitting the options. Its part of the batch is void.
    Data,
    /// The plugin is at fault: it panicked, or delivered what the contract forbids. Its part of the batch is void.
    Plugin,
}

/// A sample that a plugin did not simply deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleFailure {
    /// Position of the sample in the request.
    pub slot: usize,
    /// Id of the sample.
    pub id: String,
    /// Why, in short.
    pub kind: FailureKind,
    /// Finding and expectation, as the plugin or the check of its answer says it.
    pub reason: String,
    /// Name of the plugin and the call, for the message.
    pub(crate) plugin: Arc<str>,
    pub(crate) operation: &'static str,
    /// The view that was asked for, where it matters.
    pub(crate) view: Option<View>,
}

impl FailureKind {
    /// The kind of a code that a plugin reports. A code that is not known counts as one of the data.
    pub(crate) fn of_code(given: i32) -> Self {
        match given {
            code::SKIPPED => Self::Skipped,
            code::PANIC => Self::Plugin,
            _ => Self::Data,
        }
    }
}

/// For people: the plugin, the call, the sample unless the reason names it, the reason, and whose fault it is where it is not the data's.
impl std::fmt::Display for SampleFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, kind, reason, plugin, operation, view, .. } = self;
        let named = if names(reason, id) { String::new() } else { format!("{id}: ") };
        // Damaged data are so in every view.
        let view = view.filter(|_| *kind == FailureKind::Plugin).map(|view| match view {
            View::Evaluation => ", evaluation view",
            View::Training => ", training view",
        });
        write!(f, "plugin {plugin} ({operation}{}): {named}{reason}", view.unwrap_or_default())?;
        match kind {
            FailureKind::Plugin => {
                f.write_str("\nhint: this is a fault of the plugin, not of the sample; report it to its authors")
            }
            FailureKind::Skipped | FailureKind::Data => Ok(()),
        }
    }
}

/// Whether a text names the id, as more than a part of a longer word.
fn names(text: &str, id: &str) -> bool {
    text.match_indices(id).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + id.len()..].chars().next();
        ![before, after].into_iter().flatten().any(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_sample_once_and_says_whose_fault_it_is() {
        let failure = |kind, reason: &str| {
            let (plugin, reason) = ("gait 1.0.0".into(), reason.to_owned());
            SampleFailure {
                slot: 3,
                id: "b".into(),
                kind,
                reason,
                plugin,
                operation: "fill",
                view: Some(View::Training),
            }
            .to_string()
        };
        assert_eq!(failure(FailureKind::Data, "broken"), "plugin gait 1.0.0 (fill): b: broken");
        assert_eq!(failure(FailureKind::Skipped, "b: flat"), "plugin gait 1.0.0 (fill): b: flat");
        let message = failure(FailureKind::Plugin, "it panicked");
        assert!(
            message.starts_with(
                "plugin gait 1.0.0 (fill, training view): b: it panicked\nhint: this is a fault of the plugin"
            ),
            "{message}"
        );
        assert_eq!(
            [code::SKIPPED, code::PANIC, 77].map(FailureKind::of_code),
            [FailureKind::Skipped, FailureKind::Plugin, FailureKind::Data]
        );
    }
}
