//! Buffers of one `fill`, and the checks of what a plugin wrote into them.
//!
//! Before each call they are filled with values that no plugin may deliver, so that what it left unwritten is found by
//! the same checks as what it wrote wrongly. Behind each lies a strip of guards: who writes past the end hits them first.

use medcoss_abi::abi_stable::std_types::RSliceMut;
use medcoss_abi::{FillBuffers, NOT_A_TARGET};

use crate::shape::Shape;

/// Which view of samples a plugin fills in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Neither augmented nor masked.
    Evaluation,
    /// Augmented and masked.
    Training,
}

/// Buffers of `n` samples, reused from call to call. Continuous tokens use `tokens` and `mask`, discrete tokens the other three.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// `[n, n_tokens, d_token]`, finite.
    pub tokens: Vec<f32>,
    /// `[n, n_tokens]`, 1 where the token is masked, otherwise 0.
    pub mask: Vec<u8>,
    /// `[n, length]`, ids of the vocabulary.
    pub ids: Vec<i32>,
    /// `[n, length]`, the id to predict, or [`NOT_A_TARGET`].
    pub labels: Vec<i32>,
    /// `[n]`, tokens that are not padding.
    pub lengths: Vec<i32>,
}

/// Elements behind every buffer while a plugin has it.
const N_GUARDS: usize = 64;
/// What they hold: nothing that a plugin writes by mistake, and no value that buffers are filled with.
const GUARDS: Guards = Guards { float: 0x7fa5_5a17, byte: 0xa5, word: 0x5a17_e5a1 };

struct Guards {
    /// The bits of an `f32`.
    float: u32,
    byte: u8,
    word: i32,
}

/// Values that are checked at once.
const CHECKED_AT_ONCE: usize = 1024;

/// A sample that could not be delivered. Its part of the batch is void and must not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleFailure {
    /// Position in the request.
    pub slot: usize,
    /// Sample id.
    pub id: String,
    /// What was found and what was expected; begins with the plugin and names the sample.
    pub message: String,
}

/// What the host does to the buffers before and after a plugin has them.
pub(crate) trait Guarded {
    /// Makes room for `n` samples and poisons it, with guards behind.
    ///
    /// # Errors
    /// Too little memory.
    fn prepare(&mut self, shape: &Shape, n: usize) -> Result<(), String>;

    /// The buffers without their guards, for the plugin.
    fn lend(&mut self) -> FillBuffers<'_>;

    /// Takes the guards away after the call.
    ///
    /// # Errors
    /// A guard that was overwritten: memory behind it may be damaged too.
    fn take_back(&mut self) -> Result<(), String>;

    /// Checks the sample in a slot.
    ///
    /// # Errors
    /// What was found and what was expected.
    fn check(&self, shape: &Shape, view: View, slot: usize) -> Result<(), String>;
}

impl Guarded for Batch {
    fn prepare(&mut self, shape: &Shape, n: usize) -> Result<(), String> {
        let (continuous, discrete) = match *shape {
            Shape::Continuous { n_tokens, d_token, .. } => {
                ([n.checked_mul(n_tokens * d_token), n.checked_mul(n_tokens)], [Some(0); 2])
            }
            Shape::Discrete { length, .. } => ([Some(0); 2], [n.checked_mul(length), Some(n)]),
        };
        let [tokens, mask] = continuous;
        let [ids, lengths] = discrete;
        let fits = poison(&mut self.tokens, tokens, f32::NAN, f32::from_bits(GUARDS.float))
            && poison(&mut self.mask, mask, u8::MAX, GUARDS.byte)
            && poison(&mut self.ids, ids, i32::MIN, GUARDS.word)
            && poison(&mut self.labels, ids, i32::MIN, GUARDS.word)
            && poison(&mut self.lengths, lengths, i32::MIN, GUARDS.word);
        if fits {
            Ok(())
        } else {
            Err(format!("there is not enough memory for {n} samples of {shape}\nhint: use a smaller batch"))
        }
    }

