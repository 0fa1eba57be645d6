//! Buffers of one `fill`, between guards, with a fill pattern that shows which elements a plugin did not write.

use medcoss_abi::abi_stable::std_types::{RSliceMut, RVec};
use medcoss_abi::{ExtraBuffer, FillBuffers, NOT_A_TARGET, extra};

use crate::shape::Shape;

/// Values of guards: unlikely to be written by mistake, and different from every fill pattern.
const GUARD_FLOAT: f32 = f32::from_bits(0x7fa5_5a17);
const GUARD_BYTE: u8 = 0xc3;
const GUARD_INTEGER: i32 = 0x5a17_e5a1;

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
    /// `[n, n_tokens]`, 1 where the token exists, otherwise 0. This and the following are empty unless they were asked for and the
    /// shape has them.
    pub valid: Vec<u8>,
    /// `[n, n_tokens, d_target]`, finite.
    pub targets: Vec<f32>,
    /// `[n, n_tokens, n_coordinates]`, in their ranges.
    pub coordinates: Vec<f32>,
    /// `[n, n_axes, n_axes + 1]`, finite and invertible.
    pub affines: Vec<f32>,
}

/// All kinds of extra buffers.
pub const ALL_EXTRAS: &[u32] = &[extra::VALID, extra::TARGETS, extra::COORDINATES, extra::AFFINES];

/// Content of buffers before a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FillPattern {
    /// A valid sample without content: zeros and padding. An element that is left unwritten breaks no other rule.
    EmptySample,
    /// Values that no plugin may deliver: the checks of values find what is left unwritten.
    Invalid,
    /// Other values that no plugin may deliver: an element that holds the pattern after calls with both was not written.
    OtherInvalid,
}

impl FillPattern {
    /// Pattern of continuous tokens.
    pub fn float(self) -> f32 {
        f32::from_bits([0, f32::NAN.to_bits(), 0xffc0_dead][self as usize])
    }

    /// Pattern of masks.
    pub fn byte(self) -> u8 {
        [0, u8::MAX, 0x5a][self as usize]
    }

    /// Pattern of ids, labels and lengths. `empty` is what an empty sample has there.
    pub fn integer(self, empty: i32) -> i32 {
        [empty, i32::MIN, i32::MAX - 7][self as usize]
    }
}

/// Elements of the guards at every buffer while a plugin has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardSizes {
    /// Before the first element. Taking them away moves the buffer's content.
    pub before: usize,
    /// Behind the last element.
    pub behind: usize,
}

impl GuardSizes {
    /// A short guard behind each buffer, which costs next to nothing.
    pub const BEHIND: Self = Self { before: 0, behind: 64 };
    /// Wide guards on both sides, for a search for faults.
    pub const WIDE: Self = Self { before: 1024, behind: 1024 };
}

/// On which side of a buffer a guard lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Before the first element.
    Before,
    /// Behind the last element.
    Behind,
}

/// A guard that was overwritten: memory beyond it may be damaged too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overwritten {
    /// Name of the buffer.
    pub buffer: &'static str,
    /// Where the guard lies.
    pub side: Side,
    /// Elements from the buffer's border to the farthest overwritten one.
    pub reach: usize,
}

/// A batch whose buffers are prepared for a call, with guards. Give the guards back with [`GuardedBatch::take_back`].
#[derive(Debug)]
#[must_use = "the batch's buffers hold guards until they are taken back"]
pub struct GuardedBatch<'a> {
    batch: &'a mut Batch,
    guards: GuardSizes,
    /// Kinds of the extra buffers that the plugin gets.
    extras: Vec<u32>,
}

impl Batch {
    /// Makes room for `n` samples, fills it with the pattern and puts guards around it. Of the extra buffers those in `wanted` that the
    /// shape has are made.
    ///
    /// # Errors
    /// Too little memory.
    pub fn prepare(
        &mut self,
        shape: &Shape,
        n: usize,
        wanted: &[u32],
        pattern: FillPattern,
        guards: GuardSizes,
    ) -> Result<GuardedBatch<'_>, String> {
        let [n_values, n_mask, n_ids, n_lengths] = match *shape {
            Shape::Continuous { n_tokens, d_token, .. } => {
                [n.checked_mul(n_tokens * d_token), n.checked_mul(n_tokens), Some(0), Some(0)]
            }
            Shape::Discrete { length, .. } => [Some(0), Some(0), n.checked_mul(length), Some(n)],
        };
        let padding_id = match *shape {
            Shape::Discrete { padding_id, .. } => padding_id,
            Shape::Continuous { .. } => 0,
        };
        let extras: Vec<u32> = wanted.iter().copied().filter(|&kind| shape.n_extra(kind).is_some()).collect();
        let n_extra = |kind| match extras.contains(&kind) {
            true => n.checked_mul(shape.n_extra(kind).unwrap_or(0)),
            false => Some(0),
        };
        let fits = fill(&mut self.tokens, n_values, pattern.float(), GUARD_FLOAT, guards)
            && fill(&mut self.mask, n_mask, pattern.byte(), GUARD_BYTE, guards)
            && fill(&mut self.ids, n_ids, pattern.integer(padding_id), GUARD_INTEGER, guards)
            && fill(&mut self.labels, n_ids, pattern.integer(NOT_A_TARGET), GUARD_INTEGER, guards)
            && fill(&mut self.lengths, n_lengths, pattern.integer(0), GUARD_INTEGER, guards)
            && fill(&mut self.valid, n_extra(extra::VALID), pattern.byte(), GUARD_BYTE, guards)
            && fill(&mut self.targets, n_extra(extra::TARGETS), pattern.float(), GUARD_FLOAT, guards)
            && fill(&mut self.coordinates, n_extra(extra::COORDINATES), pattern.float(), GUARD_FLOAT, guards)
            && fill(&mut self.affines, n_extra(extra::AFFINES), pattern.float(), GUARD_FLOAT, guards);
        if fits {
            Ok(GuardedBatch { batch: self, guards, extras })
        } else {
            Err(format!("there is not enough memory for {n} samples of {shape}\nhint: use a smaller batch"))
        }
    }
}

