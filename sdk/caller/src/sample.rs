//! One sample of a batch, and the checks of what a plugin wrote for it.

use medcoss_abi::{NOT_A_TARGET, extra};

use crate::buffers::Batch;
use crate::shape::Shape;
use crate::view::View;

/// Values that are checked at once.
const CHECKED_AT_ONCE: usize = 1024;
/// Smallest pivot of an affine that can be inverted, relative to its largest value.
const AFFINE_TOLERANCE: f64 = 1e-9;

/// One sample of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SampleView<'a> {
    /// Continuous tokens.
    Continuous {
        /// `[n_tokens * d_token]`.
        tokens: &'a [f32],
        /// `[n_tokens]`, 1 = masked.
        mask: &'a [u8],
        /// `[n_tokens]`, 1 = the token exists. This and the following are empty where they were not asked for.
        valid: &'a [u8],
        /// `[n_tokens * d_target]`.
        targets: &'a [f32],
        /// `[n_tokens * n_coordinates]`.
        coordinates: &'a [f32],
        /// `[n_axes * (n_axes + 1)]`.
        affine: &'a [f32],
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
                valid: part(&self.valid, slot, shape.n_extra(extra::VALID)),
                targets: part(&self.targets, slot, shape.n_extra(extra::TARGETS)),
                coordinates: part(&self.coordinates, slot, shape.n_extra(extra::COORDINATES)),
                affine: part(&self.affines, slot, shape.n_extra(extra::AFFINES)),
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
            (
                Shape::Continuous { d_token, n_masked, grid, extras, .. },
                SampleView::Continuous { tokens, mask, valid, targets, coordinates, affine },
            ) => {
                check_tokens(tokens, *d_token)?;
                check_mask(mask, if view == View::Training { *n_masked } else { 0 })?;
                if !valid.is_empty() {
                    check_valid(valid, mask, tokens, *d_token, view)?;
                }
                if let Some(at) = first_not_finite(targets) {
                    return Err(format!("value {at} of the targets is {}, not a finite number", targets[at]));
                }
                check_coordinates(coordinates, &extras.coordinates, valid)?;
                check_affine(affine, grid.len())
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

/// The part of a sample of an extra buffer, empty where the buffer is.
fn part<T>(buffer: &[T], slot: usize, a_sample: Option<usize>) -> &[T] {
    match a_sample.filter(|_| !buffer.is_empty()) {
        Some(n) => &buffer[slot * n..][..n],
        None => &[],
    }
}

/// Checks validity against tokens and mask: what does not exist is 0; of what does, one token at least is visible, and in training one is masked.
///
/// # Errors
/// What was found and what was expected.
pub fn check_valid(valid: &[u8], mask: &[u8], tokens: &[f32], d_token: usize, view: View) -> Result<(), String> {
    if let Some(at) = valid.iter().position(|&value| value > 1) {
        return Err(format!("the validity of token {at} is {}, neither 0 nor 1", valid[at]));
    }
    let is_something =
        |at: &usize| valid[*at] == 0 && tokens[at * d_token..][..d_token].iter().any(|&value| value != 0.0);
    if let Some(at) = (0..valid.len()).find(is_something) {
        return Err(format!("token {at} does not exist and has a value other than 0"));
    }
    let n_with = |masked: u8| valid.iter().zip(mask).filter(|&(&valid, &mask)| valid == 1 && mask == masked).count();
    match (n_with(0), n_with(1)) {
        (0, _) => Err("no token that exists is visible; such a sample is to be skipped".into()),
        (_, 0) if view == View::Training => {
            Err("no token that exists is masked; such a sample is to be skipped".into())
        }
        _ => Ok(()),
    }
}

/// Checks coordinates against their ranges; those of tokens that do not exist are 0.
///
/// # Errors
/// What was found and what was expected.
pub fn check_coordinates(coordinates: &[f32], ranges: &[[f64; 2]], valid: &[u8]) -> Result<(), String> {
    for (token, of_token) in coordinates.chunks_exact(ranges.len().max(1)).enumerate() {
        let exists = valid.get(token).is_none_or(|&valid| valid != 0);
        for (&value, &[least, most]) in of_token.iter().zip(ranges) {
            let (least, most) = if exists { (least, most) } else { (0.0, 0.0) };
            // Ranges are stated in double precision; rounding to single may step over their end.
            if !(value >= least as f32 && value <= most as f32) {
                return Err(format!("a coordinate of token {token} is {value}; it must be in [{least}, {most}]"));
            }
        }
    }
    Ok(())
}

/// Checks that an affine is finite and can be inverted.
///
/// # Errors
/// What was found and what was expected.
pub fn check_affine(affine: &[f32], n_axes: usize) -> Result<(), String> {
    if affine.is_empty() {
        return Ok(());
    }
    if let Some(at) = first_not_finite(affine) {
        return Err(format!("value {at} of the affine is {}, not a finite number", affine[at]));
    }
    let rows =
        affine.chunks_exact(n_axes + 1).map(|row| row[..n_axes].iter().map(|&value| value.into()).collect()).collect();
    if is_invertible(rows) { Ok(()) } else { Err("the affine cannot be inverted".into()) }
}

/// Whether a square matrix of finite numbers can be inverted, by its rows.
pub(crate) fn is_invertible(mut rows: Vec<Vec<f64>>) -> bool {
    let n_axes = rows.len();
    // Gaussian elimination with partial pivoting, relative to the largest value.
    let scale = rows.iter().flatten().fold(0.0f64, |most, value| most.max(value.abs()));
    for column in 0..n_axes {
        let pivot = (column..n_axes).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()));
        let Some(pivot) = pivot.filter(|&pivot| rows[pivot][column].abs() > scale * AFFINE_TOLERANCE) else {
            return false;
        };
        rows.swap(column, pivot);
        let (above, below) = rows.split_at_mut(column + 1);
        let above = &above[column];
        for row in below {
            let factor = row[column] / above[column];
            row.iter_mut().zip(above).skip(column).for_each(|(value, above)| *value -= factor * above);
        }
    }
    true
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
    use crate::buffers::{ALL_EXTRAS, FillPattern, GuardSizes};
    use crate::shape::Extras;

    fn patches() -> Shape {
        Shape::Continuous { grid: vec![2, 2], n_tokens: 4, d_token: 3, n_masked: 3, extras: Extras::default() }
    }

    fn words() -> Shape {
        Shape::Discrete { length: 5, vocabulary: 11, padding_id: 0, mask_id: 4 }
    }

    /// Two samples, the first of which was never written.
    fn delivered(shape: &Shape) -> Batch {
        let mut batch = Batch::default();
        let guarded = batch.prepare(shape, 2, ALL_EXTRAS, FillPattern::Invalid, GuardSizes::BEHIND).unwrap();
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

    /// Four tokens of three values in training, the last of which does not exist, with targets, a coordinate and an affine.
    fn with_extras() -> (Shape, Batch) {
        let extras = Extras { validity: true, d_target: Some(2), coordinates: vec![[-1.0, 1.0]], affines: true };
        let shape = Shape::Continuous { grid: vec![2, 2], n_tokens: 4, d_token: 3, n_masked: 3, extras };
        let mut batch = Batch::default();
        let guarded = batch.prepare(&shape, 1, ALL_EXTRAS, FillPattern::Invalid, GuardSizes::BEHIND).unwrap();
        assert_eq!(guarded.take_back(), []);
        batch.tokens.fill(0.5);
        batch.tokens[9..].fill(0.0);
        batch.mask.copy_from_slice(&[1, 0, 1, 1]);
        batch.valid.copy_from_slice(&[1, 1, 1, 0]);
        batch.targets.fill(2.0);
        batch.coordinates.copy_from_slice(&[1.0, -1.0, 0.25, 0.0]);
        batch.affines.copy_from_slice(&[0.0, 8.0, 3.0, -8.0, 0.0, 5.0]);
        (shape, batch)
    }

    #[test]
    fn extra_buffers_are_in_range_and_agree_with_tokens_and_mask() {
        let (shape, batch) = with_extras();
        assert_eq!(batch.check(&shape, View::Training, 0), Ok(()));
        type Fault = (fn(&mut Batch), &'static str);
        let faults: [Fault; 11] = [
            (|b| b.valid[1] = 3, "the validity of token 1 is 3"),
            (|b| b.tokens[10] = 0.1, "token 3 does not exist and has a value"),
            (|b| b.valid[1] = 0, "token 1 does not exist and has a value"),
            (|b| (b.tokens[3..6].fill(0.0), b.valid[1] = 0).1, "no token that exists is visible"),
            (|b| b.mask.copy_from_slice(&[1, 1, 1, 0]), "no token that exists is visible"),
            (|b| b.targets[7] = f32::NAN, "value 7 of the targets is NaN"),
            (|b| b.coordinates[0] = 1.5, "a coordinate of token 0 is 1.5; it must be in [-1, 1]"),
            (|b| b.coordinates[3] = 0.5, "a coordinate of token 3 is 0.5; it must be in [0, 0]"),
            (|b| b.coordinates[2] = f32::NAN, "a coordinate of token 2 is NaN"),
            (|b| b.affines[1] = 0.0, "the affine cannot be inverted"),
            (|b| b.affines[5] = f32::INFINITY, "value 5 of the affine is inf"),
        ];
        for (fault, expected) in faults {
            let mut broken = batch.clone();
            fault(&mut broken);
            let message = broken.check(&shape, View::Training, 0).unwrap_err();
            assert!(message.starts_with(expected), "{message}");
        }
        // Only tokens that do not exist are masked.
        let mut hidden = batch;
        hidden.tokens[..9].fill(0.0);
        hidden.valid.copy_from_slice(&[0, 1, 0, 0]);
        hidden.coordinates.fill(0.0);
        let message = hidden.check(&shape, View::Training, 0).unwrap_err();
        assert!(message.starts_with("no token that exists is masked"), "{message}");
        hidden.mask.fill(0);
        assert_eq!(hidden.check(&shape, View::Evaluation, 0), Ok(()));
    }
}
