//! Checksums inside of text files: a file carries the SHA-256 of its own bytes, so that every changed byte is detected.
//!
//! The writer leaves [`CHECKSUM_PLACEHOLDER`] after a marker. The checksum is that of the text with the placeholder still in place. So it
//! works for any text format, and covers every byte of the file but its own 64.

use sha2::{Digest, Sha256};

use super::files::hexadecimal;

/// Placeholder of a checksum that is not known yet: 64 zeros.
pub const CHECKSUM_PLACEHOLDER: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Replaces the first placeholder after `marker` with the checksum of the text.
pub fn insert_checksum(text: &str, marker: &str) -> String {
    let place = format!("{marker}{CHECKSUM_PLACEHOLDER}");
    text.replacen(&place, &format!("{marker}{}", digest(text.as_bytes())), 1)
}

/// Verifies a text against the checksum that the text carries after `marker`.
///
/// # Errors
/// No checksum after `marker`, or another one than the text has; in words, without the file's name.
pub fn verify_checksum(text: &[u8], marker: &str) -> Result<(), String> {
    let start = text.windows(marker.len()).position(|window| window == marker.as_bytes()).map(|at| at + marker.len());
    let place = start.and_then(|start| Some(start..start + text.get(start..start + CHECKSUM_PLACEHOLDER.len())?.len()));
    let Some(place) = place else { return Err(format!("it has no checksum (looked for {marker:?})")) };
    let mut without = text.to_vec();
    let found = String::from_utf8_lossy(&without[place.clone()]).into_owned();
    without[place].copy_from_slice(CHECKSUM_PLACEHOLDER.as_bytes());
    let expected = digest(&without);
    if found == expected { Ok(()) } else { Err(format!("it records the checksum {found}, its content has {expected}")) }
}

fn digest(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_a_text_with_a_checksum_is_detected() {
        let text = format!("{{\n  \"checksum\": \"{CHECKSUM_PLACEHOLDER}\",\n  \"epochs\": 7\n}}\n");
        let text_with_checksum = insert_checksum(&text, "\"checksum\": \"");
        assert_ne!(text_with_checksum, text);
        verify_checksum(text_with_checksum.as_bytes(), "\"checksum\": \"").unwrap();
        for bit in 0..8 * text_with_checksum.len() {
            let mut broken = text_with_checksum.clone().into_bytes();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(verify_checksum(&broken, "\"checksum\": \"").is_err(), "bit {bit}");
        }
        for cut in 0..text_with_checksum.len() {
            assert!(
                verify_checksum(&text_with_checksum.as_bytes()[..cut], "\"checksum\": \"").is_err(),
                "cut at {cut}"
            );
        }
    }
}
