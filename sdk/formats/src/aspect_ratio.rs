//! Aspect ratio of images before they become square samples: kept by crops, or lost by squeezing the whole image once.

use medcoss_sdk::Error;
use medcoss_sdk::affine::Affine;
use medcoss_sdk::image::Region;
use medcoss_sdk::label_map::LabelMap;
use medcoss_sdk::schemars::JsonSchema;
use medcoss_sdk::serde::{Deserialize, Serialize};

use crate::image_file::DecodedImage;

/// Treatment of an image's aspect ratio.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", crate = "medcoss_sdk::serde")]
#[schemars(crate = "medcoss_sdk::schemars")]
pub enum AspectRatio {
    /// Kept: the evaluation view is the centred square, and random crops are taken from the whole image.
    #[default]
    Kept,
    /// Lost: the whole image is first squeezed to a square by Pillow's bicubic interpolation, and crops are taken from
    /// that square.
    Squeezed,
}

impl AspectRatio {
    /// The image from which views of `side` x `side` pixels are taken.
    ///
    /// # Errors
    /// Those of [`medcoss_sdk::image::Resizable::resized`].
    pub fn applied(self, image: DecodedImage, side: usize) -> Result<DecodedImage, Error> {
        match (self, image) {
            (Self::Kept, image) => Ok(image),
            (Self::Squeezed, DecodedImage::Bytes(image)) => image.squeezed(side, side).map(DecodedImage::Bytes),
            (Self::Squeezed, DecodedImage::Floats(image)) => {
                image.resized(whole(image.width(), image.height()), side, side).map(DecodedImage::Floats)
            }
        }
    }

    /// From the pixels of the image that [`AspectRatio::applied`] returns to those of the image that it was given, of `[rows, columns]`.
    pub fn place(self, [height, width]: [usize; 2], side: usize) -> Affine<2> {
        match self {
            Self::Kept => Affine::identity(),
            Self::Squeezed => Affine::of_region(whole(width, height), side, side),
        }
    }

    /// The labels of the image that [`AspectRatio::applied`] returns, each from the nearest pixel.
    ///
    /// # Errors
    /// Labels of a volume.
    pub fn applied_to_labels(self, labels: LabelMap, side: usize) -> Result<LabelMap, Error> {
        match (self, labels.shape()) {
            (Self::Squeezed, &[height, width]) => labels.resized(whole(width, height), side, side),
            _ => Ok(labels),
        }
    }
}

fn whole(width: usize, height: usize) -> Region {
    Region { left: 0, top: 0, width, height }
}
