//! Whether data are texts, and which column of a table holds them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use medcoss_sdk::serde_json::{self, Value, json};
use medcoss_sdk::survey::nothing_found;
use medcoss_sdk::text_encoding::decode;
use medcoss_sdk::{Error, Fact, Found, FoundFile, SuitedOption, Survey};

use crate::read;

/// Files of which the beginning is read, evenly spaced.
const MAX_FILES: usize = 12;
/// Files above this size in bytes are passed over in a survey, which reads them whole.
const MAX_BYTES: u64 = 1 << 26;
/// Rows that are looked at in a file.
const MAX_ROWS: usize = 100;
/// Mean number of letters from which a column holds texts, not words.
const TEXT_LETTERS: f64 = 40.0;
/// How sure files with texts can be, and files without.
const SURE_OF_TEXT: f64 = 0.9;
const SURE_OF_WORDS: f64 = 0.1;
/// Text files from which a file counts as a document, where most have several lines.
const MANY_FILES: usize = 10;

/// Sums over the files that were looked at.
#[derive(Default)]
struct Looked {
    n_files: usize,
    n_with_text: usize,
    /// Columns with texts: number of letters and of rows.
    columns: BTreeMap<String, (usize, usize)>,
    n_text_files: usize,
    n_of_several_lines: usize,
    n_documents: usize,
}

/// Looks at data.
///
/// # Errors
/// None for data without texts: they have the fit 0.
pub(crate) fn survey(base: &Path, data: &[PathBuf]) -> Result<Survey, Error> {
    let Found { files, account } = match read::find(base, data, None) {
        Ok(found) => found,
        Err(error) => return Ok(nothing_found(&error)),
    };
    let n = files.len().min(MAX_FILES);
    let mut looked = Looked::default();
    (0..n).for_each(|at| looked.look(&files[at * files.len() / n]));
    let kept = files.len() as f64 / (files.len() + account.left_out().len()).max(1) as f64;
    let share = looked.n_with_text as f64 / looked.n_files.max(1) as f64;
    let sure = if looked.n_files == 0 { 0.0 } else { SURE_OF_TEXT * share + SURE_OF_WORDS * (1.0 - share) };
    let why = format!("{} of {} files that were looked at hold texts", looked.n_with_text, looked.n_files);
    let mut survey = Survey { fit: kept * sure, why, ..Survey::default() };
    survey.facts.push(Fact { name: "files".into(), value: files.len().to_string() });
    looked.propose(&mut survey, &files);
    Ok(survey)
}

impl Looked {
    fn look(&mut self, file: &FoundFile) {
        let Ok(bytes) = file.read_at_most(MAX_BYTES) else { return };
        let Ok(content) = decode(&bytes, &file.id) else { return };
        let content = content.text.as_ref();
        self.n_files += 1;
        let has_text = match read::extension_of(&file.path).as_str() {
            "csv" | "tsv" | "tab" => self.look_at_table(content),
            "jsonl" | "ndjson" => self.look_at_objects(content),
            "json" => self.look_at_lines(content),
            // MedQuAD's layout is the only one that is read.
            "xml" => content.contains("<Document"),
            _ => self.look_at_lines(content),
        };
        self.n_with_text += usize::from(has_text);
    }

    fn look_at_lines(&mut self, content: &str) -> bool {
        let lines: Vec<&str> = content.lines().filter(|line| !line.trim().is_empty()).collect();
        self.n_text_files += 1;
        self.n_of_several_lines += usize::from(lines.len() > 1);
        self.n_documents += lines.len();
        let n_letters = lines.iter().take(MAX_ROWS).map(|line| letters(line)).sum::<usize>();
        n_letters as f64 >= TEXT_LETTERS / 2.0 * lines.len().clamp(1, MAX_ROWS) as f64
    }

