//! From bytes to text: UTF-8, with or without a byte order mark, and nothing else.
//!
//! Other encodings are refused, not guessed: a wrong guess would end up in the vocabulary. They are refused when the data
//! are opened, also for one file of many, since its author probably wrote others in Latin-1 too, whose letters
//! happened to be plain.

use medcoss_sdk::Error;

const HINT: &str = "hint: convert the file, for example with iconv --from-code LATIN1 --to-code UTF-8";
/// How much of a file's beginning is looked at for zero bytes.
const LOOKED_AT: usize = 4096;

/// UTF-8 without its byte order mark.
///
/// # Errors
/// Another encoding, with the line on which that shows.
pub fn decode<'a>(bytes: &'a [u8], name: &str) -> Result<&'a str, Error> {
    let marked = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let body = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
    if marked || has_wide_characters(body) {
        return Err(refused(name, 1, "UTF-16"));
    }
    std::str::from_utf8(body).map_err(|error| {
        let at = error.valid_up_to();
        let line = body[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
        refused(name, line, &format!("byte 0x{:02x}", body[at]))
    })
}

/// UTF-16 without a mark passes for UTF-8 where its letters are plain, with a zero beside each. A stray zero byte is none,
/// and harmless: normalising drops it.
fn has_wide_characters(body: &[u8]) -> bool {
    let beginning = &body[..body.len().min(LOOKED_AT)];
    beginning.iter().filter(|&&byte| byte == 0).count() > beginning.len() / 4
}

/// The error for an encoding that is not read.
pub fn refused(name: &str, line: usize, found: &str) -> Error {
    Error::unsupported(format!("{name}, line {line}: {found} found where UTF-8 was expected\n{HINT}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_no_text() {
        assert_eq!(decode("\u{feff}für".as_bytes(), "a.txt").unwrap(), "für");
        assert_eq!(decode("für".as_bytes(), "a.txt").unwrap(), "für");
        assert_eq!(decode(b"\xef\xbb\xbf", "a.txt").unwrap(), "");
        assert_eq!(decode(b"", "a.txt").unwrap(), "");
    }

    #[test]
    fn other_encodings_are_refused_with_file_and_line() {
        let error = decode(b"one\ntwo\nf\xfcr\n", "a.txt").unwrap_err();
        let expected = "a.txt, line 3: byte 0xfc found where UTF-8 was expected\nhint:";
        assert!(error.message().starts_with(expected), "{error}");
        assert_eq!(error.code(), medcoss_sdk::code::UNSUPPORTED);
        // Little and big endian, marked and not.
        for bytes in [&b"\xff\xfeo\0n\0"[..], b"\xfe\xff\0o\0n", b"o\0n\0e\0", b"\0o\0n\0e\0\n"] {
            let error = decode(bytes, "b.txt").unwrap_err();
            assert!(error.message().starts_with("b.txt, line 1: UTF-16"), "{error}");
        }
    }

    #[test]
    fn a_stray_zero_byte_is_text() {
        assert_eq!(decode(b"one\0two three\n", "a.txt").unwrap(), "one\0two three\n");
    }
}
