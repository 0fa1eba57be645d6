//! Reports of rules, as people and programs read them.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::outcome::{Finding, RuleResult, Stop};

/// Longest detail or remedy in bytes: plugins may answer with endless text.
const LONGEST: usize = 2000;

/// The outcome of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The rule holds.
    Passed,
    /// The rule is broken.
    Failed,
    /// The rule could not be checked, or does not apply to this plugin.
    Skipped,
}

/// The report of one rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleReport {
    /// Name of the rule.
    pub rule: String,
    /// Outcome of the rule.
    pub outcome: Outcome,
    /// What was found, and for a broken rule what was expected.
    pub detail: String,
    /// Remedy for the author; for broken rules only.
    pub remedy: Option<String>,
    /// Figures by name, with the unit in the name.
    pub measured: BTreeMap<String, f64>,
}

/// Progress of a check.
#[derive(Debug)]
pub enum Event<'a> {
    /// The rule of this name has started.
    Started(&'a str),
    /// A rule has finished.
    Finished(&'a RuleReport),
}

impl RuleReport {
    pub(crate) fn new(rule: &str, outcome: RuleResult) -> Self {
        let (outcome, detail, remedy, measured) = match outcome {
            Ok(Finding { detail, measured }) => (Outcome::Passed, detail, None, measured),
            Err(Stop::Violation { detail, remedy }) => (Outcome::Failed, detail, Some(remedy), BTreeMap::new()),
            Err(Stop::Skip(why)) => (Outcome::Skipped, why, None, BTreeMap::new()),
        };
        let (detail, remedy) = (shortened(&detail), remedy.map(|remedy| shortened(&remedy)));
        Self { rule: rule.into(), outcome, detail, remedy, measured }
    }

    /// The report of a rule that failed from outside, such as by the end of its process.
    pub fn failed(rule: &str, detail: &str, remedy: &str) -> Self {
        Self::new(rule, Err(Stop::Violation { detail: detail.into(), remedy: remedy.into() }))
    }

    /// The report of a rule that passed, and what was seen.
    pub fn passed(rule: &str, detail: &str) -> Self {
        Self::new(rule, crate::outcome::passed(detail))
    }

    /// The report of a rule that was not checked, and why.
    pub fn skipped(rule: &str, why: &str) -> Self {
        Self::new(rule, Err(Stop::Skip(why.into())))
    }
}

/// Summary of reports for people: broken rules first, with what was found and a remedy, then skipped rules.
pub fn summary(reports: &[RuleReport]) -> String {
    let mut text = String::new();
    for report in reports.iter().filter(|report| report.outcome == Outcome::Failed) {
        let remedy = report.remedy.as_deref().unwrap_or("none is known");
        // Writing into a string does not fail.
        let _ = write!(text, "{}: {}\n  remedy: {remedy}\n", report.rule, report.detail);
    }
    for report in reports.iter().filter(|report| report.outcome == Outcome::Skipped) {
        let _ = writeln!(text, "{} (skipped): {}", report.rule, report.detail);
    }
    text
}

/// Truncated text without control characters; line ends stay.
fn shortened(text: &str) -> String {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut shown: String = text[..end]
        .chars()
        .map(|c| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if end < text.len() {
        let _ = write!(shown, " ... ({} bytes more)", text.len() - end);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_and_control_characters_of_plugins_are_cut_and_replaced() {
        let report = RuleReport::failed("header", &format!("\u{1b}[31m{}", "\u{e4}".repeat(5000)), "fix it");
        assert!(report.detail.len() < LONGEST + 50 && report.detail.starts_with("\u{fffd}[31m"), "{report:?}");
        assert!(report.detail.ends_with(" bytes more)"));
        assert_eq!(summary(&[report]).matches("remedy: fix it").count(), 1);
    }

    #[test]
    fn reports_survive_the_way_between_processes() {
        let outcome = crate::outcome::measured("fast", [("samples_per_second", 12.5)]);
        for report in
            [RuleReport::new("throughput", outcome), RuleReport::skipped("keep", "there is no such operation")]
        {
            let text = serde_json::to_string(&report).unwrap();
            assert_eq!(serde_json::from_str::<RuleReport>(&text).unwrap(), report);
        }
    }
}
