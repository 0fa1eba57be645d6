//! A CSV table of labels: its rows by key, and the search for a sample's row.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use medcoss_plugin_host::did_you_mean;

use super::label_source::{TableLabels, captured};
use super::sample_keys::{keys_of, plain};

/// Longest row of a table in bytes: a quotation mark that never closes must not take the rest of the file into memory.
const MAX_ROW_BYTES: u64 = 1 << 20;
/// Largest table in bytes.
const MAX_TABLE_BYTES: u64 = 1 << 28;
/// Most rows with a label.
const MAX_ROWS: usize = 1 << 21;
/// Columns that a message lists at most, and characters of each.
const MAX_LISTED: usize = 20;
const MAX_SHOWN: usize = 60;

/// One row of a label table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Line number in the file, from 1.
    pub line: u64,
    pub label: String,
    /// Cells of several labels, in the order of the task's columns.
    pub several: Vec<Option<String>>,
    pub group: Option<String>,
    pub split: Option<String>,
}

/// The rows of a table by key.
#[derive(Debug)]
pub(super) struct LabelTable<'a> {
    labels: &'a TableLabels,
    path: PathBuf,
    rows: HashMap<String, Row>,
}

impl<'a> LabelTable<'a> {
    /// Reads a table with a header line. `split` names the column that assigns samples to sides. Rows without a key or
    /// a label are skipped.
    ///
    /// # Errors
    /// A file that cannot be read, missing columns, a key on two lines.
    pub fn read(labels: &'a TableLabels, base: &Path, split: Option<&str>) -> Result<Self> {
        let path = base.join(&labels.table);
        let name = path.display().to_string();
        let file = File::open(&path).with_context(|| format!("cannot read labels {name}"))?;
        let n_bytes = file.metadata().with_context(|| format!("cannot read labels {name}"))?.len();
        if n_bytes > MAX_TABLE_BYTES {
            bail!(
                "labels {name} have {} MiB; tables of up to {} MiB are read\nhint: leave out the columns that are not needed",
                n_bytes >> 20,
                MAX_TABLE_BYTES >> 20
            );
        }
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(RowLimit::new(file));
        let header = reader.headers().with_context(|| format!("labels {name} are no CSV table"))?.clone();
        let column = |wanted: &str| {
            header.iter().position(|title| title == wanted).ok_or_else(|| {
                let proposal = did_you_mean(wanted, header.iter().filter(|title| title.len() <= MAX_SHOWN).take(1000));
                let titles: Vec<String> = header.iter().take(MAX_LISTED).map(shown).collect();
                let more = if header.len() > MAX_LISTED { ", ..." } else { "" };
                anyhow!(
                    "labels {name} have no column {wanted:?}\nhint: {proposal}the columns are {}{more}",
                    titles.join(", ")
                )
            })
        };
        let (key, label) = (column(&labels.key)?, column(&labels.label)?);
        let several = labels.columns.iter().map(|name| column(name)).collect::<Result<Vec<usize>>>()?;
        let group = labels.group.as_deref().map(column).transpose()?;
        let split = split.map(column).transpose()?;
        let mut rows: HashMap<String, Row> = HashMap::new();
        let mut record = csv::StringRecord::new();
        loop {
            reader.get_mut().begin_row();
            if !reader.read_record(&mut record).with_context(|| format!("labels {name} are no CSV table"))? {
                break;
            }
            let cell = |at: usize| record.get(at).filter(|text| !text.is_empty()).map(str::to_string);
            let several: Vec<Option<String>> = several.iter().map(|at| cell(*at)).collect();
            // Of several labels some may be unknown, and then their cells are empty.
            let label = cell(label).or_else(|| several.iter().any(Option::is_some).then(String::new));
            let (Some(key), Some(label)) = (cell(key), label) else { continue };
            let line = record.position().map_or(0, csv::Position::line);
            let row = Row { line, label, several, group: group.and_then(cell), split: split.and_then(cell) };
            if let Some(other) = rows.insert(plain(&key), row) {
                bail!(
                    "labels {name}: {:?} in column {:?} stands on lines {} and {line}\n\
                     hint: one row a key is expected; choose another key column, or keep one of the rows",
                    shown(&key),
                    labels.key,
                    other.line
                );
            }
            if rows.len() > MAX_ROWS {
                bail!("labels {name} have more than {MAX_ROWS} rows with a label");
            }
        }
        Ok(Self { labels, path, rows })
    }

    /// The row of a sample. The key is the match of `id_pattern` in its id, or else its id, its file, either relative to the table's folder,
    /// the file's name, or that name without extensions.
    pub fn find(&self, id: &str, file: &str) -> Option<&Row> {
        if let Some(pattern) = &self.labels.id_pattern {
            return self.rows.get(&plain(captured(pattern, id)?));
        }
        keys_of(&self.labels.table, id, file).iter().find_map(|key| self.rows.get(key))
    }