impl GuardedBatch<'_> {
    /// The buffers without their guards, for the plugin.
    pub fn buffers(&mut self) -> FillBuffers<'_> {
        let guards = self.guards;
        let mut extras = RVec::new();
        let Batch { tokens, mask, ids, labels, lengths, valid, targets, coordinates, affines } = &mut *self.batch;
        let floats = [(extra::TARGETS, targets), (extra::COORDINATES, coordinates), (extra::AFFINES, affines)];
        if self.extras.contains(&extra::VALID) {
            extras.push(ExtraBuffer { bytes: inner(valid, guards), ..empty(extra::VALID) });
        }
        for (kind, buffer) in floats.into_iter().filter(|(kind, _)| self.extras.contains(kind)) {
            extras.push(ExtraBuffer { floats: inner(buffer, guards), ..empty(kind) });
        }
        FillBuffers {
            tokens: inner(tokens, guards),
            mask: inner(mask, guards),
            ids: inner(ids, guards),
            labels: inner(labels, guards),
            lengths: inner(lengths, guards),
            extras,
        }
    }

    /// Takes the guards away after the call, and lists those that were overwritten.
    pub fn take_back(self) -> Vec<Overwritten> {
        let Self { batch, guards, .. } = self;
        let is_float = |value: &f32| value.to_bits() == GUARD_FLOAT.to_bits();
        let integer = |integer: &i32| *integer == GUARD_INTEGER;
        let found = [
            ("tokens", take_guards(&mut batch.tokens, guards, is_float)),
            ("mask", take_guards(&mut batch.mask, guards, |byte| *byte == GUARD_BYTE)),
            ("ids", take_guards(&mut batch.ids, guards, integer)),
            ("labels", take_guards(&mut batch.labels, guards, integer)),
            ("lengths", take_guards(&mut batch.lengths, guards, integer)),
            ("valid", take_guards(&mut batch.valid, guards, |byte| *byte == GUARD_BYTE)),
            ("targets", take_guards(&mut batch.targets, guards, is_float)),
            ("coordinates", take_guards(&mut batch.coordinates, guards, is_float)),
            ("affines", take_guards(&mut batch.affines, guards, is_float)),
        ];
        found
            .into_iter()
            .filter_map(|(buffer, found)| found.map(|(side, reach)| Overwritten { buffer, side, reach }))
            .collect()
    }
}

/// A buffer without elements.
fn empty<'a>(kind: u32) -> ExtraBuffer<'a> {
    ExtraBuffer {
        kind,
        floats: RSliceMut::from_mut_slice(&mut []),
        words: RSliceMut::from_mut_slice(&mut []),
        bytes: RSliceMut::from_mut_slice(&mut []),
    }
}

/// Resizes and overwrites, guards around; false without enough memory.
fn fill<T: Copy>(buffer: &mut Vec<T>, len: Option<usize>, value: T, guard: T, guards: GuardSizes) -> bool {
    buffer.clear();
    let all = len.and_then(|len| len.checked_add(guards.before + guards.behind));
    let (Some(len), Some(all)) = (len, all) else { return false };
    if buffer.try_reserve_exact(all).is_err() {
        return false;
    }
    buffer.resize(guards.before, guard);
    buffer.resize(guards.before + len, value);
    buffer.resize(all, guard);
    true
}

fn inner<T>(cells: &mut [T], guards: GuardSizes) -> RSliceMut<'_, T> {
    let len = cells.len() - guards.before - guards.behind;
    // SAFETY: `len` initialised elements from `guards.before` on lie in the allocation, which stays borrowed as long as the result. The
    // pointer is made from all cells, not from a slice of the middle, so that a plugin that writes past an end hits a guard which
    // belongs to the same allocation.
    unsafe { RSliceMut::from_raw_parts_mut(cells.as_mut_ptr().add(guards.before), len) }
}

