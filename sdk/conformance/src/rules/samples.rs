//! Opening, records and fingerprint.

use medcoss_abi::message::SampleRecord;
use medcoss_caller::answers;
use medcoss_caller::records::RecordChecks;

use crate::open_dataset::OpenDataset;
use crate::outcome::{RuleResult, Stop, measured, passed, violation};
use crate::plugin_under_test::{PluginUnderTest, needs};
use crate::rules::synthetic::listed;

pub(super) fn read(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = under_test.try_samples()?;
    let n = samples.indices.len() + samples.bad.len();
    let mut detail = format!("{} of {n} tried samples, {} in all", samples.indices.len(), samples.dataset.len());
    if let Some(first) = samples.bad.first() {
        detail.push_str(&format!("; cannot be read: {first}"));
    }
    measured(detail, [("samples", samples.dataset.len() as f64), ("invalid_samples", samples.bad.len() as f64)])
}

/// Pages of any size, asked in any order, say the same.
pub(super) fn records(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = under_test.samples()?;
    let (dataset, n) = (&samples.dataset, samples.dataset.len() as u64);
    let remedy = "answer with the records from `first` on, `count` of them or as many as there are, always the same";
    let ones = (0..n.min(MAX_PAGES)).rev().map(|first| (first, 1));
    let threes = (0..n).step_by(3).take(MAX_PAGES as usize).map(|first| (first, 3));
    for (first, count) in ones.chain(threes).chain([(0, n), (n, 1), (n + 5, 3), (u64::MAX, u64::MAX), (0, 0)]) {
        let page = dataset.page(first, count)?;
        let expected = dataset.records.iter().skip(usize::try_from(first).unwrap_or(usize::MAX));
        let expected: Vec<_> = expected.take(usize::try_from(count).unwrap_or(usize::MAX)).cloned().collect();
        if page != expected {
            let found = page.len();
            return Err(violation(
                format!(
                    "a page of {count} samples from {first} on gave {found} records, others than those that a page of all has there"
                ),
                remedy,
            ));
        }
    }
    let again = OpenDataset::new(under_test.plugin()?, &samples.open)?;
    if again.records != dataset.records {
        return Err(violation(
            "the same data, opened again, have other records or another order",
            "sort what the file system lists; draw nothing at random in `open`",
        ));
    }
    passed(format!("{n} records"))
}

/// Number of pages of one and of three samples that are asked for.
const MAX_PAGES: u64 = 20;

pub(super) fn record_fields(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = under_test.samples()?;
    let (records, n_entries) = (&samples.dataset.records, samples.open.data.len());
    let mut checks = RecordChecks::new(records.len() as u64, n_entries);
    let mut rest = records.as_slice();
    while let Some((_, count)) = checks.next_page() {
        let (page, behind) = rest.split_at(count as usize);
        checks.check_page(page).map_err(|what| {
            violation(
                what,
                "begin ids and files with the data entry as it was given, since a run must not hold absolute paths; add what \
                 distinguishes samples of one file, such as #row=7",
            )
        })?;
        rest = behind;
    }
    let n_with = |has: fn(&SampleRecord) -> bool| records.iter().filter(|record| has(record)).count();
    let [labels, groups] = [n_with(|record| record.label.is_some()), n_with(|record| record.group.is_some())];
    passed(format!("of {} samples {labels} have a label and {groups} a group", records.len()))
}

pub(super) fn info(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = under_test.samples()?;
    let dataset = &samples.dataset;
    let again = dataset.ask_info()?;
    if again != dataset.info {
        return Err(violation(
            "a second `info` answers otherwise than the first",
            "let `info` depend on what was opened alone",
        ));
    }
    passed(format!("{} samples", dataset.info.n_samples))
}

pub(super) fn fingerprint(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = under_test.samples()?;
    let plugin = under_test.plugin()?;
    let first = samples.dataset.info.fingerprint.clone();
    answers::check_fingerprint(&first)
        .map_err(|what| violation(what, "use a digest of ids, sizes and times or contents"))?;
    let again = OpenDataset::new(plugin, &samples.open)?.info.fingerprint;
    if again != first {
        return Err(violation(
            format!("the same data, opened again, have the fingerprint {again} instead of {first}"),
            "make it of the data alone, in a fixed order",
        ));
    }
    let seed = under_test.request.seed.wrapping_add(1);
    let synthetic = under_test.synthetic()?;
    let changed = under_test.synthesise("changed", seed).map_err(|_| needs("synthesise"))?;
    // Files of a plugin that passes the seed over are another rule's business.
    if listed(&changed.base)? == listed(&synthetic.open.base)? {
        return passed(first);
    }
    let [before, after] = [&synthetic.open, &changed]
        .map(|open| -> Result<String, Stop> { Ok(OpenDataset::new(plugin, open)?.info.fingerprint) });
    if before? == after? {
        return Err(violation(
            "other data have the same fingerprint",
            "let the contents of files, or their sizes and times, go into it",
        ));
    }
    passed(first)
}