    /// The error that no sample has a row.
    pub fn nothing_matches(&self, id: &str, file: &str) -> anyhow::Error {
        let mut keys: Vec<(&u64, &String)> = self.rows.iter().map(|(key, row)| (&row.line, key)).collect();
        keys.sort();
        let first =
            keys.first().map_or_else(|| "it has none".into(), |(_, key)| format!("the first is {:?}", shown(key)));
        let looked = match &self.labels.id_pattern {
            Some(pattern) => match captured(pattern, id) {
                Some(key) => format!("{key:?}, which id_pattern finds in {id:?}"),
                None => format!("what id_pattern {:?} finds in {id:?}, which is nothing", pattern.as_str()),
            },
            None => keys_of(&self.labels.table, id, file)
                .iter()
                .map(|key| format!("{key:?}"))
                .collect::<Vec<_>>()
                .join(", "),
        };
        anyhow!(
            "labels {}: no key of column {:?} belongs to a sample ({first}); for the first sample was looked for {looked}\n\
             hint: choose another key column, or give labels.id_pattern, which makes the key from the id",
            self.path.display(),
            self.labels.key
        )
    }

    /// File name of the table, for messages.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// A table's file, which fails where a row has more than [`MAX_ROW_BYTES`].
struct RowLimit {
    file: File,
    left: u64,
}

impl RowLimit {
    fn new(file: File) -> Self {
        Self { file, left: MAX_ROW_BYTES }
    }

    fn begin_row(&mut self) {
        self.left = MAX_ROW_BYTES;
    }
}

impl Read for RowLimit {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let what = "a row has more than 1 MiB; look for a quotation mark that does not close";
            return Err(io::Error::other(what));
        }
        let most = buffer.len().min(self.left as usize);
        let n = self.file.read(&mut buffer[..most])?;
        self.left -= n as u64;
        Ok(n)
    }
}

/// The beginning of a text of the table.
fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::super::label_source::Classes;
    use super::*;

    fn labels(id_pattern: Option<&str>) -> TableLabels {
        TableLabels {
            table: "scans/labels.csv".into(),
            key: "key".into(),
            label: "finding".into(),
            columns: Vec::new(),
            group: Some("patient".into()),
            id_pattern: id_pattern.map(|text| regex::Regex::new(text).unwrap()),
            classes: Classes::Values,
        }
    }

    fn read<'a>(labels: &'a TableLabels, text: &str) -> Result<LabelTable<'a>> {
        let base = tempfile::tempdir()?;
        std::fs::create_dir(base.path().join("scans"))?;
        std::fs::write(base.path().join("scans/labels.csv"), text)?;
        LabelTable::read(labels, base.path(), Some("part"))
    }

    const HEAD: &str = "key,finding,patient,part\n";

    #[test]
    fn a_sample_is_found_by_id_path_name_or_stem() {
        let labels = labels(None);
        let text = format!(
            "{HEAD}a\\1.nii.gz,path,p,train\n2.nii.gz,name,,test\n3,stem,p,\nscans/4.nii#z=07,id,p,train\n,x,,\n5,,,\n"
        );
        let table = read(&labels, &text).unwrap();
        let file_of = |id: &str| id.split('#').next().unwrap_or(id).to_owned();
        let label = |id: &str| table.find(id, &file_of(id)).map(|row| row.label.as_str());
        assert_eq!(label("scans/a/1.nii.gz#z=00"), Some("path"));
        assert_eq!(
            [label("scans/b/2.nii.gz"), label("3.nii.gz"), label("scans/5.nii")],
            [Some("name"), Some("stem"), None]
        );
        assert_eq!([label("scans/4.nii#z=07"), label("scans/4.nii#z=08")], [Some("id"), None]);
        let row = table.find("2.nii.gz", "2.nii.gz").unwrap();
        assert_eq!((row.line, row.group.as_deref(), row.split.as_deref()), (3, None, Some("test")));
    }

    #[test]
    fn a_pattern_makes_the_key() {
        let labels = labels(Some("#z=0*([0-9]+)$"));
        let table = read(&labels, &format!("{HEAD}0,low,,\n12,high,,\n")).unwrap();
        let file_of = |id: &str| id.split('#').next().unwrap_or(id).to_owned();
        let label = |id: &str| table.find(id, &file_of(id)).map(|row| row.label.as_str());
        assert_eq!([label("t.nii#z=0000"), label("t.nii#z=0012"), label("t.nii")], [Some("low"), Some("high"), None]);
        let message = table.nothing_matches("t.nii#z=0007", "t.nii").to_string();
        assert!(message.contains("\"7\"") && message.contains("the first is \"0\""), "{message}");
    }

    #[test]
    fn long_rows_and_messages_of_many_columns_are_limited() {
        let labels = labels(None);
        let error = read(&labels, &format!("{HEAD}1,\"{}", "x\n".repeat(1 << 20))).unwrap_err();
        assert!(format!("{error:#}").contains("a row has more than 1 MiB"), "{error:#}");
        let error = read(&labels, &("d,".repeat(100_000) + "e\n")).unwrap_err().to_string();
        assert!(error.ends_with("d, ...") && error.len() < 300, "{error}");
    }

    #[test]
    fn repeated_keys_and_missing_columns_are_refused() {
        let labels = labels(None);
        let error = read(&labels, &format!("{HEAD}1,a,,\n2,a,,\n1,a,,\n")).unwrap_err().to_string();
        assert!(error.contains("\"1\"") && error.contains("lines 2 and 4"), "{error}");
        let error = read(&labels, "key,findings,patient,part\n").unwrap_err().to_string();
        assert!(error.contains("did you mean \"findings\"?"), "{error}");
    }
}
