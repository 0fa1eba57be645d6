//! Settings of the plugin, and the shape that they give.

use medcoss_sdk::labels::LabelTable;
use medcoss_sdk::{Axis, Continuous, Error, Geometry, mask};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[frames, rows, columns]` of a token.
pub(crate) const TUBE: [usize; 3] = [2, 16, 16];
/// Most frames of a sample, and the largest side.
const MAX_FRAMES: usize = 128;
const LARGEST: usize = 512;
/// Largest distance of frames.
const FARTHEST: usize = 1000;

/// Settings of the plugin.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Frames of a sample: an even number, up to 128.
    pub num_frames: usize,
    /// Stride in frames from one frame of a sample to the next, 1 to 1000.
    pub frame_stride: usize,
    /// Side of the square frames in pixels: a multiple of 16, up to 512.
    pub size: usize,
    /// Whether frames have three channels. Otherwise colour is converted to luma.
    pub colour: bool,
    /// Fraction of the tubes that are masked in training, at the same positions at all times; above 0 and below 1.
    pub mask_ratio: f64,
    /// Least and largest fraction of a frame's area in a random crop, in training. All frames of a sample are cropped alike.
    pub crop_scale: [f64; 2],
    /// Whether training samples are flipped left to right with probability 1/2.
    pub horizontal_flip: bool,
    /// Table with a label for each clip: by the name of its folder or GIF file. Only evaluation looks at labels.
    pub labels: Option<LabelTable>,
}

impl Default for Options {
    /// VideoMAE's sixteen frames and nine tenths masked, at the 112 pixels that echocardiograms are published with.
    fn default() -> Self {
        Self {
            num_frames: 16,
            frame_stride: 2,
            size: 112,
            colour: true,
            mask_ratio: 0.9,
            crop_scale: [0.5, 1.0],
            horizontal_flip: true,
            labels: None,
        }
    }
}

impl Options {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The first setting that is out of range, by its name.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let Self { num_frames, frame_stride, size, mask_ratio, crop_scale: [least, most], .. } = *self;
        let refused = |text: String| Err(Error::bad_request(text));
        if num_frames == 0 || !num_frames.is_multiple_of(TUBE[0]) || num_frames > MAX_FRAMES {
            return refused(format!("num_frames is {num_frames}; it must be an even number from 2 to {MAX_FRAMES}"));
        }
        if !(1..=FARTHEST).contains(&frame_stride) {
            return refused(format!("frame_stride is {frame_stride}; it must be 1 to {FARTHEST}"));
        }
        if size == 0 || !size.is_multiple_of(TUBE[1]) || size > LARGEST {
            return refused(format!("size is {size}; it must be a multiple of 16 from 16 to {LARGEST}"));
        }
        if !(mask_ratio > 0.0 && mask_ratio < 1.0) {
            return refused(format!("mask_ratio is {mask_ratio}; it must be above 0 and below 1"));
        }
        let [_, rows, columns] = self.grid();
        if self.n_masked_plane() == rows * columns {
            return refused(format!(
                "mask_ratio {mask_ratio} leaves none of the {} places visible\nhint: lower it, or raise size",
                rows * columns
            ));
        }
        if !(least > 0.0 && least <= most && most <= 1.0) {
            return refused(format!(
                "crop_scale is [{least}, {most}]; it must be two fractions above 0 and up to 1, the smaller first"
            ));
        }
        Ok(())
    }

    pub(crate) fn geometry(&self) -> Geometry {
        let grid = self.grid();
        let d_token = TUBE.iter().product::<usize>() * self.channels();
        Geometry::Continuous(Continuous {
            grid: grid.to_vec(),
            d_token,
            n_masked: grid[0] * self.n_masked_plane(),
            patch: TUBE.to_vec(),
            axes: ["frame", "row", "column"].map(Axis::named).into(),
            ..Continuous::default()
        })
    }

    /// `[time, rows, columns]` in tubes.
    pub(crate) fn grid(&self) -> [usize; 3] {
        [self.num_frames / TUBE[0], self.size / TUBE[1], self.size / TUBE[2]]
    }

    /// `[frames, rows, columns, channels]` of a sample.
    pub(crate) fn pixels(&self) -> [usize; 4] {
        [self.num_frames, self.size, self.size, self.channels()]
    }

    pub(crate) fn channels(&self) -> usize {
        if self.colour { 3 } else { 1 }
    }

    /// Masked tubes at one time.
    pub(crate) fn n_masked_plane(&self) -> usize {
        let [_, rows, columns] = self.grid();
        mask::n_masked(rows * columns, self.mask_ratio)
    }
}
