//! Augmentation of training samples, the same for an image and its mask.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::decoders::TokenGrid;
use crate::ranges::{check_below_one, check_not_negative};
use crate::rng::Rng;
use crate::{Result, SettingError};

/// Augmentation of training samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Whether samples come in the plugin's training view, with the augmentations of pre-training; for classes of whole samples alone, since a mask does
    /// not follow them.
    pub training_view: bool,
    /// Axes of a segmented sample along which it is flipped with probability one half, from the slowest: 0 is the depth of a volume. Flip no
    /// axis along which classes differ by side, as the left lung from the right.
    pub flip: Vec<usize>,
    /// Largest change of contrast and brightness of a segmented sample, as a fraction: values are multiplied by a number within it of 1, and another
    /// within it of 0 is added, in the plugin's normalised units.
    pub intensity: f64,
}

impl Default for Augmentation {
    fn default() -> Self {
        Self { training_view: true, flip: Vec::new(), intensity: 0.1 }
    }
}

impl Augmentation {
    pub(super) fn check(&self) -> Result<()> {
        check_not_negative("augmentation.intensity", self.intensity)?;
        check_below_one("augmentation.intensity", self.intensity)?;
        match self.flip.iter().find(|axis| **axis > 2) {
            Some(axis) => Err(SettingError::out_of_range("augmentation.flip", axis, "axes from 0 to 2").into()),
            None => Ok(()),
        }
    }

    /// The draws for one sample of a grid: axes of three that are flipped, factor and term of the intensity.
    pub(super) fn draw(&self, grid: &TokenGrid, n_axes: usize, generator: &mut Rng) -> Drawn {
        let mut flipped = [false; 3];
        for axis in self.flip.iter().filter(|axis| **axis < n_axes) {
            flipped[3 - n_axes + axis] = generator.random::<bool>();
        }
        let mut within = || (generator.random::<f64>() * 2.0 - 1.0) * self.intensity;
        Drawn { grid: *grid, flipped, factor: 1.0 + within() as f32, term: within() as f32 }
    }
}

/// Draws for one sample.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drawn {
    grid: TokenGrid,
    flipped: [bool; 3],
    factor: f32,
    term: f32,
}

impl Drawn {
    /// Tokens `[N, d_token]` of the augmented sample.
    pub fn of_tokens(&self, tokens: &[f32]) -> Vec<f32> {
        let Self { grid, factor, term, .. } = *self;
        let channels = grid.channels;
        let mut out = vec![0.0; tokens.len()];
        self.each_voxel(|to, from| {
            let (to, from) = (place(&grid, to) * channels, place(&grid, from) * channels);
            for channel in 0..channels {
                out[to + channel] = tokens[from + channel] * factor + term;
            }
        });
        out
    }

    /// Classes `[depth, height, width]` of the augmented sample.
    pub fn of_labels(&self, labels: &[u16]) -> Vec<u16> {
        if self.flipped == [false; 3] {
            return labels.to_vec();
        }
        let [_, height, width] = self.grid.space();
        let mut out = vec![0; labels.len()];
        let at = |[z, y, x]: [usize; 3]| (z * height + y) * width + x;
        self.each_voxel(|to, from| out[at(to)] = labels[at(from)]);
        out
    }

    fn each_voxel(&self, mut visit: impl FnMut([usize; 3], [usize; 3])) {
        let space = self.grid.space();
        let from = |axis: usize, at: usize| if self.flipped[axis] { space[axis] - 1 - at } else { at };
        for z in 0..space[0] {
            for y in 0..space[1] {
                for x in 0..space[2] {
                    visit([z, y, x], [from(0, z), from(1, y), from(2, x)]);
                }
            }
        }
    }
}

/// Position of a voxel in the order of tokens: the number of its token times the voxels of a token, plus its position in the token.
fn place(grid: &TokenGrid, at: [usize; 3]) -> usize {
    let token = (0..3).fold(0, |token, axis| token * grid.grid[axis] + at[axis] / grid.patch[axis]);
    let within = (0..3).fold(0, |within, axis| within * grid.patch[axis] + at[axis] % grid.patch[axis]);
    token * grid.patch.iter().product::<usize>() + within
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::GridLayout;
    use crate::rng;

    #[test]
    fn image_and_labels_are_flipped_together() {
        let layout = GridLayout { grid: vec![2, 2], patch: vec![1, 2], axes: Vec::new() };
        let grid = TokenGrid::new(&layout, 2).unwrap();
        let tokens: Vec<f32> = (0..8).map(|at| at as f32).collect();
        let labels: Vec<u16> = (0..8).collect();
        let only_flips = Augmentation { flip: vec![0, 1], intensity: 0.0, training_view: false };
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..40 {
            let drawn = only_flips.draw(&grid, 2, &mut rng::keyed(seed, "test", &[]));
            let flipped = drawn.of_labels(&labels);
            // Tokens of one row follow each other here, so that both have one order.
            let values: Vec<u16> = drawn.of_tokens(&tokens).iter().map(|value| *value as u16).collect();
            assert_eq!(values, flipped);
            seen.insert(flipped);
        }
        let expected: [[u16; 8]; 4] =
            [[0, 1, 2, 3, 4, 5, 6, 7], [3, 2, 1, 0, 7, 6, 5, 4], [4, 5, 6, 7, 0, 1, 2, 3], [7, 6, 5, 4, 3, 2, 1, 0]];
        assert_eq!(seen, expected.map(Vec::from).into());
    }

    #[test]
    fn intensities_change_within_their_range() {
        let grid = TokenGrid { grid: [1; 3], patch: [1, 1, 4], channels: 1 };
        let augmentation = Augmentation { flip: Vec::new(), intensity: 0.2, training_view: false };
        for seed in 0..40 {
            let drawn = augmentation.draw(&grid, 1, &mut rng::keyed(seed, "test", &[]));
            let found = drawn.of_tokens(&[0.0, 1.0, -1.0, 2.0]);
            let (term, factor) = (found[0], found[1] - found[0]);
            assert!(term.abs() <= 0.2 && (factor - 1.0).abs() <= 0.2 + 1e-6);
            assert!((found[3] - 2.0 * factor - term).abs() < 1e-6);
        }
    }
}
