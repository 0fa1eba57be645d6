//! Whole-word masking of token ids, for masked language modelling.
//!
//! The procedure is BERT's, as the usual data collators have it: words are taken in random order until a share of the
//! tokens is covered, and a word is covered whole. Not in here: how text becomes words and ids, and masking of patches,
//! which is in [`crate::mask`].

use std::ops::Range;

use rand::{Rng, RngExt, seq::SliceRandom};

use crate::{Error, NOT_A_TARGET};

/// Share of the targets that become the mask id; the rest is split evenly between a random id and the id as it was.
const MASKED_SHARE: f64 = 0.8;
/// Share of the targets that become the mask id or a random id.
const CHANGED_SHARE: f64 = 0.9;

/// Whole-word masking with checked settings.
#[derive(Debug, Clone, PartialEq)]
pub struct WordMasking {
    mask_ratio: f64,
    mask_id: i32,
    /// Ids that are never drawn as a replacement, ascending, each once, all of the vocabulary.
    special_ids: Vec<i32>,
    /// Number of ids that may be drawn.
    n_ordinary: i32,
}

impl WordMasking {
    /// Masking of `mask_ratio` of the tokens, in `(0, 1]`, with ids in `0..vocabulary`. The `special_ids` (padding,
    /// frame and mask tokens) are never drawn as a replacement; `mask_id` counts as one of them.
    ///
    /// # Errors
    /// A ratio or an id out of range, or a vocabulary of special ids only.
    pub fn new(mask_ratio: f64, vocabulary: usize, mask_id: i32, special_ids: &[i32]) -> Result<Self, Error> {
        if !(mask_ratio > 0.0 && mask_ratio <= 1.0) {
            return Err(Error::bad_request(format!("mask_ratio is {mask_ratio}; expected above 0 and at most 1")));
        }
        let n_ids = i32::try_from(vocabulary)
            .map_err(|_| Error::bad_request(format!("a vocabulary of {vocabulary} ids does not fit 32-bit ids")))?;
        let mut special_ids = [special_ids, &[mask_id]].concat();
        special_ids.sort_unstable();
        special_ids.dedup();
        if let Some(id) = special_ids.iter().find(|id| !(0..n_ids).contains(*id)) {
            return Err(Error::bad_request(format!("special id {id} is not in the vocabulary of {vocabulary} ids")));
        }
        // At most `n_ids` distinct ids, so their number fits as well.
        let n_ordinary = n_ids - special_ids.len() as i32;
        if n_ordinary == 0 {
            return Err(Error::bad_request(format!("all {vocabulary} ids of the vocabulary are special")));
        }
        Ok(Self { mask_ratio, mask_id, special_ids, n_ordinary })
    }

    /// Masks one sample in place.
    ///
    /// `words`, `ids` and `labels` are `[n]`, padding left out. `words` has the number of the word that each token
    /// belongs to, equal for neighbours of one word, or `None` for a token that must stay (the frame). Tokens of
    /// pairwise different numbers are masked one by one.
    ///
    /// `round(n * mask_ratio)` tokens are wanted, at least one, where `n` counts the frame too, as BERT does. A word
    /// that would exceed that number is skipped; should every word be too long, the first one drawn is taken, so
    /// that a sample with words always has a target. Chosen tokens keep their id in `labels`, which is
    /// [`NOT_A_TARGET`] elsewhere; each becomes the mask id (80 %), a random id that is not special (10 %) or stays
    /// (10 %), independently of the rest of its word.
    ///
    /// # Panics
    /// When the slices have different lengths.
    pub fn apply(&self, rng: &mut impl Rng, words: &[Option<u32>], ids: &mut [i32], labels: &mut [i32]) {
        assert!(words.len() == ids.len() && ids.len() == labels.len(), "words, ids and labels differ in length");
        labels.fill(NOT_A_TARGET);
        for token in self.choose(rng, words) {
            labels[token] = ids[token];
            let fate: f64 = rng.random();
            if fate < MASKED_SHARE {
                ids[token] = self.mask_id;
            } else if fate < CHANGED_SHARE {
                ids[token] = self.ordinary_id(rng);
            }
        }
    }

    /// Positions of the chosen words' tokens, ascending.
    fn choose(&self, rng: &mut impl Rng, words: &[Option<u32>]) -> Vec<usize> {
        let mut spans = spans(words);
        spans.shuffle(rng);
        // Half to even, as the reference collator rounds.
        let wanted = ((words.len() as f64 * self.mask_ratio).round_ties_even() as usize).max(1);
        let mut chosen: Vec<usize> = Vec::with_capacity(wanted);
        for span in &spans {
            if chosen.len() + span.len() <= wanted {
                chosen.extend(span.clone());
            }
        }
        if chosen.is_empty() {
            chosen.extend(spans.into_iter().next().into_iter().flatten());
        }
        chosen.sort_unstable();
        chosen
    }

