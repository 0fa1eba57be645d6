//! Verdicts, as people and programs read them.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::outcome::{Finding, RuleResult, Stop};

/// Longest detail or remedy in bytes: plugins may answer with endless text.
const LONGEST: usize = 2000;

/// How a rule came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The rule holds.
    Passed,
    /// The rule is broken.
    Failed,
    /// The rule could not be tried, or does not concern this plugin.
    Skipped,
}

/// The outcome of one rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleReport {
    /// Name of the rule.
    pub rule: String,
    /// How it came out.
    pub outcome: Outcome,
    /// What was found; of a broken rule also what was expected.
    pub detail: String,
    /// What the author can do; of broken rules only.
    pub remedy: Option<String>,
    /// Figures by name, with the unit in the name.
    pub measured: BTreeMap<String, f64>,
}

/// What happens while the list is gone through.
#[derive(Debug)]
pub enum Event<'a> {
    /// The rule of this name begins.
    Started(&'a str),
    /// A rule has ended.
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

    /// A rule that was broken in a way that it cannot tell itself, such as by the end of its process.
    pub fn failed(rule: &str, detail: &str, remedy: &str) -> Self {
        Self::new(rule, Err(Stop::Violation { detail: detail.into(), remedy: remedy.into() }))
    }

    /// A rule that holds, and what was seen.
    pub fn passed(rule: &str, detail: &str) -> Self {
        Self::new(rule, crate::outcome::passed(detail))
    }

    /// A rule that was not tried, and why.
    pub fn skipped(rule: &str, why: &str) -> Self {
        Self::new(rule, Err(Stop::Skip(why.into())))
    }
}

/// The reports for a person: broken rules first, with what was found and a remedy, then those that were skipped.
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

/// Cut in the middle, without characters that would steer a terminal; line ends stay.
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
    fn endless_and_steering_text_of_plugins_is_cut_and_cleaned() {
        let report = RuleReport::failed("header", &format!("\u{1b}[31m{}", "\u{e4}".repeat(5000)), "fix it");
        assert!(report.detail.len() < LONGEST + 50 && report.detail.starts_with("\u{fffd}[31m"), "{report:?}");
        assert!(report.detail.ends_with(" bytes more)"));
        assert_eq!(summary(&[report]).matches("remedy: fix it").count(), 1);
    }

    #[test]
    fn verdicts_survive_the_way_between_processes() {
        let outcome = crate::outcome::measured("fast", [("samples_per_second", 12.5)]);
        for report in
            [RuleReport::new("throughput", outcome), RuleReport::skipped("keep", "there is no such operation")]
        {
            let text = serde_json::to_string(&report).unwrap();
            assert_eq!(serde_json::from_str::<RuleReport>(&text).unwrap(), report);
        }
    }
}
