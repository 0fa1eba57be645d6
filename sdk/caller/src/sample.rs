//! One sample of a batch, and the checks of what a plugin wrote for it.

use medcoss_abi::NOT_A_TARGET;

use crate::buffers::Batch;
use crate::shape::Shape;
use crate::view::View;

/// Values that are checked at once.
const CHECKED_AT_ONCE: usize = 1024;

/// One sample of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SampleView<'a> {
    /// Continuous tokens.
    Continuous {
        /// `[n_tokens * d_token]`.
        tokens: &'a [f32],
        /// `[n_tokens]`, 1 = masked.
        mask: &'a [u8],
    },
    /// Discrete tokens: ids from a vocabulary.
    Discrete {
        /// `[length]`.
        ids: &'a [i32],
        /// `[length]`, [`NOT_A_TARGET`] where there is no target.
        labels: &'a [i32],
        /// Number of tokens that are not padding.
        length: i32,
    },
}

impl Batch {
    /// The sample in a slot of a batch of this shape.
    ///
    /// # Panics
    /// When the batch has fewer samples, or another shape.
    pub fn sample(&self, shape: &Shape, slot: usize) -> SampleView<'_> {
        match *shape {
            Shape::Continuous { n_tokens, d_token, .. } => SampleView::Continuous {
                tokens: &self.tokens[slot * n_tokens * d_token..][..n_tokens * d_token],
                mask: &self.mask[slot * n_tokens..][..n_tokens],
            },
            Shape::Discrete { length, .. } => SampleView::Discrete {
                ids: &self.ids[slot * length..][..length],
                labels: &self.labels[slot * length..][..length],
                length: self.lengths[slot],
            },
        }
    }

    /// Checks the sample in a slot.
    ///
    /// # Errors
    /// What was found and what was expected.
    ///
    /// # Panics
    /// As [`Batch::sample`].
    pub fn check(&self, shape: &Shape, view: View, slot: usize) -> Result<(), String> {
        match (shape, self.sample(shape, slot)) {
            (Shape::Continuous { d_token, n_masked, .. }, SampleView::Continuous { tokens, mask }) => {
                check_tokens(tokens, *d_token)?;
                check_mask(mask, if view == View::Training { *n_masked } else { 0 })
            }
            (Shape::Discrete { vocabulary, padding_id, .. }, SampleView::Discrete { ids, labels, length }) => {
                check_ids(ids, length, *vocabulary, *padding_id)?;
                check_labels(labels, *vocabulary, view)
            }
            _ => Err("its samples have tokens of another kind than its geometry".into()),
        }
    }
}

/// The first value that is infinite or not a number.
pub fn first_not_finite(tokens: &[f32]) -> Option<usize> {
    // All of a block are looked at before the first bad one is searched for: so the CPU looks at many at once.
    let is_finite = |block: &[f32]| block.iter().fold(true, |all, value| all & value.is_finite());
    let block = tokens.chunks(CHECKED_AT_ONCE).position(|block| !is_finite(block))?;
    let start = block * CHECKED_AT_ONCE;
    tokens[start..].iter().position(|value| !value.is_finite()).map(|at| start + at)
}

/// Number of masked tokens.
pub fn n_masked(mask: &[u8]) -> usize {
    mask.iter().filter(|&&value| value != 0).count()
}

/// Whether an id is in `0..vocabulary`.
pub fn is_in_vocabulary(id: i32, vocabulary: usize) -> bool {
    usize::try_from(id).is_ok_and(|id| id < vocabulary)
}

/// The first id that is not in `0..vocabulary`.
pub fn first_outside_vocabulary(ids: &[i32], vocabulary: usize) -> Option<usize> {
    ids.iter().position(|&id| !is_in_vocabulary(id, vocabulary))
}

/// The first id past the length `n` that is not the padding id.
pub fn first_past_length(ids: &[i32], n: usize, padding_id: i32) -> Option<usize> {
    ids[n..].iter().position(|&id| id != padding_id).map(|past| n + past)
}

fn check_tokens(tokens: &[f32], d_token: usize) -> Result<(), String> {
    match first_not_finite(tokens) {
        None => Ok(()),
        Some(at) => {
            Err(format!("value {} of token {} is {}, not a finite number", at % d_token, at / d_token, tokens[at]))
        }
    }
}

fn check_mask(mask: &[u8], expected: usize) -> Result<(), String> {
    if let Some(at) = mask.iter().position(|&value| value > 1) {
        return Err(format!("the mask of token {at} is {}, neither 0 nor 1", mask[at]));
    }
    match n_masked(mask) {
        n if n == expected => Ok(()),
        n => Err(format!("{n} tokens are masked instead of {expected}")),
    }
}

