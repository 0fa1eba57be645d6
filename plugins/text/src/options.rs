//! Options of the plugin, and the check that no wrong one passes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use medcoss_sdk::{Error, table::Delimiter};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report_cleaning::Cleaning;

/// Tokens in a sample: the frame and two words at least; at most what position tables are made for.
const LENGTHS: std::ops::RangeInclusive<usize> = 4..=4096;
/// Ids that can be learned: an alphabet and some words at least.
const VOCABULARIES: std::ops::RangeInclusive<usize> = 128..=262_144;

/// The unit of text that is one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// An abstract, its sentences joined; without a label.
    Document,
    /// A sentence, with its label.
    Sentence,
}

/// The columns of a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TextColumns {
    /// One.
    One(String),
    /// Several, whose texts are joined by blanks in this order.
    Several(Vec<String>),
}

impl TextColumns {
    /// The names, in their order.
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

/// What a document is in text files that have no layout of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TextFiles {
    /// A line.
    Lines,
    /// A file, as in MIMIC-CXR.
    Documents,
    /// A row of a table with a header.
    Tables,
}

/// Which tokens are chosen to be predicted, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MaskingScheme {
    /// A fraction of the sample's own tokens, at least one.
    Sample,
    /// As the reference: a fraction of `max_length`, padding counted as words.
    Reference,
}

/// Options of the text plugin.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Tokens in a sample, including `[CLS]`, `[SEP]` and padding: 4 to 4096. Longer texts are truncated, and
    /// counted.
    pub max_length: usize,
    /// What a sample is in files of the `###id`, `LABEL<TAB>sentence` layout: `document` or `sentence`. In other files a sample is a line,
    /// a file, a row, an object, or a pair of question and answer.
    pub unit: Unit,
    /// What a document is in .txt files without that layout: `lines`, `documents` (the file, whose id is the document's; no group), or
    /// `tables` (a row of a table with a header). Without this option it is a line, and many short files are reported.
    pub text_files: Option<TextFiles>,
    /// What separates the fields of tables: `,`, `;`, a tab (`\t`) or `|`. `auto`: what the header and the first rows show; it is reported where
    /// it is not the file extension's own (a tab for .tsv and .tab, a comma for .csv), and refused where two fit equally.
    pub delimiter: Delimiter,
    /// Column of tables, or field of JSON objects, with the text. Not needed where there is only one. A nested field is named with a dot:
    /// `report.findings`. Texts of several columns, given as a list, are joined by blanks.
    pub text_column: Option<TextColumns>,
    /// Rows of tables, or JSON objects, that are read: for each column that is named, the values of rows to keep, such as
    /// `{ split = ["train"] }`. Files without columns are read whole where there are tables among them, which is reported.
    pub keep_rows: BTreeMap<String, Vec<String>>,
    /// `none`, or `reference`: radiology reports as MedCoSS cleaned them, in lower-case words of ASCII without punctuation, sentences of
    /// one word dropped. Reports of fewer than three words are left out.
    pub cleaning: Cleaning,
    /// Column of tables, or field of JSON objects, with the label. The types of questions are labels without this option.
    pub label_column: Option<String>,
    /// A tokenizer.json, or a BERT vocabulary (vocab.txt), relative to the base of the data. Without it a vocabulary is learned from the
    /// data.
    pub tokenizer: Option<PathBuf>,
    /// Largest size of a vocabulary that is learned from the data, including special tokens: 128 to 262144. Small data give fewer ids.
    /// 8192 keeps common medical words whole in some MB of text.
    pub vocab_size: usize,
    /// Documents that a word must occur in to be learned as a whole, at least 1. Rarer words, among them names, are spelled by their
    /// characters, and the vocabulary does not tell them. Of files whose samples are sentences, an abstract is one document.
    pub min_document_count: usize,
    /// Whether text is lower-cased and accents are stripped, as in uncased BERT. A tokenizer.json has a rule of its own, which is used
    /// instead.
    pub lowercase: bool,
    /// Fraction of the tokens to predict in training: above 0, at most 1.
    pub mask_ratio: f64,
    /// Whether whole words are masked. Otherwise each token is masked independently.
    pub whole_word_masking: bool,
    /// `sample`: `mask_ratio` is of the sample's own tokens, at least one is predicted, and random ids are never special ones.
    /// `reference`: as MedCoSS, `mask_ratio` is of `max_length`, each padding token counts as a word, so that short texts often have
    /// nothing to predict, and random ids are of the whole vocabulary.
    pub masking_scheme: MaskingScheme,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_length: 112,
            unit: Unit::Document,
            text_files: None,
            delimiter: Delimiter::Auto,
            text_column: None,
            keep_rows: BTreeMap::new(),
            cleaning: Cleaning::None,
            label_column: None,
            tokenizer: None,
            vocab_size: 8192,
            min_document_count: 5,
            lowercase: true,
            mask_ratio: 0.15,
            whole_word_masking: true,
            masking_scheme: MaskingScheme::Sample,
        }
    }
}

