//! Learning a WordPiece vocabulary from texts, the same one every time.
//!
//! The trainer of `tokenizers` numbers continuing characters (`##a`) in the order of a randomly seeded hash map, and its
//! merges break ties by number: left alone, it learns another vocabulary in every build or process. So everything that
//! it would number by chance is decided here: which characters belong to the alphabet, and the numbers of all their
//! pieces, which are handed over first. No threads are used.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use medcoss_sdk::Error;
use tokenizers::{
    AddedToken, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    models::wordpiece::{WordPiece, WordPieceTrainer},
    normalizers::BertNormalizer,
    pre_tokenizers::bert::BertPreTokenizer,
    tokenizer::{Model, Trainer},
    utils::parallelism,
};

/// Prefix of a WordPiece token that continues a word.
pub const CONTINUING: &str = "##";
/// Bytes of a text that are normalised at once.
const LONGEST_PIECE: usize = 1 << 16;
/// Longer words are unknown to WordPiece, so nothing is learned from them.
const LONGEST_WORD: usize = 100;
/// Characters of an alphabet at most, as BERT's trainer has it by default: rarer ones are unknown. Ideographs are beside them.
const LARGEST_ALPHABET: usize = 1000;
/// A pair of pieces that occurs once makes no piece.
const MIN_FREQUENCY: u64 = 2;

/// What may become part of a vocabulary.
#[derive(Debug, Clone, Copy)]
pub struct VocabularySize {
    /// Most tokens.
    pub most: usize,
    /// Documents that a word must occur in.
    pub min_document_count: usize,
}

/// A vocabulary.
#[derive(Debug)]
pub struct Learned {
    /// In the order of their ids.
    pub tokens: Vec<String>,
    /// Distinct words of the texts.
    pub n_words: usize,
    /// Of these, the words that occur in too few documents.
    pub n_rare: usize,
}

/// How often a word occurs, and where.
#[derive(Debug, Clone, Copy)]
struct Occurrences {
    times: usize,
    n_documents: usize,
    last_document: usize,
}

/// Learns at most `size.most` tokens: the special ones first, then the alphabet, then merged pieces, frequent ones first.
/// At most half of them go to the alphabet. Texts come with the number of their document, those of one document one after another.
///
/// Words of too few documents add nothing but their characters: no token tells a name that few documents have.
///
/// # Errors
/// A text that the normaliser refuses.
pub fn learn<'a>(
    texts: impl Iterator<Item = (usize, &'a str)>,
    normaliser: &BertNormalizer,
    special: &[&str],
    size: VocabularySize,
) -> Result<Learned, Error> {
    parallelism::set_parallelism(false);
    let mut words = count_words(texts, normaliser).map_err(failed)?;
    let n_words = words.len();
    let is_rare = |occurrences: &Occurrences| occurrences.n_documents < size.min_document_count;
    let n_rare = words.values().filter(|occurrences| is_rare(occurrences)).count();
    let alphabet = alphabet(&words, size.most / 2);
    // A word with any other character is unknown as a whole.
    words.retain(|word, _| word.chars().all(|c| alphabet.contains(&c)));

    let continuing: BTreeSet<char> = words.keys().flat_map(|word| word.chars().skip(1)).collect();
    let all: BTreeSet<char> = words.keys().flat_map(|word| word.chars()).collect();
    words.retain(|_, occurrences| !is_rare(occurrences));
    // The trainer adds the characters of the words that it sees.
    let seen: BTreeSet<char> = words.keys().flat_map(|word| word.chars()).collect();
    let pieces = continuing.iter().map(|c| format!("{CONTINUING}{c}"));
    let unseen = all.difference(&seen).map(char::to_string);
    let first = special.iter().map(|&token| token.to_owned()).chain(pieces).chain(unseen);
    let mut trainer = WordPieceTrainer::builder()
        .vocab_size(size.most)
        .min_frequency(MIN_FREQUENCY)
        .special_tokens(first.map(|token| AddedToken::from(token, true)).collect())
        .show_progress(false)
        .build();
    // The trainer counts words itself, from a stream of them.
    let stream = words.iter().flat_map(|(word, found)| std::iter::repeat_n(word.as_str(), found.times));
    trainer.feed(stream, |word| Ok(vec![word.to_owned()])).map_err(failed)?;
    let mut model = WordPiece::default();
    trainer.train(&mut model).map_err(failed)?;

    let mut vocabulary: Vec<(String, u32)> = model.get_vocab().into_iter().collect();
    vocabulary.sort_unstable_by_key(|&(_, id)| id);
    Ok(Learned { tokens: vocabulary.into_iter().map(|(token, _)| token).collect(), n_words, n_rare })
}

