//! Images as arrays: resampling, crops, flips.
//!
//! Nothing here reads files, knows tokens or decides which transformation a view needs; [`crate::image_transform`] does the
//! last two. Resampling is Catmull-Rom (cubic, a = -0.5) with the kernel widened when shrinking: Pillow's `BICUBIC`,
//! which is also what torchvision calls antialiased bicubic.

use bytemuck::{AnyBitPattern, NoUninit};
use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::{F32, F32x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use rand::{Rng, RngExt};

use crate::Error;

/// An image with values in `[0, 1]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    width: usize,
    height: usize,
    channels: usize,
    pixels: Vec<f32>,
}

/// An image that can be cropped and resized, in whatever layout its pixels are stored.
pub trait Resizable {
    /// Columns.
    fn width(&self) -> usize;

    /// Rows.
    fn height(&self) -> usize;

    /// As [`Image::resized`].
    ///
    /// # Errors
    /// A region that is empty or not inside the image, a target without pixels.
    fn resized(&self, region: Region, width: usize, height: usize) -> Result<Image, Error>;
}

/// A rectangle of whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Column of its left edge.
    pub left: usize,
    /// Row of its upper edge.
    pub top: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Image {
    /// An image from `pixels` `[height, width, channels]` in `[0, 1]`; one channel is grey, three are RGB.
    ///
    /// # Errors
    /// No pixels, another number of channels, pixels that do not have these dimensions.
    pub fn new([height, width, channels]: [usize; 3], pixels: Vec<f32>) -> Result<Self, Error> {
        let expected = height.checked_mul(width).and_then(|n| n.checked_mul(channels));
        if pixels.is_empty() || !matches!(channels, 1 | 3) || expected != Some(pixels.len()) {
            let found = pixels.len();
            return Err(Error::bad_request(format!("{found} values are no {width}x{height}x{channels} image")));
        }
        Ok(Self { width, height, channels, pixels })
    }

    /// From pixels that are known to have these dimensions.
    pub(crate) fn of([height, width, channels]: [usize; 3], pixels: Vec<f32>) -> Self {
        Self { width, height, channels, pixels }
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// 1 (grey) or 3 (RGB).
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// `[height, width, channels]`.
    pub fn pixels(&self) -> &[f32] {
        &self.pixels
    }

    /// `[height, width, channels]`, to be changed in place.
    pub fn pixels_mut(&mut self) -> &mut [f32] {
        &mut self.pixels
    }

    /// The image in one channel: luma by ITU-R BT.601, the weights of JPEG. Equal channels give back their value.
    pub fn into_grey(self) -> Self {
        if self.channels == 1 {
            return self;
        }
        let (pixels, _) = self.pixels.as_chunks::<3>();
        let luma = |&[r, g, b]: &[f32; 3]| if r == g && g == b { r } else { 0.299 * r + 0.587 * g + 0.114 * b };
        Self { channels: 1, pixels: pixels.iter().map(luma).collect(), ..self }
    }

    /// The image in three channels; grey is repeated.
    pub fn into_rgb(self) -> Self {
        if self.channels == 3 {
            return self;
        }
        Self { channels: 3, pixels: self.pixels.iter().flat_map(|&value| [value; 3]).collect(), ..self }
    }

    /// Flips left and right.
    pub fn flip_horizontal(&mut self) {
        for row in self.pixels.chunks_exact_mut(self.width * self.channels) {
            match self.channels {
                1 => row.reverse(),
                _ => row.as_chunks_mut::<3>().0.reverse(),
            }
        }
    }

    /// Flips top and bottom.
    pub fn flip_vertical(&mut self) {
        let stride = self.width * self.channels;
        let (upper, lower) = self.pixels.split_at_mut(self.height / 2 * stride);
        for (above, below) in upper.chunks_exact_mut(stride).zip(lower.rchunks_exact_mut(stride)) {
            above.swap_with_slice(below);
        }
    }

    /// A region at another size, `[0, 1]` kept. Pixels outside the region have no influence, as when it were cut out
    /// first.
    ///
    /// # Errors
    /// A region that is empty or not inside the image, a target without pixels.
    pub fn resized(&self, region: Region, width: usize, height: usize) -> Result<Self, Error> {
        let mut pixels = vec![0.0_f32; width * height * self.channels];
        let resample = if self.channels == 1 { resample::<F32, f32> } else { resample::<F32x3, f32> };
        resample(&self.pixels, [self.width, self.height], region, &mut pixels, [width, height])?;
        for value in &mut pixels {
            *value = value.clamp(0.0, 1.0);
        }
        Self::new([height, width, self.channels], pixels)
    }
}

impl Resizable for Image {
    fn width(&self) -> usize {
        self.width
    }

    fn height(&self) -> usize {
        self.height
    }

    fn resized(&self, region: Region, width: usize, height: usize) -> Result<Image, Error> {
        Image::resized(self, region, width, height)
    }
}

impl Region {
    /// The largest centred square.
    pub fn centre_square(width: usize, height: usize) -> Self {
        let side = width.min(height);
        Self { left: (width - side) / 2, top: (height - side) / 2, width: side, height: side }
    }

    /// The region of torchvision's `RandomResizedCrop`: its area is a fraction in `scale` of the image's, its aspect
    /// ratio (width / height) log-uniform in `ratio`. After ten draws that do not fit, the largest centred region whose
    /// aspect ratio is within bounds.
    ///
    /// `scale` and `ratio` are `[least, most]`, positive and in order; `width` and `height` are at least 1.
    pub fn random_crop(rng: &mut impl Rng, width: usize, height: usize, scale: [f64; 2], ratio: [f64; 2]) -> Self {
        let area = (width * height) as f64;
        for _ in 0..10 {
            let target = area * rng.random_range(scale[0]..=scale[1]);
            let aspect = rng.random_range(ratio[0].ln()..=ratio[1].ln()).exp();
            let wide = (target * aspect).sqrt().round() as usize;
            let high = (target / aspect).sqrt().round() as usize;
            if (1..=width).contains(&wide) && (1..=height).contains(&high) {
                let top = rng.random_range(0..=height - high);
                let left = rng.random_range(0..=width - wide);
                return Self { left, top, width: wide, height: high };
            }
        }
        let aspect = (width as f64 / height as f64).clamp(ratio[0], ratio[1]);
        let wide = ((height as f64 * aspect).round() as usize).clamp(1, width);
        let high = ((width as f64 / aspect).round() as usize).clamp(1, height);
        Self { left: (width - wide) / 2, top: (height - high) / 2, width: wide, height: high }
    }
}

/// Resamples a region of pixels of type `P`, which are made of values of type `V`. The library's call for pixels of any type would compile its
/// kernels for all of them, which takes minutes.
pub(crate) fn resample<P: PixelTrait, V: NoUninit + AnyBitPattern>(
    from: &[V],
    from_size: [usize; 2],
    region: Region,
    to: &mut [V],
    to_size: [usize; 2],
) -> Result<(), Error> {
    let mut resampled = || -> Result<(), Box<dyn std::error::Error>> {
        if region.width == 0 || region.height == 0 {
            return Err("it is empty".into());
        }
        let side = |side: usize| u32::try_from(side);
        let [width, height] = [side(from_size[0])?, side(from_size[1])?];
        let source = TypedImageRef::<P>::from_buffer(width, height, bytemuck::cast_slice(from))?;
        let [left, top] = [side(region.left)?, side(region.top)?];
        let cut = TypedCroppedImage::new(source, left, top, side(region.width)?, side(region.height)?)?;
        let [width, height] = [side(to_size[0])?, side(to_size[1])?];
        let mut target = TypedImage::<P>::from_buffer(width, height, bytemuck::cast_slice_mut(to))?;
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
        Ok(Resizer::new().resize_typed(&cut, &mut target, &options)?)
    };
    resampled().map_err(|error| {
        let ([from_width, from_height], [width, height]) = (from_size, to_size);
        Error::bad_request(format!("{region:?} of {from_width}x{from_height} pixels cannot become {width}x{height}"))
            .caused_by(error.as_ref())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_rng;

    const RATIO: [f64; 2] = [0.75, 4.0 / 3.0];

    fn test_image(height: usize, width: usize, channels: usize) -> Image {
        let pixels = (0..height * width * channels).map(|value| (value * 193 % 257) as f32 / 256.0).collect();
        Image::new([height, width, channels], pixels).unwrap()
    }

    /// Catmull-Rom, as Keys has it with a = -0.5.
    fn kernel(x: f64) -> f64 {
        match x.abs() {
            x if x < 1.0 => 1.5 * x.powi(3) - 2.5 * x.powi(2) + 1.0,
            x if x < 2.0 => -0.5 * x.powi(3) + 2.5 * x.powi(2) - 4.0 * x + 2.0,
            _ => 0.0,
        }
    }

    /// Weights of `n` pixels in pixel `at` of `m`: the kernel, widened when shrinking, normalised.
    fn weights(n: usize, m: usize, at: usize) -> Vec<f64> {
        let scale = n as f64 / m as f64;
        let centre = (at as f64 + 0.5) * scale;
        let raw: Vec<_> = (0..n).map(|i| kernel((i as f64 + 0.5 - centre) / scale.max(1.0))).collect();
        let sum: f64 = raw.iter().sum();
        raw.iter().map(|weight| weight / sum).collect()
    }

    #[test]
    fn resampling_is_the_cubic_convolution_of_its_definition() {
        for (channels, [to_height, to_width]) in [(1, [5, 23]), (3, [5, 23]), (1, [29, 4]), (3, [13, 11])] {
            let image = test_image(17, 19, channels);
            let region = Region { left: 3, top: 2, width: 11, height: 13 };
            let result = image.resized(region, to_width, to_height).unwrap();
            assert_eq!((result.width(), result.height(), result.channels()), (to_width, to_height, channels));
            for y in 0..to_height {
                for x in 0..to_width {
                    let (down, across) = (weights(13, to_height, y), weights(11, to_width, x));
                    for channel in 0..channels {
                        let mut expected = 0.0;
                        for (row, weight_y) in down.iter().enumerate() {
                            for (column, weight_x) in across.iter().enumerate() {
                                let at = ((row + 2) * 19 + column + 3) * channels + channel;
                                expected += weight_y * weight_x * f64::from(image.pixels()[at]);
                            }
                        }
                        let found = f64::from(result.pixels()[(y * to_width + x) * channels + channel]);
                        assert!((found - expected.clamp(0.0, 1.0)).abs() < 1e-5, "{found} instead of {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_region_at_its_own_size_is_a_copy() {
        let image = test_image(7, 9, 3);
        let cut = image.resized(Region { left: 4, top: 1, width: 3, height: 5 }, 3, 5).unwrap();
        assert_eq!(cut.pixels()[..9], image.pixels()[(9 + 4) * 3..(9 + 7) * 3]);
    }

    #[test]
    fn regions_outside_the_image_are_refused() {
        let image = test_image(7, 9, 1);
        for region in [
            Region { left: 7, top: 0, width: 3, height: 2 },
            Region { left: 0, top: 8, width: 1, height: 1 },
            Region { left: usize::MAX, top: 0, width: 1, height: 1 },
        ] {
            assert!(image.resized(region, 4, 4).is_err(), "{region:?}");
        }
        assert!(image.resized(Region { left: 0, top: 0, width: 1, height: 1 }, 0, 4).is_err());
        assert!(Image::new([2, 3, 3], vec![0.0; 17]).is_err());
        assert!(Image::new([2, 3, 2], vec![0.0; 12]).is_err());
    }

    #[test]
    fn flips_reverse_one_axis_each() {
        let mut image = Image::new([2, 3, 1], vec![0.0, 0.1, 0.2, 0.3, 0.4, 0.5]).unwrap();
        image.flip_horizontal();
        assert_eq!(image.pixels(), [0.2, 0.1, 0.0, 0.5, 0.4, 0.3]);
        image.flip_vertical();
        assert_eq!(image.pixels(), [0.5, 0.4, 0.3, 0.2, 0.1, 0.0]);
        let mut colour = test_image(5, 3, 3);
        colour.flip_horizontal();
        assert_eq!(colour.pixels()[..3], test_image(5, 3, 3).pixels()[6..9]);
        colour.flip_vertical();
        assert_eq!(colour.pixels()[..3], test_image(5, 3, 3).pixels()[(4 * 3 + 2) * 3..]);
        assert_eq!(colour.pixels()[2 * 9..3 * 9][3..6], test_image(5, 3, 3).pixels()[2 * 9..3 * 9][3..6]);
    }

    #[test]
    fn grey_and_colour_turn_into_each_other() {
        let grey = Image::new([1, 2, 1], vec![0.25, 0.7]).unwrap();
        let colour = grey.clone().into_rgb();
        assert_eq!(colour.pixels(), [0.25, 0.25, 0.25, 0.7, 0.7, 0.7]);
        assert_eq!(colour.into_grey(), grey);
        let green = Image::new([1, 1, 3], vec![0.0, 1.0, 0.0]).unwrap().into_grey();
        assert_eq!(green.pixels(), [0.587]);
    }

    #[test]
    fn random_crops_keep_to_area_and_aspect() {
        let mut rng = sample_rng(3);
        let mut areas = Vec::new();
        for _ in 0..2000 {
            let crop = Region::random_crop(&mut rng, 301, 199, [0.2, 1.0], RATIO);
            assert!(crop.left + crop.width <= 301 && crop.top + crop.height <= 199);
            let aspect = crop.width as f64 / crop.height as f64;
            assert!((0.73..1.37).contains(&aspect), "{crop:?}");
            areas.push((crop.width * crop.height) as f64 / (301.0 * 199.0));
        }
        let least = areas.iter().copied().fold(f64::INFINITY, f64::min);
        let most = areas.iter().copied().fold(0.0, f64::max);
        assert!((0.195..0.22).contains(&least) && (0.85..=1.0).contains(&most), "areas from {least} to {most}");
    }

    #[test]
    fn crops_of_slivers_fall_back_to_their_centre() {
        let mut rng = sample_rng(0);
        let tall = Region::random_crop(&mut rng, 9, 901, [0.5, 1.0], RATIO);
        assert_eq!(tall, Region { left: 0, top: 444, width: 9, height: 12 });
        let wide = Region::random_crop(&mut rng, 901, 9, [0.5, 1.0], RATIO);
        assert_eq!(wide, Region { left: 444, top: 0, width: 12, height: 9 });
        assert_eq!(Region::centre_square(30, 13), Region { left: 8, top: 0, width: 13, height: 13 });
    }
}