impl Options {
    /// Columns that the options name.
    pub fn columns(&self) -> Vec<&str> {
        let texts = self.text_column.iter().flat_map(TextColumns::names);
        texts.chain(self.keep_rows.keys()).chain(&self.label_column).map(String::as_str).collect()
    }

    /// Checks every range.
    ///
    /// # Errors
    /// The option that is out of range, its value and the range.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |name: &str, found: &dyn std::fmt::Display, expected: &str| {
            Err(Error::bad_request(format!("option {name} is {found}; expected {expected}")))
        };
        if !LENGTHS.contains(&self.max_length) {
            return refuse("max_length", &self.max_length, &format!("{} to {}", LENGTHS.start(), LENGTHS.end()));
        }
        if !VOCABULARIES.contains(&self.vocab_size) {
            let range = format!("{} to {}", VOCABULARIES.start(), VOCABULARIES.end());
            return refuse("vocab_size", &self.vocab_size, &range);
        }
        if self.min_document_count == 0 {
            return refuse("min_document_count", &0, "at least 1");
        }
        if !(self.mask_ratio > 0.0 && self.mask_ratio <= 1.0) {
            return refuse("mask_ratio", &self.mask_ratio, "above 0 and at most 1");
        }
        let is_empty = |name: &String| name.trim().is_empty();
        if self.label_column.as_ref().is_some_and(is_empty) {
            return refuse("label_column", &"empty", "a name, or no such option");
        }
        let columns = self.text_column.as_ref().map(TextColumns::names);
        if columns.is_some_and(|names| names.is_empty() || names.iter().any(is_empty)) {
            return refuse("text_column", &"empty", "a name or several, or no such option");
        }
        for (column, values) in &self.keep_rows {
            if is_empty(column) || values.is_empty() {
                return refuse(&format!("keep_rows of column {column:?}"), &"empty", "the name of a column and values");
            }
        }
        if self.masking_scheme == MaskingScheme::Reference && !self.whole_word_masking {
            return refuse("whole_word_masking", &false, "true, as masking_scheme \"reference\" masks whole words");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Options)) -> String {
        let mut options = Options::default();
        change(&mut options);
        options.check().unwrap_err().message().to_owned()
    }

    #[test]
    fn the_defaults_pass() {
        Options::default().check().unwrap();
    }

    #[test]
    fn options_out_of_range_are_named_with_value_and_range() {
        assert_eq!(refused(|options| options.max_length = 3), "option max_length is 3; expected 4 to 4096");
        assert_eq!(refused(|options| options.vocab_size = 1), "option vocab_size is 1; expected 128 to 262144");
        assert_eq!(
            refused(|options| options.min_document_count = 0),
            "option min_document_count is 0; expected at least 1"
        );
        assert!(refused(|options| options.mask_ratio = f64::NAN).contains("mask_ratio is NaN"));
        assert!(refused(|options| options.mask_ratio = 0.0).contains("mask_ratio is 0"));
        assert!(
            refused(|options| options.text_column = Some(TextColumns::Several(vec![])))
                .contains("text_column is empty")
        );
        assert!(refused(|options| drop(options.keep_rows.insert("split".into(), vec![]))).contains("\"split\""));
        let unlike = |options: &mut Options| {
            (options.whole_word_masking, options.masking_scheme) = (false, MaskingScheme::Reference);
        };
        assert!(refused(unlike).contains("whole_word_masking is false"));
        assert!(refused(|options| options.label_column = Some(" ".into())).contains("label_column is empty"));
    }
}
