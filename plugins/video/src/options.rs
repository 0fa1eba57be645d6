//! Settings of the plugin, and the shape that they give.

use medcoss_sdk::labels::LabelTable;
use medcoss_sdk::{Axis, Continuous, Error, Geometry, Masking, MaskingScheme, check_ranges, options};

/// `[frames, rows, columns]` of a token.
pub(crate) const TUBE: [usize; 3] = [2, 16, 16];
options! {
    /// Settings of the plugin: VideoMAE's sixteen frames and nine tenths masked, at the 112 pixels that echocardiograms are published with.
    pub struct Options {
        /// Frames of a sample: an even number, up to 128.
        pub num_frames: usize = 16 => MultipleOf(TUBE[0], 2..=128),
        /// Stride in frames from one frame of a sample to the next, 1 to 1000.
        pub frame_stride: usize = 2 => 1..=1000,
        /// Side of the square frames in pixels: a multiple of 16, up to 512.
        pub size: usize = 112 => MultipleOf(TUBE[1], 16..=512),
        /// Whether frames have three channels. Otherwise colour is converted to luma.
        pub colour: bool = true,
        /// Fraction of the tubes that are masked in training, at the same positions at all times; above 0 and below 1.
        pub mask_ratio: f64 = 0.9 => Open(0.0, 1.0),
        /// Least and largest fraction of a frame's area in a random crop, in training. All frames of a sample are cropped alike.
        pub crop_scale: [f64; 2] = [0.5, 1.0] => LeftOpen(0.0, 1.0),
        /// Whether training samples are flipped left to right with probability 1/2.
        pub horizontal_flip: bool = true,
        /// Table with a label for each clip: by the name of its folder or GIF file. Only evaluation looks at labels.
        pub labels: Option<LabelTable> = None,
    }
}

impl Options {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The first setting that is out of range, by its name.
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_ranges(self)?;
        let [least, most] = self.crop_scale;
        if least > most {
            return Err(Error::bad_request(format!(
                "crop_scale is [{least}, {most}]; it must be two fractions above 0 and up to 1, the smaller first"
            )));
        }
        Ok(())
    }

    /// The shape of a sample. The ranges are checked.
    ///
    /// # Errors
    /// A ratio that masks all tubes or none.
    pub(crate) fn geometry(&self) -> Result<Geometry, Error> {
        let grid = self.grid();
        let d_token = TUBE.iter().product::<usize>() * self.channels();
        Ok(Geometry::Continuous(Continuous {
            grid: grid.to_vec(),
            d_token,
            n_masked: self.masking().count(&grid)?,
            patch: TUBE.to_vec(),
            axes: ["frame", "row", "column"].map(Axis::named).into(),
            ..Continuous::default()
        }))
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

    /// The same places at all times.
    pub(crate) fn masking(&self) -> Masking {
        Masking { ratio: self.mask_ratio, scheme: MaskingScheme::Tube }
    }
}
