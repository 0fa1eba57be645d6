//! The rules of a tokenizer.json, checked before the library runs any of them: how much longer they can make a text, and how long they can
//! take.
//!
//! A file of a few hundred bytes can double a text thirty times, or state a regular expression that backtracks for ever. The library applies
//! such rules without a limit, already to the file's own tokens when it is loaded.

use medcoss_sdk::{Error, serde_json};
use regex::RegexBuilder;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// How many times as long rules may make any text.
const MAX_GROWTH: u64 = 16;
/// Bytes of all added tokens, after the rules were applied to them.
const MAX_ADDED_BYTES: u64 = 1 << 24;
/// Rules of one list, and how deep lists are nested.
const MAX_RULES: usize = 64;
const MAX_DEPTH: usize = 4;
/// Longest text of a rule in bytes.
const MAX_TEXT_BYTES: usize = 4096;
/// Memory of a compiled regular expression.
const MAX_REGEX_BYTES: usize = 1 << 22;
/// Longest word in characters that WordPiece may cut: its time is quadratic.
const MAX_WORD_CHARS: u64 = 1000;
/// An alternative of GPT's expressions that looks ahead, and costs nothing.
const LOOKS_AHEAD: &str = "|\\s+(?!\\S)";

/// The parts of a tokenizer.json that cost time and memory.
#[derive(Deserialize)]
struct File {
    normalizer: Option<Rule>,
    pre_tokenizer: Option<Rule>,
    decoder: Option<Rule>,
    model: Option<Model>,
    #[serde(default)]
    added_tokens: AddedBytes,
}

#[derive(Deserialize)]
struct Model {
    max_input_chars_per_word: Option<u64>,
}

#[derive(Deserialize)]
struct Rule {
    #[serde(default, rename = "type")]
    kind: String,
    pattern: Option<Pattern>,
    content: Option<String>,
    prepend: Option<String>,
    precompiled_charsmap: Option<String>,
    #[serde(default, alias = "pretokenizers", alias = "decoders")]
    normalizers: Rules,
}

#[derive(Deserialize)]
enum Pattern {
    String(String),
    Regex(String),
}

/// At most [`MAX_RULES`] rules.
#[derive(Default)]
struct Rules(Vec<Rule>);

/// The sum of the tokens' lengths.
#[derive(Default)]
struct AddedBytes(u64);

#[derive(Deserialize)]
struct AddedToken {
    content: String,
}

/// Checks a file that messages call `name`.
///
/// # Errors
/// A file that is no tokenizer.json, rules that could make a text much longer or take much time.
pub(super) fn check(bytes: &[u8], name: &str) -> Result<(), Error> {
    let file: File = serde_json::from_slice(bytes)
        .map_err(|error| Error::corrupt(format!("{name} is no tokenizer.json")).caused_by(&error))?;
    let refuse = |what: String| Error::unsupported(format!("{name} {what}"));
    let growth = |rule: &Option<Rule>| rule.as_ref().map_or(Ok(1), |rule| rule.growth(0)).map_err(refuse);
    let normalised = growth(&file.normalizer)?;
    for (found, what) in [
        (normalised.saturating_mul(growth(&file.pre_tokenizer)?), "normalizer and pre_tokenizer"),
        (growth(&file.decoder)?, "decoder"),
    ] {
        if found > MAX_GROWTH {
            let what =
                format!("has rules ({what}) that can make a text {found} times as long; at most {MAX_GROWTH} is used");
            return Err(refuse(what));
        }
    }
    let AddedBytes(added) = file.added_tokens;
    if added.saturating_mul(normalised) > MAX_ADDED_BYTES {
        return Err(refuse(format!("has added tokens of {added} bytes; at most {MAX_ADDED_BYTES} are used")));
    }
    match file.model.and_then(|model| model.max_input_chars_per_word) {
        Some(found) if found > MAX_WORD_CHARS => {
            Err(refuse(format!("has a max_input_chars_per_word of {found}; at most {MAX_WORD_CHARS} is used")))
        }
        _ => Ok(()),
    }
}