    fn look_at_table(&mut self, content: &str) -> bool {
        let header = content.lines().next().unwrap_or_default();
        let delimiter =
            b",;\t|".iter().copied().max_by_key(|&byte| header.bytes().filter(|found| *found == byte).count());
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter.unwrap_or(b','))
            .flexible(true)
            .from_reader(content.as_bytes());
        let Ok(header) = reader.headers().cloned() else { return false };
        let mut of_file: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for row in reader.records().take(MAX_ROWS).filter_map(Result::ok) {
            for (name, cell) in header.iter().zip(&row) {
                let (n_letters, n_rows) = of_file.entry(name.into()).or_default();
                (*n_letters, *n_rows) = (*n_letters + letters(cell), *n_rows + 1);
            }
        }
        self.add(of_file)
    }

    fn look_at_objects(&mut self, content: &str) -> bool {
        let mut of_file: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for line in content.lines().filter(|line| !line.trim().is_empty()).take(MAX_ROWS) {
            let Ok(Value::Object(fields)) = serde_json::from_str(line) else { continue };
            for (name, value) in fields {
                let (n_letters, n_rows) = of_file.entry(name).or_default();
                (*n_letters, *n_rows) = (*n_letters + value.as_str().map_or(0, letters), *n_rows + 1);
            }
        }
        self.add(of_file)
    }

    /// Adds the columns of a file that hold texts; whether there are any.
    fn add(&mut self, of_file: BTreeMap<String, (usize, usize)>) -> bool {
        let is_text =
            |(n_letters, n_rows): &(usize, usize)| *n_letters as f64 >= TEXT_LETTERS * (*n_rows).max(1) as f64;
        let texts: Vec<_> = of_file.into_iter().filter(|(_, sums)| is_text(sums)).collect();
        let has_text = !texts.is_empty();
        for (name, (n_letters, n_rows)) in texts {
            let sums = self.columns.entry(name).or_default();
            *sums = (sums.0 + n_letters, sums.1 + n_rows);
        }
        has_text
    }

    fn propose(&self, survey: &mut Survey, files: &[FoundFile]) {
        let mean = |(n_letters, n_rows): &(usize, usize)| *n_letters as f64 / (*n_rows).max(1) as f64;
        let longest = self.columns.iter().max_by(|(_, one), (_, other)| mean(one).total_cmp(&mean(other)));
        if let Some((name, sums)) = longest {
            let letters = mean(sums).round();
            let others: Vec<&str> = self.columns.keys().filter(|other| *other != name).map(String::as_str).collect();
            if !others.is_empty() {
                survey.facts.push(Fact { name: "other columns with texts".into(), value: others.join(", ") });
            }
            let reason = format!("the column with the longest texts: {letters} letters a row");
            survey.options.push(SuitedOption { name: "text_column".into(), value: json!(name), reason });
        }
        let are_documents = 2 * self.n_of_several_lines > self.n_text_files && files.len() >= MANY_FILES;
        if are_documents && self.n_text_files > 0 && self.columns.is_empty() {
            let lines = self.n_documents / self.n_text_files;
            let reason = format!("many .txt files of some {lines} lines: each a document, not each line");
            survey.options.push(SuitedOption { name: "text_files".into(), value: json!("documents"), reason });
        }
    }
}

fn letters(text: &str) -> usize {
    text.chars().filter(|letter| letter.is_alphabetic()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surveyed(files: &[(&str, &str)]) -> Survey {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| std::fs::write(folder.path().join(name), text).unwrap());
        survey(folder.path(), &[".".into()]).unwrap()
    }

    const REPORT: &str = "The heart is of normal size. There is no focal consolidation, effusion or pneumothorax.";

    #[test]
    fn the_column_with_the_longest_texts_is_proposed() {
        let table = format!("id;view;findings\n1;PA;\"{REPORT}\"\n2;AP;\"{REPORT}\"\n");
        let found = surveyed(&[("a.csv", &table)]);
        assert_eq!((found.fit, found.options[0].value.clone()), (SURE_OF_TEXT, json!("findings")));
        let found = surveyed(&[("a.jsonl", &format!("{{\"id\": 1, \"report\": \"{REPORT}\"}}\n"))]);
        assert_eq!(found.options[0].value, json!("report"));
    }

    #[test]
    fn a_table_of_labels_beside_images_is_no_corpus() {
        let found = surveyed(&[("labels.csv", "file,label\na,1\nb,0\n"), ("a.png", "x"), ("b.png", "x")]);
        assert!(found.fit < 0.05 && found.options.is_empty(), "{found:?}");
        assert_eq!(surveyed(&[("a.png", "x")]).fit, 0.0);
    }

    #[test]
    fn many_files_of_several_lines_are_documents() {
        let text = format!("FINDINGS\n{REPORT}\n");
        let names: Vec<String> = (0..12).map(|number| format!("s{number}.txt")).collect();
        let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), text.as_str())).collect();
        let found = surveyed(&files);
        assert_eq!((found.options[0].name.as_str(), &found.options[0].value), ("text_files", &json!("documents")));
        assert!(surveyed(&files[..1]).options.is_empty());
    }
}
