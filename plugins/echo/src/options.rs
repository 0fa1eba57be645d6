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

choices! {
    /// Which part of frames is used.
    pub enum FrameArea {
        /// The region of tissue that a DICOM file states, or else the whole frame.
        Ultrasound,
        /// The whole frame, with what devices write beside the tissue.
        Whole,
    }
}

options! {
    /// Settings of the plugin. The defaults are those of the plugin `video` where both have them, so that parameters can be shared.
    pub struct Options {
        /// Frames of a sample: an even number, up to 128.
        pub num_frames: usize = 16 => NUM_FRAMES,
        /// Stride in frames from one frame of a sample to the next, 1 to 1000, where `frame_seconds` is not given.
        pub frame_stride: usize = 2 => FRAME_STRIDE,
        /// Seconds from one frame of a sample to the next, above 0 and up to 10: the frames nearest in time, by the frame
        /// rate of each clip. Positions then count in seconds; a family whose positions count in frames does not take them.
        pub frame_seconds: Option<f64> = None => FRAME_SECONDS,
        /// Clips that are shorter than a sample: `mark` (tokens behind the last frame do not exist) or `refuse` (invalid
        /// samples).
        pub short_clips: ShortClips = ShortClips::Mark,
        /// Part of frames that is used: `ultrasound`, the region of tissue that a DICOM file states, where it does (without
        /// names and numbers beside it), or `whole`.
        pub frame_area: FrameArea = FrameArea::Ultrasound,
        /// Side of the square frames in pixels: a multiple of 16, up to 512.
        pub size: usize = 112 => SIZE,
        /// Whether frames have three channels. Otherwise colour is converted to luma.
        pub colour: bool = true,
        /// Fraction of the tubes that are masked in training, at the same positions at all times; above 0 and below 1.
        pub mask_ratio: f64 = 0.9 => Open(0.0, 1.0),
        /// Least and largest fraction of a frame's area in a random crop, in training. All frames of a sample are cropped alike.
        pub crop_scale: [f64; 2] = [0.5, 1.0] => LeftOpen(0.0, 1.0),
        /// Whether training samples are flipped left to right with probability 1/2, which puts the heart on the other side.
        pub horizontal_flip: bool = false,
        /// Largest relative change of brightness in training, 0 to below 1: all frames of a sample are scaled by one random
        /// factor, as by another gain.
        pub brightness: f32 = 0.2 => 0.0..1.0,
        /// Table with a label for each clip, and more: the column of the patient, `group_column`, makes the clips of one
        /// patient a group. Only evaluation looks at labels and groups.
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
