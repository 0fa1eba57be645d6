//! Converts an image of any size to a sample of the `image` family: a square of RGB patches, augmented and masked in training.
//!
//! Shared by the 2-D plugins, so that their tokens have one geometry. File formats, colours and further augmentation are each plugin's own.

use rand::RngExt;

use medcoss_abi::message::{Axis, Continuous, Geometry};

use crate::affine::Affine;
use crate::image::{Image, Region, Resizable};
use crate::label_map::LabelMap;
use crate::{Error, Patches, Sample, SampleRng, Tokens, View, encode_png, mask, patch};

/// Usual side of a patch in pixels.
pub const PATCH: usize = 16;
/// Largest side of a patch in pixels: that of published vision transformers.
const LARGEST_PATCH: usize = 32;
/// Largest side of a sample, by the size of the model's position table.
const LARGEST: usize = 512;
/// Aspect ratios of random crops, as in torchvision.
const ASPECT: [f64; 2] = [3.0 / 4.0, 4.0 / 3.0];

/// Value of hidden patches in a rendered image: middle grey.
const HIDDEN: f32 = 0.5;

/// The transform of images to samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImageTransform {
    /// Side of the square sample in pixels.
    pub size: usize,
    /// Side of a square patch in pixels, usually [`PATCH`].
    pub patch_size: usize,
    /// Fraction of the patches that are masked in training.
    pub mask_ratio: f64,
    /// Least and largest fraction of the image's area in a random crop.
    pub crop_scale: [f64; 2],
    /// Whether training samples are flipped left to right with probability 1/2.
    pub horizontal_flip: bool,
    /// Whether training samples are flipped top to bottom with probability 1/2.
    pub vertical_flip: bool,
}

impl ImageTransform {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The first setting that is out of range, by its name in the options.
    pub fn check(&self) -> Result<(), Error> {
        let (size, patch, [least, most]) = (self.size, self.patch_size, self.crop_scale);
        if !(1..=LARGEST_PATCH).contains(&patch) {
            return Err(Error::bad_request(format!("patch_size is {patch}; it must be from 1 to {LARGEST_PATCH}")));
        }
        if size == 0 || !size.is_multiple_of(patch) || size > LARGEST {
            return Err(Error::bad_request(format!(
                "size is {size}; it must be a multiple of {patch} from {patch} to {LARGEST}"
            )));
        }
        if !(self.mask_ratio > 0.0 && self.mask_ratio < 1.0) {
            return Err(Error::bad_request(format!(
                "mask_ratio is {}; it must be above 0 and below 1",
                self.mask_ratio
            )));
        }
        if self.n_masked() == self.n_tokens() {
            return Err(Error::bad_request(format!(
                "mask_ratio {} leaves none of the {} patches visible\nhint: lower it, or raise size",
                self.mask_ratio,
                self.n_tokens()
            )));
        }
        if !(least > 0.0 && least <= most && most <= 1.0) {
            return Err(Error::bad_request(format!(
                "crop_scale is [{least}, {most}]; it must be two fractions above 0 and up to 1, the smaller first"
            )));
        }
        Ok(())
    }

    /// Grid of patches.
    pub fn geometry(&self) -> Geometry {
        let (side, patch) = (self.size / self.patch_size, self.patch_size);
        Geometry::Continuous(Continuous {
            grid: vec![side, side],
            d_token: patch * patch * 3,
            n_masked: self.n_masked(),
            patch: vec![patch, patch],
            axes: vec![Axis::named("row"), Axis::named("column")],
            ..Continuous::default()
        })
    }

    /// The geometry of samples whose affines are written, as [`ImageTransform::load`] and
    /// [`ImageTransform::write_placed_sample`] do.
    pub fn geometry_with_affines(&self) -> Geometry {
        match self.geometry() {
            Geometry::Continuous(continuous) => Geometry::Continuous(Continuous { affines: true, ..continuous }),
            discrete @ Geometry::Discrete(_) => discrete,
        }
    }

