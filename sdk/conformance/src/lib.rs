//! The conformance rules: everything that the contract asks of a plugin, checked on the plugin itself.
//!
//! An author's tests run it in process:
//!
//! ```no_run
//! #[test]
//! fn conforms() {
//!     medcoss_conformance::assert_conforms("ecg");
//! }
//! ```
//!
//! `medcoss plugin check` runs the same rules on a built library, in a process of its own. They depend on the contract alone, and neither
//! on the SDK nor on the host: any host would meet the same faults.
//!
//! Each rule is a function in `rules`; one table, [`rules`], holds its name and its question. Rules run in that order. A rule whose
//! precondition is missing (there are no samples to read, for example) is skipped and names the rule that failed. Rules
//! are independent of each other: a plugin with one fault breaks one rule, as far as the fault allows.
//!
//! Deliberately absent: limits of time and memory, which only another process can set (`medcoss plugin check`
//! does), and protection of this process from native code.

#![deny(clippy::undocumented_unsafe_blocks)]

mod batch;
mod growth;
mod open_dataset;
mod outcome;
mod plugin;
mod plugin_under_test;
mod repeated_reading;
mod report;
mod request;
mod rules;
mod samples_under_test;

use std::sync::{Mutex, PoisonError};

use medcoss_abi::{PluginHeader, builtins};

pub use report::{Event, Outcome, RuleReport, summary};
pub use request::{Data, Request};
pub use rules::{RuleInfo, rules};

use outcome::Stop;
use plugin_under_test::PluginUnderTest;

/// Checks every rule on a plugin, and returns a report for each in the order of [`rules`].
///
/// `watch` is called when a rule starts and when it has finished, so that a parent process knows the rule that was running when its child
/// died. Checks in one process wait for each other. Rules in [`Request::skipped_rules`] are neither checked nor reported.
pub fn check(plugin: &'static PluginHeader, request: &Request, watch: &mut dyn FnMut(Event<'_>)) -> Vec<RuleReport> {
    // One at a time: the growth of memory and threads is measured for the whole process.
    static AT_WORK: Mutex<()> = Mutex::new(());
    let _at_work = AT_WORK.lock().unwrap_or_else(PoisonError::into_inner);
    let mut reports = Vec::new();
    let mut under_test = PluginUnderTest::new(plugin, request.clone());
    for rule in rules::RULES {
        if request.skipped_rules.iter().any(|name| name == rule.info.name) {
            continue;
        }
        watch(Event::Started(rule.info.name));
        let outcome = match &mut under_test {
            Ok(under_test) => (rule.check)(under_test),
            Err(error) => Err(Stop::Skip(format!("no folder for sample files can be made: {error}"))),
        };
        let report = RuleReport::new(rule.info.name, outcome);
        watch(Event::Finished(&report));
        reports.push(report);
    }
    reports
}

/// Panics with a readable list unless the plugin `id`, which this test's crate defines or links, keeps every rule.
///
/// In an author's own crate that is all it takes. A test in `tests/` has to link the crate: `use medcoss_ecg as _;`.
///
/// # Panics
/// When a rule is broken, or when no plugin of that id is linked in.
pub fn assert_conforms(id: &str) {
    let linked = builtins();
    let found = linked.iter().find(|builtin| builtin.id == id);
    let names: Vec<_> = linked.iter().map(|builtin| builtin.id).collect();
    let Some(found) = found else {
        panic!(
            "no plugin {id:?} is linked into this test; linked are {names:?}\n\
             hint: give the id of export_plugin!; in tests/ name the crate: `use medcoss_{id} as _;`"
        );
    };
    assert_header_conforms(found.header);
}

/// As [`assert_conforms`], for a plugin that is given by its header.
///
/// # Panics
/// When a rule is broken.
pub fn assert_header_conforms(plugin: &'static PluginHeader) {
    let reports = check(plugin, &Request::default(), &mut |_| {});
    let n_failed = reports.iter().filter(|report| report.outcome == Outcome::Failed).count();
    assert!(n_failed == 0, "{n_failed} of {} rules are broken\n\n{}", reports.len(), summary(&reports));
}
