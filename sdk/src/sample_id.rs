//! Ids and other texts of samples within the limits of the contract: printable, and not too long.
//!
//! Names of files may hold anything but a slash. Bytes that are no printable text are written as in `\x09`, and an id that is too long keeps its
//! beginning and gets a digest of the whole.

use std::ffi::OsStr;

use sha2::{Digest, Sha256};

/// Longest id in bytes that a host takes.
const MAX_BYTES: usize = 1024;
/// Bytes of the digest that a shortened id ends in.
const DIGEST_BYTES: usize = 8;

/// A name of a file or folder as a part of an id. Names of printable UTF-8 stay as they are; different names never become the same part.
pub(crate) fn part(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        text.push_str(&printable(chunk.valid(), true));
        chunk.invalid().iter().for_each(|&byte| escape(byte, &mut text));
    }
    text
}

/// A text as a host takes it: as it is where it keeps the limits, else with control characters written as in `\x09`, shortened where
/// it is too long, and with a digest of the original at its end, so that different texts stay different.
pub(crate) fn within_limits(text: String) -> String {
    if text.len() <= MAX_BYTES && !text.chars().any(char::is_control) {
        return text;
    }
    shortened(&text, &printable(&text, false))
}

/// The beginning of `text`, and a digest of `id`, from which it was made.
fn shortened(id: &str, text: &str) -> String {
    let digest: String = Sha256::digest(id).iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect();
    let most = MAX_BYTES - digest.len() - 1;
    format!("{}~{digest}", text[..text.floor_char_boundary(most)].trim_end_matches('/'))
}

/// Control characters as in `\x09`. Where the text is `of_a_name`, so is a backslash before an `x`, so that no other name gives the same.
fn printable(text: &str, of_a_name: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let is_mark = of_a_name && letter == '\\' && letters.peek() == Some(&'x');
        if letter.is_control() || is_mark {
            letter.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| escape(byte, &mut out));
        } else {
            out.push(letter);
        }
    }
    out
}

fn escape(byte: u8, out: &mut String) {
    out.push_str(&format!("\\x{byte:02x}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_where_they_are_not_printable_and_stay_distinct() {
        let names: [(&[u8], &str); 7] = [
            ("größe 50%.png".as_bytes(), "größe 50%.png"),
            (b"a\tb.png", "a\\x09b.png"),
            (b"a\\x09b.png", "a\\x5cx09b.png"),
            (b"line\nbreak", "line\\x0abreak"),
            (b"\x1b[31mred", "\\x1b[31mred"),
            (b"f\xfcr.txt", "f\\xfcr.txt"),
            ("\u{85}\\n".as_bytes(), "\\xc2\\x85\\n"),
        ];
        for (name, expected) in names {
            let name = <OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name);
            assert_eq!(part(name), expected);
        }
    }

    #[test]
    fn texts_keep_the_limits_of_the_contract_and_stay_distinct() {
        let long = "f/".repeat(700);
        let texts = ["fine", "a\tb", "a\\x09b", &format!("{long}1"), &format!("{long}2"), &"ö".repeat(600)];
        let found = texts.map(|text| within_limits(text.into()));
        assert_eq!((found[0].as_str(), found[2].as_str()), ("fine", "a\\x09b"));
        assert!(found[1].starts_with("a\\x09b~") && found[3].starts_with("f/f/f/"), "{found:?}");
        let distinct: std::collections::HashSet<&String> = found.iter().collect();
        assert_eq!(distinct.len(), found.len());
        assert!(found.iter().all(|text| text.len() <= MAX_BYTES && !text.chars().any(char::is_control)));
    }
}
