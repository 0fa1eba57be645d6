//! The conformance list: everything that the contract asks of a plugin, tried on the plugin itself.
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
//! and `medcoss plugin check` runs the same list on a built library, in a process of its own. It is written over the bare
//! contract and knows neither the SDK nor the host: what it finds is what any host would meet.
//!
//! Each rule is a function in `rules`, with its name and the question that it answers in one table, [`rules`]. They run
//! in that order; a rule whose pattern is missing (no samples to read, say) is skipped and says which one failed. Rules
//! are independent of each other: a plugin with one fault breaks one rule, as far as the fault allows.
//!
//! What is deliberately not here: limits of time and memory, which only another process can set (`medcoss plugin check`
//! does), and protection from what native code may do to this process.

#![deny(clippy::undocumented_unsafe_blocks)]

mod batch;
mod open_dataset;
mod outcome;
mod plugin;
mod plugin_under_test;
mod report;
mod request;
mod rules;

use std::sync::{Mutex, PoisonError};

use medcoss_abi::{PluginHeader, builtins};

pub use report::{Event, Outcome, RuleReport, summary};
pub use request::{Data, Request};
pub use rules::{RuleInfo, rules};

use outcome::Stop;
use plugin_under_test::PluginUnderTest;

/// Tries every rule on a plugin, and gives a report for each in the order of [`rules`].
///
/// `watch` is told when a rule begins and when it has ended, so that whoever waits for another process knows which one
/// was at work when that process died. Checks in one process wait for each other. Rules that [`Request::skipped_rules`] names are neither tried nor reported.
pub fn check(plugin: &'static PluginHeader, request: &Request, watch: &mut dyn FnMut(Event<'_>)) -> Vec<RuleReport> {
    // One at a time: growth of memory and threads is measured of the whole process.
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
