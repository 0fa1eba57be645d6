//! Masking with its ratio and its form: how many tokens of a grid are masked, and which, also where some tokens do not exist. In every
//! mask, 1 = masked, 0 = visible. [`crate::mask`] has the draws themselves.

use rand::{Rng, RngExt};

use crate::{Error, mask};

/// Which tokens of a grid are masked together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaskingScheme {
    /// Each token by itself.
    #[default]
    Random,
    /// Rectangles of a grid of two axes.
    Block,
    /// The same places along the first axis: at all times, at all depths, in all leads.
    Tube,
    /// Whole runs along an axis: with the grid `[leads, times]`, axis 1 masks whole leads, and axis 0 the same times in all leads.
    Spans {
        /// The axis, from 0.
        axis: usize,
    },
}

/// The masking of a modality.
///
/// ```
/// use medcoss_sdk::{Masking, sample_rng};
///
/// let masking = Masking::random(0.75);
/// let mut mask = [0; 16];
/// masking.draw(&mut sample_rng(7), &[4, 4], &[], &mut mask)?;
/// assert_eq!(mask.iter().filter(|&&token| token == 1).count(), masking.count(&[4, 4])?);
/// # Ok::<(), medcoss_sdk::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Masking {
    /// Fraction of the tokens that are masked, above 0 and below 1: the option `mask_ratio`.
    pub ratio: f64,
    /// Which of them.
    pub scheme: MaskingScheme,
}

impl Masking {
    /// Each token by itself.
    pub fn random(ratio: f64) -> Self {
        Self { ratio, scheme: MaskingScheme::Random }
    }

    /// Number of masked tokens of a sample with this grid: at least one, and not all. For `n_masked` of a geometry.
    ///
    /// # Errors
    /// A ratio that is not above 0 and below 1, or by which all or none are masked; a grid that the scheme does not fit.
    pub fn count(&self, grid: &[usize]) -> Result<usize, Error> {
        let ratio = self.ratio;
        if !(ratio > 0.0 && ratio < 1.0) {
            return Err(Error::bad_request(format!("mask_ratio is {ratio}; it must be above 0 and below 1")));
        }
        let n_tokens: usize = grid.iter().product();
        let n_masked = match self.runs(grid)? {
            Some(runs) => runs.length * mask::n_masked(runs.n(), ratio),
            None => mask::n_masked(n_tokens, ratio),
        };
        if n_masked == 0 || n_masked == n_tokens {
            let (what, remedy) = if n_masked == 0 { ("masked", "raise") } else { ("visible", "lower") };
            return Err(Error::bad_request(format!(
                "mask_ratio is {ratio}, by which none of the {n_tokens} tokens is {what}\nhint: {remedy} it, or give samples more tokens"
            )));
        }
        Ok(n_masked)
    }

    /// Draws a mask `[n_tokens]`; exactly [`count`](Self::count) tokens are masked. `valid` `[n_tokens]` says with 1 which tokens exist; empty
    /// where all do.
    ///
    /// Of the tokens that exist the ratio is masked, as far as the number of all masked tokens allows, and at least one is masked and one
    /// visible; tokens that do not exist make up the rest. A form (blocks, runs) is kept as far as that allows.
    ///
    /// # Errors
    /// Those of [`count`](Self::count), buffers of other lengths. [`Error::skip`] where fewer than two tokens exist.
    pub fn draw(&self, rng: &mut impl Rng, grid: &[usize], valid: &[u8], mask: &mut [u8]) -> Result<(), Error> {
        let n_masked = self.count(grid)?;
        let n_tokens: usize = grid.iter().product();
        if mask.len() != n_tokens || !(valid.is_empty() || valid.len() == n_tokens) {
            let (found, stated) = (mask.len(), valid.len());
            return Err(Error::bad_request(format!(
                "a mask of {found} tokens and validity of {stated} do not fit a grid of {n_tokens}"
            )));
        }
        let n_valid = valid.iter().filter(|&&valid| valid == 1).count();
        if valid.is_empty() || n_valid == n_tokens {
            let whole = Existing { n_masked, tokens: (0..n_tokens).collect() };
            return self.draw_among(rng, grid, &whole, mask);
        }
        if n_valid < 2 {
            return Err(Error::skip(format!("{n_valid} of {n_tokens} tokens exist; two are needed")));
        }
        let (existing, missing): (Vec<usize>, Vec<usize>) = (0..n_tokens).partition(|&token| valid[token] == 1);
        let (fewest, most) = (n_valid.saturating_sub(n_tokens - n_masked).max(1), n_masked.min(n_valid - 1));
        let n = mask::n_masked(n_valid, self.ratio).clamp(fewest, most);
        let existing = Existing { n_masked: n, tokens: existing };
        self.draw_among(rng, grid, &existing, mask)?;
        missing.iter().for_each(|&token| mask[token] = 0);

        let found = existing.tokens.iter().filter(|&&token| mask[token] == 1).count();
        let kept = found.clamp(fewest, most);
        let of = |value: u8, mask: &[u8]| existing.tokens.iter().copied().filter(|&at| mask[at] == value).collect();
        set_some(rng, of(1, mask), found - kept.min(found), 0, mask);
        set_some(rng, of(0, mask), kept - kept.min(found), 1, mask);
        set_some(rng, missing, n_masked - kept, 1, mask);
        Ok(())
    }

