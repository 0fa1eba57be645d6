//! Converts frames of a clip to a sample of the family `video`: a grid of tubes of 2 frames x 16 x 16 pixels, the same
//! places masked at all times.
//!
//! Shared by the plugins for clips, so that their tokens have one geometry. Formats, and which frames are a sample, are
//! each plugin's own. Tubes and mask are those of VideoMAE (Tong et al., NeurIPS 2022, arXiv 2203.12602, sections 3.2
//! and 3.3): a patch that were masked at one time only could be copied from the frame before.

use std::ops::RangeInclusive;

use medcoss_sdk::options::{LeftOpen, MultipleOf};
use medcoss_sdk::{Axis, Continuous, Error, Geometry, Patches, SampleRng, Tokens, View, encode_png, mask, patch};

/// `[frames, rows, columns]` of a token.
pub const TUBE: [usize; 3] = [2, 16, 16];
/// Aspect ratios of random crops, as in torchvision.
pub const ASPECT: [f64; 2] = [3.0 / 4.0, 4.0 / 3.0];
/// Ranges of the options of plugins for clips: frames of a sample,
pub const NUM_FRAMES: MultipleOf<usize, RangeInclusive<usize>> = MultipleOf(TUBE[0], TUBE[0]..=128);
/// frames from one of a sample to the next,
pub const FRAME_STRIDE: RangeInclusive<usize> = 1..=1000;
/// seconds from one to the next,
pub const FRAME_SECONDS: LeftOpen<f64> = LeftOpen(0.0, 10.0);
/// and the side of frames in pixels.
pub const SIZE: MultipleOf<usize, RangeInclusive<usize>> = MultipleOf(TUBE[1], TUBE[1]..=512);
/// Frames in a rendered image, evenly spaced.
const N_RENDERED: usize = 4;
/// Value of hidden tubes in a rendered image: middle grey.
const HIDDEN: f32 = 0.5;

/// The transform of clips to samples. Its sizes are in the ranges above, which the SDK checks as those of options.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClipTransform {
    /// Frames of a sample.
    pub num_frames: usize,
    /// Side of the square frames in pixels.
    pub size: usize,
    /// Whether frames have three channels instead of one.
    pub colour: bool,
    /// Fraction of the tubes that are masked in training.
    pub mask_ratio: f64,
    /// Least and largest fraction of a frame's area in a random crop.
    pub crop_scale: [f64; 2],
    /// Seconds from a frame of a sample to the next, where positions count in seconds.
    pub frame_seconds: Option<f64>,
    /// Whether clips may be shorter than a sample: tokens behind their last frame do not exist.
    pub marks_short_clips: bool,
}

impl ClipTransform {
    /// Checks what the ranges of single options cannot say.
    ///
    /// # Errors
    /// A mask without a visible place, fractions of a crop in the wrong order; by the name of the option.
    pub fn check(&self) -> Result<(), Error> {
        let Self { mask_ratio, crop_scale: [least, most], .. } = *self;
        let refused = |text: String| Err(Error::bad_request(text));
        let [_, rows, columns] = self.grid();
        if self.n_masked_plane() == rows * columns {
            return refused(format!(
                "mask_ratio {mask_ratio} leaves none of the {} places visible\nhint: lower it, or raise size",
                rows * columns
            ));
        }
        if least > most {
            return refused(format!("crop_scale is [{least}, {most}]; the smaller fraction must come first"));
        }
        Ok(())
    }

    /// A grid of times, rows and columns.
    pub fn geometry(&self) -> Geometry {
        let grid = self.grid();
        let time = match self.frame_seconds {
            Some(seconds) => Axis::measured("frame", TUBE[0] as f64 * seconds, "s"),
            None => Axis::named("frame"),
        };
        Geometry::Continuous(Continuous {
            grid: grid.to_vec(),
            d_token: TUBE.iter().product::<usize>() * self.channels(),
            n_masked: grid[0] * self.n_masked_plane(),
            patch: TUBE.to_vec(),
            axes: vec![time, Axis::named("row"), Axis::named("column")],
            validity: self.marks_short_clips && grid[0] > 1,
            ..Continuous::default()
        })
    }