    /// One of the ids that are not special, each equally likely.
    fn ordinary_id(&self, rng: &mut impl Rng) -> i32 {
        let mut id = rng.random_range(0..self.n_ordinary);
        for &special in &self.special_ids {
            // Ascending: every special id at or below moves the ordinary ones up by one.
            if special <= id {
                id += 1;
            }
        }
        id
    }
}

/// Runs of equal word numbers.
pub(crate) fn spans(words: &[Option<u32>]) -> Vec<Range<usize>> {
    let mut spans: Vec<Range<usize>> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        match spans.last_mut() {
            _ if word.is_none() => {}
            Some(last) if last.end == at && words[last.start] == *word => last.end = at + 1,
            _ => spans.push(at..at + 1),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_rng;

    const VOCABULARY: usize = 211;
    const MASK: i32 = 4;
    const SPECIAL: [i32; 5] = [0, 1, 2, 3, 4];

    fn masking(mask_ratio: f64) -> WordMasking {
        WordMasking::new(mask_ratio, VOCABULARY, MASK, &SPECIAL).unwrap()
    }

    /// A frame around words of 1, 2, 3, 1, 2, 3 ... tokens: `[n]` word numbers and ids from 10 on.
    fn sample(n_words: u32) -> (Vec<Option<u32>>, Vec<i32>) {
        let inner = (0..n_words).flat_map(|word| std::iter::repeat_n(Some(word), word as usize % 3 + 1));
        let words: Vec<_> = std::iter::once(None).chain(inner).chain([None]).collect();
        let ids = (0..words.len()).map(|at| if words[at].is_some() { 10 + at as i32 } else { 2 }).collect();
        (words, ids)
    }

    fn is_target(label: i32) -> bool {
        label != NOT_A_TARGET
    }

    #[test]
    fn runs_of_one_number_are_words_and_frames_are_none() {
        let words = [None, Some(7), Some(7), Some(8), None, Some(8), Some(9), None];
        assert_eq!(spans(&words), [1..3, 3..4, 5..6, 6..7]);
        assert!(spans(&[None, None]).is_empty());
    }

    #[test]
    fn the_only_word_is_masked_whole_even_when_it_is_longer_than_the_share() {
        // Five tokens, 15 %: one is wanted, the word has three.
        let words = [None, Some(0), Some(0), Some(0), None];
        for seed in 0..50 {
            let (mut ids, mut labels) = ([2, 50, 51, 52, 3], [0; 5]);
            masking(0.15).apply(&mut sample_rng(seed), &words, &mut ids, &mut labels);
            assert_eq!(labels, [NOT_A_TARGET, 50, 51, 52, NOT_A_TARGET]);
            assert_eq!((ids[0], ids[4]), (2, 3));
        }
    }

    #[test]
    fn a_word_that_would_exceed_the_share_is_passed_over() {
        // Seven tokens, 30 %: two are wanted (2.1), so the word of three never fits; the words of one and two do.
        let words = [None, Some(0), Some(0), Some(0), Some(1), Some(2), None];
        for seed in 0..50 {
            let (mut ids, mut labels) = ([2, 50, 51, 52, 60, 70, 3], [0; 7]);
            masking(0.3).apply(&mut sample_rng(seed), &words, &mut ids, &mut labels);
            let no = NOT_A_TARGET;
            assert_eq!(labels, [no, no, no, no, 60, 70, no]);
        }
    }

    #[test]
    fn the_wanted_number_is_rounded_half_to_even() {
        // 30 tokens in words of one: 15 % are 4.5, hence 4; of 10 tokens 1.5, hence 2.
        for (n, wanted) in [(30, 4), (10, 2), (1, 1), (100, 15)] {
            let words: Vec<_> = (0..n).map(Some).collect();
            let (mut ids, mut labels) = (vec![20; n as usize], vec![0; n as usize]);
            masking(0.15).apply(&mut sample_rng(3), &words, &mut ids, &mut labels);
            assert_eq!(labels.iter().filter(|&&label| is_target(label)).count(), wanted, "{n} tokens");
        }
    }

    #[test]
    fn words_are_targets_whole_and_frames_never() {
        let (words, original) = sample(41);
        let mut n_targets = 0;
        for seed in 0..500 {
            let (mut ids, mut labels) = (original.clone(), vec![0; words.len()]);
            masking(0.15).apply(&mut sample_rng(seed), &words, &mut ids, &mut labels);
            for span in spans(&words) {
                let targets = labels[span.clone()].iter().filter(|&&label| is_target(label)).count();
                assert!(targets == 0 || targets == span.len(), "a part of word {span:?} is a target");
            }
            for at in 0..words.len() {
                assert!(words[at].is_some() || !is_target(labels[at]), "position {at} is not of a word");
                assert!(!is_target(labels[at]) || labels[at] == original[at]);
                assert!(is_target(labels[at]) || ids[at] == original[at], "position {at} changed without a label");
            }
            n_targets += labels.iter().filter(|&&label| is_target(label)).count();
        }
        // 81 tokens and the frame: round(83 * 0.15) = 12 wanted. Passing over long words can leave at most the last
        // gap unfilled, and with 14 words of one token it is always filled.
        assert_eq!(n_targets, 500 * 12);
    }

    #[test]
    fn four_fifths_are_masked_a_tenth_is_random_and_a_tenth_is_kept() {
        let (words, original) = sample(41);
        let (mut n, mut masked, mut kept) = (0.0, 0.0, 0.0);
        let mut drawn = vec![0usize; VOCABULARY];
        for seed in 0..4000 {
            let (mut ids, mut labels) = (original.clone(), vec![0; words.len()]);
            masking(0.15).apply(&mut sample_rng(seed), &words, &mut ids, &mut labels);
            for at in (0..words.len()).filter(|&at| is_target(labels[at])) {
                n += 1.0;
                match ids[at] {
                    MASK => masked += 1.0,
                    id if id == original[at] => kept += 1.0,
                    id => drawn[id as usize] += 1,
                }
            }
        }
        // 48 000 targets: the standard deviation of a share is at most 0.0018.
        assert_eq!(n, 48_000.0);
        assert!((masked / n - 0.8_f64).abs() < 0.008, "masked {}", masked / n);
        // A random id is the original one in 1 of 206 draws.
        assert!((kept / n - (0.1_f64 + 0.1 / 206.0)).abs() < 0.006, "kept {}", kept / n);
        assert!(SPECIAL.iter().all(|&id| drawn[id as usize] == 0), "a special id was drawn");
        // About 4 780 draws over 206 ids: 23 each.
        let ordinary = &drawn[SPECIAL.len()..];
        assert!(ordinary.iter().all(|&times| (4..60).contains(&times)), "draws are uneven: {ordinary:?}");
    }

    #[test]
    fn every_word_is_chosen_about_equally_often_when_all_are_of_one_token() {
        let words: Vec<_> = [None].into_iter().chain((0..19).map(Some)).collect();
        let mut times = [0; 20];
        for seed in 0..4000 {
            let (mut ids, mut labels) = ([30; 20], [0; 20]);
            masking(0.25).apply(&mut sample_rng(seed), &words, &mut ids, &mut labels);
            (0..20).filter(|&at| is_target(labels[at])).for_each(|at| times[at] += 1);
        }
        // 5 of 19 words: 1053 times each, standard deviation 28.
        assert_eq!(times[0], 0);
        assert!(times[1..].iter().all(|&count| (900..1200).contains(&count)), "{times:?}");
    }

    #[test]
    fn scattered_special_ids_are_not_drawn_and_all_others_are() {
        let masking = WordMasking::new(0.15, 7, 3, &[6, 0, 0]).unwrap();
        let mut rng = sample_rng(11);
        let mut seen: Vec<i32> = (0..400).map(|_| masking.ordinary_id(&mut rng)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [1, 2, 4, 5]);
    }

    #[test]
    fn the_same_seed_masks_the_same_tokens() {
        let (words, original) = sample(23);
        let run = |seed| {
            let (mut ids, mut labels) = (original.clone(), vec![0; words.len()]);
            masking(0.15).apply(&mut sample_rng(seed), &words, &mut ids, &mut labels);
            (ids, labels)
        };
        assert_eq!(run(5), run(5));
        assert_ne!(run(5), run(6));
    }

    #[test]
    fn without_words_nothing_is_a_target() {
        let (mut ids, mut labels) = ([2, 3], [0, 0]);
        masking(0.15).apply(&mut sample_rng(1), &[None, None], &mut ids, &mut labels);
        assert_eq!((ids, labels), ([2, 3], [NOT_A_TARGET; 2]));
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for ratio in [0.0, -0.1, 1.01, f64::NAN] {
            assert!(WordMasking::new(ratio, 20, 4, &[0]).unwrap_err().message().contains("mask_ratio"), "{ratio}");
        }
        assert!(WordMasking::new(0.15, 20, 20, &[]).is_err());
        assert!(WordMasking::new(0.15, 20, 4, &[-1]).is_err());
        assert!(WordMasking::new(0.15, 3, 0, &[1, 2]).is_err());
        assert!(WordMasking::new(1.0, 3, 0, &[1]).is_ok());
    }
}
