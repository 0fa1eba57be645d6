//! Ids that stand in files.

/// Ids that files bring along may be this long; the host takes 1024 bytes, with the file's id.
const MAX_ID_BYTES: usize = 200;

/// Whether a text can be an id as it is: no white space or control characters, not too long, no step out of a folder.
pub fn is_id(text: &str) -> bool {
    let plain = !text.contains(|c: char| c.is_whitespace() || c.is_control());
    plain && !text.is_empty() && text.len() <= MAX_ID_BYTES && text.split('/').all(|part| part != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_printable_words_that_stay_where_they_are() {
        for id in ["1", "10.1001/jama.2020", "a..b", "ü"] {
            assert!(is_id(id), "{id}");
        }
        for id in ["", "a b", "a\u{7}", "../a", "a/..", &"x".repeat(201)] {
            assert!(!is_id(id), "{id}");
        }
    }
}
