//! Buffers of a `fill`, with guards before and behind each, and a pattern that tells what was not written.

use medcoss_abi::abi_stable::std_types::RSliceMut;
use medcoss_abi::{FillBuffers, NOT_A_TARGET};

use crate::shape::Shape;

/// Elements of each guard.
const GUARD: usize = 1024;

/// What buffers hold before a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FillPattern {
    /// Values that every rule takes for an empty sample, so that what is left unwritten breaks one rule only.
    Default,
    /// Values that no plugin may deliver.
    First,
    /// Other ones.
    Second,
}

/// Buffers for `n` samples.
pub(crate) struct Batch {
    shape: Shape,
    pattern: FillPattern,
    tokens: Guarded<f32>,
    mask: Guarded<u8>,
    ids: Guarded<i32>,
    labels: Guarded<i32>,
    lengths: Guarded<i32>,
}

/// One sample of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum SampleView<'a> {
    /// `[n_tokens * d_token]` and `[n_tokens]`.
    Continuous { tokens: &'a [f32], mask: &'a [u8] },
    /// `[length]` each, and the number of tokens that are no padding.
    Discrete { ids: &'a [i32], labels: &'a [i32], length: i32 },
}

impl Batch {
    pub(crate) fn new(shape: Shape, n: usize, pattern: FillPattern) -> Self {
        let [n_values, n_mask, n_ids, n_lengths] = match shape {
            Shape::Continuous { n_tokens, d_token, .. } => [n * n_tokens * d_token, n * n_tokens, 0, 0],
            Shape::Discrete { length, .. } => [0, 0, n * length, n],
        };
        let padding = match shape {
            Shape::Discrete { padding_id, .. } => padding_id,
            Shape::Continuous { .. } => 0,
        };
        let [first, second] = [i32::MIN + 7, i32::MAX - 7];
        let pick = |empty| [empty, first, second][pattern as usize];
        // Two different quiet NaNs.
        let value = f32::from_bits([0, 0x7fc0_beef, 0xffc0_dead][pattern as usize]);
        Self {
            shape,
            pattern,
            tokens: Guarded::new(n_values, value, f32::from_bits(0x7fc5_a5a5)),
            mask: Guarded::new(n_mask, [0, 0xa5, 0x5a][pattern as usize], 0xc3),
            ids: Guarded::new(n_ids, pick(padding), i32::MIN + 99),
            labels: Guarded::new(n_ids, pick(NOT_A_TARGET), i32::MIN + 99),
            lengths: Guarded::new(n_lengths, pick(0), i32::MIN + 99),
        }
    }

    /// For the plugin.
    pub(crate) fn buffers(&mut self) -> FillBuffers<'_> {
        FillBuffers {
            tokens: self.tokens.lend(),
            mask: self.mask.lend(),
            ids: self.ids.lend(),
            labels: self.labels.lend(),
            lengths: self.lengths.lend(),
        }
    }

    /// The sample in a slot.
    pub(crate) fn sample(&self, slot: usize) -> SampleView<'_> {
        match self.shape {
            Shape::Continuous { n_tokens, d_token, .. } => SampleView::Continuous {
                tokens: &self.tokens.values()[slot * n_tokens * d_token..][..n_tokens * d_token],
                mask: &self.mask.values()[slot * n_tokens..][..n_tokens],
            },
            Shape::Discrete { length, .. } => SampleView::Discrete {
                ids: &self.ids.values()[slot * length..][..length],
                labels: &self.labels.values()[slot * length..][..length],
                length: self.lengths.values()[slot],
            },
        }
    }

    /// Buffers whose guards were written to: name, and how many elements from the buffer's border on.
    pub(crate) fn overrun(&self) -> Vec<String> {
        let overwritten = [
            ("tokens", self.tokens.overwritten()),
            ("mask", self.mask.overwritten()),
            ("ids", self.ids.overwritten()),
            ("labels", self.labels.overwritten()),
            ("lengths", self.lengths.overwritten()),
        ];
        overwritten.into_iter().filter_map(|(name, overwritten)| Some(format!("`{name}` {}", overwritten?))).collect()
    }

    /// Elements that still hold the pattern in this batch and in another one of another pattern: buffer, position, how
    /// many.
    pub(crate) fn unwritten(&self, other: &Self) -> Vec<String> {
        fn alike<T: Same>(a: &Guarded<T>, b: &Guarded<T>) -> Option<(usize, usize)> {
            let left = |&at: &usize| a.values()[at].same(a.pattern) && b.values()[at].same(b.pattern);
            let first = (0..a.len).find(left)?;
            Some((first, (first..a.len).filter(left).count()))
        }
        debug_assert_ne!(self.pattern, other.pattern);
        let left = [
            ("tokens", alike(&self.tokens, &other.tokens)),
            ("mask", alike(&self.mask, &other.mask)),
            ("ids", alike(&self.ids, &other.ids)),
            ("labels", alike(&self.labels, &other.labels)),
            ("lengths", alike(&self.lengths, &other.lengths)),
        ];
        let told = |(name, left): (&str, Option<(usize, usize)>)| {
            let (first, n) = left?;
            Some(format!("{n} elements of `{name}`, the first at {first}"))
        };
        left.into_iter().filter_map(told).collect()
    }
}