    /// The evaluation view: the centred square, resampled. torchvision's `Resize` and `CenterCrop` but for less than a
    /// pixel, and without their detour over a resampled whole.
    ///
    /// # Errors
    /// Those of [`Resizable::resized`].
    pub fn evaluation_view(&self, image: &impl Resizable) -> Result<Image, Error> {
        self.placed_evaluation_view(image).map(|(view, _)| view)
    }

    fn placed_evaluation_view(&self, image: &impl Resizable) -> Result<(Image, Affine<2>), Error> {
        let region = Region::centre_square(image.width(), image.height());
        Ok((image.resized(region, self.size, self.size)?, Affine::of_region(region, self.size, self.size)))
    }

    /// The labels of an image's evaluation view: `[size, size]`.
    ///
    /// # Errors
    /// Labels of a volume.
    pub fn evaluation_labels(&self, labels: &LabelMap) -> Result<LabelMap, Error> {
        let [height, width] = *labels.shape() else {
            return Err(Error::bad_request(format!("a label map of {:?} is not that of an image", labels.shape())));
        };
        labels.resized(Region::centre_square(width, height), self.size, self.size)
    }

    /// The training view: random resized crop, then the flips.
    ///
    /// # Errors
    /// Those of [`Resizable::resized`].
    pub fn training_view(&self, image: &impl Resizable, rng: &mut SampleRng) -> Result<Image, Error> {
        self.placed_training_view(image, rng).map(|(view, _)| view)
    }

    fn placed_training_view(&self, image: &impl Resizable, rng: &mut SampleRng) -> Result<(Image, Affine<2>), Error> {
        let region = Region::random_crop(rng, image.width(), image.height(), self.crop_scale, ASPECT);
        let mut view = image.resized(region, self.size, self.size)?;
        let mut place = Affine::of_region(region, self.size, self.size);
        if self.horizontal_flip && rng.random::<bool>() {
            view.flip_horizontal();
            place = place.flipped(1, self.size);
        }
        if self.vertical_flip && rng.random::<bool>() {
            view.flip_vertical();
            place = place.flipped(0, self.size);
        }
        Ok((view, place))
    }

    /// A view of an image, and the map from its pixels to those of the image, rows before columns.
    ///
    /// # Errors
    /// Those of [`Resizable::resized`].
    pub fn placed_view(
        &self,
        image: &impl Resizable,
        view: View,
        rng: &mut SampleRng,
    ) -> Result<(Image, Affine<2>), Error> {
        match view {
            View::Evaluation => self.placed_evaluation_view(image),
            View::Training => self.placed_training_view(image, rng),
        }
    }

    /// Transforms an image as the view asks, and writes it as a sample. The image is the file's: its affine maps to the image's pixels.
    ///
    /// # Errors
    /// A sample with token ids.
    pub fn load(
        &self,
        image: &impl Resizable,
        view: View,
        rng: &mut SampleRng,
        sample: Sample<'_>,
    ) -> Result<(), Error> {
        let (framed, place) = self.placed_view(image, view, rng)?;
        self.write_placed_sample(framed, &place, view, rng, sample)
    }

    /// As [`ImageTransform::write_sample`], with the affine of the sample: `place` maps the pixels of `framed` to those of the file.
    ///
    /// # Errors
    /// Those of [`ImageTransform::write_sample`].
    pub fn write_placed_sample(
        &self,
        framed: Image,
        place: &Affine<2>,
        view: View,
        rng: &mut SampleRng,
        sample: Sample<'_>,
    ) -> Result<(), Error> {
        let mut patches = sample.patches()?;
        place.write([self.patch_size; 2], std::mem::take(&mut patches.affine));
        self.write_sample(framed, view, rng, Sample::Continuous(patches))
    }

