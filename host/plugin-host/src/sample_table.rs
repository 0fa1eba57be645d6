//! What a plugin says of the samples of a dataset, in columns: texts that many samples share are kept once.

use std::collections::HashMap;

use medcoss_abi::message::SampleRecord;

/// Place of a text that a sample does not have.
const NONE: u32 = u32::MAX;

/// What the user says of all samples that come from one entry of the data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryFacts {
    /// Label, in place of the plugin's.
    pub label: Option<String>,
    /// Group, in place of the plugin's.
    pub group: Option<String>,
    /// Pair, in place of the plugin's.
    pub pair: Option<String>,
    /// Side of a split: `train`, `validation` or `test`.
    pub split: Option<String>,
}

/// The samples of a dataset, by index.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SampleTable {
    ids: Vec<String>,
    files: Column,
    groups: Column,
    labels: Column,
    pairs: Column,
    splits: Column,
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

    /// Takes over what the user says of the entries. What nothing is said of stays as the plugin says.
    ///
    /// # Errors
    /// The first sample that names none of the entries.
    pub(crate) fn annotate(&mut self, facts: &[EntryFacts]) -> Result<(), usize> {
        let only = (facts.len() == 1).then_some(0);
        let places: Vec<usize> = (0..self.ids.len())
            .map(|index| self.entry(index).or(only).filter(|&entry| entry < facts.len()).ok_or(index))
            .collect::<Result<_, usize>>()?;
        let over = |own: &Column, fact: fn(&EntryFacts) -> &Option<String>| {
            let mut column = Column::default();
            for (index, &entry) in places.iter().enumerate() {
                column.push(index, fact(&facts[entry]).clone().or_else(|| own.get(index).map(String::from)));
            }
            column
        };
        self.labels = over(&self.labels, |facts| &facts.label);
        self.groups = over(&self.groups, |facts| &facts.group);
        self.pairs = over(&self.pairs, |facts| &facts.pair);
        self.splits = over(&self.splits, |facts| &facts.split);
        self.finish();
        Ok(())
    }

    /// Forgets what is needed while samples are added only.
    pub(crate) fn finish(&mut self) {
        for column in [&mut self.files, &mut self.groups, &mut self.labels, &mut self.pairs, &mut self.splits] {
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

    /// Side of a split that the sample belongs to, where the user says so: `train`, `validation` or `test`.
    pub fn split(&self, index: usize) -> Option<&str> {
        self.splits.get(index)
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

    #[test]
    fn what_is_said_of_an_entry_holds_for_its_samples() {
        let mut table = SampleTable::default();
        table.push(SampleRecord::new("a#1").of_entry(0).labelled(Some("own")).in_group("own"));
        table.push(SampleRecord::new("a#2").of_entry(0));
        table.push(SampleRecord::new("b").of_entry(1).labelled(Some("own")));
        table.finish();
        let fact = |text: &str| Some(text.to_string());
        let facts = [
            EntryFacts { label: fact("x"), split: fact("train"), ..EntryFacts::default() },
            EntryFacts { group: fact("p"), pair: fact("q"), ..EntryFacts::default() },
        ];
        table.annotate(&facts).unwrap();
        assert_eq!([0, 1, 2].map(|at| table.label(at)), [Some("x"), Some("x"), Some("own")]);
        assert_eq!([0, 1, 2].map(|at| table.group(at)), [Some("own"), None, Some("p")]);
        assert_eq!([0, 1, 2].map(|at| table.split(at)), [Some("train"), Some("train"), None]);
        assert_eq!(table.pair(2), Some("q"));
        // A sample of no entry: only one entry leaves no doubt.
        let mut table = SampleTable::default();
        table.push(SampleRecord::new("c"));
        assert_eq!(table.annotate(&facts), Err(0));
        table.annotate(&facts[..1]).unwrap();
        assert_eq!(table.label(0), Some("x"));
    }
}