impl SampleView<'_> {
    /// Equality of bits, so that a NaN equals itself.
    pub(crate) fn same(&self, other: &SampleView<'_>) -> bool {
        let bits = |tokens: &[f32]| tokens.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        match (self, other) {
            (Self::Continuous { tokens, mask }, SampleView::Continuous { tokens: others, mask: other_mask }) => {
                mask == other_mask && bits(tokens) == bits(others)
            }
            _ => self == other,
        }
    }

    /// What distinguishes two samples that are not the same.
    pub(crate) fn difference(&self, other: &SampleView<'_>) -> String {
        match (self, other) {
            (Self::Continuous { tokens, mask }, SampleView::Continuous { tokens: others, mask: other_mask }) => {
                let differ = |at: &usize| tokens[*at].to_bits() != others[*at].to_bits();
                match (0..tokens.len()).find(differ) {
                    Some(at) => format!("value {at} is {} and {}", tokens[at], others[at]),
                    None => {
                        let at = (0..mask.len()).find(|&at| mask[at] != other_mask[at]).unwrap_or_default();
                        format!("the mask of token {at} is {} and {}", mask[at], other_mask[at])
                    }
                }
            }
            (Self::Discrete { ids, labels, length }, SampleView::Discrete { ids: i, labels: l, length: n }) => {
                if length != n {
                    return format!("the length is {length} and {n}");
                }
                let (what, a, b) = if ids == i { ("label", labels, l) } else { ("id", ids, i) };
                let at = (0..a.len()).find(|&at| a[at] != b[at]).unwrap_or_default();
                format!("the {what} at {at} is {} and {}", a[at], b[at])
            }
            _ => "the kind of the tokens".into(),
        }
    }
}

/// A buffer between guards, in one allocation.
struct Guarded<T> {
    cells: Vec<T>,
    len: usize,
    pattern: T,
    guard: T,
}

impl<T: Same> Guarded<T> {
    fn new(len: usize, pattern: T, guard: T) -> Self {
        let mut cells = vec![guard; len + 2 * GUARD];
        cells[GUARD..GUARD + len].fill(pattern);
        Self { cells, len, pattern, guard }
    }

    fn lend(&mut self) -> RSliceMut<'_, T> {
        // SAFETY: `len` initialised elements from `GUARD` on lie in the allocation, which stays borrowed. The pointer is
        // made from the whole of it, not from a slice of the middle, so that a plugin which writes past an end hits a
        // guard that belongs to the same allocation and not memory of somebody else.
        unsafe { RSliceMut::from_raw_parts_mut(self.cells.as_mut_ptr().add(GUARD), self.len) }
    }

    fn values(&self) -> &[T] {
        &self.cells[GUARD..GUARD + self.len]
    }

    /// Where guards were written to.
    fn overwritten(&self) -> Option<String> {
        let (before, behind) = (&self.cells[..GUARD], &self.cells[GUARD + self.len..]);
        let is_overwritten = |value: &T| !value.same(self.guard);
        if let Some(at) = behind.iter().rposition(is_overwritten) {
            return Some(format!("up to {} elements past its end", at + 1));
        }
        before.iter().position(is_overwritten).map(|at| format!("from {} elements before its beginning", GUARD - at))
    }
}

/// Equality of bits.
trait Same: Copy {
    fn same(self, other: Self) -> bool;
}

impl Same for f32 {
    fn same(self, other: Self) -> bool {
        self.to_bits() == other.to_bits()
    }
}

impl Same for u8 {
    fn same(self, other: Self) -> bool {
        self == other
    }
}

impl Same for i32 {
    fn same(self, other: Self) -> bool {
        self == other
    }
}