    fn lend(&mut self) -> FillBuffers<'_> {
        FillBuffers {
            tokens: unguarded(&mut self.tokens),
            mask: unguarded(&mut self.mask),
            ids: unguarded(&mut self.ids),
            labels: unguarded(&mut self.labels),
            lengths: unguarded(&mut self.lengths),
        }
    }

    fn take_back(&mut self) -> Result<(), String> {
        let word = |&word: &i32| word == GUARDS.word;
        // All are taken away before the first is complained about.
        let found = [
            ("tokens", take_guards(&mut self.tokens, |value| value.to_bits() == GUARDS.float)),
            ("mask", take_guards(&mut self.mask, |&byte| byte == GUARDS.byte)),
            ("ids", take_guards(&mut self.ids, word)),
            ("labels", take_guards(&mut self.labels, word)),
            ("lengths", take_guards(&mut self.lengths, word)),
        ];
        match found.into_iter().find_map(|(name, broken)| Some((name, broken?))) {
            None => Ok(()),
            Some((name, past)) => Err(format!(
                "it wrote past the end of the buffer of {name}, at least {past} values; memory may be damaged"
            )),
        }
    }

    fn check(&self, shape: &Shape, view: View, slot: usize) -> Result<(), String> {
        match *shape {
            Shape::Continuous { n_tokens, d_token, n_masked, .. } => {
                let n_values = n_tokens * d_token;
                check_tokens(&self.tokens[slot * n_values..][..n_values], d_token)?;
                let n_masked = if view == View::Training { n_masked } else { 0 };
                check_mask(&self.mask[slot * n_tokens..][..n_tokens], n_masked)
            }
            Shape::Discrete { length, vocabulary, padding_id, .. } => {
                let ids = &self.ids[slot * length..][..length];
                let labels = &self.labels[slot * length..][..length];
                check_ids(ids, self.lengths[slot], vocabulary, padding_id)?;
                check_labels(labels, vocabulary, view)
            }
        }
    }
}

/// Resizes and overwrites, guards behind; false without enough memory.
fn poison<T: Copy>(buffer: &mut Vec<T>, len: Option<usize>, value: T, guard: T) -> bool {
    buffer.clear();
    let whole = len.and_then(|len| len.checked_add(N_GUARDS));
    let (Some(len), Some(whole)) = (len, whole) else { return false };
    if buffer.try_reserve_exact(whole).is_err() {
        return false;
    }
    buffer.resize(len, value);
    buffer.resize(whole, guard);
    true
}

fn unguarded<T>(buffer: &mut [T]) -> RSliceMut<'_, T> {
    let len = buffer.len() - N_GUARDS;
    RSliceMut::from_mut_slice(&mut buffer[..len])
}

/// Cuts the guards off; the number of values from the first to the last overwritten one, if there is any.
fn take_guards<T>(buffer: &mut Vec<T>, is_whole: impl Fn(&T) -> bool) -> Option<usize> {
    let len = buffer.len() - N_GUARDS;
    let overwritten = buffer[len..].iter().rposition(|guard| !is_whole(guard));
    buffer.truncate(len);
    overwritten.map(|last| last + 1)
}

fn check_tokens(tokens: &[f32], d_token: usize) -> Result<(), String> {
    // A whole block is checked before the first invalid value is looked for, so that the check uses wide vectors.
    let is_bad = |block: &&[f32]| !block.iter().fold(true, |all, value| all & value.is_finite());
    let Some(block) = tokens.chunks(CHECKED_AT_ONCE).position(|block| is_bad(&block)) else { return Ok(()) };
    let start = block * CHECKED_AT_ONCE;
    match tokens[start..].iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(at) => {
            let at = start + at;
            Err(format!("value {} of token {} is {}, not a finite number", at % d_token, at / d_token, tokens[at]))
        }
    }
}

fn check_mask(mask: &[u8], expected: usize) -> Result<(), String> {
    if let Some(at) = mask.iter().position(|&value| value > 1) {
        return Err(format!("the mask of token {at} is {}, neither 0 nor 1", mask[at]));
    }
    match mask.iter().filter(|&&value| value == 1).count() {
        n if n == expected => Ok(()),
        n => Err(format!("{n} tokens are masked instead of {expected}")),
    }
}

fn check_ids(ids: &[i32], length: i32, vocabulary: usize, padding_id: i32) -> Result<(), String> {
    let n = match usize::try_from(length) {
        Ok(n) if n <= ids.len() => n,
        _ => return Err(format!("the length is {length}; it must be in 0..={}", ids.len())),
    };
    if let Some(at) = ids.iter().position(|&id| usize::try_from(id).map_or(true, |id| id >= vocabulary)) {
        return Err(format!("the id at {at} is {}; it must be in 0..{vocabulary}", ids[at]));
    }
    match ids[n..].iter().position(|&id| id != padding_id) {
        None => Ok(()),
        Some(past) => Err(format!(
            "the id at {} is {}, past the length {n}; it must be the padding id {padding_id}",
            n + past,
            ids[n + past]
        )),
    }
}

