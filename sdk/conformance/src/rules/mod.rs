//! The rules, in the order in which they are checked.

mod account;
mod corruption;
mod description;
pub(crate) mod determinism;
mod extras;
pub(crate) mod fill;
mod grids;
mod invalid_requests;
mod label_maps;
mod operations;
mod option_presets;
mod options;
pub(crate) mod resource_growth;
mod samples;
mod survey;
mod synthetic;
mod throughput;

use crate::outcome::RuleResult;
use crate::plugin_under_test::PluginUnderTest;

/// Name and question of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleInfo {
    /// Name of the rule: lower-case words with hyphens.
    pub name: &'static str,
    /// The question that it answers, in a line.
    pub question: &'static str,
}

pub(crate) struct Rule {
    pub(crate) info: RuleInfo,
    pub(crate) check: fn(&mut PluginUnderTest) -> RuleResult,
}

const fn rule(name: &'static str, question: &'static str, check: fn(&mut PluginUnderTest) -> RuleResult) -> Rule {
    Rule { info: RuleInfo { name, question }, check }
}

/// All rules.
pub(crate) const RULES: &[Rule] = &[
    rule("header", "are magic, version and layout of the header those of this contract?", description::header),
    rule("description", "is the description complete: id, version, family, operations?", description::description),
    rule("geometry", "are the declared sizes in range, without overflow?", description::geometry),
    rule("family", "does the default geometry fit the family whose name it has?", description::family),
    rule("options-schema", "has every option a description, and a default that fits its type?", options::schema),
    rule("synthesise", "does the plugin write sample files of its own?", synthetic::synthesise),
    rule("same-files", "does the same seed write the same files, and another seed others?", synthetic::same_files),
    rule("defaults", "are the default options accepted, and do they give the declared geometry?", options::defaults),
    rule("option-presets", "is each preset accepted as options?", option_presets::accepted),
    rule("unknown-option", "is an option that does not exist refused?", options::unknown),
    rule(
        "option-ranges",
        "is a value outside of a range in the schema refused, by the option's name?",
        options::ranges,
    ),
    rule("option-order", "does the order of options name existing options, each once?", options::order),
    rule("read", "can the samples be read?", samples::read),
    rule("info", "does the dataset say the same of itself at every call?", samples::info),
    rule("records", "do pages of any size give the same records, and none past the end?", samples::records),
    rule(
        "record-fields",
        "are ids unique and relative, and are files, entries, groups, labels, weights and metadata in their ranges?",
        samples::record_fields,
    ),
    rule("account", "is a file of another kind counted as left out, with a reason?", account::account),
    rule(
        "survey",
        "does the plugin recognise its own files, and do the options that it proposes open them?",
        survey::survey,
    ),
    rule(
        "fingerprint",
        "is the fingerprint hexadecimal, stable, and another one when the data change?",
        samples::fingerprint,
    ),
    rule("bounds", "are the guards around every buffer untouched?", fill::bounds),
    rule("written", "is every element of the buffers written?", fill::written),
    rule("finite", "are all values finite numbers?", fill::finite),
    rule("mask-values", "is every element of the mask 0 or 1?", fill::mask_values),
    rule("mask-count", "are exactly as many tokens masked in training as the geometry says?", fill::mask_count),
    rule("lengths", "are lengths in range, and is everything behind them padding?", fill::lengths),
    rule("token-ids", "are token ids in the vocabulary?", fill::token_ids),
    rule("targets", "are targets in the vocabulary, before the length, and some?", fill::targets),
    rule(
        "valid",
        "is validity 0 or 1, is what does not exist 0, and is enough of the rest masked and visible?",
        extras::valid,
    ),
    rule("target-values", "are targets of their own finite?", extras::target_values),
    rule("coordinates", "are coordinates within the ranges that the geometry states?", extras::coordinates),
    rule("affines", "are affines finite, and can they be inverted?", extras::affines),
    rule(
        "skip",
        "is a skipped sample skipped again with the same seed, and complete in the evaluation view?",
        extras::skip,
    ),
    rule("evaluation-view", "is nothing masked in the evaluation view?", fill::evaluation_view),
    rule("evaluation-fixed", "is the evaluation view independent of the seed?", determinism::evaluation_fixed),
    rule("repeatable", "does the same seed give the same bytes again?", determinism::repeatable),
    rule("order", "is a sample the same in any order and any batch?", determinism::order),
    rule("threads", "is a sample the same on any thread, many at once?", determinism::threads),
    rule(
        "extras-optional",
        "are tokens and mask the same whether extra buffers are asked for or not?",
        extras::optional,
    ),
    rule("seeds", "do different seeds differ in the training view?", determinism::seeds),
    rule("apart", "are several open datasets independent of each other?", determinism::apart),
    rule("save-assets", "do saved assets open again to the same samples?", operations::save_assets),
    rule("keep", "do saved samples open again to the same samples?", operations::keep),
    rule(
        "label-maps",
        "are masks answered in the geometry of their samples, and missing ones refused?",
        label_maps::label_maps,
    ),
    rule(
        "grids",
        "is the grid of each sample's file answered alike at every call, and does the sample lie on it?",
        grids::grids,
    ),
    rule("render", "are tokens rendered to an image or text?", operations::render),
    rule("render-mask", "is what is rendered independent of the values behind the mask?", operations::render_mask),
    rule("unknown-operation", "is an operation that does not exist refused?", operations::unknown),
    rule(
        "unknown-extra",
        "is a buffer of an unknown kind left alone, and the call still answered?",
        extras::unknown_kind,
    ),
    rule("unknown-view", "is a view that does not exist refused?", invalid_requests::unknown_view),
    rule("unknown-field", "are requests with further fields answered as without?", invalid_requests::unknown_field),
    rule("missing-path", "is data that does not exist refused?", invalid_requests::missing_path),
    rule("invalid-index", "is a sample that does not exist refused?", invalid_requests::invalid_index),
    rule("invalid-request", "is invalid JSON refused?", invalid_requests::invalid_request),
    rule("empty-files", "do empty files give errors?", corruption::empty),
    rule("truncated-files", "do truncated files give errors or valid samples?", corruption::truncated),
    rule("changed-bytes", "do files with changed bytes give errors or valid samples?", corruption::changed),
    rule("memory", "does memory stay the same over many calls?", resource_growth::memory),
    rule("no-threads", "does the number of threads stay the same over many calls?", resource_growth::threads),
    rule("open-files", "does the number of open files stay the same over many calls?", resource_growth::files),
    rule("throughput", "how many samples a second are read? (measured, not judged)", throughput::throughput),
];

/// All rules, in the order in which they are checked.
pub fn rules() -> impl Iterator<Item = RuleInfo> {
    RULES.iter().map(|rule| rule.info)
}