    /// 3 (RGB) or 1 (grey).
    pub fn channels(&self) -> usize {
        if self.colour { 3 } else { 1 }
    }

    /// Values of a frame.
    pub fn frame_values(&self) -> usize {
        self.size * self.size * self.channels()
    }

    /// Writes tokens, validity and mask of `pixels` `[frames, size, size, channels]`. Of a short clip there are fewer
    /// frames, but one at least; a tube whose first frame is there is whole, and the last frame stands for those behind
    /// it.
    ///
    /// # Errors
    /// No frame, more than a sample has, or fewer where short clips are not marked.
    pub fn write_sample(
        &self,
        mut pixels: Vec<f32>,
        view: View,
        rng: &mut SampleRng,
        patches: Patches<'_>,
    ) -> Result<(), Error> {
        let n_frames = pixels.len() / self.frame_values();
        let least = if self.marks_short_clips { 1 } else { self.num_frames };
        if !(least..=self.num_frames).contains(&n_frames) || !pixels.len().is_multiple_of(self.frame_values()) {
            let (found, expected) = (pixels.len(), self.num_frames);
            return Err(Error::bad_request(format!("{found} values are not the {expected} frames of a sample")));
        }
        if !n_frames.is_multiple_of(TUBE[0]) {
            pixels.extend_from_within(pixels.len() - self.frame_values()..);
        }
        let [_, rows, columns] = self.grid();
        let n_valid = n_frames.div_ceil(TUBE[0]) * rows * columns;
        pixels.resize(self.num_frames * self.frame_values(), 0.0);
        patch::patchify_3d(&pixels, self.pixels(), TUBE, patches.tokens);
        for (token, valid) in patches.valid.iter_mut().enumerate() {
            *valid = u8::from(token < n_valid);
        }
        if view == View::Training {
            // At every time one place at least is masked and one visible, however many times there are.
            mask::tube(rng, self.grid(), self.n_masked_plane(), patches.mask);
        }
        Ok(())
    }

    /// Converts tokens back to an image, as PNG: four evenly spaced frames side by side, the first on the left.
    ///
    /// # Errors
    /// Tokens of another kind or number.
    pub fn render(&self, tokens: Tokens<'_>) -> Result<Vec<u8>, Error> {
        let [frames, size, _, channels] = self.pixels();
        let tokens = tokens.filled(HIDDEN)?;
        if tokens.len() != frames * size * size * channels {
            let found = tokens.len();
            return Err(Error::bad_request(format!(
                "{found} values are no {frames} frames of {size}x{size}x{channels}"
            )));
        }
        let mut pixels = vec![0.0; tokens.len()];
        patch::unpatchify_3d(&tokens, self.pixels(), TUBE, &mut pixels);
        let mut image = Vec::with_capacity(N_RENDERED * size * size * channels);
        for row in 0..size {
            for shown in 0..N_RENDERED {
                let frame = (2 * shown + 1) * frames / (2 * N_RENDERED);
                image.extend_from_slice(&pixels[(frame * size + row) * size * channels..][..size * channels]);
            }
        }
        encode_png(&image, N_RENDERED * size, size, channels)
    }

    /// `[time, rows, columns]` in tubes.
    fn grid(&self) -> [usize; 3] {
        [self.num_frames / TUBE[0], self.size / TUBE[1], self.size / TUBE[2]]
    }

    /// `[frames, rows, columns, channels]` of a sample.
    fn pixels(&self) -> [usize; 4] {
        [self.num_frames, self.size, self.size, self.channels()]
    }

    /// Masked tubes at one time.
    fn n_masked_plane(&self) -> usize {
        let [_, rows, columns] = self.grid();
        mask::n_masked(rows * columns, self.mask_ratio)
    }
}