impl Rule {
    /// How many times as long the rule can make a text; the text says why it is refused, as the end of a sentence that begins with the file's
    /// name.
    fn growth(&self, depth: usize) -> Result<u64, String> {
        if depth == MAX_DEPTH {
            return Err(format!("has rules that are nested more than {MAX_DEPTH} deep"));
        }
        let texts = [self.content.as_deref(), self.prepend.as_deref()];
        if let Some(found) = texts.into_iter().flatten().map(str::len).find(|&found| found > MAX_TEXT_BYTES) {
            return Err(format!("has a rule with a text of {found} bytes; at most {MAX_TEXT_BYTES} are used"));
        }
        let own = match (&self.pattern, &self.content, &self.precompiled_charsmap) {
            // A pattern matches one byte at least, or the place before one.
            (Some(pattern), Some(content), _) => 1 + content.len() as u64 / pattern.least_bytes()?,
            (Some(pattern), None, _) => pattern.least_bytes().map(|_| 1)?,
            (.., Some(map)) => longest_replacement(map)?,
            _ => match self.kind.as_str() {
                "Sequence" | "Prepend" | "Strip" | "Split" | "Whitespace" | "WhitespaceSplit" | "Punctuation"
                | "Digits" | "BertPreTokenizer" | "UnicodeScripts" | "CharDelimiterSplit" | "FixedLength"
                | "WordPiece" | "Fuse" | "BPEDecoder" | "ByteFallback" | "CTC" => 1,
                "ByteLevel" => 2,
                // Decomposed letters; the longest ligature has eleven times its bytes, but texts are not made of it.
                "BertNormalizer" | "Lowercase" | "StripAccents" | "Nmt" | "NFC" | "NFD" | "NFKC" | "NFKD" => 2,
                _ => 4,
            },
        };
        let below = self
            .normalizers
            .0
            .iter()
            .try_fold(1_u64, |product, rule| Ok::<_, String>(product.saturating_mul(rule.growth(depth + 1)?)))?;
        Ok(own.saturating_mul(below))
    }
}

impl Pattern {
    /// Bytes of the shortest text that it matches, at least 1. Regular expressions must be of the kind that takes linear time.
    fn least_bytes(&self) -> Result<u64, String> {
        match self {
            Self::String(text) => Ok(text.len().max(1) as u64),
            Self::Regex(text) => {
                let linear = text.replace(LOOKS_AHEAD, "");
                let compiled = RegexBuilder::new(&linear).size_limit(MAX_REGEX_BYTES).build();
                if text.len() > MAX_TEXT_BYTES || compiled.is_err() {
                    let beginning: String = text.chars().take(60).collect();
                    return Err(format!("has a pattern that may take very long on some texts: {beginning:?}"));
                }
                Ok(1)
            }
        }
    }
}

/// Bytes of the longest text that a map of SentencePiece puts for a character. The map holds, in base64, the length of an index, the
/// index, and texts that end in zeros.
fn longest_replacement(map: &str) -> Result<u64, String> {
    let mut bytes = Vec::with_capacity(map.len() / 4 * 3);
    let (mut bits, mut n_bits) = (0_u32, 0);
    for letter in map.bytes().filter(|&letter| letter != b'=') {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(String::from("has a damaged precompiled_charsmap")),
        };
        (bits, n_bits) = (bits << 6 | u32::from(value), n_bits + 6);
        if n_bits >= 8 {
            n_bits -= 8;
            bytes.push((bits >> n_bits) as u8);
        }
    }
    let index = bytes.first_chunk::<4>().map(|&length| u32::from_le_bytes(length) as usize);
    let texts = index.and_then(|length| bytes.get(4..)?.get(length..)).unwrap_or_default();
    let longest = texts.split(|&byte| byte == 0).map(<[u8]>::len).max().unwrap_or_default() as u64;
    // Three bytes become thirty-three in the map that is published with models: the longest ligature, of which no text is made.
    Ok(if longest <= 36 { 2 } else { longest })
}

