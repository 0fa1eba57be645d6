//! Settings of the plugin, and the shape that they give.

use medcoss_formats::clip_transform::ClipTransform;
use medcoss_formats::group_by::GroupBy;
use medcoss_sdk::labels::LabelTable;
use medcoss_sdk::{Error, in_range};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Largest distance of frames.
const FARTHEST: usize = 1000;

/// What happens to clips that are shorter than a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ShortClips {
    /// They are invalid samples.
    Refuse,
    /// Tokens behind the last frame do not exist.
    Mark,
}

/// Which part of frames is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FrameArea {
    /// The region of tissue that a DICOM file states, or else the whole frame.
    Ultrasound,
    /// The whole frame, with what devices write beside the tissue.
    Whole,
}

/// Settings of the plugin.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Frames of a sample: an even number, up to 128.
    pub num_frames: usize,
    /// Stride in frames from one frame of a sample to the next, 1 to 1000, where `frame_seconds` is not given.
    pub frame_stride: usize,
    /// Seconds from one frame of a sample to the next, above 0 and up to 10: the frames nearest in time, by the frame
    /// rate of each clip. Positions then count in seconds; a family whose positions count in frames does not take them.
    pub frame_seconds: Option<f64>,
    /// Clips that are shorter than a sample: `mark` (tokens behind the last frame do not exist) or `refuse` (invalid
    /// samples).
    pub short_clips: ShortClips,
    /// Part of frames that is used: `ultrasound`, the region of tissue that a DICOM file states, where it does (without
    /// names and numbers beside it), or `whole`.
    pub frame_area: FrameArea,
    /// Side of the square frames in pixels: a multiple of 16, up to 512.
    pub size: usize,
    /// Whether frames have three channels. Otherwise colour is converted to luma.
    pub colour: bool,
    /// Fraction of the tubes that are masked in training, at the same positions at all times; above 0 and below 1.
    pub mask_ratio: f64,
    /// Least and largest fraction of a frame's area in a random crop, in training. All frames of a sample are cropped alike.
    pub crop_scale: [f64; 2],
    /// Whether training samples are flipped left to right with probability 1/2, which puts the heart on the other side.
    pub horizontal_flip: bool,
    /// Largest relative change of brightness in training, 0 to below 1: all frames of a sample are scaled by one random
    /// factor, as by another gain.
    pub brightness: f32,
    /// Table with a label for each clip. Only evaluation looks at labels.
    pub labels: Option<LabelTable>,
    /// Column of the table of labels with the patient. Clips of one patient are one group.
    pub group_column: Option<String>,
    /// What is a group where the table names none: `file` (each clip) or `folder` (all clips of a folder, a patient).
    pub group_by: GroupBy,
}

impl Default for Options {
    /// Those of the plugin `video` where both have them, so that parameters can be shared.
    fn default() -> Self {
        Self {
            num_frames: 16,
            frame_stride: 2,
            frame_seconds: None,
            short_clips: ShortClips::Mark,
            frame_area: FrameArea::Ultrasound,
            size: 112,
            colour: true,
            mask_ratio: 0.9,
            crop_scale: [0.5, 1.0],
            horizontal_flip: false,
            brightness: 0.2,
            labels: None,
            group_column: None,
            group_by: GroupBy::File,
        }
    }
}

impl Options {
    /// The transform of clips to samples, after checking the ranges of all options.
    ///
    /// # Errors
    /// The first setting that is out of range, by its name.
    pub(crate) fn transform(&self) -> Result<ClipTransform, Error> {
        in_range("frame_stride", self.frame_stride, 1..=FARTHEST)?;
        if !(0.0..1.0).contains(&self.brightness) {
            let found = self.brightness;
            return Err(Error::bad_request(format!("brightness is {found}; it must be at least 0 and below 1")));
        }
        if self.group_column.is_some() && self.labels.is_none() {
            return Err(Error::bad_request("group_column is a column of the table of labels; set labels as well"));
        }
        let Self { num_frames, size, colour, mask_ratio, crop_scale, frame_seconds, .. } = *self;
        let marks_short_clips = self.short_clips == ShortClips::Mark;
        let transform =
            ClipTransform { num_frames, size, colour, mask_ratio, crop_scale, frame_seconds, marks_short_clips };
        transform.check()?;
        Ok(transform)
    }
}
