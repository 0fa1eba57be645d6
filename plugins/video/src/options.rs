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

/// Settings of the plugin.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Frames of a sample: an even number, up to 128.
    pub num_frames: usize,
    /// Stride in frames from one frame of a sample to the next, 1 to 1000.
    pub frame_stride: usize,
    /// Seconds from one frame of a sample to the next, above 0 and up to 10, where all clips have one frame rate: positions then count in seconds. Files do
    /// not state it.
    pub frame_seconds: Option<f64>,
    /// Clips that are shorter than a sample: `refuse` (invalid samples) or `mark` (tokens behind the last frame do not exist).
    pub short_clips: ShortClips,
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
    /// Column of the table of labels with the patient. Clips of one patient are one group.
    pub group_column: Option<String>,
    /// What is a group where the table names none: `file` (each clip) or `folder` (all clips of a folder, a patient).
    pub group_by: GroupBy,
}

impl Default for Options {
    /// VideoMAE's sixteen frames and nine tenths masked, at the 112 pixels that echocardiograms are published with.
    fn default() -> Self {
        Self {
            num_frames: 16,
            frame_stride: 2,
            frame_seconds: None,
            short_clips: ShortClips::Refuse,
            size: 112,
            colour: true,
            mask_ratio: 0.9,
            crop_scale: [0.5, 1.0],
            horizontal_flip: true,
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
