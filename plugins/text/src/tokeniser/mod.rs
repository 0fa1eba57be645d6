//! Text to ids and back. Where a tokeniser comes from is in `source`, how a vocabulary is learned in `training`; frame
//! and mask are put on by the dataset.

mod loading;
mod rules;
mod training;

use std::collections::BTreeMap;
use std::path::Path;

use medcoss_sdk::{Error, Fingerprint};
use tokenizers::{NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

/// The file that `save_assets` writes and that is read from `assets`.
pub const FILE: &str = "tokenizer.json";

/// Bytes of a text that are looked at. It is hundreds for each token of the longest sample; what has fewer words than that
/// in so many bytes is no prose, and tokenising takes 20 bytes of memory for each.
const LONGEST_TEXT: usize = 1 << 20;

/// BERT's special tokens, in the order of their ids in a learned vocabulary.
pub const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
/// Id of the padding token in a learned vocabulary.
pub const LEARNED_PADDING_ID: i32 = 0;
/// Id of the mask token in a learned vocabulary.
pub const LEARNED_MASK_ID: i32 = 4;

/// A tokeniser with the special tokens that masked language modelling needs.
#[derive(Debug)]
pub struct Tokeniser {
    inner: Tokenizer,
    /// Size of the vocabulary: one more than the largest id.
    pub vocabulary: usize,
    /// Id of the padding token.
    pub padding_id: i32,
    /// Id of what the vocabulary does not know, `[UNK]`.
    pub unknown_id: i32,
    /// Id of the token that opens a sample, `[CLS]`.
    pub start_id: i32,
    /// Id of the token that closes a sample, `[SEP]`.
    pub end_id: i32,
    /// Id of the mask token.
    pub mask_id: i32,
    /// Digest of the tokens by id: the same where ids mean the same.
    pub digest: String,
    /// Every special id, ascending.
    pub special_ids: Vec<i32>,
    /// Blanks separate words for certain, so a text can be cut at one before it is tokenised.
    cuts: bool,
}

/// A text in ids, without a frame.
pub struct Encoded {
    /// `[n]`.
    pub ids: Vec<i32>,
    /// `[n]`, the number of the word that a token belongs to.
    pub words: Vec<Option<u32>>,
}

impl Tokeniser {
    /// Takes over what this plugin does by itself, and makes sure of the special tokens and the range of the ids.
    fn checked(mut inner: Tokenizer, name: &str) -> Result<Self, Error> {
        // Cutting, filling up and transform are done with the sample; a text that spells "[MASK]" means no mask.
        inner
            .with_padding(None)
            .with_truncation(None)
            .map_err(|error| Error::corrupt(format!("{name} cannot be used without truncation")).caused_by(&*error))?;
        inner.set_encode_special_tokens(true);

        let tokens: BTreeMap<u32, String> = inner.get_vocab(true).into_iter().map(|(token, id)| (id, token)).collect();
        let largest = tokens.last_key_value().map_or(0, |(&id, _)| id);
        let mut digest = Fingerprint::default();
        tokens.iter().for_each(|(id, token)| {
            digest.add(&id.to_le_bytes());
            digest.add(token.as_bytes());
        });
        if i32::try_from(largest).is_err() {
            return Err(Error::corrupt(format!("{name} has id {largest}; expected 31 bits at most")));
        }
        let id = |token: &str| {
            inner.token_to_id(token).map(|id| id as i32).ok_or_else(|| {
                Error::unsupported(format!("{name} has no token {token}; expected all of {}", SPECIAL.join(", ")))
            })
        };
        let [padding_id, unknown_id, start_id, end_id, mask_id] =
            [id(SPECIAL[0])?, id(SPECIAL[1])?, id(SPECIAL[2])?, id(SPECIAL[3])?, id(SPECIAL[4])?];
        let added = inner.get_added_tokens_decoder().into_iter().filter(|(_, token)| token.special);
        let mut special_ids: Vec<i32> = added.map(|(id, _)| id as i32).collect();
        special_ids.extend([padding_id, unknown_id, start_id, end_id, mask_id]);
        special_ids.sort_unstable();
        special_ids.dedup();
        let vocabulary = largest as usize + 1;
        let cuts = cuts_at_blanks(&inner);
        Ok(Self {
            inner,
            vocabulary,
            padding_id,
            unknown_id,
            start_id,
            end_id,
            mask_id,
            digest: digest.hex(),
            special_ids,
            cuts,
        })
    }

    /// The first `n_most` ids of a text, with their words. Of a text of megabytes, only the first is looked at.
    ///
    /// # Errors
    /// A text that the tokeniser refuses.
    pub fn encode(&self, text: &str, n_most: usize) -> Result<Encoded, Error> {
        let text = looked_at(text);
        let text = if self.cuts { beginning(text, n_most) } else { text };
        let encoding = self
            .inner
            .encode(text, false)
            .map_err(|error| Error::corrupt("a text could not be tokenised").caused_by(&*error))?;
        // Ids are below `vocabulary`, which fits.
        let ids = encoding.get_ids().iter().take(n_most).map(|&id| id as i32).collect();
        Ok(Encoded { ids, words: encoding.get_word_ids().iter().take(n_most).copied().collect() })
    }

    /// True when a text gives any token at all.
    pub fn sees(&self, text: &str) -> bool {
        (self.cuts && looked_at(text).contains(|c: char| c.is_ascii_alphanumeric()))
            || self.encode(text, 1).is_ok_and(|encoded| !encoded.ids.is_empty())
    }

    /// Text of a sample's ids; frame and padding are left out, masks are shown.
    ///
    /// # Errors
    /// An id that is not in the vocabulary.
    pub fn decode(&self, ids: &[i32]) -> Result<String, Error> {
        let unseen = [self.padding_id, self.start_id, self.end_id];
        let mut shown = Vec::with_capacity(ids.len());
        for &id in ids.iter().filter(|id| !unseen.contains(id)) {
            match u32::try_from(id).ok().filter(|&id| self.inner.id_to_token(id).is_some()) {
                Some(id) => shown.push(id),
                None => {
                    let vocabulary = self.vocabulary;
                    return Err(Error::bad_request(format!(
                        "id {id} is not one of the {vocabulary} of the vocabulary"
                    )));
                }
            }
        }
        self.inner
            .decode(&shown, false)
            .map_err(|error| Error::bad_request("the ids could not be decoded").caused_by(&*error))
    }

    /// Writes the tokeniser as [`FILE`].
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub fn save(&self, folder: &Path) -> Result<(), Error> {
        let path = folder.join(FILE);
        self.inner
            .save(&path, true)
            .map_err(|error| Error::unreadable(format!("{} cannot be written", path.display())).caused_by(&*error))
    }
}

/// What is tokenised of a text: all of it, if it is not of megabytes.
fn looked_at(text: &str) -> &str {
    if text.len() <= LONGEST_TEXT {
        return text;
    }
    let text = text.trim_start();
    &text[..text.floor_char_boundary(LONGEST_TEXT)]
}

/// True for BERT's way with white space, and no added token that a blank could be in.
fn cuts_at_blanks(tokeniser: &Tokenizer) -> bool {
    matches!(tokeniser.get_normalizer(), Some(NormalizerWrapper::BertNormalizer(_)))
        && matches!(tokeniser.get_pre_tokenizer(), Some(PreTokenizerWrapper::BertPreTokenizer(_)))
        && tokeniser.get_added_tokens_decoder().values().all(|token| token.special)
}

/// The beginning of a text, up to a blank, with at least `n_words` stretches between blanks that have an ASCII letter or
/// digit: each of these gives a token, whatever the vocabulary. Most of the time of tokenising goes with length, and
/// texts are often far longer than samples.
fn beginning(text: &str, n_words: usize) -> &str {
    let (mut n_seen, mut in_word) = (0, false);
    for (at, byte) in text.bytes().enumerate() {
        if byte == b' ' && in_word {
            n_seen += 1;
            if n_seen >= n_words {
                // A blank is one byte, so this is the border of a character.
                return &text[..at];
            }
        }
        in_word = byte != b' ' && (in_word || byte.is_ascii_alphanumeric());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokeniser(tokens: &str) -> Tokeniser {
        let tokens: Vec<String> = SPECIAL.iter().copied().chain(tokens.split(' ')).map(String::from).collect();
        Tokeniser::from_tokens(&tokens, true, "test").unwrap()
    }

    #[test]
    fn beginnings_end_at_blanks_after_enough_words() {
        assert_eq!(beginning("one two three", 2), "one two");
        assert_eq!(beginning("  one -  ( two)  x", 2), "  one -  ( two)");
        assert_eq!(beginning("größe\u{85}b c d", 1), "größe\u{85}b");
        assert_eq!(beginning("é é é x y", 1), "é é é x");
        assert_eq!(beginning("one", 1), "one");
        assert_eq!(beginning("", 3), "");
    }

    #[test]
    fn of_megabytes_the_first_with_anything_in_it_is_looked_at() {
        let tokeniser = tokeniser("a b");
        let late = |filling: &str| filling.repeat(LONGEST_TEXT) + "a";
        assert!(tokeniser.sees(&late(" ")) && tokeniser.sees(&late("\t")));
        assert_eq!(tokeniser.encode(&late(" "), 3).unwrap().ids, [5]);
        // The normaliser drops a zero-width space; what comes after a megabyte of them is not found.
        assert!(!tokeniser.sees(&late("\u{200b}")));
        assert_eq!(looked_at(&"ö".repeat(LONGEST_TEXT)).len(), LONGEST_TEXT);
    }

    #[test]
    fn cutting_first_gives_the_ids_of_the_whole_text() {
        let cutting = tokeniser("a b ##b c - . ab");
        let mut whole = tokeniser("a b ##b c - . ab");
        whole.cuts = false;
        assert!(cutting.cuts);
        for text in
            ["a b c a-b abb . . c", "\u{200b} \u{200b} a \u{200b}b é 漢字 ab", "abbb a\u{b}b b\tc c c", "- - - a"]
        {
            for n_most in 1..12 {
                let (cut, whole) = (cutting.encode(text, n_most).unwrap(), whole.encode(text, n_most).unwrap());
                assert_eq!((cut.ids, cut.words), (whole.ids, whole.words), "{n_most} of {text:?}");
            }
        }
    }

    #[test]
    fn pieces_of_a_word_share_its_number() {
        let encoded = tokeniser("a b ##b c - . ab").encode("Abbb-a, c.", 9).unwrap();
        // ab ##b ##b, -, a, an unknown comma, c, the stop.
        assert_eq!(encoded.ids, [11, 7, 7, 9, 5, 1, 8, 10]);
        assert_eq!(encoded.words, [0, 0, 0, 1, 2, 3, 4, 5].map(Some));
    }
}