fn check_ids(ids: &[i32], length: i32, vocabulary: usize, padding_id: i32) -> Result<(), String> {
    let n = match usize::try_from(length) {
        Ok(n) if n <= ids.len() => n,
        _ => return Err(format!("the length is {length}; it must be in 0..={}", ids.len())),
    };
    if let Some(at) = first_outside_vocabulary(ids, vocabulary) {
        return Err(format!("the id at {at} is {}; it must be in 0..{vocabulary}", ids[at]));
    }
    match first_past_length(ids, n, padding_id) {
        None => Ok(()),
        Some(at) => {
            Err(format!("the id at {at} is {}, past the length {n}; it must be the padding id {padding_id}", ids[at]))
        }
    }
}

fn check_labels(labels: &[i32], vocabulary: usize, view: View) -> Result<(), String> {
    let is_target = |label: i32| view == View::Training && is_in_vocabulary(label, vocabulary);
    match labels.iter().position(|&label| label != NOT_A_TARGET && !is_target(label)) {
        None => Ok(()),
        Some(at) if view == View::Training => {
            Err(format!("the label at {at} is {}; it must be in 0..{vocabulary} or {NOT_A_TARGET}", labels[at]))
        }
        Some(at) => Err(format!("the label at {at} is {}; without masking it must be {NOT_A_TARGET}", labels[at])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffers::{FillPattern, GuardSizes};

    fn patches() -> Shape {
        Shape::Continuous { grid: vec![2, 2], n_tokens: 4, d_token: 3, n_masked: 3 }
    }

    fn words() -> Shape {
        Shape::Discrete { length: 5, vocabulary: 11, padding_id: 0, mask_id: 4 }
    }

    /// Two samples, the first of which was never written.
    fn delivered(shape: &Shape) -> Batch {
        let mut batch = Batch::default();
        let guarded = batch.prepare(shape, 2, FillPattern::Invalid, GuardSizes::BEHIND).unwrap();
        assert_eq!(guarded.take_back(), []);
        match shape {
            Shape::Continuous { .. } => {
                batch.tokens[12..].fill(0.5);
                batch.mask[4..].copy_from_slice(&[1, 0, 1, 1]);
            }
            Shape::Discrete { .. } => {
                batch.ids[5..].copy_from_slice(&[7, 4, 10, 0, 0]);
                batch.labels[5..].copy_from_slice(&[-100, 9, -100, -100, -100]);
                batch.lengths[1] = 3;
            }
        }
        batch
    }

    #[test]
    fn what_was_not_written_is_noticed() {
        for shape in [patches(), words()] {
            let batch = delivered(&shape);
            assert_eq!(batch.check(&shape, View::Training, 1), Ok(()));
            assert!(batch.check(&shape, View::Training, 0).is_err());
        }
    }

    #[test]
    fn masks_are_counted_by_the_view() {
        let mut batch = delivered(&patches());
        assert_eq!(batch.check(&patches(), View::Evaluation, 1), Err("3 tokens are masked instead of 0".into()));
        batch.mask[4..].fill(0);
        assert_eq!(batch.check(&patches(), View::Evaluation, 1), Ok(()));
        assert_eq!(batch.check(&patches(), View::Training, 1), Err("0 tokens are masked instead of 3".into()));
        batch.mask[6] = 2;
        assert_eq!(batch.check(&patches(), View::Training, 1), Err("the mask of token 2 is 2, neither 0 nor 1".into()));
    }

    #[test]
    fn values_that_are_not_finite_are_found_at_their_place() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut batch = delivered(&patches());
            batch.tokens[12 + 7] = bad;
            let message = batch.check(&patches(), View::Training, 1).unwrap_err();
            assert_eq!(message, format!("value 1 of token 2 is {bad}, not a finite number"));
        }
        for at in [0, 1023, 1024, 2999] {
            let mut tokens = vec![0.5; 3000];
            assert_eq!(first_not_finite(&tokens), None);
            tokens[at] = f32::NAN;
            assert_eq!(first_not_finite(&tokens), Some(at));
        }
    }

    #[test]
    fn ids_labels_and_lengths_are_in_range() {
        for (change, expected) in [
            ((|b: &mut Batch| b.lengths[1] = 6) as fn(&mut Batch), "the length is 6; it must be in 0..=5"),
            (|b| b.lengths[1] = -1, "the length is -1; it must be in 0..=5"),
            (|b| b.ids[6] = 11, "the id at 1 is 11; it must be in 0..11"),
            (|b| b.ids[5] = -1, "the id at 0 is -1; it must be in 0..11"),
            (|b| b.ids[9] = 3, "the id at 4 is 3, past the length 3; it must be the padding id 0"),
            (|b| b.labels[7] = 11, "the label at 2 is 11; it must be in 0..11 or -100"),
            (|b| b.labels[7] = -1, "the label at 2 is -1; it must be in 0..11 or -100"),
        ] {
            let mut batch = delivered(&words());
            change(&mut batch);
            assert_eq!(batch.check(&words(), View::Training, 1), Err(expected.into()));
        }
        let message = delivered(&words()).check(&words(), View::Evaluation, 1).unwrap_err();
        assert_eq!(message, "the label at 1 is 9; without masking it must be -100");
    }
}