/// Cuts the guards off. Which one was overwritten, and how far from the buffer.
fn take_guards<T>(buffer: &mut Vec<T>, guards: GuardSizes, is_untouched: impl Fn(&T) -> bool) -> Option<(Side, usize)> {
    let end = buffer.len() - guards.behind;
    let behind = buffer[end..].iter().rposition(|guard| !is_untouched(guard));
    let before = buffer[..guards.before].iter().position(|guard| !is_untouched(guard));
    buffer.truncate(end);
    buffer.drain(..guards.before);
    behind.map(|last| (Side::Behind, last + 1)).or(before.map(|first| (Side::Before, guards.before - first)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Extras;

    fn patches() -> Shape {
        Shape::Continuous { grid: vec![2, 2], n_tokens: 4, d_token: 3, n_masked: 3, extras: Extras::default() }
    }

    fn words() -> Shape {
        Shape::Discrete { length: 5, vocabulary: 11, padding_id: 0, mask_id: 4 }
    }

    #[test]
    fn overwritten_guards_are_reported_for_every_buffer_and_side() {
        type Write = fn(&mut Batch);
        let past: [(&str, Side, usize, Write); 5] = [
            ("tokens", Side::Behind, 3, |batch| batch.tokens[1024 + 24 + 2] = f32::NAN),
            ("mask", Side::Behind, 1, |batch| batch.mask[1024 + 8] = 0),
            ("ids", Side::Before, 1, |batch| batch.ids[1023] = i32::MIN),
            ("labels", Side::Before, 1024, |batch| batch.labels[0] = NOT_A_TARGET),
            ("lengths", Side::Behind, 1024, |batch| batch.lengths[2047] = 4),
        ];
        for (buffer, side, reach, write) in past {
            let mut batch = Batch::default();
            let mut guarded = batch.prepare(&patches(), 2, ALL_EXTRAS, FillPattern::Invalid, GuardSizes::WIDE).unwrap();
            assert_eq!(guarded.buffers().tokens.len(), 24);
            write(guarded.batch);
            assert_eq!(guarded.take_back(), [Overwritten { buffer, side, reach }]);
            assert_eq!([batch.tokens.len(), batch.mask.len(), batch.ids.len()], [24, 8, 0]);
        }
    }

    #[test]
    fn buffers_have_the_shape_and_the_pattern_and_are_reused() {
        let mut batch = Batch::default();
        for (shape, n, expected) in
            [(patches(), 2, [24, 8, 0, 0, 0]), (words(), 2, [0, 0, 10, 10, 2]), (words(), 1, [0, 0, 5, 5, 1])]
        {
            for pattern in [FillPattern::EmptySample, FillPattern::Invalid, FillPattern::OtherInvalid] {
                let guarded = batch.prepare(&shape, n, ALL_EXTRAS, pattern, GuardSizes::BEHIND).unwrap();
                assert_eq!(guarded.take_back(), []);
                let lengths =
                    [batch.tokens.len(), batch.mask.len(), batch.ids.len(), batch.labels.len(), batch.lengths.len()];
                assert_eq!(lengths, expected);
                assert!(batch.tokens.iter().all(|value| value.to_bits() == pattern.float().to_bits()));
                assert!(batch.mask.iter().all(|value| *value == pattern.byte()));
                assert!(batch.labels.iter().all(|value| *value == pattern.integer(NOT_A_TARGET)));
            }
        }
    }

    #[test]
    fn a_batch_larger_than_memory_is_an_error() {
        let mut batch = Batch::default();
        let error = batch
            .prepare(&patches(), usize::MAX / 2, ALL_EXTRAS, FillPattern::Invalid, GuardSizes::BEHIND)
            .unwrap_err();
        assert!(error.contains("not enough memory"), "{error}");
    }

    #[test]
    fn extra_buffers_are_made_where_the_shape_has_them_and_they_are_wanted() {
        let mut shape = patches();
        let Shape::Continuous { extras, .. } = &mut shape else { unreachable!() };
        (extras.validity, extras.d_target, extras.affines) = (true, Some(5), true);
        let mut batch = Batch::default();
        for (wanted, expected) in [(ALL_EXTRAS, [8, 40, 0, 12]), (&[extra::VALID], [8, 0, 0, 0]), (&[], [0; 4])] {
            let mut guarded = batch.prepare(&shape, 2, wanted, FillPattern::Invalid, GuardSizes::BEHIND).unwrap();
            let kinds: Vec<u32> = guarded.buffers().extras.iter().map(|buffer| buffer.kind).collect();
            let known = [extra::VALID, extra::TARGETS, extra::AFFINES];
            assert_eq!(kinds, known.into_iter().filter(|kind| wanted.contains(kind)).collect::<Vec<_>>());
            assert_eq!(guarded.take_back(), []);
            let Batch { valid, targets, coordinates, affines, .. } = &batch;
            assert_eq!([valid.len(), targets.len(), coordinates.len(), affines.len()], expected);
        }
        let guarded = batch.prepare(&shape, 2, ALL_EXTRAS, FillPattern::Invalid, GuardSizes::BEHIND).unwrap();
        guarded.batch.affines[12] = 1.0;
        assert_eq!(guarded.take_back(), [Overwritten { buffer: "affines", side: Side::Behind, reach: 1 }]);
    }
}
