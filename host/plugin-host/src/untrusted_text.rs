//! Text that a plugin wrote: limited in length and safe to print. And the characters that no terminal should be sent.

/// Longest text that is shown, in bytes.
const LONGEST: usize = 4096;
/// Room in bytes for the note about the omitted rest, and around the text.
const WORDS: usize = 64;

/// Whether a character steers a terminal or changes the order of the text around it: control characters of C0 (the line
/// end and the tabulator among them) and C1, separators of lines and paragraphs, and the marks, embeddings, overrides
/// and isolates of bidirectional text.
pub fn steers_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text without characters that would steer a terminal, shortened to 4 KiB. Line ends and tabulators stay.
pub fn untrusted_text(text: &str) -> String {
    untrusted_bytes(text.as_bytes())
}

/// Untrusted bytes as text, as [`untrusted_text`] makes it. Invalid UTF-8 is replaced, and no more is read than is
/// shown.
pub fn untrusted_bytes(bytes: &[u8]) -> String {
    // A text that was shortened before is not shortened again, so that the note at its end stays.
    let limit = if bytes.len() <= LONGEST + WORDS { LONGEST + WORDS } else { LONGEST };
    let mut shown = String::new();
    let mut n_shown = 0;
    'cut: for chunk in bytes[..bytes.len().min(limit)].utf8_chunks() {
        let valid = chunk.valid().chars().map(|c| (c, c.len_utf8()));
        let invalid = Some((char::REPLACEMENT_CHARACTER, chunk.invalid().len())).filter(|&(_, n)| n > 0);
        for (c, n) in valid.chain(invalid) {
            let c = if steers_terminal(c) && c != '\n' && c != '\t' { char::REPLACEMENT_CHARACTER } else { c };
            if shown.len() + c.len_utf8() > limit {
                break 'cut;
            }
            shown.push(c);
            n_shown += n;
        }
    }
    if n_shown < bytes.len() {
        shown.push_str(&format!("... ({} bytes more)", bytes.len() - n_shown));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters_and_control_characters_are_replaced() {
        // The euro sign has three bytes: 4096 is inside of one.
        let cut = untrusted_text(&"\u{20ac}".repeat(2000));
        assert_eq!(cut, format!("{}... (1905 bytes more)", "\u{20ac}".repeat(1365)));
        assert_eq!(untrusted_text("a\x07b\nc"), "a\u{fffd}b\nc");
        assert_eq!(untrusted_text("a\u{202e}b\u{9b}c\u{2066}"), "a\u{fffd}b\u{fffd}c\u{fffd}");
        assert_eq!(untrusted_bytes(b"a\xffb"), "a\u{fffd}b");
        let cut = untrusted_bytes(&[0x80; 5000]);
        assert_eq!(cut, format!("{}... (3635 bytes more)", "\u{fffd}".repeat(1365)));
        assert_eq!(untrusted_text(&format!("code 3: {cut}")), format!("code 3: {cut}"));
    }
}