    /// Draws by the scheme, with no regard to tokens that do not exist beyond drawing among the others.
    fn draw_among(
        &self,
        rng: &mut impl Rng,
        grid: &[usize],
        existing: &Existing,
        mask: &mut [u8],
    ) -> Result<(), Error> {
        if let Some(runs) = self.runs(grid)? {
            let mut present: Vec<usize> = existing.tokens.iter().map(|&token| runs.of(token)).collect();
            present.sort_unstable();
            present.dedup();
            let mut masked = vec![0; present.len()];
            mask::random(rng, mask::n_masked(present.len(), self.ratio), &mut masked);
            let mut by_run = vec![0; runs.n()];
            present.iter().zip(masked).for_each(|(&run, masked)| by_run[run] = masked);
            mask.iter_mut().enumerate().for_each(|(token, masked)| *masked = by_run[runs.of(token)]);
        } else if self.scheme == MaskingScheme::Block {
            let sides = block_sides(grid)?;
            mask.fill(1);
            existing.tokens.iter().for_each(|&token| mask[token] = 0);
            mask::add_blocks(rng, sides, existing.n_masked, mask);
        } else {
            let mut masked = vec![0; existing.tokens.len()];
            mask::random(rng, existing.n_masked, &mut masked);
            existing.tokens.iter().zip(masked).for_each(|(&token, masked)| mask[token] = masked);
        }
        Ok(())
    }

    /// The runs that are masked whole; none where tokens are masked one by one or in blocks.
    fn runs(&self, grid: &[usize]) -> Result<Option<Runs>, Error> {
        let axis = match self.scheme {
            MaskingScheme::Random => return Ok(None),
            MaskingScheme::Block => return block_sides(grid).map(|_| None),
            MaskingScheme::Tube => 0,
            MaskingScheme::Spans { axis } => axis,
        };
        let length = *grid.get(axis).ok_or_else(|| {
            let n_axes = grid.len();
            Error::bad_request(format!(
                "masking runs along axis {axis}, counted from 0, but the grid has {n_axes} axes"
            ))
        })?;
        let [before, behind] = [&grid[..axis], &grid[axis + 1..]].map(|sides| sides.iter().product());
        Ok(Some(Runs { before, length, behind }))
    }
}

/// Tokens among which is drawn, and how many of them are masked one by one.
struct Existing {
    n_masked: usize,
    tokens: Vec<usize>,
}

/// The runs along an axis of a grid: one for each place along the other axes.
struct Runs {
    /// Product of the sides before the axis, the axis' own, product of those behind it.
    before: usize,
    length: usize,
    behind: usize,
}

impl Runs {
    fn n(&self) -> usize {
        self.before * self.behind
    }

    /// The run of a token.
    fn of(&self, token: usize) -> usize {
        token / (self.length * self.behind) * self.behind + token % self.behind
    }
}

fn block_sides(grid: &[usize]) -> Result<[usize; 2], Error> {
    grid.try_into().map_err(|_| {
        Error::bad_request(format!("blocks are masked on a grid of two axes, and this one has {}", grid.len()))
    })
}

