//! Opening, and what is known of samples before they are read.

use std::collections::HashSet;
use std::path::Path;

use medcoss_abi::operation;

use crate::open_dataset::OpenDataset;
use crate::outcome::{RuleResult, Stop, measured, passed, violation};
use crate::plugin_under_test::{PluginUnderTest, needs, stays_below};
use crate::rules::synthetic::listed;

/// Longest sample id in bytes.
const LONGEST_ID: usize = 1024;

pub(super) fn read(plugin_under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = plugin_under_test.try_samples()?;
    let n = samples.indices.len() + samples.bad.len();
    let mut detail = format!("{} of {n} tried samples, {} in all", samples.indices.len(), samples.dataset.ids.len());
    if let Some(first) = samples.bad.first() {
        detail.push_str(&format!("; cannot be read: {first}"));
    }
    measured(detail, [("samples", samples.dataset.ids.len() as f64), ("bad_samples", samples.bad.len() as f64)])
}

pub(super) fn ids(plugin_under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = plugin_under_test.samples()?;
    let ids = &samples.dataset.ids;
    let mut seen = HashSet::with_capacity(ids.len());
    for (index, id) in ids.iter().enumerate() {
        if id.is_empty() || id.len() > LONGEST_ID || id.chars().any(char::is_control) {
            return Err(violation(
                format!("the id of sample {index} is {id:?}; 1 to {LONGEST_ID} printable characters were expected"),
                "make ids of the data entry and the path below it",
            ));
        }
        if !stays_below(Path::new(id)) {
            return Err(violation(
                format!("the id of sample {index} is {id:?}; a relative one without `..` was expected"),
                "begin ids with the data entry as it was given: a run must not hold absolute paths",
            ));
        }
        if !seen.insert(id) {
            return Err(violation(
                format!("two samples have the id {id:?}"),
                "add what tells them apart, such as #row=7",
            ));
        }
    }
    let again = OpenDataset::new(plugin_under_test.plugin()?, &samples.open)?;
    if again.ids != *ids {
        return Err(violation(
            "the same data, opened again, have other ids or another order",
            "sort what the file system lists; draw nothing at random in `open`",
        ));
    }
    passed(format!("{} ids", ids.len()))
}

pub(super) fn labels(plugin_under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = plugin_under_test.samples()?;
    let labels: Vec<Option<String>> = samples.dataset.ask(operation::LABELS)?;
    let n = samples.dataset.ids.len();
    if labels.len() != n {
        return Err(violation(
            format!("there are {} labels for {n} samples", labels.len()),
            "answer with a string or null for each sample",
        ));
    }
    passed(format!("{} of {n} samples have a label", labels.iter().flatten().count()))
}

pub(super) fn fingerprint(plugin_under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = plugin_under_test.samples()?;
    let plugin = plugin_under_test.plugin()?;
    let first: String = samples.dataset.ask(operation::FINGERPRINT)?;
    if !(8..=128).contains(&first.len()) || !first.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(violation(
            format!("the fingerprint is {first:?}; 8 to 128 hexadecimal digits were expected"),
            "use a digest of ids, sizes and times or contents",
        ));
    }
    let again: String = OpenDataset::new(plugin, &samples.open)?.ask(operation::FINGERPRINT)?;
    if again != first {
        return Err(violation(
            format!("the same data, opened again, have the fingerprint {again} instead of {first}"),
            "make it of the data alone, in a fixed order",
        ));
    }
    let seed = plugin_under_test.request.seed.wrapping_add(1);
    let synthetic = plugin_under_test.synthetic()?;
    let changed = plugin_under_test.synthesise("changed", seed).map_err(|_| needs("synthesise"))?;
    // Files of a plugin that passes the seed over are another rule's business.
    if listed(&changed.base)? == listed(&synthetic.open.base)? {
        return passed(first);
    }
    let [before, after] = [&synthetic.open, &changed]
        .map(|open| -> Result<String, Stop> { Ok(OpenDataset::new(plugin, open)?.ask(operation::FINGERPRINT)?) });
    if before? == after? {
        return Err(violation(
            "other data have the same fingerprint",
            "let the contents of files, or their sizes and times, go into it",
        ));
    }
    passed(first)
}
