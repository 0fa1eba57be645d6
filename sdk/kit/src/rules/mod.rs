//! The rules, in the order in which they are tried.

pub(crate) mod chance;
mod damage;
pub(crate) mod delivered;
mod description;
pub(crate) mod growth;
mod label_maps;
mod mistakes;
mod operations;
mod options;
mod samples;
mod speed;
mod synthetic;

use crate::ruling::Ruling;
use crate::subject::Subject;

/// What a rule asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Name of the rule: lower-case words with hyphens.
    pub name: &'static str,
    /// The question that it answers, in a line.
    pub question: &'static str,
}

pub(crate) struct Rule {
    pub(crate) asked: Asked,
    pub(crate) tried: fn(&mut Subject) -> Ruling,
}

const fn rule(name: &'static str, question: &'static str, tried: fn(&mut Subject) -> Ruling) -> Rule {
    Rule { asked: Asked { name, question }, tried }
}

/// All rules.
pub(crate) const RULES: &[Rule] = &[
    rule("header", "are magic, version and layout of the header those of this contract?", description::header),
    rule("description", "is the description whole: id, version, family, operations?", description::description),
    rule("geometry", "are the declared sizes in range, without overflow?", description::geometry),
    rule("options-schema", "has every option a description, and a default that fits its type?", options::schema),
    rule("synthesise", "does the plugin write sample files of its own?", synthetic::synthesise),
    rule("same-files", "does the same seed write the same files, and another seed others?", synthetic::same_files),
    rule("defaults", "are the default options accepted, and do they give the declared geometry?", options::defaults),
    rule("unknown-option", "is an option that does not exist refused?", options::unknown),
    rule("read", "can the samples be read?", samples::read),
    rule("ids", "are sample ids unique, relative and stable?", samples::ids),
    rule("labels", "is there a label or none for each sample?", samples::labels),
    rule(
        "fingerprint",
        "is the fingerprint hexadecimal, stable, and another one when the data change?",
        samples::fingerprint,
    ),
    rule("bounds", "are the guards round every buffer untouched?", delivered::bounds),
    rule("written", "is every element of the buffers written?", delivered::written),
    rule("finite", "are all values finite numbers?", delivered::finite),
    rule("mask-values", "is every element of the mask 0 or 1?", delivered::mask_values),
    rule("mask-count", "are exactly as many tokens masked in training as the geometry says?", delivered::mask_count),
    rule("lengths", "are lengths in range, and is everything behind them padding?", delivered::lengths),
    rule("token-ids", "are token ids in the vocabulary?", delivered::token_ids),
    rule("targets", "are targets in the vocabulary, before the length, and some?", delivered::targets),
    rule("plain-view", "is nothing masked in the plain view?", delivered::plain_view),
    rule("plain-fixed", "is the plain view independent of the seed?", chance::plain_fixed),
    rule("repeatable", "does the same seed give the same bytes again?", chance::repeatable),
    rule("order", "is a sample the same in any order and company?", chance::order),
    rule("threads", "is a sample the same on any thread, many at once?", chance::threads),
    rule("seeds", "do different seeds differ in the training view?", chance::seeds),
    rule("apart", "do several open datasets leave each other alone?", chance::apart),
    rule("save-assets", "do saved assets open again to the same samples?", operations::save_assets),
    rule("keep", "do kept samples open again to the same samples?", operations::keep),
    rule(
        "label-maps",
        "are masks answered in the geometry of their samples, and missing ones refused?",
        label_maps::label_maps,
    ),
    rule("render", "are tokens rendered to a picture or text?", operations::render),
    rule("unknown-operation", "is an operation that does not exist refused?", operations::unknown),
    rule("missing-path", "is data that does not exist refused?", mistakes::missing_path),
    rule("bad-index", "is a sample that does not exist refused?", mistakes::bad_index),
    rule("bad-request", "is JSON of another form refused?", mistakes::bad_request),
    rule("empty-files", "do empty files give errors?", damage::empty),
    rule("truncated-files", "do truncated files give errors or sound samples?", damage::truncated),
    rule("changed-bytes", "do files with changed bytes give errors or sound samples?", damage::changed),
    rule("memory", "does memory stay as it is over many calls?", growth::memory),
    rule("no-threads", "do threads stay as many over many calls?", growth::threads),
    rule("open-files", "do open files stay as many over many calls?", growth::files),
    rule("throughput", "how many samples a second are read? (measured, not judged)", speed::throughput),
];

/// All rules, in the order in which they are tried.
pub fn rules() -> impl Iterator<Item = Asked> {
    RULES.iter().map(|rule| rule.asked)
}
