//! Reading of files into documents: finding files, the choice of a reader for each, and documents that cannot be
//! read. A new format is a file in this folder, a kind in [`kind_of`] and a line in [`read_file`].
//!
//! A wrong option or another encoding, which the user has to fix before training, is an error. A damaged line, row, pair or rest of a file
//! becomes a document that cannot be read, which the host reports and counts. What is assumed of a file is counted by [`Corpus::remark`].
//! Messages name files by their ids, since they end up in run folders, which hold no absolute path.

mod columns;
mod content;
mod csv_table;
mod ids;
mod json_file;
mod json_lines;
mod line_numbers;
mod lines;
mod medquad;
mod other_kinds;
mod pubmed_rct;
mod quoting;
mod row_filter;
mod unfit_options;

use std::path::{Path, PathBuf};

use medcoss_sdk::{
    Error, Found, FoundFile, Inclusion, OpenRequest, code, find_files_by_content,
    text_encoding::{Decoded, decode},
};

use crate::{
    corpus::{Corpus, MAX_DOCUMENTS},
    kind::Kind,
    options::{Options, TextFiles},
};
use content::{Content, MAX_LINE_BYTES, too_long};
use line_numbers::line_id;

/// Largest XML file: it is one text for its reader. Files of MedQuAD have some KiB.
const MAX_XML_BYTES: u64 = 1 << 26;
/// Largest JSON file. Its objects are read one by one, but it may be a single line.
const MAX_JSON_BYTES: u64 = 1 << 29;
/// Largest file of a tokeniser. The largest that are published have some 20 MiB, and their parser takes thirty times a file's size.
const MAX_VOCABULARY_BYTES: u64 = 24 << 20;

/// File formats, for display.
pub const FILE_FORMATS: [&str; 6] = [
    "text (.txt), one document a line or a file",
    "labelled sentences (.txt), PubMed-RCT layout",
    "tables (.csv, .tsv, .tab)",
    "JSON Lines (.jsonl, .ndjson)",
    "JSON (.json), an object or an array of them",
    "questions with answers (.xml), MedQuAD layout",
];
/// Extensions of file names in folders. A file that is named by itself may have any other extension and is then text.
const EXTENSIONS: [&str; 8] = [".txt", ".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json", ".xml"];

/// Reads all documents of the data.
///
/// # Errors
/// Missing data, options that do not fit them, an encoding that is neither UTF-8 nor UTF-16 with a byte order mark.
pub fn read(request: &OpenRequest<Options>) -> Result<Corpus, Error> {
    let OpenRequest { base, data, options, .. } = request;
    let tokenizer = options.tokenizer.as_ref().map(|named| base.join(named));
    let Found { files, account } = find(base, data, tokenizer.as_deref())?;
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
    let n_text_files = files.iter().filter(|file| is_text(&extension_of(&file.path))).count();
    unfit_options::check(&mut corpus, options, n_text_files)?;
    Ok(corpus)
}

