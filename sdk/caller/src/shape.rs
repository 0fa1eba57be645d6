//! Sizes that a plugin declares, checked once: from a [`Shape`] on, products do not overflow and buffers have a limit.

use medcoss_abi::message::Geometry;

/// Most numbers in a sample: 256 MiB of `f32`.
pub const MAX_VALUES: usize = 1 << 26;
/// Most tokens in a sample. Attention is quadratic in it; no model comes near.
pub const MAX_TOKENS: usize = 1 << 20;
/// Most ids in a vocabulary.
pub const MAX_VOCABULARY: usize = 1 << 24;

/// Shape of a dataset's samples, in range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Continuous tokens: vectors of numbers on a grid.
    Continuous {
        /// Tokens along each axis, slowest first; none is zero.
        grid: Vec<usize>,
        /// Product of the grid, up to [`MAX_TOKENS`].
        n_tokens: usize,
        /// Values in a token, at least 1; times `n_tokens` up to [`MAX_VALUES`].
        d_token: usize,
        /// Tokens masked in the training view: at least 1, and at least one is left.
        n_masked: usize,
    },
    /// Discrete tokens: ids from a vocabulary.
    Discrete {
        /// Tokens in a sample, padding included: 1 to [`MAX_TOKENS`].
        length: usize,
        /// Ids are in `0..vocabulary`: up to [`MAX_VOCABULARY`].
        vocabulary: usize,
        /// Id of the padding token.
        padding_id: i32,
        /// Id of the mask token.
        mask_id: i32,
    },
}

impl Shape {
    /// The checked shape of a geometry that a plugin declared.
    ///
    /// # Errors
    /// What was found and what was expected.
    pub fn new(geometry: &Geometry) -> Result<Self, String> {
        match *geometry {
            Geometry::Continuous { ref grid, d_token, n_masked } => continuous(grid, d_token, n_masked),
            Geometry::Discrete { length, vocabulary, padding_id, mask_id } => {
                discrete(length, vocabulary, padding_id, mask_id)
            }
        }
    }

    /// Tokens in a sample.
    pub fn n_tokens(&self) -> usize {
        match *self {
            Self::Continuous { n_tokens, .. } => n_tokens,
            Self::Discrete { length, .. } => length,
        }
    }

    /// Numbers in a sample: values of its tokens, or ids.
    pub fn n_values(&self) -> usize {
        match *self {
            Self::Continuous { n_tokens, d_token, .. } => n_tokens * d_token,
            Self::Discrete { length, .. } => length,
        }
    }
}

/// For people: `14 x 14 tokens of 768 values, 147 masked`, `112 tokens of 30522 ids`.
impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Continuous { grid, d_token, n_masked, .. } => {
                let grid: Vec<_> = grid.iter().map(usize::to_string).collect();
                write!(f, "{} tokens of {d_token} values, {n_masked} masked", grid.join(" x "))
            }
            Self::Discrete { length, vocabulary, .. } => write!(f, "{length} tokens of {vocabulary} ids"),
        }
    }
}

fn continuous(grid: &[usize], d_token: usize, n_masked: usize) -> Result<Shape, String> {
    let n_tokens = grid.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
    let n_tokens = match n_tokens.filter(|&n| (1..=MAX_TOKENS).contains(&n) && !grid.is_empty()) {
        Some(n_tokens) => n_tokens,
        None => return Err(format!("the grid is {grid:?}; its product must be 1 to {MAX_TOKENS} tokens")),
    };
    if n_tokens.checked_mul(d_token).is_none_or(|n_values| !(1..=MAX_VALUES).contains(&n_values)) {
        return Err(format!(
            "a sample has {n_tokens} tokens of {d_token} values; together 1 to {MAX_VALUES} are allowed"
        ));
    }
    if n_masked == 0 || n_masked >= n_tokens {
        return Err(format!("{n_masked} of {n_tokens} tokens are masked in training; it must be some and not all"));
    }
    Ok(Shape::Continuous { grid: grid.to_vec(), n_tokens, d_token, n_masked })
}

fn discrete(length: usize, vocabulary: usize, padding_id: i32, mask_id: i32) -> Result<Shape, String> {
    if !(1..=MAX_TOKENS).contains(&length) {
        return Err(format!("the length is {length}; it must be 1 to {MAX_TOKENS}"));
    }
    if vocabulary > MAX_VOCABULARY {
        return Err(format!("the vocabulary has {vocabulary} ids; it must have at most {MAX_VOCABULARY}"));
    }
    for (name, id) in [("padding", padding_id), ("mask", mask_id)] {
        if usize::try_from(id).map_or(true, |id| id >= vocabulary) {
            return Err(format!("the {name} id is {id}; it must be in 0..{vocabulary}"));
        }
    }
    if padding_id == mask_id {
        return Err(format!("padding and mask have the same id, {mask_id}"));
    }
    Ok(Shape::Discrete { length, vocabulary, padding_id, mask_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(grid: &[usize], d_token: usize, n_masked: usize) -> Result<Shape, String> {
        Shape::new(&Geometry::Continuous { grid: grid.to_vec(), d_token, n_masked })
    }

    fn text(length: usize, vocabulary: usize, padding_id: i32, mask_id: i32) -> Result<Shape, String> {
        Shape::new(&Geometry::Discrete { length, vocabulary, padding_id, mask_id })
    }

    #[test]
    fn valid_geometries_are_multiplied_out() {
        let volume = grid(&[2, 3, 5], 7, 11).unwrap();
        assert_eq!((volume.n_tokens(), volume.n_values()), (30, 210));
        assert_eq!(volume.to_string(), "2 x 3 x 5 tokens of 7 values, 11 masked");
        let words = text(9, 31, 0, 4).unwrap();
        assert_eq!((words.n_tokens(), words.n_values()), (9, 9));
        assert_eq!(words.to_string(), "9 tokens of 31 ids");
    }

    #[test]
    fn products_that_overflow_or_are_zero_are_refused() {
        let huge = 1 << 40;
        for (axes, d_token) in [
            (&[][..], 4),
            (&[3, 0], 4),
            (&[huge, huge], 4),
            (&[MAX_TOKENS, 2], 1),
            (&[5], 0),
            (&[5], usize::MAX),
            (&[MAX_TOKENS], 65),
        ] {
            assert!(grid(axes, d_token, 1).is_err(), "{axes:?} x {d_token}");
        }
        assert!(grid(&[MAX_TOKENS], 64, 1).is_ok());
    }

    #[test]
    fn some_tokens_are_masked_and_some_are_not() {
        assert!(grid(&[5], 2, 0).is_err());
        assert!(grid(&[5], 2, 5).is_err());
        assert!(grid(&[5], 2, 4).is_ok());
    }

    #[test]
    fn special_ids_are_distinct_members_of_the_vocabulary() {
        for (length, vocabulary, padding_id, mask_id) in
            [(0, 9, 0, 1), (5, 9, -1, 1), (5, 9, 0, 9), (5, 9, 3, 3), (5, 0, 0, 1), (5, MAX_VOCABULARY + 1, 0, 1)]
        {
            assert!(text(length, vocabulary, padding_id, mask_id).is_err());
        }
        assert!(text(5, 9, 8, 0).is_ok());
    }
}