fn failed(error: tokenizers::Error) -> Error {
    Error::corrupt("no vocabulary could be learned").caused_by(&*error)
}

/// How often each word occurs, in the order of the words.
fn count_words<'a>(
    texts: impl Iterator<Item = (usize, &'a str)>,
    normaliser: &BertNormalizer,
) -> tokenizers::Result<BTreeMap<String, Occurrences>> {
    let mut counts: HashMap<String, Occurrences> = HashMap::new();
    for (document, text) in texts.flat_map(|(document, text)| pieces(text).map(move |piece| (document, piece))) {
        let mut normalised = NormalizedString::from(text);
        normaliser.normalize(&mut normalised)?;
        let mut split = PreTokenizedString::from(normalised);
        BertPreTokenizer.pre_tokenize(&mut split)?;
        for (word, ..) in split.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            match counts.get_mut(word) {
                Some(found) => {
                    found.times += 1;
                    found.n_documents += usize::from(found.last_document != document);
                    found.last_document = document;
                }
                None if word.chars().count() <= LONGEST_WORD => {
                    let first = Occurrences { times: 1, n_documents: 1, last_document: document };
                    counts.insert(word.to_owned(), first);
                }
                None => {}
            }
        }
    }
    Ok(counts.into_iter().collect())
}

/// A text in pieces that normalising has memory for: it takes some 20 bytes for each of a text. Blanks separate words, so
/// that nothing changes; only a text without any, for as long as a piece, is cut through a word.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let limit = rest.floor_char_boundary(LONGEST_PIECE);
        let at =
            if limit == rest.len() { limit } else { rest[..limit].rfind(' ').filter(|&at| at > 0).unwrap_or(limit) };
        let (piece, after) = rest.split_at(at);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The most frequent characters, for so many ids; among equally frequent ones the smaller code points. A character takes up to two ids, with
/// and without the prefix, but an ideograph only one, since it is a word by itself: a script of thousands of them has few other words.
fn alphabet(words: &BTreeMap<String, Occurrences>, n_ids: usize) -> BTreeSet<char> {
    let mut counts: BTreeMap<char, usize> = BTreeMap::new();
    for (word, found) in words {
        for c in word.chars() {
            *counts.entry(c).or_default() += found.times;
        }
    }
    let mut ranked: Vec<(char, usize)> = counts.into_iter().collect();
    // Stable, so equal counts stay in the order of the characters.
    ranked.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let (mut n_left, mut n_letters) = (n_ids, 0);
    let takes = |&(c, _): &(char, usize)| {
        let n = if is_ideograph(c) { 1 } else { 2 };
        let fits = n <= n_left && (n == 1 || n_letters < LARGEST_ALPHABET);
        if fits {
            n_left -= n;
            n_letters += n - 1;
        }
        fits
    };
    ranked.into_iter().filter(takes).map(|(c, _)| c).collect()
}

