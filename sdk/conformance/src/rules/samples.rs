//! Opening, ids, labels and fingerprint.

use medcoss_abi::operation;
use medcoss_caller::answers;

use crate::open_dataset::OpenDataset;
use crate::outcome::{RuleResult, Stop, measured, passed, violation};
use crate::plugin_under_test::{PluginUnderTest, needs};
use crate::rules::synthetic::listed;

pub(super) fn read(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = under_test.try_samples()?;
    let n = samples.indices.len() + samples.bad.len();
    let mut detail = format!("{} of {n} tried samples, {} in all", samples.indices.len(), samples.dataset.ids.len());
    if let Some(first) = samples.bad.first() {
        detail.push_str(&format!("; cannot be read: {first}"));
    }
    measured(detail, [("samples", samples.dataset.ids.len() as f64), ("invalid_samples", samples.bad.len() as f64)])
}

pub(super) fn ids(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = under_test.samples()?;
    let ids = &samples.dataset.ids;
    answers::check_ids(ids).map_err(|what| {
        violation(
            what,
            "begin ids with the data entry as it was given, since a run must not hold absolute paths; add what distinguishes \
             samples of one file, such as #row=7",
        )
    })?;
    let again = OpenDataset::new(under_test.plugin()?, &samples.open)?;
    if again.ids != *ids {
        return Err(violation(
            "the same data, opened again, have other ids or another order",
            "sort what the file system lists; draw nothing at random in `open`",
        ));
    }
    passed(format!("{} ids", ids.len()))
}

pub(super) fn labels(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = under_test.samples()?;
    let labels: Vec<Option<String>> = samples.dataset.ask(operation::LABELS)?;
    let n = samples.dataset.ids.len();
    answers::check_labels(&labels, n)
        .map_err(|what| violation(what, "answer with a string or null for each sample"))?;
    passed(format!("{} of {n} samples have a label", labels.iter().flatten().count()))
}

pub(super) fn fingerprint(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = under_test.samples()?;
    let plugin = under_test.plugin()?;
    let first: String = samples.dataset.ask(operation::FINGERPRINT)?;
    answers::check_fingerprint(&first)
        .map_err(|what| violation(what, "use a digest of ids, sizes and times or contents"))?;
    let again: String = OpenDataset::new(plugin, &samples.open)?.ask(operation::FINGERPRINT)?;
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
        .map(|open| -> Result<String, Stop> { Ok(OpenDataset::new(plugin, open)?.ask(operation::FINGERPRINT)?) });
    if before? == after? {
        return Err(violation(
            "other data have the same fingerprint",
            "let the contents of files, or their sizes and times, go into it",
        ));
    }
    passed(first)
}
