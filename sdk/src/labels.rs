//! Labels, groups and other facts from a table: which row belongs to which file. How the table is read is in `labels/rows.rs`.
//!
//! Only evaluation looks at labels; training never does.

mod column;
mod rows;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::table::Delimiter;
use crate::{Error, FoundFile, SampleRecord, log};
use column::Column;
use rows::shown;

/// Largest weight of a sample.
const MAX_WEIGHT: f64 = 1e6;
/// Most columns of metadata, and bytes of one value: a host takes 4 KiB a record.
const MAX_METADATA_COLUMNS: usize = 64;
const MAX_METADATA_BYTES: usize = 1024;

/// A table with a header line, one row a labelled file: CSV, or with tabs, semicolons or vertical bars.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelTable {
    /// The table, relative to what the data entries are relative to. UTF-8, or UTF-16 with a byte order mark.
    pub file: PathBuf,
    /// Column that names the files: by path relative to the table's folder, by file name, or by file name without
    /// extension.
    pub key_column: String,
    /// Column with the labels, taken as text.
    pub label_column: String,
    /// Column with the groups: the patient, say. Evaluation never separates files of one group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_column: Option<String>,
    /// Column with the pairs: the same text for an image and its report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair_column: Option<String>,
    /// Column with numbers, 0 to 1000000: how often a file's samples are drawn in training, relative to the others; 0 = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_column: Option<String>,
    /// Columns with further facts, up to 64: a site, a scanner. Each becomes metadata under its title in lower case, with `_` for what is
    /// neither letter nor digit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metadata_columns: Vec<String>,
    /// What separates fields: `,`, `;`, a tab (`\t`) or `|`. `auto`: what the header and the first rows show; it is reported where it is not the
    /// file extension's own (a tab for .tsv and .tab, a comma for .csv).
    #[serde(default, skip_serializing_if = "Delimiter::is_auto")]
    pub delimiter: Delimiter,
}

/// What a table says of a file. What is empty in the table is absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FileFacts {
    /// The label.
    pub label: Option<String>,
    /// The group.
    pub group: Option<String>,
    /// The pair.
    pub pair: Option<String>,
    /// The weight, 0 to 1e6.
    pub weight: Option<f64>,
    /// Numbers, booleans and texts by `[a-z][a-z0-9_]*`.
    pub metadata: BTreeMap<String, Value>,
}

impl FileFacts {
    /// What the table of an option says of each file; nothing where the option has none.
    ///
    /// # Errors
    /// Those of [`LabelTable::facts_of`].
    pub fn of_files(table: Option<&LabelTable>, base: &Path, files: &[FoundFile]) -> Result<Vec<Self>, Error> {
        table.map_or_else(|| Ok(vec![Self::default(); files.len()]), |table| table.facts_of(base, files))
    }

    /// Writes the facts into the record of one of the file's samples. What the table says replaces what the record says.
    pub fn annotate(&self, record: &mut SampleRecord) {
        let Self { label, group, pair, weight, metadata } = self.clone();
        record.label = label.or(record.label.take());
        record.group = group.or(record.group.take());
        record.pair = pair.or(record.pair.take());
        record.weight = weight.or(record.weight);
        record.metadata.extend(metadata);
    }
}