/// Sets `n` of the tokens, drawn without replacement.
fn set_some(rng: &mut impl Rng, mut tokens: Vec<usize>, n: usize, value: u8, mask: &mut [u8]) {
    for at in 0..n {
        let other = rng.random_range(at..tokens.len());
        tokens.swap(at, other);
        mask[tokens[at]] = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{code, sample_rng};

    fn masking(ratio: f64, scheme: MaskingScheme) -> Masking {
        Masking { ratio, scheme }
    }

    #[test]
    fn counts_are_some_and_not_all() {
        use MaskingScheme::{Block, Random, Spans, Tube};
        for (scheme, ratio, grid, expected) in [
            (Random, 0.75, &[9][..], 7),
            (Random, 0.75, &[14, 14], 147),
            (Block, 0.5, &[3, 5], 8),
            // Seven of nine places, four times.
            (Tube, 0.75, &[4, 3, 3], 28),
            // Two of three leads.
            (Spans { axis: 1 }, 0.6, &[3, 8], 16),
            // Five of eight times.
            (Spans { axis: 0 }, 0.6, &[3, 8], 15),
            (Spans { axis: 1 }, 0.5, &[2, 3, 5], 15),
        ] {
            assert_eq!(masking(ratio, scheme).count(grid).unwrap(), expected, "{scheme:?} {ratio} {grid:?}");
        }
        for (scheme, ratio, grid, expected) in [
            (Random, 1.5, &[9][..], "mask_ratio is 1.5; it must be above 0 and below 1"),
            (Random, f64::NAN, &[9], "mask_ratio is NaN"),
            (Random, 0.9, &[4], "mask_ratio is 0.9, by which none of the 4 tokens is visible\nhint: lower it"),
            (
                Random,
                1e-18,
                &[4],
                "mask_ratio is 0.000000000000000001, by which none of the 4 tokens is masked\nhint: raise it",
            ),
            (Spans { axis: 1 }, 0.5, &[1, 8], "mask_ratio is 0.5, by which none of the 8 tokens is visible"),
            (Spans { axis: 2 }, 0.5, &[2, 8], "masking runs along axis 2"),
            (Block, 0.5, &[2, 3, 4], "blocks are masked on a grid of two axes, and this one has 3"),
        ] {
            let error = masking(ratio, scheme).count(grid).unwrap_err();
            assert!(error.code() == code::BAD_REQUEST && error.message().starts_with(expected), "{error}");
        }
    }

    #[test]
    fn without_validity_the_draws_are_those_of_the_functions() {
        for seed in 0..50 {
            let drawn = |scheme, grid: &[usize], valid: &[u8]| {
                let mut mask = vec![9; grid.iter().product()];
                masking(0.6, scheme).draw(&mut sample_rng(seed), grid, valid, &mut mask).unwrap();
                mask
            };
            let rng = &mut sample_rng(seed);
            let mut expected = vec![9; 7 * 11];
            mask::random(rng, mask::n_masked(77, 0.6), &mut expected);
            assert_eq!(drawn(MaskingScheme::Random, &[7, 11], &[]), expected);
            assert_eq!(drawn(MaskingScheme::Random, &[7, 11], &[1; 77]), expected);
            mask::block(&mut sample_rng(seed), [7, 11], mask::n_masked(77, 0.6), &mut expected);
            assert_eq!(drawn(MaskingScheme::Block, &[7, 11], &[]), expected);
            let mut expected = vec![9; 3 * 5 * 7];
            mask::tube(&mut sample_rng(seed), [3, 5, 7], mask::n_masked(35, 0.6), &mut expected);
            assert_eq!(drawn(MaskingScheme::Tube, &[3, 5, 7], &[]), expected);
            assert_eq!(drawn(MaskingScheme::Spans { axis: 0 }, &[3, 5, 7], &[1; 105]), expected);
        }
    }

    #[test]
    fn runs_are_whole_along_their_axis() {
        let mut mask = [0; 2 * 3 * 5];
        masking(0.5, MaskingScheme::Spans { axis: 1 }).draw(&mut sample_rng(3), &[2, 3, 5], &[], &mut mask).unwrap();
        for (plane, behind) in (0..2).flat_map(|plane| (0..5).map(move |behind| (plane, behind))) {
            let run = [0, 1, 2].map(|at| mask[(plane * 3 + at) * 5 + behind]);
            assert!(run == [0; 3] || run == [1; 3], "{run:?}");
        }
    }

    #[test]
    fn missing_leads_take_no_part_in_the_choice_of_leads() {
        // Of six leads three are missing. Half of all are masked: of the three that exist two, whole, and one of the others.
        let valid: Vec<u8> = [1, 0, 1, 0, 0, 1].iter().flat_map(|&lead| [lead; 4]).collect();
        for seed in 0..50 {
            let mut mask = [0; 24];
            let masking = masking(0.5, MaskingScheme::Spans { axis: 1 });
            masking.draw(&mut sample_rng(seed), &[6, 4], &valid, &mut mask).unwrap();
            let masked: Vec<usize> =
                [0, 2, 5].map(|lead| mask[lead * 4..][..4].iter().filter(|&&at| at == 1).count()).into();
            assert!(masked.iter().all(|&n| n == 0 || n == 4) && masked.iter().sum::<usize>() == 8, "{masked:?}");
            assert_eq!(mask.iter().filter(|&&token| token == 1).count(), 12);
        }
    }

    #[test]
    fn a_sample_of_one_token_is_skipped_and_buffers_of_other_lengths_are_refused() {
        let masking = Masking::random(0.5);
        let rng = &mut sample_rng(0);
        let error = masking.draw(rng, &[4], &[0, 0, 1, 0], &mut [0; 4]).unwrap_err();
        assert_eq!((error.code(), error.message()), (code::SKIPPED, "1 of 4 tokens exist; two are needed"));
        assert_eq!(masking.draw(rng, &[4], &[1; 3], &mut [0; 4]).unwrap_err().code(), code::BAD_REQUEST);
        assert_eq!(masking.draw(rng, &[4], &[], &mut [0; 5]).unwrap_err().code(), code::BAD_REQUEST);
    }
}
