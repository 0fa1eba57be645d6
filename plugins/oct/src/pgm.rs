//! PGM images (P5, binary) of 8 and 16 bits: a header in text, then the pixels, the high byte of 16 bits first.

use medcoss_sdk::image::Image;
use medcoss_sdk::{Error, FoundFile};

/// Largest file in bytes, and most pixels of an image.
const MAX_BYTES: u64 = 1 << 28;
const MAX_PIXELS: usize = 1 << 26;

/// Reads an image as grey in `[0, 1]`.
///
/// # Errors
/// A file that is missing, damaged, cut off, or PGM in text (P2).
pub(crate) fn read(file: &FoundFile) -> Result<Image, Error> {
    decode(&file.read_at_most(MAX_BYTES)?).map_err(|error| error.in_context(&file.id))
}

/// Whether a file begins as PGM does.
pub(crate) fn has_signature(first: [u8; 4]) -> bool {
    matches!(first, [b'P', b'2' | b'5', blank, _] if blank.is_ascii_whitespace() || blank == b'#')
}

fn decode(bytes: &[u8]) -> Result<Image, Error> {
    match bytes.get(..2) {
        Some(b"P5") => {}
        Some(b"P2") => {
            return Err(Error::unsupported("it is PGM in text (P2); binary PGM (P5) is read\nhint: convert it to PNG"));
        }
        _ => return Err(Error::corrupt("it does not begin as PGM does")),
    }
    let mut rest = &bytes[2..];
    let mut next = |what: &str| {
        number(&mut rest).ok_or_else(|| Error::corrupt(format!("its header has no {what}, a number above 0")))
    };
    let (width, height, most) = (next("width")?, next("height")?, next("largest value")?);
    // One blank stands between the header and the pixels.
    let pixels = rest.get(1..).unwrap_or_default();
    let n = width.saturating_mul(height);
    if n > MAX_PIXELS || most > 65_535 {
        return Err(Error::unsupported(format!(
            "it is {width}x{height} with values up to {most}; up to {MAX_PIXELS} pixels of 16 bits are read"
        )));
    }
    let n_bytes = if most > 255 { 2 } else { 1 };
    let Some(pixels) = pixels.get(..n * n_bytes) else {
        let found = pixels.len();
        return Err(Error::corrupt(format!("it is cut off: of {} bytes of pixels {found} are there", n * n_bytes)));
    };
    let unit = |value: u16| (f32::from(value) / most as f32).min(1.0);
    let values = match n_bytes {
        1 => pixels.iter().map(|&value| unit(value.into())).collect(),
        _ => pixels.as_chunks::<2>().0.iter().map(|&pair| unit(u16::from_be_bytes(pair))).collect(),
    };
    Image::new([height, width, 1], values)
}

/// The next number of a header, above 0, after blanks and comments, which reach from `#` to the end of their line.
fn number(rest: &mut &[u8]) -> Option<usize> {
    loop {
        match rest.first()? {
            b'#' => {
                let end = rest.iter().position(|&byte| byte == b'\n')?;
                *rest = &rest[end..];
            }
            byte if byte.is_ascii_whitespace() => *rest = &rest[1..],
            _ => break,
        }
    }
    let n_digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, behind) = rest.split_at(n_digits);
    *rest = behind;
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|&number| number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_and_sixteen_bits_and_comments_are_read() {
        let image = decode(b"P5\n# by a device\n3 2\n255\n\x00\x33\x66\x99\xcc\xff").unwrap();
        assert_eq!((image.width(), image.height()), (3, 2));
        assert!(image.pixels().iter().zip([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]).all(|(a, b)| (a - b).abs() < 1e-6));
        // A pixel that looks like a blank is one.
        assert_eq!(decode(b"P5 2 1 10 \x0a\x05").unwrap().pixels(), [1.0, 0.5]);
        let image = decode(b"P5 1 2 1000\n\x01\xf4\x03\xe8").unwrap();
        assert_eq!(image.pixels(), [0.5, 1.0]);
    }

    #[test]
    fn what_is_damaged_or_too_large_is_refused() {
        for (bytes, what) in [
            (&b"P5\n3 2\n255\n\x00\x33"[..], "it is cut off: of 6 bytes of pixels 2 are there"),
            (b"P5\n3", "no height"),
            (b"P5\n0 2 255\n", "no width"),
            (b"P5\n3 x 255\n", "no height"),
            (b"P5\n99999 99999 255\n", "99999x99999"),
            (b"P5\n18446744073709551615 2 255\n", "18446744073709551615x2"),
            (b"P5\n2 2 70000\n", "up to 70000"),
            (b"P2\n1 1 255\n7", "in text"),
            (b"", "begin"),
            (b"P5 # without end", "no width"),
        ] {
            let error = decode(bytes).unwrap_err();
            assert!(error.message().contains(what), "{error}");
        }
    }
}
