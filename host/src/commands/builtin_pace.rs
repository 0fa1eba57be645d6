//! How long the built-in plugins take for a sample of their own, to compare another plugin with.

use medcoss_conformance::{Outcome, Request, check, rules};

use crate::builtin::builtins;

/// The rule that measures.
const RULE: &str = "throughput";
/// What it measures.
const RATE: &str = "samples_per_second_1_thread";

/// Milliseconds of a sample in the training view on one thread, from a plugin's report of the rule; `None` where it was not measured.
pub(crate) fn milliseconds(reports: &[medcoss_conformance::RuleReport]) -> Option<f64> {
    let report = reports.iter().find(|report| report.rule == RULE && report.outcome == Outcome::Passed)?;
    report.measured.get(RATE).filter(|rate| **rate > 0.0).map(|rate| 1000.0 / rate)
}

/// The same of each built-in plugin that can be measured, the fastest first.
pub(crate) fn of_builtins() -> Vec<f64> {
    let skipped_rules: Vec<String> =
        rules().map(|rule| rule.name).filter(|name| *name != RULE).map(String::from).collect();
    let mut found: Vec<f64> = builtins()
        .into_iter()
        .filter_map(|builtin| {
            let request =
                Request { id: Some(builtin.id.into()), skipped_rules: skipped_rules.clone(), ..Request::default() };
            milliseconds(&check(builtin.header, &request, &mut |_| {}))
        })
        .collect();
    found.sort_by(f64::total_cmp);
    found
}
