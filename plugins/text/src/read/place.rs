//! Where in a file something is: line numbers, names of columns, and ids made of them. Readers share it.

use medcoss_sdk::Error;

/// Ids that files bring along may be this long; the host takes 1024 bytes, with the file's id.
const MAX_ID_BYTES: usize = 200;
/// Names of columns that a message lists at most.
const MAX_LISTED: usize = 20;
/// Characters of a file's content that a message shows at most.
const MAX_SHOWN: usize = 40;

/// Id of what stands on a line, as it follows the file's id: the number counts from 1 and is padded, so that ids sort as
/// the lines do.
pub fn line_place(line: u64) -> String {
    format!("#L{line:07}")
}

/// True for what can be an id as it is: no white space or control characters, not too long, no step out of a folder.
pub fn is_id(text: &str) -> bool {
    let plain = !text.contains(|c: char| c.is_whitespace() || c.is_control());
    plain && !text.is_empty() && text.len() <= MAX_ID_BYTES && text.split('/').all(|part| part != "..")
}

/// The beginning of a text that may be long, in quotation marks.
pub fn shown(text: &str) -> String {
    let beginning: String = text.chars().take(MAX_SHOWN).collect();
    let more = if beginning.len() < text.len() { "..." } else { "" };
    format!("{beginning:?}{more}")
}

/// Numbers of lines, for places that are asked for in their order. A line ends with LF, CR LF or CR.
pub struct LineCounter<'a> {
    content: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> LineCounter<'a> {
    pub fn new(content: &'a str) -> Self {
        Self { content: content.as_bytes(), at: 0, line: 1 }
    }

    /// The line on which a byte is, from 1. Never less than the last answer.
    pub fn line_of(&mut self, byte: usize) -> u64 {
        let byte = byte.min(self.content.len());
        while self.at < byte {
            let next = self.content.get(self.at + 1);
            let ends = match self.content[self.at] {
                b'\n' => true,
                b'\r' => next != Some(&b'\n'),
                _ => false,
            };
            self.line += u64::from(ends);
            self.at += 1;
        }
        self.line
    }
}

/// Position of a column among `names`: the one that is asked for, or the only one.
pub fn position_of(asked: Option<&str>, option: &str, names: &[&str], place: &str) -> Result<usize, Error> {
    match asked {
        Some(asked) => {
            names.iter().position(|name| name.trim() == asked).ok_or_else(|| no_column(asked, option, names, place))
        }
        None if names.len() == 1 => Ok(0),
        None => Err(Error::bad_request(format!(
            "{place} has {} columns: {}\nhint: say with option {option} which one to read",
            names.len(),
            listed(names)
        ))),
    }
}

/// The error for a column that is not there.
pub fn no_column(asked: &str, option: &str, names: &[&str], place: &str) -> Error {
    let listed = listed(names);
    Error::bad_request(format!("{place} has no column {asked:?}, which option {option} asks for; it has {listed}"))
}

fn listed(names: &[&str]) -> String {
    let shown: Vec<_> = names.iter().take(MAX_LISTED).map(|name| shown(name)).collect();
    let more = if names.len() > MAX_LISTED { ", ..." } else { "" };
    shown.join(", ") + more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_whatever_ends_them() {
        let content = "a\nb\r\nc\rd";
        let mut lines = LineCounter::new(content);
        let found: Vec<_> = "abcd".chars().map(|c| lines.line_of(content.find(c).unwrap())).collect();
        assert_eq!(found, [1, 2, 3, 4]);
        assert_eq!(lines.line_of(999), 4);
    }

    #[test]
    fn ids_are_short_printable_words_that_stay_where_they_are() {
        for id in ["1", "10.1001/jama.2020", "a..b", "ü"] {
            assert!(is_id(id), "{id}");
        }
        for id in ["", "a b", "a\u{7}", "../a", "a/..", &"x".repeat(201)] {
            assert!(!is_id(id), "{id}");
        }
    }

    #[test]
    fn messages_show_only_the_beginning_of_what_is_long() {
        assert_eq!(shown("short"), "\"short\"");
        assert_eq!(shown(&"ü".repeat(41)), format!("\"{}\"...", "ü".repeat(40)));
        let many = vec!["c"; 21];
        let message = position_of(None, "text_column", &many, "a.csv").unwrap_err();
        assert!(message.message().contains("21 columns") && message.message().contains("\"c\", ...\n"), "{message}");
    }

    #[test]
    fn columns_are_found_by_name_or_for_being_alone() {
        let names = ["id", " text "];
        assert_eq!(position_of(Some("text"), "text_column", &names, "a.csv").unwrap(), 1);
        assert_eq!(position_of(None, "text_column", &["only"], "a.csv").unwrap(), 0);
        let error = position_of(None, "text_column", &names, "a.csv").unwrap_err();
        assert!(error.message().contains("a.csv has 2 columns: \"id\", \" text \""), "{error}");
        let error = position_of(Some("note"), "label_column", &names, "a.csv").unwrap_err();
        assert!(error.message().contains("\"note\"") && error.message().contains("label_column"), "{error}");
    }
}
