//! From bytes to text: UTF-8, with or without a byte order mark, and UTF-16 with one.
//!
//! Other encodings are refused, not guessed: a wrong guess would end up in a vocabulary or in a label. The message names the encoding where
//! the bytes show it, and how to convert the file.

use std::borrow::Cow;

use crate::Error;

/// How much of a file's beginning is looked at for zero bytes.
const LOOKED_AT: usize = 4096;

/// Order of the bytes of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }
}

/// The text of a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// Without a byte order mark.
    pub text: Cow<'a, str>,
    /// Whether it was UTF-16, as its byte order mark says.
    pub was_utf16: bool,
}

/// The text of a file that messages call `name`.
///
/// # Errors
/// Another encoding, with the line on which that shows and a program that converts it; UTF-16 that is damaged.
pub fn decode<'a>(bytes: &'a [u8], name: &str) -> Result<Decoded<'a>, Error> {
    let body = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
    match body {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => return Err(wide(name, "UTF-32", "UTF-32")),
        [0xff, 0xfe, units @ ..] => return utf16(units, Order::Little, name),
        [0xfe, 0xff, units @ ..] => return utf16(units, Order::Big, name),
        _ => {}
    }
    if !body.is_empty() && body.iter().take(LOOKED_AT).all(|&byte| byte == 0) {
        return Err(Error::corrupt(format!(
            "{name} begins with zero bytes alone; expected text\nhint: copy the file anew"
        )));
    }
    if let Some(order) = unmarked_utf32(body) {
        return Err(wide(name, "UTF-32 without a byte order mark", with_order("UTF-32LE", "UTF-32BE", order)));
    }
    if let Some(order) = unmarked_utf16(body) {
        return Err(wide(name, "UTF-16 without a byte order mark", with_order("UTF-16LE", "UTF-16BE", order)));
    }
    let text = std::str::from_utf8(body).map_err(|error| {
        let at = error.valid_up_to();
        let line = body[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
        refused(name, line, &format!("byte 0x{:02x}", body[at]))
    })?;
    Ok(Decoded { text: text.into(), was_utf16: false })
}

fn with_order<'a>(little: &'a str, big: &'a str, order: Order) -> &'a str {
    match order {
        Order::Little => little,
        Order::Big => big,
    }
}

fn utf16<'a>(units: &[u8], order: Order, name: &str) -> Result<Decoded<'a>, Error> {
    let (pairs, rest) = units.as_chunks::<2>();
    let mut text = String::with_capacity(units.len() / 2);
    let characters = char::decode_utf16(pairs.iter().map(|&pair| order.u16(pair)));
    let damaged = |text: &str, what: &str| {
        let line = text.bytes().filter(|&byte| byte == b'\n').count() + 1;
        Error::corrupt(format!("{name}, line {line}: {what}; expected UTF-16, as the byte order mark says"))
    };
    for character in characters {
        match character {
            Ok(character) => text.push(character),
            Err(error) => {
                let unit = error.unpaired_surrogate();
                return Err(damaged(&text, &format!("half a character, 0x{unit:04x}")));
            }
        }
    }
    if !rest.is_empty() {
        return Err(damaged(&text, "an odd number of bytes"));
    }
    Ok(Decoded { text: text.into(), was_utf16: true })
}

/// UTF-32 in which every unit of the beginning is a character. No text of UTF-8 or UTF-16 is that.
fn unmarked_utf32(body: &[u8]) -> Option<Order> {
    let (units, _) = body[..body.len().min(LOOKED_AT)].as_chunks::<4>();
    let is = |order: &Order| {
        let mut characters = units.iter().map(|&unit| char::from_u32(order.u32(unit)));
        !units.is_empty() && characters.all(|character| character.is_some_and(|character| character != '\0'))
    };
    [Order::Little, Order::Big].into_iter().find(is)
}

/// UTF-16 passes for UTF-8 where its letters are plain, with a zero beside each: more than a quarter of the bytes are zero. Letters of other
/// scripts are no UTF-8, and have zeros beside line ends, blanks and digits alone: then all zeros are at even or at odd places. A stray
/// zero byte in UTF-8 is no such thing.
fn unmarked_utf16(body: &[u8]) -> Option<Order> {
    let beginning = &body[..body.len().min(LOOKED_AT)];
    let (pairs, _) = beginning.as_chunks::<2>();
    let n_zero = |at: usize| pairs.iter().filter(|pair| pair[at] == 0).count();
    let (first, second) = (n_zero(0), n_zero(1));
    let is_plain = first + second > beginning.len() / 4;
    let is_other = first.min(second) == 0 && first.max(second) > 1 && std::str::from_utf8(body).is_err();
    (is_plain || is_other).then_some(if second >= first { Order::Little } else { Order::Big })
}

