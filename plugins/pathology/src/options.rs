//! Settings of the plugin, and their ranges.

use medcoss_formats::aspect_ratio::AspectRatio;
use medcoss_formats::bit_depth;
use medcoss_sdk::Error;
use medcoss_sdk::image_transform::{ImageTransform, PATCH};
use medcoss_sdk::labels::LabelTable;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Largest side of a tile that is cut from a slide.
const LARGEST_SLIDE_TILE: usize = 8192;

/// Microns per pixel that slides may be brought to.
const MPP: std::ops::RangeInclusive<f64> = 0.05..=50.0;

/// Order of the channels in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
}

impl ChannelOrder {
    /// Turns pixels or tokens of three channels from red, green, blue to this order, and back.
    pub(crate) fn convert(self, values: &mut [f32]) {
        if self == Self::Bgr {
            values.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| pixel.swap(0, 2));
        }
    }
}

/// Settings of the plugin.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Side of the square samples in pixels: a multiple of `patch_size`, up to 512.
    pub size: usize,
    /// Side of a square patch in pixels, from 1 to 32: 16, or that of the weights that the run begins with.
    pub patch_size: usize,
    /// Fraction of the patches that are masked in training, above 0 and below 1.
    pub mask_ratio: f64,
    /// `kept`: the evaluation view is the centred square. `squeezed`: the whole tile is first squeezed to the square by Pillow's
    /// bicubic interpolation, and random crops are taken from that.
    pub aspect_ratio: AspectRatio,
    /// Order of the channels in tokens: `rgb`, or `bgr` as OpenCV reads images.
    pub channel_order: ChannelOrder,
    /// Least and largest fraction of a tile's area in a random crop, in training.
    pub crop_scale: [f64; 2],
    /// Whether training samples are flipped left to right with probability 1/2.
    pub horizontal_flip: bool,
    /// Whether training samples are flipped top to bottom with probability 1/2.
    pub vertical_flip: bool,
    /// Bits that image files of more than 8 bits use, from 8 to 32: the largest number of so many bits becomes 1 in each channel. Without
    /// this option each file has its own: what its sBIT chunk states (PNG), or else the smallest of 8, 10, 12, 14, 16, 20, 24 and 32 that
    /// holds its largest number. It concerns tiles that are files of their own; slides and DICOM files state their own scale.
    pub bit_depth: Option<u32>,
    /// Strength of stain augmentation in training, from 0 (off) to 1: each stain is scaled by up to this fraction and shifted by up to
    /// this optical density (natural logarithm). 0.05 is light, 0.2 strong.
    pub stain_jitter: f32,
    /// Least length in pixels of the shorter side of a tiled TIFF that is a slide and cut into tiles; a smaller one is a tile itself.
    /// SVS, SCN, NDPI, BTF and TF8 files are always slides, and so are tiled TIFFs whose largest page is not their first.
    pub slide_min_side: usize,
    /// Side of the tiles that slides are cut into, in pixels, 16 to 8192. Tiles do not overlap. Remaining pixels at the right and lower
    /// edges are not used.
    pub tile_size: usize,
    /// Microns per pixel of the tiles of slides, such as 0.5 (20x) or 0.25 (40x), from 0.05 to 50. Tiles are read from the smallest level
    /// that is at least as fine, and resampled. Slides must state their resolution. Without this option tiles are cut at full resolution.
    /// Tiles that are files of their own are not resampled.
    pub mpp: Option<f64>,
    /// Least fraction of tissue in a tile of a slide, from 0 (every tile is used) to 1. It is measured on a small level; in a slide of
    /// more than 268 million pixels without one, on a part of each tile.
    pub min_tissue_ratio: f64,
    /// Table with a label for each file; the tiles of a slide share its label. Only evaluation looks at labels.
    pub labels: Option<LabelTable>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            size: 224,
            patch_size: PATCH,
            mask_ratio: 0.75,
            aspect_ratio: AspectRatio::Kept,
            channel_order: ChannelOrder::Rgb,
            crop_scale: [0.2, 1.0],
            horizontal_flip: true,
            vertical_flip: true,
            bit_depth: None,
            stain_jitter: 0.0,
            slide_min_side: 2048,
            // Twice the size of a sample: a crop of a quarter of the area still comes at full resolution.
            tile_size: 448,
            mpp: None,
            min_tissue_ratio: 0.25,
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
        self.transform().check()?;
        if let Some(bits) = self.bit_depth {
            bit_depth::check("bit_depth", bits)?;
        }
        let refused = |name: &str, found: &dyn std::fmt::Display, expected: &str| {
            Err(Error::bad_request(format!("{name} is {found}; it must be {expected}")))
        };
        if !(0.0..=1.0).contains(&self.stain_jitter) {
            return refused("stain_jitter", &self.stain_jitter, "from 0 (off) to 1");
        }
        if !(16..=LARGEST_SLIDE_TILE).contains(&self.tile_size) {
            return refused("tile_size", &self.tile_size, &format!("from 16 to {LARGEST_SLIDE_TILE} pixels"));
        }
        if let Some(mpp) = self.mpp.filter(|mpp| !MPP.contains(mpp)) {
            let (least, most) = MPP.into_inner();
            return refused("mpp", &mpp, &format!("from {least} to {most} microns"));
        }
        if self.slide_min_side == 0 {
            return refused("slide_min_side", &self.slide_min_side, "at least 1 pixel");
        }
        if !(0.0..=1.0).contains(&self.min_tissue_ratio) {
            return refused("min_tissue_ratio", &self.min_tissue_ratio, "from 0 to 1");
        }
        Ok(())
    }

    /// The settings of samples.
    pub(crate) fn transform(&self) -> ImageTransform {
        ImageTransform {
            size: self.size,
            patch_size: self.patch_size,
            mask_ratio: self.mask_ratio,
            crop_scale: self.crop_scale,
            horizontal_flip: self.horizontal_flip,
            vertical_flip: self.vertical_flip,
        }
    }
}
