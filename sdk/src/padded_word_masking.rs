//! Whole-word masking as the MedCoSS reference has it: the collator of `transformers` 4 over a padded sequence.
//!
//! It differs from [`crate::whole_word_masking`] in three ways. Each padding token counts as a word, and the number of tokens to choose
//! follows from the padded length, so that a short report often has no target at all. No word is chosen that does not fit. Random ids
//! are of the whole vocabulary, special ones included.

use std::ops::Range;

use rand::{Rng, RngExt, seq::SliceRandom};

use crate::whole_word_masking::spans;
use crate::{Error, NOT_A_TARGET};

/// Most tokens that are chosen of a sample.
const MAX_CHOSEN: usize = 512;
/// Share of the targets that become the mask id.
const MASKED_SHARE: f64 = 0.8;
/// Share of the others that become a random id.
const RANDOM_SHARE: f64 = 0.5;

/// Whole-word masking of padded sequences, with checked settings.
#[derive(Debug, Clone, PartialEq)]
pub struct PaddedWordMasking {
    /// Tokens of a padded sequence.
    padded_length: usize,
    n_wanted: usize,
    mask_id: i32,
    vocabulary: i32,
    /// Ids that are never targets.
    special_ids: Vec<i32>,
}

/// What becomes of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replacement {
    /// The mask id.
    Mask,
    /// This id.
    Random(i32),
    /// It stays.
    Kept,
}

impl PaddedWordMasking {
    /// Masking of sequences that are padded to `padded_length`, of which `round(mask_ratio * padded_length)` tokens are chosen, at least
    /// one, padding included. The `special_ids` (padding, unknown, frame and mask tokens) are no targets.
    ///
    /// # Errors
    /// A ratio outside `(0, 1]`, a vocabulary without ids or of more than 32 bits.
    pub fn new(
        mask_ratio: f64,
        padded_length: usize,
        vocabulary: usize,
        mask_id: i32,
        special_ids: &[i32],
    ) -> Result<Self, Error> {
        if !(mask_ratio > 0.0 && mask_ratio <= 1.0) {
            return Err(Error::bad_request(format!("mask_ratio is {mask_ratio}; expected above 0 and at most 1")));
        }
        let n_ids = i32::try_from(vocabulary).ok().filter(|&n| n > 0).ok_or_else(|| {
            Error::bad_request(format!("a vocabulary of {vocabulary} ids; expected 1 to {} of them", i32::MAX))
        })?;
        // Half to even, as Python rounds.
        let n_wanted = ((padded_length as f64 * mask_ratio).round_ties_even() as usize).clamp(1, MAX_CHOSEN);
        Ok(Self { padded_length, n_wanted, mask_id, vocabulary: n_ids, special_ids: special_ids.to_vec() })
    }

    /// Tokens that are chosen of a sequence, padding included, where words fit.
    pub fn n_wanted(&self) -> usize {
        self.n_wanted
    }

    /// Masks one sample in place. `words`, `ids` and `labels` are `[n]`, padding left out, as for
    /// [`WordMasking`](crate::whole_word_masking::WordMasking): `words` has the number of each token's word, `None` for the frame.
    ///
    /// # Panics
    /// When the slices have different lengths.
    pub fn apply(&self, rng: &mut impl Rng, words: &[Option<u32>], ids: &mut [i32], labels: &mut [i32]) {
        assert!(words.len() == ids.len() && ids.len() == labels.len(), "words, ids and labels differ in length");
        let padding = words.len()..self.padded_length.max(words.len());
        let mut order = spans(words);
        order.extend(padding.map(|at| at..at + 1));
        order.shuffle(rng);
        self.apply_drawn(&order, |_| self.replacement(rng), ids, labels);
    }

    /// Masks one sample in place, words in this order. `replacement` is asked for each target's position, ascending. Positions of
    /// padding may lie behind `ids`.
    pub fn apply_drawn(
        &self,
        order: &[Range<usize>],
        mut replacement: impl FnMut(usize) -> Replacement,
        ids: &mut [i32],
        labels: &mut [i32],
    ) {
        labels.fill(NOT_A_TARGET);
        for at in self.choose(order) {
            let (Some(id), Some(label)) = (ids.get_mut(at), labels.get_mut(at)) else { continue };
            if self.special_ids.contains(id) {
                continue;
            }
            *label = *id;
            match replacement(at) {
                Replacement::Mask => *id = self.mask_id,
                Replacement::Random(other) => *id = other,
                Replacement::Kept => {}
            }
        }
    }

    /// Positions that are chosen of words in this order, ascending: each word that still fits, padding too.
    pub fn choose(&self, order: &[Range<usize>]) -> Vec<usize> {
        let mut chosen = Vec::with_capacity(self.n_wanted);
        for word in order {
            if chosen.len() + word.len() <= self.n_wanted {
                chosen.extend(word.clone());
            }
        }
        chosen.sort_unstable();
        chosen
    }

    fn replacement(&self, rng: &mut impl Rng) -> Replacement {
        if rng.random::<f64>() < MASKED_SHARE {
            Replacement::Mask
        } else if rng.random::<f64>() < RANDOM_SHARE {
            Replacement::Random(rng.random_range(0..self.vocabulary))
        } else {
            Replacement::Kept
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_rng;

    #[test]
    fn settings_out_of_range_are_refused_and_the_number_is_rounded_half_to_even() {
        for ratio in [0.0, 1.01, f64::NAN] {
            assert!(PaddedWordMasking::new(ratio, 112, 20, 4, &[]).is_err(), "{ratio}");
        }
        assert!(PaddedWordMasking::new(0.15, 112, 0, 4, &[]).is_err());
        for (length, wanted) in [(5, 1), (20, 3), (64, 10), (112, 17), (128, 19), (512, 77), (30, 4), (4096, 512)] {
            assert_eq!(PaddedWordMasking::new(0.15, length, 20, 4, &[]).unwrap().n_wanted(), wanted, "{length}");
        }
    }

    #[test]
    fn targets_are_replaced_in_the_shares_of_the_reference_with_ids_of_the_whole_vocabulary() {
        let masking = PaddedWordMasking::new(1.0, 100, 7, 4, &[0]).unwrap();
        let words: Vec<_> = (0..100).map(Some).collect();
        let mut times = [0; 7];
        for seed in 0..400 {
            let (mut ids, mut labels) = ([1; 100], [0; 100]);
            masking.apply(&mut sample_rng(seed), &words, &mut ids, &mut labels);
            assert_eq!(labels, [1; 100]);
            ids.iter().for_each(|&id| times[id as usize] += 1);
        }
        // 40 000 targets: 0.8 masks, 0.1 random ones, 0.1 as they were. Four standard deviations are 320 and 180.
        let shared = 40_000.0 / 70.0;
        for (id, &n) in times.iter().enumerate() {
            let expected = match id {
                4 => 32_000.0 + shared,
                1 => 4000.0 + shared,
                _ => shared,
            };
            let found = f64::from(n);
            assert!((found - expected).abs() < 4.0 * expected.sqrt(), "{id}: {found} for {expected}");
        }
    }
}