fn wide(name: &str, found: &str, code: &str) -> Error {
    Error::unsupported(format!(
        "{name}, line 1: {found} found where UTF-8 was expected\nhint: convert the file, for example with iconv -f {code} -t UTF-8"
    ))
}

/// The error for an encoding that is not read, which shows on a line.
pub fn refused(name: &str, line: usize, found: &str) -> Error {
    Error::unsupported(format!(
        "{name}, line {line}: {found} found where UTF-8 was expected\n\
         hint: convert the file from its encoding, for example with iconv -f LATIN1 -t UTF-8 (Western Europe; GB18030 for Chinese, \
         SHIFT_JIS for Japanese)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Result<(String, bool), Error> {
        decode(bytes, "a.txt").map(|decoded| (decoded.text.into_owned(), decoded.was_utf16))
    }

    fn units(text: &str, order: Order) -> Vec<u8> {
        text.encode_utf16()
            .flat_map(|unit| if order == Order::Little { unit.to_le_bytes() } else { unit.to_be_bytes() })
            .collect()
    }

    #[test]
    fn a_byte_order_mark_is_no_text() {
        for (bytes, expected) in [("\u{feff}für", "für"), ("für", "für"), ("\u{feff}", ""), ("", "")] {
            assert_eq!(text(bytes.as_bytes()).unwrap(), (expected.to_owned(), false));
        }
    }

    #[test]
    fn utf16_with_a_byte_order_mark_is_read() {
        for order in [Order::Little, Order::Big] {
            for content in ["id,note\n1,größe\n", "双肺 𝒳\n", ""] {
                let bytes = units(&format!("\u{feff}{content}"), order);
                assert_eq!(text(&bytes).unwrap(), (content.to_owned(), true));
            }
        }
        // By hand: a mark, "a", a line end, the first half of a pair, "b".
        let error = text(b"\xff\xfea\0\n\0\x35\xd8b\0").unwrap_err();
        assert!(error.message().starts_with("a.txt, line 2: half a character, 0xd835; expected UTF-16"), "{error}");
        assert!(text(b"\xff\xfea\0b").unwrap_err().message().contains("an odd number of bytes"));
    }

    #[test]
    fn other_encodings_are_called_what_they_are() {
        let wide = |content: &str, order: Order| units(content, order);
        let utf32 = |content: &str| content.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect::<Vec<u8>>();
        for (bytes, found, code) in [
            (b"o\0n\0e\0".to_vec(), "UTF-16 without a byte order mark", "UTF-16LE"),
            (b"\0o\0n\0e\0\n".to_vec(), "UTF-16 without a byte order mark", "UTF-16BE"),
            (wide("编号,所见\n1,双肺纹理清晰\n", Order::Little), "UTF-16 without a byte order mark", "UTF-16LE"),
            (wide("编号,所见\n1,双肺纹理清晰\n", Order::Big), "UTF-16 without a byte order mark", "UTF-16BE"),
            (utf32("\u{feff}one"), "UTF-32", "UTF-32"),
            (utf32("one\n"), "UTF-32 without a byte order mark", "UTF-32LE"),
            (utf32("双肺"), "UTF-32 without a byte order mark", "UTF-32LE"),
            (b"\0\0\xfe\xff\0\0\0a".to_vec(), "UTF-32", "UTF-32"),
        ] {
            let error = text(&bytes).unwrap_err();
            let expected = format!(
                "a.txt, line 1: {found} found where UTF-8 was expected\nhint: convert the file, for example with iconv -f {code} -t UTF-8"
            );
            assert_eq!((error.message(), error.code()), (expected.as_str(), crate::code::UNSUPPORTED));
        }
        let error = text(b"one\ntwo\nf\xfcr\n").unwrap_err();
        assert!(
            error
                .message()
                .starts_with("a.txt, line 3: byte 0xfc found where UTF-8 was expected\nhint: convert the file"),
            "{error}"
        );
        assert!(error.message().contains("iconv -f LATIN1 -t UTF-8"));
        assert!(text(&[0; 9]).unwrap_err().message().starts_with("a.txt begins with zero bytes alone"));
    }

    #[test]
    fn stray_zero_bytes_are_text() {
        for content in ["one\0two three\n", "gr\0öße", "a\0b\0ü cdef ghij klmn\n"] {
            assert_eq!(text(content.as_bytes()).unwrap(), (content.to_owned(), false));
        }
    }
}