impl<'de> Deserialize<'de> for Rules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Rules;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "a list of at most {MAX_RULES} rules")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Rules, A::Error> {
                let mut rules = Vec::new();
                while let Some(rule) = list.next_element()? {
                    if rules.len() == MAX_RULES {
                        return Err(serde::de::Error::invalid_length(MAX_RULES + 1, &self));
                    }
                    rules.push(rule);
                }
                Ok(Rules(rules))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

impl<'de> Deserialize<'de> for AddedBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = AddedBytes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of tokens")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<AddedBytes, A::Error> {
                let mut sum = 0;
                while let Some(AddedToken { content }) = list.next_element()? {
                    sum += content.len() as u64;
                }
                Ok(AddedBytes(sum))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(rules: &str) -> String {
        let file = format!("{{\"model\": {{\"vocab\": {{\"a\": 0}}}}, {rules}}}");
        check(file.as_bytes(), "t.json").err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn rules_of_published_tokenisers_pass() {
        for rules in [
            r#""normalizer": {"type": "BertNormalizer", "lowercase": true}, "pre_tokenizer": {"type": "BertPreTokenizer"}"#,
            r#""normalizer": null, "pre_tokenizer": {"type": "ByteLevel"}, "decoder": {"type": "ByteLevel"}"#,
            r#""pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex":
              "(?i:'s|'t)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}, "behavior": "Isolated"},
              {"type": "ByteLevel"}]}"#,
            r#""normalizer": {"type": "Sequence", "normalizers": [{"type": "Strip"}, {"type": "Precompiled", "precompiled_charsmap":
              "AAAAAGEAYmIA"}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]}, "pre_tokenizer":
              {"type": "Metaspace"}"#,
            r#""normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "_"}, {"type": "Replace", "pattern":
              {"String": " "}, "content": "▁"}]}"#,
        ] {
            assert_eq!(refused(rules), "", "{rules}");
        }
    }

    #[test]
    fn rules_that_make_a_text_much_longer_are_refused() {
        let double = r#"{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}"#;
        let doubles =
            |n: usize| format!("{{\"type\": \"Sequence\", \"normalizers\": [{}]}}", vec![double; n].join(","));
        let found = refused(&format!("\"normalizer\": {}", doubles(30)));
        let expected = "t.json has rules (normalizer and pre_tokenizer) that can make a text 205891132094649 times as long; at most 16 is used";
        assert_eq!(found, expected);
        assert!(refused(&format!("\"normalizer\": {}", doubles(65))).contains("invalid length 65"));
        assert!(
            refused(
                r#""pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, {"type": "ByteLevel"},
            {"type": "ByteLevel"}, {"type": "ByteLevel"}, {"type": "ByteLevel"}]}"#
            )
            .contains("32 times")
        );
        let decoder = format!("\"decoder\": {}", doubles(9).replace("normalizers", "decoders"));
        assert!(refused(&decoder).contains("(decoder)"));
        // A text without a type is a rule as well.
        assert!(
            refused(r#""normalizer": {"pattern": {"Regex": "."}, "content": "aaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#)
                .contains("29 times")
        );
        let map = "AAAAAGFh".to_owned() + &"YWFh".repeat(100);
        let found = refused(&format!(r#""normalizer": {{"type": "Precompiled", "precompiled_charsmap": "{map}"}}"#));
        assert!(found.contains("times as long"), "{found}");
        let nested = |inner: &str| format!("{{\"type\": \"Sequence\", \"normalizers\": [{inner}]}}");
        let deep = (0..5).fold(double.to_owned(), |inner, _| nested(&inner));
        assert!(refused(&format!("\"normalizer\": {deep}")).contains("nested more than 4 deep"));
    }

    #[test]
    fn patterns_that_backtrack_and_words_without_limit_are_refused() {
        for pattern in ["(a+)+(?=b)", "(?:a|a)*\\\\1", "(?!\\\\S)a", "\\\\w{1000}{1000}", "("] {
            let rule = format!("\"pre_tokenizer\": {{\"type\": \"Split\", \"pattern\": {{\"Regex\": \"{pattern}\"}}}}");
            assert!(refused(&rule).contains("a pattern that may take very long"), "{pattern}: {}", refused(&rule));
        }
        let model = br#"{"model": {"type": "WordPiece", "max_input_chars_per_word": 100000}}"#;
        assert!(check(model, "t.json").unwrap_err().message().contains("max_input_chars_per_word of 100000"));
        let long = "x".repeat(1 << 20);
        let tokens: Vec<String> = (0..20).map(|_| format!("{{\"content\": \"{long}\"}}")).collect();
        let found = refused(&format!("\"added_tokens\": [{}]", tokens.join(",")));
        assert!(found.starts_with("t.json has added tokens of 20971520 bytes"), "{found}");
    }
}
