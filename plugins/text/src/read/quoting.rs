//! Content of files in messages.

/// Characters of a file's content that a message shows at most.
const MAX_SHOWN: usize = 40;

/// The beginning of a text that may be long, in quotation marks.
pub fn shown(text: &str) -> String {
    let beginning: String = text.chars().take(MAX_SHOWN).collect();
    let more = if beginning.len() < text.len() { "..." } else { "" };
    format!("{beginning:?}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_truncated() {
        assert_eq!(shown("short"), "\"short\"");
        assert_eq!(shown(&"ü".repeat(41)), format!("\"{}\"...", "ü".repeat(40)));
    }
}
