//! The entry `split` of a task: drawn, in folds, or as a column, a part of the ids or lists of names say.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use regex::Regex;
use serde::Deserialize;

use super::label_source::pattern_of;
use crate::data_source::Side;

/// Largest number of folds of a cross-validation.
const MAX_FOLDS: usize = 1000;

/// The split of a task's samples. [`SplitSection::check`] says which fields belong together.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitSection {
    /// Fraction of test samples in each class.
    test: Option<f64>,
    /// Number of folds of a cross-validation.
    pub folds: Option<usize>,
    /// Column of the label table with the name of each sample's split.
    pub column: Option<String>,
    /// Regular expression with one group, which finds the name of the split in a sample's id.
    pattern: Option<String>,
    /// Names of the splits in the column or the ids; without names for train, the rest is train.
    values: Option<SideNames>,
    /// Files with the names of samples, files or groups, one a line.
    lists: Option<SideLists>,
}

/// What the splits are called in data.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SideNames {
    train: Vec<String>,
    validation: Vec<String>,
    test: Vec<String>,
}

/// Lists of names, relative to the task's root.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SideLists {
    train: Option<PathBuf>,
    validation: Option<PathBuf>,
    test: Option<PathBuf>,
}

impl SplitSection {
    pub fn is_given(&self) -> bool {
        self.test.is_some() || self.folds.is_some() || self.is_of_data()
    }

    /// Whether the data say which samples are for training and which for the test.
    pub fn is_of_data(&self) -> bool {
        self.column.is_some() || self.pattern.is_some() || self.lists.is_some()
    }

    /// Fraction of test samples in each class, where the split is drawn.
    pub fn test(&self) -> f64 {
        self.test.unwrap_or(0.3)
    }

    /// The pattern that finds the name of a sample's split in its id.
    pub(super) fn pattern(&self) -> Result<Option<Regex>> {
        self.pattern.as_deref().map(|pattern| pattern_of("split.pattern", pattern)).transpose()
    }

    pub(super) fn lists(&self) -> Option<&SideLists> {
        self.lists.as_ref()
    }

    /// The side that a name stands for, and none for a name that takes part in nothing.
    ///
    /// # Errors
    /// A name that is none of those in use, where the task gives none of its own.
    pub(super) fn side_of(&self, name: &str) -> Result<Option<Side>> {
        let Some(SideNames { train, validation, test }) = &self.values else {
            return match Side::of_name(name) {
                Some(side) => Ok(Some(side)),
                None => bail!(
                    "{name:?} is no name of a split; expected train, validation or test\n\
                     hint: say what they are called with split.values = {{ train = [\"{}\"], test = [\"...\"] }}; samples with \
                     other values are then left out",
                    name.escape_default()
                ),
            };
        };
        let sides = [(Side::Train, train), (Side::Validation, validation), (Side::Test, test)];
        let named = sides.into_iter().find(|(_, names)| names.iter().any(|own| own == name)).map(|(side, _)| side);
        Ok(named.or(train.is_empty().then_some(Side::Train)))
    }

    /// Checks ranges, and which fields belong together. `has_table` says whether the labels come from a table.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(&self, has_table: bool) -> Result<()> {
        let ways = [
            ("test", self.test.is_some()),
            ("folds", self.folds.is_some()),
            ("column", self.column.is_some()),
            ("pattern", self.pattern.is_some()),
            ("lists", self.lists.is_some()),
        ];
        let given: Vec<&str> = ways.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
        if given.len() > 1 {
            bail!("split has both {}\nhint: give one of them", given.join(" and "));
        }
        if let Some(test) = self.test.filter(|test| !(*test > 0.0 && *test < 1.0)) {
            bail!("split.test is {test}, not between 0.0 and 1.0");
        }
        if let Some(folds) = self.folds.filter(|folds| !(2..=MAX_FOLDS).contains(folds)) {
            bail!("split.folds is {folds}; expected 2 to {MAX_FOLDS}");
        }
        if let Some(column) = self.column.as_ref().filter(|_| !has_table) {
            bail!(
                "split.column is {column:?}, but the labels come from no table\nhint: set labels.table, split.pattern, split.lists or \
                 split.test"
            );
        }
        self.pattern()?;
        if let Some(values) = &self.values {
            if self.column.is_none() && self.pattern.is_none() {
                bail!(
                    "split.values names splits of a column or of ids\nhint: set split.column or split.pattern, or remove it"
                );
            }
            let all: Vec<&String> = values.train.iter().chain(&values.validation).chain(&values.test).collect();
            if values.test.is_empty() {
                bail!("split.values names no test split\nhint: name it; without names for train, the rest is train");
            }
            if let Some(twice) = (1..all.len()).find(|at| all[..*at].contains(&all[*at])) {
                bail!("split.values has {:?} twice\nhint: a name stands for one split", all[twice]);
            }
        }
        match &self.lists {
            Some(lists) if lists.test.is_none() => {
                bail!("split.lists names no file for test\nhint: name it; without a list for train, the rest is train")
            }
            _ => Ok(()),
        }
    }
}

impl SideLists {
    /// The files with the sides that they list.
    pub fn files(&self) -> impl Iterator<Item = (Side, &Path)> {
        let files = [(Side::Train, &self.train), (Side::Validation, &self.validation), (Side::Test, &self.test)];
        files.into_iter().filter_map(|(side, file)| Some((side, file.as_deref()?)))
    }

    /// Whether samples that no list names are for training.
    pub fn rest_is_train(&self) -> bool {
        self.train.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> SplitSection {
        let table: toml::Table = format!("split = {text}").parse().unwrap();
        table["split"].clone().try_into().unwrap()
    }

    #[test]
    fn names_of_splits_are_those_in_use_or_those_that_are_given() {
        let usual = section("{ pattern = '^([^/]*)/' }");
        usual.check(false).unwrap();
        assert_eq!(usual.side_of("Training").unwrap(), Some(Side::Train));
        assert_eq!(usual.side_of("dev").unwrap(), Some(Side::Validation));
        let error = usual.side_of("testA").unwrap_err().to_string();
        assert!(error.contains("\"testA\" is no name of a split") && error.contains("split.values"), "{error}");
        let own = section("{ pattern = '(.*)', values = { train = ['tr'], test = ['testA', 'testB'] } }");
        own.check(false).unwrap();
        assert_eq!((own.side_of("testB").unwrap(), own.side_of("old").unwrap()), (Some(Side::Test), None));
        let rest = section("{ pattern = '(.*)', values = { test = ['7'] } }");
        rest.check(false).unwrap();
        assert_eq!((rest.side_of("7").unwrap(), rest.side_of("8").unwrap()), (Some(Side::Test), Some(Side::Train)));
    }

    #[test]
    fn fields_that_do_not_belong_together_are_refused() {
        for (text, expected) in [
            ("{ test = 0.2, folds = 5 }", "both test and folds"),
            ("{ folds = 1 }", "split.folds is 1; expected 2 to 1000"),
            ("{ column = 'fold' }", "the labels come from no table"),
            ("{ pattern = '.*' }", "one group in parentheses"),
            ("{ values = { train = ['a'], test = ['b'] } }", "names splits of a column or of ids"),
            ("{ pattern = '(.)', values = { train = ['a'] } }", "names no test split"),
            ("{ pattern = '(.)', values = { train = ['a'], test = ['a'] } }", "\"a\" twice"),
            ("{ lists = { train = 'a.txt' } }", "names no file for test"),
        ] {
            let error = section(text).check(false).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(!section("{}").is_given() && section("{ lists = { test = 'a' } }").is_of_data());
    }
}