impl LabelTable {
    /// A table with labels alone.
    pub fn new(file: impl Into<PathBuf>, key_column: impl Into<String>, label_column: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            key_column: key_column.into(),
            label_column: label_column.into(),
            group_column: None,
            pair_column: None,
            weight_column: None,
            metadata_columns: Vec::new(),
            delimiter: Delimiter::Auto,
        }
    }

    /// The label of each file, `None` where the table has none; as [`facts_of`](Self::facts_of).
    ///
    /// # Errors
    /// Those of [`facts_of`](Self::facts_of).
    pub fn labels_of(&self, base: &Path, files: &[FoundFile]) -> Result<Vec<Option<String>>, Error> {
        Ok(self.facts_of(base, files)?.into_iter().map(|facts| facts.label).collect())
    }

    /// Writes into each record what the table says of its file: `record.file()` is the id of one of the `files`. What the table
    /// says replaces what the record says.
    ///
    /// # Errors
    /// Those of [`facts_of`](Self::facts_of).
    pub fn annotate(&self, base: &Path, files: &[FoundFile], records: &mut [SampleRecord]) -> Result<(), Error> {
        let facts = self.facts_of(base, files)?;
        let by_id: HashMap<&str, &FileFacts> = files.iter().map(|file| file.id.as_str()).zip(&facts).collect();
        for record in records {
            if let Some(facts) = by_id.get(record.file()) {
                facts.annotate(record);
            }
        }
        Ok(())
    }

    /// What the table says of each file. The table may name files that are not there, and need not name all.
    ///
    /// A file is looked up by its path relative to the table's folder (with `/`), then by its name, then by its name
    /// without extension.
    ///
    /// # Errors
    /// A table that cannot be read, lacks a column or has it twice, has rows of another width than its header, gives one key two values in a
    /// column, or has a weight that is none.
    pub fn facts_of(&self, base: &Path, files: &[FoundFile]) -> Result<Vec<FileFacts>, Error> {
        let path = base.join(&self.file);
        let rows = rows::read(&path, &self.key_column, self.delimiter, self.titles()?)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let facts = |file: &FoundFile| match look_up(&rows.by_key, folder, &file.path) {
            Some(texts) => self.facts(&rows.columns, texts),
            None => Ok(FileFacts::default()),
        };
        let found = files.iter().map(facts).collect::<Result<Vec<_>, Error>>()?;
        let n_named = found.iter().filter(|facts| **facts != FileFacts::default()).count();
        if n_named == 0 {
            log::warn(&format!(
                "labels {}: none of the {} files is named in column {:?}",
                self.file.display(),
                files.len(),
                self.key_column
            ));
        } else {
            log::debug(&format!("labels {}: {n_named} of {} files", self.file.display(), files.len()));
        }
        Ok(found)
    }

    fn facts(&self, columns: &[(Column, usize)], texts: &[String]) -> Result<FileFacts, Error> {
        let mut facts = FileFacts::default();
        for ((column, _), text) in columns.iter().zip(texts).filter(|(_, text)| !text.is_empty()) {
            match column {
                Column::Label => facts.label = Some(text.clone()),
                Column::Group => facts.group = Some(text.clone()),
                Column::Pair => facts.pair = Some(text.clone()),
                Column::Weight => {
                    let weight = text.parse().ok().filter(|weight| (0.0..=MAX_WEIGHT).contains(weight));
                    facts.weight = Some(weight.ok_or_else(|| {
                        let file = self.file.display();
                        Error::bad_request(format!(
                            "labels {file} have a weight {:?}; it must be a number, 0 to {MAX_WEIGHT}",
                            shown(text)
                        ))
                    })?);
                }
                Column::Metadata(name) => drop(facts.metadata.insert(name.clone(), fact(text))),
            }
        }
        Ok(facts)
    }

    /// The columns that the table must have, by title.
    ///
    /// # Errors
    /// A title that gives no name, or two that give one.
    fn titles(&self) -> Result<Vec<(Column, &str)>, Error> {
        let mut titles = vec![(Column::Label, self.label_column.as_str())];
        titles.extend(self.group_column.as_deref().map(|title| (Column::Group, title)));
        titles.extend(self.pair_column.as_deref().map(|title| (Column::Pair, title)));
        titles.extend(self.weight_column.as_deref().map(|title| (Column::Weight, title)));
        if self.metadata_columns.len() > MAX_METADATA_COLUMNS {
            let n = self.metadata_columns.len();
            return Err(Error::bad_request(format!(
                "metadata_columns has {n} columns; it must have at most {MAX_METADATA_COLUMNS}"
            )));
        }
        for title in &self.metadata_columns {
            let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' };
            let name: String = title.chars().map(letter).collect();
            let column = Column::Metadata(name.clone());
            if !name.starts_with(|letter: char| letter.is_ascii_lowercase())
                || titles.iter().any(|(other, _)| *other == column)
            {
                return Err(Error::bad_request(format!(
                    "metadata_columns has {:?}; titles must begin with a letter and differ in lower case",
                    shown(title)
                )));
            }
            titles.push((column, title));
        }
        Ok(titles)
    }
}

/// A number or boolean as JSON writes it (`7`, not `007`), else the text, its beginning where it is long.
fn fact(text: &str) -> Value {
    let parsed = serde_json::from_str(text).ok().filter(|value: &Value| value.is_number() || value.is_boolean());
    let kept = || text[..text.floor_char_boundary(MAX_METADATA_BYTES)].chars().filter(|letter| !letter.is_control());
    parsed.unwrap_or_else(|| Value::String(kept().collect()))
}

