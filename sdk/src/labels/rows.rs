//! The rows of a table of labels, by the keys of the files.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::column::Column;
use crate::table::{Delimiter, Rows};
use crate::{Error, log, text_encoding};

/// Longest row of a table in bytes.
const MAX_ROW_BYTES: u64 = 1 << 20;
/// Largest table in bytes.
const MAX_TABLE_BYTES: u64 = 1 << 28;
/// Most rows with a fact about a file.
const MAX_ROWS: usize = 1 << 22;
/// Columns that a message lists at most, and characters of a name or label.
const MAX_LISTED: usize = 20;
const MAX_SHOWN: usize = 60;

/// The columns that are read, with their positions, and a text for each by key; empty where there is none.
pub(super) struct KeyedRows {
    pub columns: Vec<(Column, usize)>,
    pub by_key: HashMap<String, Vec<String>>,
}

/// The beginning of a text of the table.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

/// The texts of each key, in the columns of these titles.
pub(super) fn read(
    path: &Path,
    key_column: &str,
    delimiter: Delimiter,
    titles: Vec<(Column, &str)>,
) -> Result<KeyedRows, Error> {
    let name = format!("labels {}", path.display());
    let bytes = bytes_of(path, &name)?;
    let decoded = text_encoding::decode(&bytes, &name)?;
    if decoded.was_utf16 {
        log::info(&format!("{name} are UTF-16, as the byte order mark says"));
    }
    let content: &str = &decoded.text;
    let wanted: Vec<&str> = std::iter::once(key_column).chain(titles.iter().map(|(_, title)| *title)).collect();
    let dialect = delimiter.of_table(path, content, &wanted, &name)?;
    if dialect.is_guess {
        log::warn(&format!(
            "{name}: fields are separated by {}, as the header and the first rows show; `delimiter` states it",
            dialect.in_words()
        ));
    }
    let mut rows = Rows::new(content, dialect, MAX_ROW_BYTES);
    let damaged = |error: csv::Error| Error::corrupt(format!("{name} are no table")).caused_by(&error);
    let line_of = |start: usize| content[..start].bytes().filter(|&byte| byte == b'\n').count() + 1;
    let fault = |start: usize, what: &str| Error::corrupt(format!("{name}, line {}: {what}", line_of(start)));

    let mut row = csv::StringRecord::new();
    if let Some(found) = rows.next(&mut row).map_err(damaged)?
        && let Some(what) = found.quoting.fault()
    {
        return Err(fault(found.start, what));
    }
    let header: Vec<String> = row.iter().map(|title| title.trim().to_owned()).collect();
    let key_place = position(key_column, &header, &name)?;
    let columns: Vec<(Column, usize)> = titles
        .into_iter()
        .map(|(column, title)| Ok((column, position(title, &header, &name)?)))
        .collect::<Result<_, Error>>()?;

    let mut by_key: HashMap<String, Vec<String>> = HashMap::new();
    while let Some(found) = rows.next(&mut row).map_err(damaged)? {
        if let Some(what) = found.quoting.fault() {
            return Err(fault(found.start, what));
        }
        row.trim();
        if row.len() == 1 && row[0].is_empty() {
            continue;
        }
        if row.len() != header.len() {
            let what = format!("a row of {} fields; expected {}, as in the header", row.len(), header.len());
            return Err(fault(found.start, &what));
        }
        let texts: Vec<&str> = columns.iter().map(|&(_, at)| row.get(at).unwrap_or_default()).collect();
        let Some(key) = row.get(key_place).filter(|key| !key.is_empty()) else { continue };
        if texts.iter().all(|text| text.is_empty()) {
            continue;
        }
        let file = key.replace('\\', "/");
        let known = by_key.entry(file.trim_start_matches("./").to_owned()).or_default();
        known.resize(columns.len(), String::new());
        for ((known, text), (column, _)) in known.iter_mut().zip(texts).zip(&columns) {
            if known.is_empty() {
                *known = text.to_owned();
            } else if !text.is_empty() && known != text {
                return Err(Error::bad_request(format!(
                    "{name} give {:?} two {}, {:?} and {:?}",
                    shown(key),
                    column.in_words(),
                    shown(known),
                    shown(text)
                )));
            }
        }
        if by_key.len() > MAX_ROWS {
            return Err(Error::unsupported(format!("{name} have more than {MAX_ROWS} rows with a label")));
        }
    }
    Ok(KeyedRows { columns, by_key })
}

/// The whole table.
fn bytes_of(path: &Path, name: &str) -> Result<Vec<u8>, Error> {
    let unreadable = |error: std::io::Error| Error::unreadable(format!("{name} cannot be read")).caused_by(&error);
    let too_large = |n_bytes: u64| {
        let (found, most) = (n_bytes >> 20, MAX_TABLE_BYTES >> 20);
        Error::unsupported(format!(
            "{name} have {found} MiB; tables of up to {most} MiB are read\nhint: leave out the columns that are not needed"
        ))
    };
    let file = File::open(path).map_err(unreadable)?;
    let n_bytes = file.metadata().map_err(unreadable)?.len();
    if n_bytes > MAX_TABLE_BYTES {
        return Err(too_large(n_bytes));
    }
    let mut bytes = Vec::new();
    file.take(MAX_TABLE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    match bytes.len() as u64 {
        n_bytes if n_bytes > MAX_TABLE_BYTES => Err(too_large(n_bytes)),
        _ => Ok(bytes),
    }
}

/// Position of a column in the header.
fn position(title: &str, header: &[String], name: &str) -> Result<usize, Error> {
    let mut found = header.iter().enumerate().filter(|(_, other)| *other == title).map(|(at, _)| at);
    match (found.next(), found.next()) {
        (Some(at), None) => Ok(at),
        (Some(first), Some(second)) => Err(Error::bad_request(format!(
            "{name} have two columns {title:?}, the {}. and the {}.\nhint: give columns distinct titles",
            first + 1,
            second + 1
        ))),
        (None, _) => {
            let titles: Vec<_> = header.iter().take(MAX_LISTED).map(|title| shown(title)).collect();
            let more = if header.len() > MAX_LISTED { ", ..." } else { "" };
            Err(Error::bad_request(format!(
                "{name} have no column {title:?}\nhint: the columns are {}{more}",
                titles.join(", ")
            )))
        }
    }
}
