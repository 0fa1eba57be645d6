//! The result of a rule.

use std::collections::BTreeMap;

/// A rule that passed: what was seen, and measured values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Finding {
    pub(crate) detail: String,
    pub(crate) measured: BTreeMap<String, f64>,
}

/// Why a rule did not pass.
#[derive(Debug, Clone)]
pub(crate) enum Stop {
    /// The rule is broken.
    Violation {
        /// What was found, what was expected.
        detail: String,
        /// Remedy for the author.
        remedy: String,
    },
    /// The rule cannot be checked, and why.
    Skip(String),
}

/// Result of a rule.
pub(crate) type RuleResult = Result<Finding, Stop>;

/// The rule is broken.
pub(crate) fn violation(detail: impl Into<String>, remedy: impl Into<String>) -> Stop {
    Stop::Violation { detail: detail.into(), remedy: remedy.into() }
}

/// The rule passed.
pub(crate) fn passed(detail: impl Into<String>) -> RuleResult {
    Ok(Finding { detail: detail.into(), measured: BTreeMap::new() })
}

/// The rule passed, with measured values.
pub(crate) fn measured<const N: usize>(detail: impl Into<String>, figures: [(&str, f64); N]) -> RuleResult {
    let measured = figures.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
    Ok(Finding { detail: detail.into(), measured })
}
