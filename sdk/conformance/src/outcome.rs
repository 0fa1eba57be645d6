//! What a rule finds.

use std::collections::BTreeMap;

/// A rule that holds: what was seen, and figures.
#[derive(Debug, Clone, Default)]
pub(crate) struct Finding {
    pub(crate) detail: String,
    pub(crate) measured: BTreeMap<String, f64>,
}

/// Why a rule does not hold, or cannot be tried.
#[derive(Debug, Clone)]
pub(crate) enum Stop {
    /// The rule is broken.
    Violation {
        /// What was found, what was expected.
        detail: String,
        /// What the author can do.
        remedy: String,
    },
    /// There is nothing to try it on, and why.
    Skip(String),
}

/// What a rule gives.
pub(crate) type RuleResult = Result<Finding, Stop>;

/// The rule is broken.
pub(crate) fn violation(detail: impl Into<String>, remedy: impl Into<String>) -> Stop {
    Stop::Violation { detail: detail.into(), remedy: remedy.into() }
}

/// The rule holds.
pub(crate) fn passed(detail: impl Into<String>) -> RuleResult {
    Ok(Finding { detail: detail.into(), measured: BTreeMap::new() })
}

/// The rule holds, with figures.
pub(crate) fn measured<const N: usize>(detail: impl Into<String>, figures: [(&str, f64); N]) -> RuleResult {
    let measured = figures.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
    Ok(Finding { detail: detail.into(), measured })
}
