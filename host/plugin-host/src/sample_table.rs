//! What a plugin says of the samples of a dataset, in columns: texts that many samples share are kept once.

use std::collections::HashMap;

use medcoss_abi::message::SampleRecord;

/// Place of a text that a sample does not have.
const NONE: u32 = u32::MAX;

/// The samples of a dataset, by index.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SampleTable {
    ids: Vec<String>,
    files: Column,
    groups: Column,
    labels: Column,
    pairs: Column,
    /// Empty where no sample names an entry.
    entries: Vec<u32>,
    /// Empty where every sample has the weight 1.
    weights: Vec<f64>,
}

impl SampleTable {
    pub(crate) fn push(&mut self, record: SampleRecord) {
        let at = self.ids.len();
        let SampleRecord { id, file, entry, group, label, weight, pair, metadata: _ } = record;
        let file = file.filter(|file| *file != id);
        for (column, text) in
            [(&mut self.files, file), (&mut self.groups, group), (&mut self.labels, label), (&mut self.pairs, pair)]
        {
            column.push(at, text);
        }
        push(&mut self.entries, at, entry, NONE);
        push(&mut self.weights, at, weight.filter(|&weight| weight != 1.0), 1.0);
        self.ids.push(id);
    }

    /// Forgets what is needed while samples are added only.
    pub(crate) fn finish(&mut self) {
        for column in [&mut self.files, &mut self.groups, &mut self.labels, &mut self.pairs] {
            column.known = HashMap::new();
        }
    }

    /// Ids: unique, relative paths. They are names and are not to be taken apart.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// File that a sample comes from, a relative path; its id where the plugin names no other.
    pub fn file(&self, index: usize) -> &str {
        self.files.get(index).unwrap_or(&self.ids[index])
    }

    /// Index of the entry of the data that a sample comes from, where the plugin says so.
    pub fn entry(&self, index: usize) -> Option<usize> {
        self.entries.get(index).filter(|&&entry| entry != NONE).map(|&entry| entry as usize)
    }

    /// Group of a sample, which no split separates: a patient, a recording, a slide.
    pub fn group(&self, index: usize) -> Option<&str> {
        self.groups.get(index)
    }

    /// Label of a sample.
    pub fn label(&self, index: usize) -> Option<&str> {
        self.labels.get(index)
    }

    /// What the sample shares with those of another modality that belong to it.
    pub fn pair(&self, index: usize) -> Option<&str> {
        self.pairs.get(index)
    }

    /// How often a sample is drawn in training, relative to the others; empty where all are drawn equally often.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }
}

/// A text of each sample, or none.
#[derive(Debug, Clone, Default)]
struct Column {
    texts: Vec<Box<str>>,
    /// Empty where no sample has a text.
    places: Vec<u32>,
    known: HashMap<Box<str>, u32>,
}

impl PartialEq for Column {
    fn eq(&self, other: &Self) -> bool {
        self.texts == other.texts && self.places == other.places
    }
}

impl Column {
    fn push(&mut self, at: usize, text: Option<String>) {
        let place = text.map(|text| match self.known.get(text.as_str()) {
            Some(&place) => place,
            None => {
                // A dataset has at most 2^32 samples, and the last place is never reached by texts of samples that differ.
                let place = u32::try_from(self.texts.len()).unwrap_or(NONE - 1);
                let text: Box<str> = text.into();
                self.texts.push(text.clone());
                self.known.insert(text, place);
                place
            }
        });
        push(&mut self.places, at, place, NONE);
    }

    fn get(&self, index: usize) -> Option<&str> {
        let place = *self.places.get(index).filter(|&&place| place != NONE)?;
        Some(&self.texts[place as usize])
    }
}

/// Adds the value of sample `at` to a column that stays empty as long as all have the usual one.
fn push<T: Clone>(column: &mut Vec<T>, at: usize, value: Option<T>, usual: T) {
    match value {
        None if column.is_empty() => {}
        None => column.push(usual),
        Some(value) => {
            column.resize(at, usual);
            column.push(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_the_records_say_and_empty_where_nothing_is_said() {
        let mut table = SampleTable::default();
        table.push(SampleRecord::new("a"));
        assert_eq!((table.file(0), table.group(0), table.entry(0), table.weights()), ("a", None, None, &[][..]));
        table.push(SampleRecord::new("b#1").of_file("b").of_entry(1).in_group("p").labelled(Some("x")));
        table.push(SampleRecord { weight: Some(0.5), ..SampleRecord::new("b#2").of_file("b").in_group("p") });
        table.push(SampleRecord { weight: Some(1.0), pair: Some("q".into()), ..SampleRecord::new("c").of_file("c") });
        table.finish();
        let files: Vec<_> = (0..4).map(|at| table.file(at)).collect();
        assert_eq!(files, ["a", "b", "b", "c"]);
        assert_eq!([0, 1, 2, 3].map(|at| table.group(at)), [None, Some("p"), Some("p"), None]);
        assert_eq!([0, 1, 2, 3].map(|at| table.label(at)), [None, Some("x"), None, None]);
        assert_eq!([0, 1, 2, 3].map(|at| table.entry(at)), [None, Some(1), None, None]);
        assert_eq!([2, 3].map(|at| table.pair(at)), [None, Some("q")]);
        assert_eq!(table.weights(), [1.0, 1.0, 0.5, 1.0]);
        assert_eq!((table.groups.texts.len(), table.files.texts.len()), (1, 1));
    }
}
