//! Settings of the plugin, and the shape that they give.

use medcoss_formats::clip_transform::{ClipTransform, FRAME_SECONDS, FRAME_STRIDE, NUM_FRAMES, SIZE};
use medcoss_formats::group_by::GroupBy;
use medcoss_sdk::labels::LabelTable;
use medcoss_sdk::{Error, choices, options};

choices! {
    /// What happens to clips that are shorter than a sample.
    pub enum ShortClips {
        /// They are invalid samples.
        Refuse,
        /// Tokens behind the last frame do not exist.
        Mark,
    }
}

options! {
    /// Settings of the plugin. The defaults are VideoMAE's sixteen frames and nine tenths masked, at the 112 pixels that echocardiograms are published with.
    pub struct Options {
        /// Frames of a sample: an even number, up to 128.
        pub num_frames: usize = 16 => NUM_FRAMES,
        /// Stride in frames from one frame of a sample to the next, 1 to 1000.
        pub frame_stride: usize = 2 => FRAME_STRIDE,
        /// Seconds from one frame of a sample to the next, above 0 and up to 10, where all clips have one frame rate: positions then count in seconds. Files do
        /// not state it.
        pub frame_seconds: Option<f64> = None => FRAME_SECONDS,
        /// Clips that are shorter than a sample: `refuse` (invalid samples) or `mark` (tokens behind the last frame do not exist).
        pub short_clips: ShortClips = ShortClips::Refuse,
        /// Side of the square frames in pixels: a multiple of 16, up to 512.
        pub size: usize = 112 => SIZE,
        /// Whether frames have three channels. Otherwise colour is converted to luma.
        pub colour: bool = true,
        /// Fraction of the tubes that are masked in training, at the same positions at all times; above 0 and below 1.
        pub mask_ratio: f64 = 0.9 => Open(0.0, 1.0),
        /// Least and largest fraction of a frame's area in a random crop, in training. All frames of a sample are cropped alike.
        pub crop_scale: [f64; 2] = [0.5, 1.0] => LeftOpen(0.0, 1.0),
        /// Whether training samples are flipped left to right with probability 1/2.
        pub horizontal_flip: bool = true,
        /// Table with a label for each clip, by the name of its folder or GIF file, and more: the column of the patient, `group_column`, makes
        /// the clips of one patient a group. Only evaluation looks at labels and groups.
        pub labels: Option<LabelTable> = None,
        /// What is a group where the table names none: `file` (each clip) or `folder` (all clips of a folder, a patient).
        pub group_by: GroupBy = GroupBy::File,
    }
}

impl Options {
    /// The transform of clips to samples.
    ///
    /// # Errors
    /// Those of [`ClipTransform::check`].
    pub(crate) fn transform(&self) -> Result<ClipTransform, Error> {
        let Self { num_frames, size, colour, mask_ratio, crop_scale, frame_seconds, .. } = *self;
        let marks_short_clips = self.short_clips == ShortClips::Mark;
        let transform =
            ClipTransform { num_frames, size, colour, mask_ratio, crop_scale, frame_seconds, marks_short_clips };
        transform.check()?;
        Ok(transform)
    }
}