fn check_labels(labels: &[i32], vocabulary: usize, view: View) -> Result<(), String> {
    let allowed = |label: i32| match usize::try_from(label) {
        Ok(id) => id < vocabulary && view == View::Training,
        Err(_) => label == NOT_A_TARGET,
    };
    match labels.iter().position(|&label| !allowed(label)) {
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

    fn patches() -> Shape {
        Shape::Continuous { grid: vec![2, 2], n_tokens: 4, d_token: 3, n_masked: 3 }
    }

    fn words() -> Shape {
        Shape::Discrete { length: 5, vocabulary: 11, padding_id: 0, mask_id: 4 }
    }

    /// Two samples, the first of which was never written.
    fn delivered(shape: &Shape) -> Batch {
        let mut batch = Batch::default();
        batch.prepare(shape, 2).unwrap();
        batch.take_back().unwrap();
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
    fn who_writes_past_the_end_is_noticed_in_every_buffer() {
        type Write = fn(&mut Batch);
        let past: [(&str, Write); 5] = [
            ("tokens, at least 3 ", |batch| batch.tokens[24 + 2] = f32::NAN),
            ("mask, at least 1 ", |batch| batch.mask[8] = 0),
            ("ids, at least 64 ", |batch| batch.ids[63] = i32::MIN),
            ("labels, at least 2 ", |batch| batch.labels[1] = NOT_A_TARGET),
            ("lengths, at least 1 ", |batch| batch.lengths[0] = 4),
        ];
        for (expected, write) in past {
            let mut batch = Batch::default();
            batch.prepare(&patches(), 2).unwrap();
            assert_eq!(batch.lend().tokens.len(), 24);
            write(&mut batch);
            let error = batch.take_back().unwrap_err();
            assert!(error.contains(expected), "{error}");
            assert_eq!([batch.tokens.len(), batch.mask.len(), batch.ids.len()], [24, 8, 0]);
        }
    }

    #[test]
    fn buffers_have_the_shape_and_what_was_not_written_is_noticed() {
        for shape in [patches(), words()] {
            let batch = delivered(&shape);
            assert_eq!(batch.check(&shape, View::Training, 1), Ok(()));
            assert!(batch.check(&shape, View::Training, 0).is_err());
        }
        let batch = delivered(&patches());
        assert_eq!([batch.tokens.len(), batch.mask.len(), batch.ids.len(), batch.lengths.len()], [24, 8, 0, 0]);
        let mut batch = delivered(&words());
        assert_eq!([batch.ids.len(), batch.labels.len(), batch.lengths.len(), batch.tokens.len()], [10, 10, 2, 0]);
        batch.prepare(&words(), 1).unwrap();
        batch.take_back().unwrap();
        assert_eq!([batch.ids.len(), batch.lengths.len()], [5, 1]);
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
    fn values_that_are_no_numbers_are_found_at_their_place() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut batch = delivered(&patches());
            batch.tokens[12 + 7] = bad;
            let message = batch.check(&patches(), View::Training, 1).unwrap_err();
            assert_eq!(message, format!("value 1 of token 2 is {bad}, not a finite number"));
        }
        for at in [0, 1023, 1024, 2999] {
            let mut tokens = vec![0.5; 3000];
            tokens[at] = f32::NAN;
            let expected = format!("value {} of token {} is NaN, not a finite number", at % 3, at / 3);
            assert_eq!(check_tokens(&tokens, 3), Err(expected));
        }
    }

    #[test]
    fn ids_labels_and_lengths_are_in_range() {
        for (break_it, expected) in [
            ((|b: &mut Batch| b.lengths[1] = 6) as fn(&mut Batch), "the length is 6; it must be in 0..=5"),
            (|b| b.lengths[1] = -1, "the length is -1; it must be in 0..=5"),
            (|b| b.ids[6] = 11, "the id at 1 is 11; it must be in 0..11"),
            (|b| b.ids[5] = -1, "the id at 0 is -1; it must be in 0..11"),
            (|b| b.ids[9] = 3, "the id at 4 is 3, past the length 3; it must be the padding id 0"),
            (|b| b.labels[7] = 11, "the label at 2 is 11; it must be in 0..11 or -100"),
            (|b| b.labels[7] = -1, "the label at 2 is -1; it must be in 0..11 or -100"),
        ] {
            let mut batch = delivered(&words());
            break_it(&mut batch);
            assert_eq!(batch.check(&words(), View::Training, 1), Err(expected.into()));
        }
        let message = delivered(&words()).check(&words(), View::Evaluation, 1).unwrap_err();
        assert_eq!(message, "the label at 1 is 9; without masking it must be -100");
    }

    #[test]
    fn a_batch_larger_than_memory_is_an_error() {
        let message = Batch::default().prepare(&patches(), usize::MAX / 2).unwrap_err();
        assert!(message.contains("not enough memory"), "{message}");
    }
}
