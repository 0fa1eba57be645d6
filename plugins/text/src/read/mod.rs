//! Reading of files into documents: finding files, the choice of a reader for each, and documents that cannot be
//! read. A new format is a file in this folder and a line in [`read_file`].
//!
//! A wrong option or another encoding, which the user has to fix before training, is an error. A damaged line, row, pair or rest of a file
//! becomes a document that cannot be read, which the host reports and counts. Messages name files by their ids, since they end up in run folders, which hold no
//! absolute path.

mod columns;
mod content;
mod csv_table;
mod encoding;
mod ids;
mod json_lines;
mod line_numbers;
mod lines;
mod medquad;
mod pubmed_rct;
mod quoting;
mod row_filter;

use std::path::{Path, PathBuf};

use medcoss_sdk::{Error, Found, FoundFile, code, find_files, log};

pub use encoding::decode;

use crate::{
    corpus::{Corpus, MAX_DOCUMENTS},
    options::Options,
};
use content::{Content, MAX_LINE_BYTES, too_long};
use line_numbers::line_id;

/// Largest XML file: it is one text for its reader. Files of MedQuAD have some KiB.
const MAX_XML_BYTES: u64 = 1 << 26;
/// Largest file of a tokeniser. The largest that are published have some 20 MiB, and their parser takes thirty times a file's size.
const MAX_VOCABULARY_BYTES: u64 = 24 << 20;

/// File formats, for display.
pub const FILE_FORMATS: [&str; 5] = [
    "text (.txt), one document a line",
    "labelled sentences (.txt), PubMed-RCT layout",
    "CSV (.csv)",
    "JSON Lines (.jsonl, .ndjson)",
    "questions with answers (.xml), MedQuAD layout",
];
/// Extensions of file names in folders. A file that is named by itself may have any other extension and is then text.
const EXTENSIONS: [&str; 5] = [".txt", ".csv", ".jsonl", ".ndjson", ".xml"];

/// Reads all documents of the data.
///
/// # Errors
/// Missing data, options that do not fit them, another encoding than UTF-8.
pub fn read(base: &Path, data: &[PathBuf], options: &Options) -> Result<Corpus, Error> {
    let accepts = |name: &str| EXTENSIONS.iter().any(|extension| name.ends_with(extension));
    let Found { files, account } = find_files(base, data, accepts, &EXTENSIONS.join(", "))?;
    let mut corpus = Corpus::new(options.cleaning, account);
    for file in &files {
        add_file(file, options, &mut corpus)?;
        if corpus.is_full() {
            let id = &file.id;
            return Err(Error::unsupported(format!(
                "{id}: the data have more than {MAX_DOCUMENTS} documents\nhint: learn from fewer files in one stage"
            )));
        }
    }
    Ok(corpus)
}

/// Adds the documents of a file. One without any, for damage, is one document that cannot be read; so is what comes
/// after damage that a reader cannot get over.
fn add_file(file: &FoundFile, options: &Options, corpus: &mut Corpus) -> Result<(), Error> {
    let extension =
        file.path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default();
    let (max_bytes, max_line_bytes) =
        if extension == "xml" { (MAX_XML_BYTES, usize::MAX) } else { (u64::MAX, MAX_LINE_BYTES) };
    let read = Content::read(&file.path, &file.id, max_bytes, max_line_bytes);
    let Content { bytes, long_lines, left_out } = match read {
        Ok(content) => content,
        Err(error) => {
            corpus.begin_file(&file.id, file.entry, b"");
            corpus.add_unreadable(String::new(), error);
            return Ok(());
        }
    };
    corpus.begin_file(&file.id, file.entry, &bytes);
    if !long_lines.is_empty() {
        corpus.add_to_fingerprint(left_out.hex().as_bytes());
    }
    let content = decode(&bytes, &file.id)?;
    match (extension.as_str(), content) {
        ("json", _) => {
            return Err(Error::unsupported(format!("{} is JSON; expected {}", file.id, FILE_FORMATS.join(", "))));
        }
        ("xml", content) => medquad::check_encoding(content, &file.id)?,
        _ => {}
    }
    let read = read_file(content, &file.id, &extension, options, &long_lines, corpus);
    match read.err().or_else(|| corpus.take_back_unreadable_file()) {
        // An option that nothing in the file fits.
        Some(error) if error.code() == code::BAD_REQUEST => Err(error),
        Some(error) => {
            corpus.add_unreadable(String::new(), error);
            Ok(())
        }
        None => Ok(()),
    }
}

fn read_file(
    content: &str,
    name: &str,
    extension: &str,
    options: &Options,
    long_lines: &[(u64, usize)],
    corpus: &mut Corpus,
) -> Result<(), Error> {
    if let (Some(&(1, n_bytes)), "csv") = (long_lines.first(), extension) {
        // Without its header nothing says what the columns are.
        return Err(too_long(name, (1, n_bytes)));
    }
    for &line in long_lines {
        corpus.add_unreadable(line_id(line.0), too_long(name, line));
    }
    if content.trim().is_empty() && !long_lines.is_empty() {
        return Ok(());
    }
    if content.trim().is_empty() {
        log::warn(&format!("{name} is empty"));
        lines::read(content, corpus);
        return Ok(());
    }
    match extension {
        "csv" => csv_table::read(content, name, options, corpus)?,
        "jsonl" | "ndjson" => json_lines::read(content, name, options, corpus)?,
        "xml" => medquad::read(content, name, corpus)?,
        _ if pubmed_rct::recognises(content) => pubmed_rct::read(content, name, options.unit, corpus),
        _ => lines::read(content, corpus),
    }
    Ok(())
}

/// The bytes of a vocabulary or tokenizer.json, which messages call `name`.
pub fn read_vocabulary(path: &Path, name: &str) -> Result<Vec<u8>, Error> {
    Content::read(path, name, MAX_VOCABULARY_BYTES, usize::MAX).map(|content| content.bytes)
}
