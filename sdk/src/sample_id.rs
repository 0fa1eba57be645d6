//! Sample ids within the limits of the contract: printable, and not too long.
//!
//! Names of files may hold anything but a slash. Bytes that are no printable text are written as in `\x09`, and an id that is too long keeps its
//! beginning and gets a digest of the whole.

use std::collections::HashSet;
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

/// The ids of a dataset, so that a host takes them: as they are where they keep the limits, else with control characters written as in
/// `\x09` and shortened.
pub(crate) fn within_limits(ids: Vec<String>) -> Vec<String> {
    let is_fine = |id: &String| id.len() <= MAX_BYTES && !id.chars().any(char::is_control);
    if ids.iter().all(is_fine) {
        return ids;
    }
    let taken: HashSet<String> = ids.iter().filter(|id| is_fine(id)).cloned().collect();
    let changed = |id: String| {
        if is_fine(&id) {
            return id;
        }
        let text = printable(&id, false);
        if text.len() <= MAX_BYTES && !taken.contains(&text) { text } else { shortened(&id, &text) }
    };
    ids.into_iter().map(changed).collect()
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
    fn ids_keep_the_limits_of_the_contract_and_stay_unique() {
        let long = "f/".repeat(700);
        let ids = ["fine", "a\tb", "a\\x09b", &format!("{long}1"), &format!("{long}2"), &"ö".repeat(600)];
        let found = within_limits(ids.map(String::from).to_vec());
        assert_eq!((found[0].as_str(), found[2].as_str()), ("fine", "a\\x09b"));
        // The escaped form is taken by another sample.
        assert!(found[1].starts_with("a\\x09b~") && found[3].starts_with("f/f/f/"), "{found:?}");
        let distinct: HashSet<&String> = found.iter().collect();
        assert_eq!(distinct.len(), found.len());
        assert!(found.iter().all(|id| id.len() <= MAX_BYTES && !id.chars().any(char::is_control)));
        assert_eq!(within_limits(vec!["a\tb".into()]), ["a\\x09b"]);
    }
}
