//! Cleaning of radiology reports as in the MedCoSS reference, which took it from others who learn from MIMIC-CXR: sentences, words,
//! ASCII. Which rows and columns are read is not here.

use std::sync::LazyLock;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Cleaning of texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Cleaning {
    /// Texts are taken as they are.
    #[default]
    None,
    /// As the reference cleans reports.
    Reference,
}

/// Least words of a piece between full stops, and of a report.
const MIN_WORDS: (usize, usize) = (2, 3);

/// Where a report is cut: a number of a list, or the end of a sentence.
static CUTS: LazyLock<Result<Regex, regex::Error>> = LazyLock::new(|| Regex::new(r"[0-9]*\."));
/// Letters, digits and underscores of any script; marks are none.
static WORDS: LazyLock<Result<Regex, regex::Error>> = LazyLock::new(|| Regex::new(r"[\p{L}\p{N}_]+"));

/// Why a report is left out, as the end of a sentence that begins with the number of such reports.
pub const NO_SENTENCE: &str = "without a sentence of two words or more";
/// As [`NO_SENTENCE`].
pub const TOO_FEW_WORDS: &str = "of fewer than three words";

/// A report in lower-case words of ASCII, separated by blanks.
///
/// It is cut at each run of digits with a full stop and at each full stop; both vanish. In each piece two replacement characters in a row
/// become a blank, and all but letters, digits and underscores separates words. A piece of fewer than two words is dropped. Characters
/// outside of ASCII are then deleted from words, and empty words dropped.
///
/// # Errors
/// Why the report is left out.
pub fn cleaned(report: &str) -> Result<String, &'static str> {
    let (Ok(cuts), Ok(words)) = (&*CUTS, &*WORDS) else { return Ok(report.to_owned()) };
    let (mut text, mut n_words) = (String::with_capacity(report.len()), 0);
    for piece in cuts.split(report) {
        let piece = piece.replace("\u{fffd}\u{fffd}", " ").to_lowercase();
        let found: Vec<&str> = words.find_iter(&piece).map(|word| word.as_str()).collect();
        if found.len() < MIN_WORDS.0 {
            continue;
        }
        for word in found {
            let start = text.len();
            text.extend(word.chars().filter(char::is_ascii));
            if text.len() > start {
                text.push(' ');
                n_words += 1;
            }
        }
    }
    text.pop();
    match n_words {
        0 => Err(NO_SENTENCE),
        n if n < MIN_WORDS.1 => Err(TOO_FEW_WORDS),
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_lists_and_full_stops_cut_and_vanish() {
        assert_eq!(
            cleaned("1. The lungs are clear.\n2. Heart size is 2.5 cm.").unwrap(),
            "the lungs are clear heart size is 5 cm"
        );
        assert_eq!(cleaned("No change.. of the tube").unwrap(), "no change of the tube");
    }

    #[test]
    fn short_pieces_are_dropped_before_characters_outside_of_ascii_are() {
        // One word only after deletion, but two before.
        assert_eq!(cleaned("No change. 无 变化 stable. Tube in place.").unwrap(), "no change stable tube in place");
        assert_eq!(cleaned("Normal. The œdème: is mild\u{fffd}\u{fffd}now").unwrap(), "the dme is mild now");
        // A mark is no part of a word, whatever it stands above.
        assert_eq!(cleaned("cafe\u{301}s are open").unwrap(), "cafe s are open");
    }

    #[test]
    fn reports_without_enough_words_say_why() {
        assert_eq!(cleaned("Normal. Clear. Stable."), Err(NO_SENTENCE));
        assert_eq!(cleaned("Stable chest. 1. Normal."), Err(TOO_FEW_WORDS));
        assert_eq!(cleaned(""), Err(NO_SENTENCE));
        assert_eq!(cleaned("a b c").unwrap(), "a b c");
    }
}
