//! Text that a plugin wrote: limited in length and safe to print.

/// Longest text that is shown, in bytes.
const LONGEST: usize = 4096;

/// The text, cut to 4 KiB, without characters that would steer a terminal; line ends and tabulators stay.
pub(crate) fn foreign_text(text: &str) -> String {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut shown: String = text[..end]
        .chars()
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if end < text.len() {
        shown.push_str(&format!("... ({} bytes more)", text.len() - end));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters_and_control_characters_are_replaced() {
        // The euro sign has three bytes: 4096 is inside of one.
        let cut = foreign_text(&"\u{20ac}".repeat(2000));
        assert_eq!(cut, format!("{}... (1905 bytes more)", "\u{20ac}".repeat(1365)));
        assert_eq!(foreign_text("a\x07b\nc"), "a\u{fffd}b\nc");
    }
}