/// Whether BERT's normaliser sets a character apart from its neighbours.
fn is_ideograph(c: char) -> bool {
    matches!(u32::from(c), 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x2a6df | 0x2a700..=0x2ceaf | 0x2f800..=0x2fa1f)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECIAL: [&str; 2] = ["[PAD]", "[UNK]"];

    fn learned(texts: &[&str], vocab_size: usize) -> Vec<String> {
        learned_of(texts.iter().copied().enumerate(), vocab_size, 1).tokens
    }

    fn learned_of<'a>(
        texts: impl Iterator<Item = (usize, &'a str)>,
        most: usize,
        min_document_count: usize,
    ) -> Learned {
        let normaliser = BertNormalizer::new(true, true, None, true);
        learn(texts, &normaliser, &SPECIAL, VocabularySize { most, min_document_count }).unwrap()
    }

    #[test]
    fn words_of_few_documents_are_spelled_however_often_they_occur_there() {
        let common = "clear lungs";
        let named = "clear lungs of Xaverine Xaverine Xaverine 7001234";
        // Of document 2 there are four texts.
        let texts = [(0, common), (1, common), (2, named), (2, named), (2, named), (2, named)];
        let of = |least| learned_of(texts.iter().copied(), 256, least);
        let holds = |learned: &Learned, token: &str| learned.tokens.iter().any(|known| known == token);
        let all = of(1);
        assert!(holds(&all, "xaverine") && holds(&all, "7001234") && (all.n_words, all.n_rare) == (5, 0));
        let some = of(3);
        assert_eq!((some.n_words, some.n_rare), (5, 3));
        assert!(holds(&some, "clear") && holds(&some, "lungs"));
        for token in &some.tokens {
            let piece = token.trim_start_matches(CONTINUING);
            assert!(
                piece.chars().count() == 1 || SPECIAL.contains(&token.as_str()) || common.contains(piece),
                "{token}"
            );
        }
        // Their characters are there, so that they can be spelled.
        for token in ["x", "##v", "7", "##4"] {
            assert!(holds(&some, token), "{token}");
        }
        let none = of(4);
        assert_eq!(none.n_rare, 5);
        assert!(none.tokens.iter().all(
            |token| SPECIAL.contains(&token.as_str()) || token.trim_start_matches(CONTINUING).chars().count() == 1
        ));
    }

    #[test]
    fn a_small_vocabulary_is_the_one_worked_out_by_hand() {
        // Words: abc three times, ab twice, dc twice, "." once. Pairs: a+##b 5, then ab+##c 3, d+##c 2, with nothing else
        // as frequent as twice.
        let tokens = learned(&["ABC abc ab dc.", "áb dc abc"], 128);
        let expected = ["[PAD]", "[UNK]", "##b", "##c", ".", "a", "b", "c", "d", "ab", "abc", "dc"];
        assert_eq!(tokens, expected);
    }

    #[test]
    fn ties_are_broken_by_the_order_of_the_pieces() {
        // Four pairs, each twice. Ids go ##b < ##d < ##f < ##h and a < c < e < g, so the pairs follow them.
        let tokens = learned(&["gh ef cd ab", "ab cd ef gh"], 128);
        assert_eq!(tokens[tokens.len() - 4..], ["ab", "cd", "ef", "gh"]);
    }

    #[test]
    fn learning_again_gives_the_same_vocabulary() {
        // Each training hashes with other seeds.
        let texts: Vec<String> =
            (0..900u64).map(|n| format!("w{:x} {} x{}y", n * 7919 % 1013, n * n % 971, n * n % 311)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let first = learned(&texts, 400);
        assert_eq!(first.len(), 400);
        assert!((0..20).all(|_| learned(&texts, 400) == first));
        assert!(!parallelism::has_parallelism_been_used());
    }

    #[test]
    fn pieces_are_the_text_cut_at_blanks() {
        let long = "größe lungs ".repeat(20_000);
        let found: Vec<_> = pieces(&long).collect();
        assert!(found.len() > 3 && found[1..].iter().all(|piece| piece.starts_with(' ')));
        assert_eq!(found.concat(), long);
        let solid = "ö".repeat(100_001);
        let found: Vec<_> = pieces(&solid).collect();
        assert_eq!(found.concat(), solid);
        assert_eq!(pieces("a b").collect::<Vec<_>>(), ["a b"]);
        assert_eq!(pieces("").count(), 0);
        assert_eq!(learned(&[&long], 128), learned(&["größe lungs"; 20_000], 128));
    }

    #[test]
    fn the_alphabet_takes_the_frequent_characters_and_half_the_vocabulary_at_most() {
        let rare: String = (0..200u32).filter_map(|n| char::from_u32(0x3b1 + 2 * n)).collect();
        let rare: Vec<String> = rare.chars().map(|c| format!("{c}q")).collect();
        let common = "aa bb aa bb ".repeat(50);
        let texts: Vec<&str> = rare.iter().map(String::as_str).chain([common.as_str()]).collect();
        let tokens = learned(&texts, 128);
        assert!(tokens.len() <= 128, "{}", tokens.len());
        for token in ["a", "b", "q", "aa", "bb"] {
            assert!(tokens.iter().any(|known| known == token), "{token} is missing");
        }
    }

    #[test]
    fn ideographs_are_words_by_themselves_and_take_one_id_each() {
        // 40 characters of 64 ids; each in one document only, so that none is common.
        let ideographs: Vec<char> = (0..40).filter_map(|n| char::from_u32(0x4e00 + n)).collect();
        let texts: Vec<String> = ideographs.iter().map(|c| format!("{c}正常")).collect();
        let learned = learned_of(texts.iter().map(String::as_str).enumerate(), 128, 5);
        for c in ideographs.iter().chain(&['正', '常']) {
            assert!(learned.tokens.contains(&c.to_string()), "{c} is missing");
        }
        assert!(learned.tokens.iter().all(|token| !token.starts_with(CONTINUING)));
    }
}