/// The files of the data, but for that of a tokeniser.
///
/// # Errors
/// Those of [`find_files_by_content`].
pub fn find(base: &Path, data: &[PathBuf], tokenizer: Option<&Path>) -> Result<Found, Error> {
    let inclusion = |path: &Path, name: &str| match tokenizer {
        Some(tokenizer) if is_same_file(tokenizer, path) => Inclusion::Excluded("the file of option tokenizer".into()),
        _ if EXTENSIONS.iter().any(|extension| name.ends_with(extension)) => Inclusion::Included,
        _ => other_kinds::by_name(name).map_or(Inclusion::AnotherKind, |reason| Inclusion::Excluded(reason.into())),
    };
    find_files_by_content(base, data, inclusion, &EXTENSIONS.join(", "))
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    one.file_name() == other.file_name()
        && matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// In lower case, without the dot.
pub fn extension_of(path: &Path) -> String {
    path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// Whether option `text_files` is about files of this extension.
fn is_text(extension: &str) -> bool {
    !["csv", "tsv", "tab", "jsonl", "ndjson", "json", "xml"].contains(&extension)
}

/// What a file holds.
fn kind_of(extension: &str, content: &str, options: &Options) -> Kind {
    match extension {
        "csv" | "tsv" | "tab" => Kind::Table,
        "jsonl" | "ndjson" | "json" => Kind::Objects,
        "xml" => Kind::Questions,
        _ if pubmed_rct::recognises(content) => Kind::Abstracts,
        _ => match options.text_files {
            None | Some(TextFiles::Lines) => Kind::Lines,
            Some(TextFiles::Documents) => Kind::Document,
            Some(TextFiles::Tables) => Kind::Table,
        },
    }
}

/// Adds the documents of a file. One without any, for damage, is one document that cannot be read; so is what comes
/// after damage that a reader cannot get over.
fn add_file(file: &FoundFile, options: &Options, corpus: &mut Corpus) -> Result<(), Error> {
    let extension = extension_of(&file.path);
    let (max_bytes, max_line_bytes) = match extension.as_str() {
        "xml" => (MAX_XML_BYTES, usize::MAX),
        "json" => (MAX_JSON_BYTES, usize::MAX),
        _ => (u64::MAX, MAX_LINE_BYTES),
    };
    // A file that is named by itself is found whatever its name.
    let other = other_kinds::by_name(&file.path.file_name().unwrap_or_default().to_string_lossy().to_lowercase());
    if let Some(reason) = other {
        corpus.leave_out_file(&file.id, reason);
        return Ok(());
    }
    let read = Content::read(&file.path, &file.id, max_bytes, max_line_bytes);
    let Content { bytes, long_lines, left_out } = match read {
        Ok(content) => content,
        Err(error) => {
            corpus.begin_file(&file.id, file.entry, b"");
            corpus.set_kind(kind_of(&extension, "", options));
            corpus.add_unreadable(String::new(), error);
            return Ok(());
        }
    };
    if let Some(reason) = other_kinds::by_content(&bytes) {
        corpus.leave_out_file(&file.id, reason);
        return Ok(());
    }
    corpus.begin_file(&file.id, file.entry, &bytes);
    if !long_lines.is_empty() {
        corpus.add_to_fingerprint(left_out.hex().as_bytes());
    }
    let Decoded { text, was_utf16 } = decode(&bytes, &file.id)?;
    let kind = kind_of(&extension, &text, options);
    corpus.set_kind(kind);
    if kind == Kind::Questions {
        medquad::check_encoding(&text, was_utf16, &file.id)?;
    }
    if was_utf16 {
        corpus.remark("files are UTF-16, as their byte order mark says");
    }
    let read = match long_lines.first() {
        // Its lines were cut between bytes of one character.
        Some(&line) if was_utf16 => Err(too_long(&file.id, line)),
        _ => read_file(&text, file, kind, options, &long_lines, corpus),
    };
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
    file: &FoundFile,
    kind: Kind,
    options: &Options,
    long_lines: &[(u64, usize)],
    corpus: &mut Corpus,
) -> Result<(), Error> {
    let name = file.id.as_str();
    match (kind, long_lines.first()) {
        // Without its header nothing says what the columns are; a document is not one without a line of it.
        (Kind::Table, Some(&(1, n_bytes))) => return Err(too_long(name, (1, n_bytes))),
        (Kind::Document, Some(&line)) => return Err(too_long(name, line)),
        _ => {}
    }
    for &line in long_lines {
        corpus.add_unreadable(line_id(line.0), too_long(name, line));
    }
    match kind {
        _ if content.trim().is_empty() && !long_lines.is_empty() => {}
        Kind::Document => corpus.add(String::new(), None, content),
        _ if content.trim().is_empty() => lines::read(content, corpus),
        Kind::Table => csv_table::read(content, &file.path, name, options, corpus)?,
        Kind::Objects if extension_of(&file.path) == "json" => json_file::read(content, name, options, corpus)?,
        Kind::Objects => json_lines::read(content, name, options, corpus)?,
        Kind::Questions => medquad::read(content, name, corpus)?,
        Kind::Abstracts => pubmed_rct::read(content, name, options.unit, corpus),
        Kind::Lines => lines::read(content, corpus),
    }
    Ok(())
}

/// The bytes of a vocabulary or tokenizer.json, which messages call `name`.
pub fn read_vocabulary(path: &Path, name: &str) -> Result<Vec<u8>, Error> {
    Content::read(path, name, MAX_VOCABULARY_BYTES, usize::MAX).map(|content| content.bytes)
}
