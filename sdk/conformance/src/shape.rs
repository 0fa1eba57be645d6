//! Sizes that a plugin declares, in range: from a [`Shape`] on, products do not overflow.
//!
//! The limits are those of the host.

use medcoss_abi::message::Geometry;

/// Most numbers in a sample: 256 MiB of `f32`.
const MAX_VALUES: usize = 1 << 26;
/// Most tokens in a sample.
const MAX_TOKENS: usize = 1 << 20;
/// Most ids in a vocabulary.
const MAX_VOCABULARY: usize = 1 << 24;

/// Shape of a dataset's samples, in range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `n_tokens` vectors of `d_token` numbers.
    Continuous { n_tokens: usize, d_token: usize, n_masked: usize },
    /// `length` ids below `vocabulary`.
    Discrete { length: usize, vocabulary: usize, padding_id: i32 },
}

impl Shape {
    /// Checks what a plugin declared.
    ///
    /// # Errors
    /// What was found and what was expected.
    pub(crate) fn new(geometry: &Geometry) -> Result<Self, String> {
        match *geometry {
            Geometry::Continuous { ref grid, d_token, n_masked } => {
                let n_tokens = grid.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
                let n_tokens = n_tokens.filter(|n| (1..=MAX_TOKENS).contains(n) && !grid.is_empty());
                let Some(n_tokens) = n_tokens else {
                    return Err(format!("the grid is {grid:?}; its product must be 1 to {MAX_TOKENS} tokens"));
                };
                if !n_tokens.checked_mul(d_token).is_some_and(|n| (1..=MAX_VALUES).contains(&n)) {
                    return Err(format!(
                        "a sample has {n_tokens} tokens of {d_token} values; it must have 1 to {MAX_VALUES} values"
                    ));
                }
                if n_masked == 0 || n_masked >= n_tokens {
                    return Err(format!("n_masked is {n_masked} of {n_tokens} tokens; it must be some and not all"));
                }
                Ok(Self::Continuous { n_tokens, d_token, n_masked })
            }
            Geometry::Discrete { length, vocabulary, padding_id, mask_id } => {
                if !(1..=MAX_TOKENS).contains(&length) {
                    return Err(format!("the length is {length}; it must be 1 to {MAX_TOKENS}"));
                }
                if vocabulary > MAX_VOCABULARY {
                    return Err(format!("the vocabulary has {vocabulary} ids; at most {MAX_VOCABULARY} are allowed"));
                }
                for (name, id) in [("padding_id", padding_id), ("mask_id", mask_id)] {
                    if !usize::try_from(id).is_ok_and(|id| id < vocabulary) {
                        return Err(format!("{name} is {id}; it must be in 0..{vocabulary}"));
                    }
                }
                if padding_id == mask_id {
                    return Err(format!("padding_id and mask_id are both {mask_id}; they must differ"));
                }
                Ok(Self::Discrete { length, vocabulary, padding_id })
            }
        }
    }

    /// Numbers in a sample.
    pub(crate) fn n_values(self) -> usize {
        match self {
            Self::Continuous { n_tokens, d_token, .. } => n_tokens * d_token,
            Self::Discrete { length, .. } => length,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_out_of_range_or_overflowing_are_refused() {
        let continuous = |grid: &[usize], d_token, n_masked| {
            Shape::new(&Geometry::Continuous { grid: grid.to_vec(), d_token, n_masked })
        };
        assert_eq!(continuous(&[2, 3], 5, 4), Ok(Shape::Continuous { n_tokens: 6, d_token: 5, n_masked: 4 }));
        for (grid, d_token, n_masked) in [
            (vec![], 5, 1),
            (vec![0, 3], 5, 1),
            (vec![usize::MAX, 3], 5, 1),
            (vec![1 << 21], 1, 1),
            (vec![2, 3], 0, 1),
            (vec![2, 3], usize::MAX, 1),
            (vec![2, 3], 1 << 26, 1),
            (vec![2, 3], 5, 0),
            (vec![2, 3], 5, 6),
        ] {
            assert!(continuous(&grid, d_token, n_masked).is_err(), "{grid:?} {d_token} {n_masked}");
        }
        let discrete = |length, vocabulary, padding_id, mask_id| {
            Shape::new(&Geometry::Discrete { length, vocabulary, padding_id, mask_id })
        };
        assert_eq!(discrete(7, 11, 0, 4).map(Shape::n_values), Ok(7));
        for (length, vocabulary, padding_id, mask_id) in [
            (0, 11, 0, 4),
            (usize::MAX, 11, 0, 4),
            (7, usize::MAX, 0, 4),
            (7, 11, -1, 4),
            (7, 11, 0, 11),
            (7, 11, 4, 4),
        ] {
            assert!(discrete(length, vocabulary, padding_id, mask_id).is_err());
        }
    }
}
