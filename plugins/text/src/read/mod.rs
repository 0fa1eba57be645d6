//! From files to documents: finding them, decoding, and the one place that decides which reader a file gets.
//! A new format is a file beside this one and a line in [`read_file`].

mod abstracts;
mod json_lines;
mod lines;
mod table;

use std::path::{Path, PathBuf};

use medcoss_sdk::{Error, FoundFile, find_files};

use crate::{corpus::Corpus, options::Options};

/// File kinds, for people.
pub const KINDS: [&str; 4] = [
    "text (.txt), one document a line",
    "labelled sentences (.txt), PubMed-RCT layout",
    "CSV (.csv)",
    "JSON Lines (.jsonl)",
];
/// Endings of file names in folders. A file that is named by itself may have any other ending and is then text.
const ENDINGS: [&str; 4] = [".txt", ".csv", ".jsonl", ".ndjson"];

/// Reads all documents of the data.
///
/// # Errors
/// Missing data, a file that a reader refuses, no document at all.
pub fn read(base: &Path, data: &[PathBuf], options: &Options) -> Result<Corpus, Error> {
    let accepts = |name: &str| ENDINGS.iter().any(|ending| name.ends_with(ending));
    let files = find_files(base, data, accepts, &ENDINGS.join(", "))?;
    let mut corpus = Corpus::default();
    for file in &files {
        read_file(file, options, &mut corpus)?;
    }
    Ok(corpus)
}

fn read_file(file: &FoundFile, options: &Options, corpus: &mut Corpus) -> Result<(), Error> {
    let name = file.path.display().to_string();
    let ending = file.path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    if ending == "xml" {
        return Err(Error::unsupported(format!("{name} is XML; expected {}", KINDS.join(", "))));
    }
    let bytes = read_bytes(&file.path)?;
    corpus.begin_file(&file.id, &bytes);
    let content = decode(&bytes, &name)?;
    match ending.as_str() {
        "csv" => table::read(content, &name, options, corpus),
        "jsonl" | "ndjson" => json_lines::read(content, &name, options, corpus),
        _ if abstracts::recognises(content) => abstracts::read(content, &name, options.unit, corpus),
        _ => {
            lines::read(content, corpus);
            Ok(())
        }
    }
}

/// The bytes of a file.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path)
        .map_err(|error| Error::unreadable(format!("{} cannot be read", path.display())).caused_by(&error))
}

/// UTF-8 without its byte order mark. Other encodings are refused, not guessed: a wrong guess would end up in the
/// vocabulary.
pub fn decode<'a>(bytes: &'a [u8], name: &str) -> Result<&'a str, Error> {
    let sixteen_bit = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let body = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
    std::str::from_utf8(body).map_err(|error| {
        let at = error.valid_up_to();
        let line = body[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
        let found = if sixteen_bit { "UTF-16".into() } else { format!("byte 0x{:02x}", body[at]) };
        Error::unsupported(format!(
            "{name}, line {line}: {found} found where UTF-8 was expected\nhint: convert the file, for example with \
             iconv --from-code LATIN1 --to-code UTF-8"
        ))
    })
}

/// Id of what stands on a line, as it follows the file's id: the number counts from 1 and is padded, so that ids sort as
/// the lines do.
fn line_place(line: u64) -> String {
    format!("#L{line:07}")
}

/// Position of a column among `names`: the one that is asked for, or the only one.
fn position_of(asked: Option<&str>, option: &str, names: &[&str], place: &str) -> Result<usize, Error> {
    let listed = || names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    match asked {
        Some(asked) => names.iter().position(|name| name.trim() == asked).ok_or_else(|| {
            Error::bad_request(format!(
                "{place} has no column {asked:?}, which option {option} asks for; it has {}",
                listed()
            ))
        }),
        None if names.len() == 1 => Ok(0),
        None => Err(Error::bad_request(format!(
            "{place} has {} columns: {}\nhint: say with option {option} which one to read",
            names.len(),
            listed()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_no_text() {
        assert_eq!(decode("\u{feff}für".as_bytes(), "a.txt").unwrap(), "für");
        assert_eq!(decode("für".as_bytes(), "a.txt").unwrap(), "für");
    }

    #[test]
    fn other_encodings_are_refused_with_file_and_line() {
        let error = decode(b"one\ntwo\nf\xfcr\n", "a.txt").unwrap_err();
        assert!(
            error.message().starts_with("a.txt, line 3: byte 0xfc found where UTF-8 was expected\nhint:"),
            "{error}"
        );
        assert_eq!(error.code(), medcoss_sdk::code::UNSUPPORTED);
        let error = decode(b"\xff\xfeo\0n\0", "b.txt").unwrap_err();
        assert!(error.message().starts_with("b.txt, line 1: UTF-16"), "{error}");
    }

    #[test]
    fn columns_are_found_by_name_or_for_being_alone() {
        let names = ["id", " text "];
        assert_eq!(position_of(Some("text"), "column", &names, "a.csv").unwrap(), 1);
        assert_eq!(position_of(None, "column", &["only"], "a.csv").unwrap(), 0);
        let error = position_of(None, "column", &names, "a.csv").unwrap_err();
        assert!(error.message().contains("a.csv has 2 columns: \"id\", \" text \""), "{error}");
        let error = position_of(Some("note"), "label_column", &names, "a.csv").unwrap_err();
        assert!(error.message().contains("\"note\"") && error.message().contains("label_column"), "{error}");
    }
}