fn look_up<'a>(rows: &'a HashMap<String, Vec<String>>, folder: &Path, file: &Path) -> Option<&'a Vec<String>> {
    let relative = file.strip_prefix(folder).ok().map(|below| {
        let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        parts.join("/")
    });
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    [relative, name, stem].into_iter().flatten().find_map(|key| rows.get(&key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{code, find_files};

    /// A folder with a table `tables/labels.csv` and three files, two of them of one name.
    fn labels_of(table: &str, key_column: &str, label_column: &str) -> Result<Vec<Option<String>>, Error> {
        let base = tempfile::tempdir().unwrap();
        for file in ["tables/a/one.png", "tables/b/one.png", "elsewhere/two.png"] {
            std::fs::create_dir_all(base.path().join(file).parent().unwrap()).unwrap();
            std::fs::write(base.path().join(file), "").unwrap();
        }
        std::fs::write(base.path().join("tables/labels.csv"), table).unwrap();
        let entries = ["elsewhere", "tables"].map(PathBuf::from);
        let files = find_files(base.path(), &entries, |name| name.ends_with(".png"), "PNG").unwrap().files;
        LabelTable::new("tables/labels.csv", key_column, label_column).labels_of(base.path(), &files)
    }

    fn some(labels: [&str; 3]) -> Vec<Option<String>> {
        labels.iter().map(|label| (!label.is_empty()).then(|| (*label).to_owned())).collect()
    }

    // The files come in the order elsewhere/two.png, tables/a/one.png, tables/b/one.png.

    #[test]
    fn a_path_counts_before_a_name_and_a_name_before_a_stem() {
        let table = "finding,file\nstem,one\nname,one.png\npath,a/one.png\nstem,two\n";
        assert_eq!(labels_of(table, "file", "finding").unwrap(), some(["stem", "path", "name"]));
    }

    #[test]
    fn rows_without_file_and_files_without_row_are_normal() {
        let table = "file,finding\nb\\one.png, no \n./a/one.png,\nabsent.png,yes\n";
        assert_eq!(labels_of(table, "file", "finding").unwrap(), some(["", "", "no"]));
    }

    #[test]
    fn a_column_that_is_not_there_is_named_beside_those_that_are() {
        let error = labels_of("file,finding\n", "image", "finding").unwrap_err();
        assert_eq!(error.code(), code::BAD_REQUEST);
        assert!(error.message().contains("\"image\"") && error.message().contains("file, finding"), "{error}");
    }

    #[test]
    fn two_labels_for_one_file_are_refused() {
        assert!(labels_of("file,finding\none,yes\none,yes\n", "file", "finding").is_ok());
        let error = labels_of("file,finding\none,yes\none,no\n", "file", "finding").unwrap_err();
        assert_eq!(error.code(), code::BAD_REQUEST);
    }

    #[test]
    fn rows_without_end_and_messages_of_many_columns_are_bounded() {
        let error =
            labels_of(&format!("file,finding\none,\"{}", "x\n".repeat(1 << 20)), "file", "finding").unwrap_err();
        assert_eq!(error.code(), code::CORRUPT);
        assert!(error.message().ends_with("labels.csv, line 2: a quotation mark opens and never closes"), "{error}");
        let error = labels_of(&format!("{}\n", "c".repeat(900) + &",d".repeat(100_000)), "a", "b").unwrap_err();
        assert!(error.message().ends_with(", d, ...") && error.message().len() < 400, "{error}");
    }

    #[test]
    fn tabs_semicolons_and_marks_of_utf16_are_read() {
        let expected = some(["no", "yes", ""]);
        for table in [
            "file;finding;note\ntwo;no;a, b\na/one.png;yes;\"c; d\"\n",
            "\u{feff}file\tfinding\r\ntwo\tno\r\na/one.png\tyes\r\n",
        ] {
            assert_eq!(labels_of(table, "file", "finding").unwrap(), expected);
        }
        let base = tempfile::tempdir().unwrap();
        std::fs::write(base.path().join("two.png"), "").unwrap();
        let files = find_files(base.path(), &[".".into()], |name| name.ends_with(".png"), "PNG").unwrap().files;
        let units = "\u{feff}file\tfinding\ntwo\tno\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        std::fs::write(base.path().join("labels.tsv"), &units).unwrap();
        let table = LabelTable::new("labels.tsv", "file", "finding");
        assert_eq!(table.labels_of(base.path(), &files).unwrap(), [Some("no".to_owned())]);
        std::fs::write(base.path().join("labels.tsv"), &units[2..]).unwrap();
        let error = table.labels_of(base.path(), &files).unwrap_err();
        assert!(error.message().contains("UTF-16 without a byte order mark"), "{error}");
        std::fs::write(base.path().join("labels.tsv"), "file;finding\ttwo;no").unwrap();
        let given = LabelTable { delimiter: Delimiter::Semicolon, ..table.clone() };
        let error = given.labels_of(base.path(), &files).unwrap_err();
        assert!(error.message().contains("the columns are file, finding\ttwo, no"), "{error}");
        assert_eq!(serde_json::to_value(&given).unwrap()["delimiter"], ";");
        assert!(!serde_json::to_string(&table).unwrap().contains("delimiter"));
    }

    #[test]
    fn columns_of_one_title_are_refused_only_where_they_are_asked_for() {
        let table = "file,finding,site,site,finding\none,yes,a,b,no\n";
        let error = labels_of(table, "file", "finding").unwrap_err();
        assert!(error.message().contains("two columns \"finding\", the 2. and the 5."), "{error}");
        assert!(labels_of("file,finding,site,site\none,yes,a,b\n", "file", "finding").is_ok());
    }

    #[test]
    fn damaged_rows_are_never_shifted_or_merged() {
        for (table, expected) in [
            ("file,finding\none\n", "line 2: a row of 1 fields; expected 2, as in the header"),
            ("file,finding\none,yes,x\n", "line 2: a row of 3 fields"),
            ("file,finding\ntwo,no\none,\"yes\n", "line 3: a quotation mark opens and never closes"),
            ("file,finding\none,\"yes\ntwo,no\nx,\"y\n", "line 2: a stray quotation mark makes one row of several"),
        ] {
            let error = labels_of(table, "file", "finding").unwrap_err();
            assert!(error.code() == code::CORRUPT && error.message().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_missing_or_ragged_table_is_an_error() {
        assert_eq!(labels_of("file,finding\none\n", "file", "finding").unwrap_err().code(), code::CORRUPT);
        let table = LabelTable::new("nowhere.csv", "a", "b");
        assert_eq!(table.labels_of(Path::new("/nowhere"), &[]).unwrap_err().code(), code::UNREADABLE);
    }

    /// Records of two samples of `one.png` and one of `two.png`, annotated from a table.
    fn annotated(table: &str) -> Result<Vec<SampleRecord>, Error> {
        let base = tempfile::tempdir().unwrap();
        for (file, content) in [("one.png", ""), ("two.png", ""), ("t.csv", table)] {
            std::fs::write(base.path().join(file), content).unwrap();
        }
        let files = find_files(base.path(), &[PathBuf::from(".")], |name| name.ends_with(".png"), "PNG").unwrap().files;
        let mut records = vec![
            files[0].record_of_part("a").in_group("one.png"),
            files[0].record_of_part("b").labelled(Some("own")),
            files[1].record().in_group("two.png"),
        ];
        let table = LabelTable {
            group_column: Some("patient".into()),
            pair_column: Some("accession".into()),
            weight_column: Some("weight".into()),
            metadata_columns: vec!["Site".into(), "Field (T)".into()],
            ..LabelTable::new("t.csv", "file", "finding")
        };
        table.annotate(base.path(), &files, &mut records)?;
        Ok(records)
    }

    #[test]
    fn all_samples_of_a_file_get_what_the_table_says_of_it() {
        let header = "file,finding,patient,accession,weight,Site,Field (T)\n";
        let records = annotated(&format!("{header}one,,p7,x1,0.5,007,3\none,,,,0.50,,\n")).unwrap_err();
        assert!(records.message().ends_with("give \"one\" two weights, \"0.5\" and \"0.50\""), "{records}");
        // Rows of one file complete each other.
        let records = annotated(&format!("{header}one,,p7,x1,0.5,,3\none,,,,,007,\n")).unwrap();
        for (record, label) in records[..2].iter().zip([None, Some("own")]) {
            assert_eq!((record.group.as_deref(), record.pair.as_deref()), (Some("p7"), Some("x1")));
            assert_eq!((record.weight, record.label.as_deref()), (Some(0.5), label));
            assert_eq!(Value::from_iter(record.metadata.clone()), serde_json::json!({ "site": "007", "field__t_": 3 }));
        }
        assert_eq!(records[2], SampleRecord::new("two.png").of_entry(0).in_group("two.png"));
        for weight in ["-1", "x", "inf", "NaN", "1e7"] {
            let error = annotated(&format!("{header}one,a,p,q,{weight},r,1\n")).unwrap_err();
            assert!(error.message().contains(&format!("weight {weight:?}; it must be a number")), "{error}");
        }
    }

    #[test]
    fn titles_of_metadata_must_give_names() {
        for columns in [vec!["7T"], vec!["Site", "site"], vec![""], vec!["a"; 65]] {
            let metadata_columns = columns.into_iter().map(String::from).collect();
            let table = LabelTable { metadata_columns, ..LabelTable::new("t.csv", "a", "b") };
            let error = table.facts_of(Path::new("/nowhere"), &[]).unwrap_err();
            assert!(
                error.code() == code::BAD_REQUEST && error.message().starts_with("metadata_columns has"),
                "{error}"
            );
        }
    }
}