    /// Writes tokens and mask of an image that is already transformed. Grey is repeated in the three channels.
    ///
    /// # Errors
    /// An image of another size, a sample with token ids.
    pub fn write_sample(
        &self,
        framed: Image,
        view: View,
        rng: &mut SampleRng,
        sample: Sample<'_>,
    ) -> Result<(), Error> {
        let Patches { tokens, mask, .. } = sample.patches()?;
        let values = self.size * self.size * 3;
        let is_framed = [framed.width(), framed.height()] == [self.size; 2];
        if !is_framed || tokens.len() != values || mask.len() != self.n_tokens() {
            let (width, height) = (framed.width(), framed.height());
            let size = self.size;
            return Err(Error::bad_request(format!(
                "an image of {width}x{height} does not fit samples of {size}x{size}"
            )));
        }
        match framed.channels() {
            1 => patch::patchify_grey(framed.pixels(), [self.size; 2], self.patch_size, tokens),
            _ => patch::patchify_2d(framed.pixels(), [self.size, self.size, 3], self.patch_size, tokens),
        }
        if view == View::Training {
            mask::random(rng, self.n_masked(), mask);
        }
        Ok(())
    }

    /// Converts tokens back to an image, as PNG.
    ///
    /// # Errors
    /// Tokens of another kind or number.
    pub fn render(&self, tokens: Tokens<'_>) -> Result<Vec<u8>, Error> {
        let (size, values) = (self.size, self.size * self.size * 3);
        let tokens = tokens.filled(HIDDEN)?;
        if tokens.len() != values {
            return Err(Error::bad_request(format!("{} values are no {size}x{size}x3 image", tokens.len())));
        }
        let mut pixels = vec![0.0; values];
        patch::unpatchify_2d(&tokens, [size, size, 3], self.patch_size, &mut pixels);
        encode_png(&pixels, size, size, 3)
    }

    fn n_tokens(&self) -> usize {
        (self.size / self.patch_size).pow(2)
    }

