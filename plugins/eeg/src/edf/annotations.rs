//! The annotation signal of EDF+: lists of an onset, a duration and texts in each data record.
//!
//! A list is `+onset[21 duration]20 text 20 text 20 0`, with the numbers as bytes. The first list of a record has an
//! empty text and says when the record begins.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use medcoss_sdk::Error;

use super::header::Header;

/// Most annotations of a file, and bytes of a text.
const MAX_ANNOTATIONS: usize = 1 << 20;
const MAX_TEXT_BYTES: usize = 1024;
/// Most bytes of a signal in a record that are read at once.
const MAX_BYTES: u64 = 1 << 26;

/// A text at a time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Annotation {
    /// Seconds.
    pub onset: f64,
    /// Seconds; 0 where none is stated.
    pub duration: f64,
    /// 1 to 1024 bytes of printable characters.
    pub text: String,
}

/// What is written in all records.
pub(super) struct Records {
    /// When each record begins, in seconds; `None` where the record does not say.
    pub onsets: Vec<Option<f64>>,
    pub annotations: Vec<Annotation>,
}

/// Reads the annotation signals of all records. The first of several says when records begin.
///
/// # Errors
/// A file that cannot be read, lists that are damaged, more than [`MAX_ANNOTATIONS`] texts.
pub(super) fn read(path: &Path, header: &Header) -> Result<Records, Error> {
    let signals: Vec<usize> =
        (0..header.signals.len()).filter(|&signal| header.signals[signal].is_annotation).collect();
    let mut file = BufReader::new(File::open(path).map_err(|error| unreadable(path, &error))?);
    let mut found = Records { onsets: Vec::new(), annotations: Vec::new() };
    for record in 0..header.n_records {
        for (at, &signal) in signals.iter().enumerate() {
            let bytes = bytes_of(&mut file, path, header, signal, record)?;
            let onset = add(&bytes, &mut found.annotations)
                .ok_or_else(|| Error::corrupt(format!("the annotations of its data record {record} are damaged")))?;
            if at == 0 {
                found.onsets.push(onset);
            }
        }
        if found.annotations.len() > MAX_ANNOTATIONS {
            return Err(Error::unsupported(format!("it has more than {MAX_ANNOTATIONS} annotations")));
        }
    }
    Ok(found)
}

/// The bytes of a signal in a record.
///
/// # Errors
/// A file that has become shorter, a signal of more than [`MAX_BYTES`].
pub(super) fn bytes_of(
    file: &mut (impl Read + Seek),
    path: &Path,
    header: &Header,
    signal: usize,
    record: u64,
) -> Result<Vec<u8>, Error> {
    let own = &header.signals[signal];
    let n_bytes = own.n_samples * header.width.bytes();
    if n_bytes > MAX_BYTES {
        return Err(Error::unsupported(format!(
            "its signal {signal} has {} MiB in a data record; up to {} MiB are read at once",
            n_bytes >> 20,
            MAX_BYTES >> 20
        )));
    }
    let mut bytes = vec![0; n_bytes as usize];
    let start = header.record_start(record) + own.offset;
    file.seek(SeekFrom::Start(start))
        .and_then(|_| file.read_exact(&mut bytes))
        .map_err(|error| unreadable(path, &error))?;
    Ok(bytes)
}

/// Adds the annotations of a record's bytes, and gives the onset of the first list. `None` where a list is damaged.
fn add(bytes: &[u8], annotations: &mut Vec<Annotation>) -> Option<Option<f64>> {
    let mut first = None;
    for list in bytes.split(|&byte| byte == 0).filter(|list| !list.is_empty()) {
        let mut parts = list.split(|&byte| byte == 20);
        let mut times = parts.next()?.split(|&byte| byte == 21);
        let onset = seconds(times.next()?)?;
        let duration = match times.next() {
            Some(duration) if !duration.is_empty() => seconds(duration)?,
            _ => 0.0,
        };
        first.get_or_insert(onset);
        for text in parts {
            let text = printable(text);
            if !text.is_empty() && annotations.len() <= MAX_ANNOTATIONS {
                annotations.push(Annotation { onset, duration, text });
            }
        }
    }
    Some(first)
}

fn seconds(digits: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(digits).ok()?.trim().parse().ok()?;
    number.is_finite().then_some(number)
}

/// A text as a label may be: without control characters, of up to [`MAX_TEXT_BYTES`] bytes.
fn printable(bytes: &[u8]) -> String {
    let mut text = String::new();
    for letter in String::from_utf8_lossy(bytes).trim().chars().filter(|letter| !letter.is_control()) {
        if text.len() + letter.len_utf8() > MAX_TEXT_BYTES {
            break;
        }
        text.push(letter);
    }
    text.trim().to_owned()
}

pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::unreadable(format!("{} cannot be read", path.display())).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_an_onset_a_duration_and_texts() {
        let mut found = Vec::new();
        let bytes = b"+12\x14\x14\0+12.5\x153.25\x14eyes closed\x14 second \x14\0-0.5\x14before\x14\0\0\0\0";
        assert_eq!(add(bytes, &mut found), Some(Some(12.0)));
        let annotation = |onset, duration, text: &str| Annotation { onset, duration, text: text.into() };
        let expected =
            [annotation(12.5, 3.25, "eyes closed"), annotation(12.5, 3.25, "second"), annotation(-0.5, 0.0, "before")];
        assert_eq!(found, expected);
        assert_eq!(add(b"\0\0\0\0", &mut found), Some(None));
    }

    #[test]
    fn what_is_no_list_is_damaged() {
        for bytes in [&b"12a\x14\x14\0"[..], b"\x14\x14\0", b"+1\x15x\x14text\x14\0", b"+inf\x14\x14", b"\xff\xff"] {
            assert_eq!(add(bytes, &mut Vec::new()), None, "{bytes:?}");
        }
    }

    #[test]
    fn texts_are_printable_and_bounded() {
        assert_eq!(printable(" a\tb\u{7}c ".as_bytes()), "abc");
        assert_eq!(printable(&[b'x'; 3000]).len(), 1024);
        assert_eq!(printable(b"\xff"), "\u{fffd}");
    }
}
