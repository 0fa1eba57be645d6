//! Labels from a CSV table: which row belongs to which file.
//!
//! Only evaluation looks at labels; training never does.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record_limit::RecordLimit;
use crate::{Error, FoundFile, log};

/// Longest row of a table in bytes.
const MAX_ROW_BYTES: u64 = 1 << 20;
/// Largest table in bytes.
const MAX_TABLE_BYTES: u64 = 1 << 28;
/// Most rows with a label.
const MAX_ROWS: usize = 1 << 22;
/// Columns that a message lists at most, and characters of a name or label.
const MAX_LISTED: usize = 20;
const MAX_SHOWN: usize = 60;

/// A CSV file with a header line, one row a labelled file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelTable {
    /// The CSV file, relative to what the data entries are relative to.
    pub file: PathBuf,
    /// Column that names the files: by path relative to the CSV file's folder, by file name, or by file name without
    /// extension.
    pub key_column: String,
    /// Column with the labels, taken as text.
    pub label_column: String,
}

impl LabelTable {
    /// The label of each file, `None` where the table has none. The table may name files that are not there.
    ///
    /// A file is looked up by its path relative to the table's folder (with `/`), then by its name, then by its name
    /// without extension.
    ///
    /// # Errors
    /// A table that cannot be read, lacks a column, or gives one key two labels.
    pub fn labels_of(&self, base: &Path, files: &[FoundFile]) -> Result<Vec<Option<String>>, Error> {
        let path = base.join(&self.file);
        let labels = self.read(&path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let found: Vec<_> = files.iter().map(|file| look_up(&labels, folder, &file.path)).collect();
        let n_labelled = found.iter().flatten().count();
        if n_labelled == 0 {
            log::warn(&format!(
                "labels {}: none of the {} files is named in column {:?}",
                self.file.display(),
                files.len(),
                self.key_column
            ));
        } else {
            log::debug(&format!("labels {}: {n_labelled} of {} files", self.file.display(), files.len()));
        }
        Ok(found)
    }

    /// What another column of the table says of each file: the patient, say, by whom samples are grouped. `None` where the table has
    /// nothing. Files are looked up as by [`LabelTable::labels_of`].
    ///
    /// # Errors
    /// Those of [`LabelTable::labels_of`].
    pub fn column_of(&self, column: &str, base: &Path, files: &[FoundFile]) -> Result<Vec<Option<String>>, Error> {
        Self { label_column: column.to_owned(), ..self.clone() }.labels_of(base, files)
    }

    /// Key to label.
    fn read(&self, path: &Path) -> Result<HashMap<String, String>, Error> {
        let unreadable = |error: std::io::Error| {
            Error::unreadable(format!("labels {} cannot be read", path.display())).caused_by(&error)
        };
        let file = File::open(path).map_err(unreadable)?;
        let n_bytes = file.metadata().map_err(unreadable)?.len();
        if n_bytes > MAX_TABLE_BYTES {
            let (found, most) = (n_bytes >> 20, MAX_TABLE_BYTES >> 20);
            return Err(Error::unsupported(format!(
                "labels {} have {found} MiB; tables of up to {most} MiB are read\nhint: leave out the columns that are not needed",
                path.display()
            )));
        }
        let (file, row_budget) = RecordLimit::new(file, MAX_ROW_BYTES);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
        let damaged =
            |error: csv::Error| Error::corrupt(format!("labels {} are no CSV table", path.display())).caused_by(&error);
        let header = reader.headers().map_err(damaged)?.clone();
        let column = |name: &str| {
            header.iter().position(|title| title == name).ok_or_else(|| {
                let titles: Vec<_> = header.iter().take(MAX_LISTED).map(shown).collect();
                let more = if header.len() > MAX_LISTED { ", ..." } else { "" };
                Error::bad_request(format!(
                    "labels {} have no column {name:?}\nhint: the columns are {}{more}",
                    path.display(),
                    titles.join(", ")
                ))
            })
        };
        let (key_column, label_column) = (column(&self.key_column)?, column(&self.label_column)?);

        let mut labels: HashMap<String, String> = HashMap::new();
        let mut row = csv::StringRecord::new();
        loop {
            row_budget.refill();
            if !reader.read_record(&mut row).map_err(damaged)? {
                return Ok(labels);
            }
            let (Some(key), Some(label)) = (row.get(key_column), row.get(label_column)) else { continue };
            if key.is_empty() || label.is_empty() {
                continue;
            }
            let key = key.replace('\\', "/");
            let key = key.trim_start_matches("./").to_owned();
            if let Some(other) = labels.insert(key, label.to_owned()).filter(|other| other != label) {
                return Err(Error::bad_request(format!(
                    "labels {} give {:?} two labels, {:?} and {:?}",
                    path.display(),
                    shown(&row[key_column]),
                    shown(&other),
                    shown(label)
                )));
            }
            if labels.len() > MAX_ROWS {
                return Err(Error::unsupported(format!(
                    "labels {} have more than {MAX_ROWS} rows with a label",
                    path.display()
                )));
            }
        }
    }
}

/// The beginning of a text of the table.
fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

fn look_up(labels: &HashMap<String, String>, folder: &Path, file: &Path) -> Option<String> {
    let relative = file.strip_prefix(folder).ok().map(|below| {
        let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        parts.join("/")
    });
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    [relative, name, stem].into_iter().flatten().find_map(|key| labels.get(&key).cloned())
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
        let files = find_files(base.path(), &entries, |name| name.ends_with(".png"), "PNG").unwrap();
        let table = LabelTable {
            file: "tables/labels.csv".into(),
            key_column: key_column.into(),
            label_column: label_column.into(),
        };
        table.labels_of(base.path(), &files)
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
        assert!(error.to_string().contains("a row has more than 1048576 bytes"), "{error}");
        let error = labels_of(&format!("{}\n", "c".repeat(900) + &",d".repeat(100_000)), "a", "b").unwrap_err();
        assert!(error.message().ends_with(", d, ...") && error.message().len() < 400, "{error}");
    }

    #[test]
    fn a_missing_or_ragged_table_is_an_error() {
        assert_eq!(labels_of("file,finding\none\n", "file", "finding").unwrap_err().code(), code::CORRUPT);
        let table = LabelTable { file: "nowhere.csv".into(), key_column: "a".into(), label_column: "b".into() };
        assert_eq!(table.labels_of(Path::new("/nowhere"), &[]).unwrap_err().code(), code::UNREADABLE);
    }
}