    fn n_masked(&self) -> usize {
        mask::n_masked(self.n_tokens(), self.mask_ratio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_rng;

    const TRANSFORM: ImageTransform = ImageTransform {
        size: 48,
        patch_size: PATCH,
        mask_ratio: 0.75,
        crop_scale: [0.2, 1.0],
        horizontal_flip: true,
        vertical_flip: true,
    };

    fn image() -> Image {
        let pixels = (0..61 * 83 * 3).map(|value| (value * 193 % 257) as f32 / 256.0).collect();
        Image::new([61, 83, 3], pixels).unwrap()
    }

    #[test]
    fn settings_out_of_range_are_named() {
        TRANSFORM.check().unwrap();
        let refused = |transform: ImageTransform, name: &str| {
            let error = transform.check().unwrap_err();
            assert!(error.message().starts_with(name), "{error}");
        };
        refused(ImageTransform { size: 40, ..TRANSFORM }, "size");
        refused(ImageTransform { size: 528, ..TRANSFORM }, "size");
        refused(ImageTransform { patch_size: 0, ..TRANSFORM }, "patch_size");
        refused(ImageTransform { patch_size: 33, ..TRANSFORM }, "patch_size");
        refused(ImageTransform { patch_size: 14, ..TRANSFORM }, "size is 48; it must be a multiple of 14");
        refused(ImageTransform { mask_ratio: 0.0, ..TRANSFORM }, "mask_ratio");
        refused(ImageTransform { mask_ratio: f64::NAN, ..TRANSFORM }, "mask_ratio");
        refused(ImageTransform { mask_ratio: 0.95, ..TRANSFORM }, "mask_ratio");
        refused(ImageTransform { crop_scale: [0.0, 1.0], ..TRANSFORM }, "crop_scale");
        refused(ImageTransform { crop_scale: [0.9, 0.8], ..TRANSFORM }, "crop_scale");
        refused(ImageTransform { crop_scale: [0.2, f64::INFINITY], ..TRANSFORM }, "crop_scale");
    }

    #[test]
    fn without_randomness_left_the_training_view_is_the_whole_image() {
        let transform =
            ImageTransform { crop_scale: [1.0, 1.0], horizontal_flip: false, vertical_flip: false, ..TRANSFORM };
        // The whole area at another aspect ratio does not fit into a square, so that the fallback takes all of it.
        let square = image().resized(Region { left: 0, top: 0, width: 57, height: 57 }, 57, 57).unwrap();
        for seed in 0..40 {
            assert_eq!(
                transform.training_view(&square, &mut sample_rng(seed)).unwrap(),
                transform.evaluation_view(&square).unwrap()
            );
        }
    }

    #[test]
    fn each_flip_happens_half_of_the_time() {
        let transform = ImageTransform { crop_scale: [1.0, 1.0], ..TRANSFORM };
        // Brightness rises to the right by columns and, more, downwards by rows: the corners tell which flips were
        // done.
        let ramp = (0..32 * 32).map(|index| (index % 32) as f32 / 96.0 + (index / 32) as f32 / 48.0).collect();
        let ramp = Image::new([32, 32, 1], ramp).unwrap();
        let (mut horizontal, mut vertical) = (0, 0);
        for seed in 0..400 {
            let view = transform.training_view(&ramp, &mut sample_rng(seed)).unwrap();
            horizontal += usize::from(view.pixels()[0] > view.pixels()[47]);
            vertical += usize::from(view.pixels()[0] > view.pixels()[47 * 48]);
        }
        assert!((160..240).contains(&horizontal) && (160..240).contains(&vertical), "{horizontal}, {vertical}");
    }

    #[test]
    fn what_is_delivered_renders_as_the_image() {
        let plain = TRANSFORM.evaluation_view(&image()).unwrap();
        let (mut tokens, mut mask) = (vec![0.0; 48 * 48 * 3], vec![0; 9]);
        let sample = Sample::Continuous(Patches::new(&mut tokens, &mut mask));
        TRANSFORM.write_sample(plain.clone(), View::Evaluation, &mut sample_rng(0), sample).unwrap();
        assert_eq!(mask, [0; 9]);
        let expected = encode_png(plain.pixels(), 48, 48, 3).unwrap();
        assert_eq!(TRANSFORM.render(Tokens::values(&tokens)).unwrap(), expected);
        let sample = Sample::Continuous(Patches::new(&mut tokens, &mut mask));
        TRANSFORM.write_sample(plain, View::Training, &mut sample_rng(0), sample).unwrap();
        assert_eq!(mask.iter().filter(|&&masked| masked == 1).count(), 7);
    }

    #[test]
    fn patches_of_another_size_hold_the_same_image() {
        let transform = ImageTransform { patch_size: 12, ..TRANSFORM };
        let plain = transform.evaluation_view(&image()).unwrap();
        let (mut tokens, mut mask) = (vec![0.0; 48 * 48 * 3], vec![0; 16]);
        let sample = Sample::Continuous(Patches::new(&mut tokens, &mut mask));
        transform.write_sample(plain.clone(), View::Training, &mut sample_rng(0), sample).unwrap();
        assert_eq!(mask.iter().filter(|&&masked| masked == 1).count(), 12);
        // Token 5 is the second of the second row; it begins at row 12, column 12.
        assert_eq!(tokens[5 * 432..][..3], plain.pixels()[(12 * 48 + 12) * 3..][..3]);
        let expected = encode_png(plain.pixels(), 48, 48, 3).unwrap();
        assert_eq!(transform.render(Tokens::values(&tokens)).unwrap(), expected);
        let Geometry::Continuous(geometry) = transform.geometry() else { panic!("patches are continuous") };
        assert_eq!((geometry.grid, geometry.patch, geometry.d_token), (vec![4, 4], vec![12, 12], 432));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (mut tokens, mut mask) = (vec![0.0; 48 * 48 * 3], vec![0; 9]);
        let sample = Sample::Continuous(Patches::new(&mut tokens, &mut mask));
        assert!(TRANSFORM.write_sample(image(), View::Evaluation, &mut sample_rng(0), sample).is_err());
        assert!(TRANSFORM.render(Tokens::values(&tokens[1..])).is_err());
        assert!(TRANSFORM.render(Tokens::Discrete(&[0; 9])).is_err());
    }
}
