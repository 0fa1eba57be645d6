//! What a list of data becomes: files to open.

use std::path::PathBuf;

use medcoss_plugin_host::EntryFacts;

/// Files to open, and what is known of each.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResolvedData {
    /// Files and folders, relative to the base.
    pub entries: Vec<PathBuf>,
    /// What a list says of each entry; empty where there is no list.
    pub facts: Vec<EntryFacts>,
    /// Files that the list leaves out, and why.
    pub left_out: Vec<(String, String)>,
}

impl ResolvedData {
    /// Adds an entry with what is known of it.
    pub(super) fn add(&mut self, entry: PathBuf, facts: EntryFacts) {
        self.entries.push(entry);
        self.facts.push(facts);
    }
}
