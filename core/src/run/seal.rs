//! Seals: a text file that carries the digest of its own bytes, so that a single changed one is noticed.
//!
//! The writer leaves a place for the digest, [`UNSEALED`], behind a marker; the digest is that of the text with the place
//! still empty. So the seal works for any text format, and covers every byte of the file but its own 64.

use sha2::{Digest, Sha256};

use super::files::hexadecimal;

/// What stands where a seal will be: 64 zeros.
pub const UNSEALED: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Fills the first empty place behind `marker` with the digest of the text.
pub fn seal(text: &str, marker: &str) -> String {
    let place = format!("{marker}{UNSEALED}");
    text.replacen(&place, &format!("{marker}{}", digest(text.as_bytes())), 1)
}

/// Whether the text still is as it was sealed.
///
/// # Errors
/// No seal behind `marker`, or one that does not fit; in words, without the file's name.
pub fn check_seal(text: &[u8], marker: &str) -> Result<(), String> {
    let start = text.windows(marker.len()).position(|window| window == marker.as_bytes()).map(|at| at + marker.len());
    let place = start.and_then(|start| Some(start..start + text.get(start..start + UNSEALED.len())?.len()));
    let Some(place) = place else { return Err(format!("it has no checksum (looked for {marker:?})")) };
    let mut unsealed = text.to_vec();
    let found = String::from_utf8_lossy(&unsealed[place.clone()]).into_owned();
    unsealed[place].copy_from_slice(UNSEALED.as_bytes());
    let expected = digest(&unsealed);
    if found == expected { Ok(()) } else { Err(format!("it records the checksum {found}, its content has {expected}")) }
}

fn digest(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_a_sealed_text_is_noticed() {
        let text = format!("{{\n  \"seal\": \"{UNSEALED}\",\n  \"epochs\": 7\n}}\n");
        let sealed = seal(&text, "\"seal\": \"");
        assert_ne!(sealed, text);
        check_seal(sealed.as_bytes(), "\"seal\": \"").unwrap();
        for bit in 0..8 * sealed.len() {
            let mut broken = sealed.clone().into_bytes();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(check_seal(&broken, "\"seal\": \"").is_err(), "bit {bit}");
        }
        for cut in 0..sealed.len() {
            assert!(check_seal(&sealed.as_bytes()[..cut], "\"seal\": \"").is_err(), "cut at {cut}");
        }
    }
}
