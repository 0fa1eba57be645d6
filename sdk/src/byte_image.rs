//! Images of 8 bits a channel, as most files store them. Resampling one gives 8 bits again, as in Pillow, so that values are within a
//! level or two of those in full precision, and does not touch what is outside of the region.

use fast_image_resize::pixels::{U8, U8x3};

use crate::image::{Image, Region, Resizable, resample};
use crate::{Error, pillow_bicubic};

/// An image of 8 bits a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByteImage {
    width: usize,
    height: usize,
    channels: usize,
    pixels: Vec<u8>,
}

impl ByteImage {
    /// An image from `pixels` `[height, width, channels]`; one channel is grey, three are RGB. 255 is white.
    ///
    /// # Errors
    /// No pixels, another number of channels, pixels that do not have these dimensions.
    pub fn new([height, width, channels]: [usize; 3], pixels: Vec<u8>) -> Result<Self, Error> {
        let expected = height.checked_mul(width).and_then(|n| n.checked_mul(channels));
        if pixels.is_empty() || !matches!(channels, 1 | 3) || expected != Some(pixels.len()) {
            let found = pixels.len();
            return Err(Error::bad_request(format!("{found} bytes are no {width}x{height}x{channels} image")));
        }
        Ok(Self { width, height, channels, pixels })
    }

    /// 1 (grey) or 3 (RGB).
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// `[height, width, channels]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The whole image at another size, whatever its aspect ratio: to the bit as Pillow's `resize((width, height), BICUBIC)`.
    ///
    /// # Errors
    /// A target without pixels.
    pub fn squeezed(&self, width: usize, height: usize) -> Result<Self, Error> {
        let shape = [self.height, self.width, self.channels];
        let pixels = pillow_bicubic::resize(&self.pixels, shape, [height, width]);
        Self::new([height, width, self.channels], pixels)
    }

    /// The whole image in `[0, 1]`.
    pub fn to_image(&self) -> Image {
        let pixels = self.pixels.iter().map(|&byte| UNITS[usize::from(byte)]).collect();
        Image::of([self.height, self.width, self.channels], pixels)
    }
}

impl Resizable for ByteImage {
    fn width(&self) -> usize {
        self.width
    }

    fn height(&self) -> usize {
        self.height
    }

    fn resized(&self, region: Region, width: usize, height: usize) -> Result<Image, Error> {
        let mut pixels = vec![0; width * height * self.channels];
        let resample = if self.channels == 1 { resample::<U8, u8> } else { resample::<U8x3, u8> };
        resample(&self.pixels, [self.width, self.height], region, &mut pixels, [width, height])?;
        Ok(Self::new([height, width, self.channels], pixels)?.to_image())
    }
}

/// What each byte is in `[0, 1]`. Looking it up is faster than dividing.
static UNITS: [f32; 256] = {
    let mut units = [0.0; 256];
    let mut byte = 0;
    while byte < 256 {
        units[byte] = byte as f32 / 255.0;
        byte += 1;
    }
    units
};

#[cfg(test)]
mod tests {
    use super::*;

    fn image(channels: usize) -> ByteImage {
        let pixels = (0..17 * 19 * channels).map(|value| (value * 193 % 256) as u8).collect();
        ByteImage::new([17, 19, channels], pixels).unwrap()
    }

    /// `Image.fromarray(image).crop((2, 1, 10, 8)).resize([width, height], BICUBIC)` of Pillow 13.0.
    #[test]
    fn a_part_is_that_of_pillow_to_a_level() {
        let of_pillow: [(usize, [usize; 2], &[u8]); 4] = [
            (1, [5, 3], &[10, 20, 35, 56, 80, 17, 27, 42, 63, 87, 24, 34, 49, 70, 94]),
            (
                1,
                [3, 9],
                &[
                    12, 34, 69, 14, 36, 71, 16, 38, 73, 19, 41, 76, 21, 43, 78, 23, 45, 80, 26, 48, 83, 28, 50, 85, 30,
                    52, 87,
                ],
            ),
            (
                3,
                [5, 3],
                &[
                    10, 46, 82, 20, 56, 92, 35, 71, 107, 56, 92, 128, 80, 116, 152, 17, 60, 103, 27, 70, 113, 42, 85,
                    128, 63, 106, 149, 87, 130, 173, 24, 74, 124, 34, 84, 134, 49, 99, 149, 70, 120, 170, 94, 144, 194,
                ],
            ),
            (
                3,
                [3, 9],
                &[
                    12, 46, 80, 34, 68, 102, 69, 103, 137, 14, 50, 85, 36, 72, 107, 71, 107, 142, 16, 55, 93, 38, 77,
                    115, 73, 112, 150, 19, 59, 100, 41, 81, 122, 76, 116, 157, 21, 64, 107, 43, 86, 129, 78, 121, 164,
                    23, 69, 114, 45, 91, 136, 80, 126, 171, 26, 73, 121, 48, 95, 143, 83, 130, 178, 28, 78, 129, 50,
                    100, 151, 85, 135, 186, 30, 82, 134, 52, 104, 156, 87, 139, 191,
                ],
            ),
        ];
        for (channels, [width, height], expected) in of_pillow {
            let value = |at: usize| {
                let (channel, x, y) = (at % channels, at / channels % 11, at / channels / 11);
                (3 * y * (channel + 1) + x * x + 31 * channel) as u8
            };
            let bytes = ByteImage::new([9, 11, channels], (0..99 * channels).map(value).collect()).unwrap();
            let found = bytes.resized(Region { left: 2, top: 1, width: 8, height: 7 }, width, height).unwrap();
            let part = (0..7).flat_map(|y| &bytes.pixels()[((y + 1) * 11 + 2) * channels..][..8 * channels]).copied();
            let part = ByteImage::new([7, 8, channels], part.collect()).unwrap();
            assert_eq!(
                part.squeezed(width, height).unwrap().pixels(),
                expected,
                "{channels} channels to {width}x{height}"
            );
            for (found, &expected) in found.pixels().iter().zip(expected) {
                let (found, expected) = ((found * 255.0).round(), f32::from(expected));
                assert!((found - expected).abs() <= 1.0, "{channels} channels to {width}x{height}: {found} {expected}");
            }
        }
    }

    #[test]
    fn a_part_is_nearly_that_in_full_precision() {
        for channels in [1, 3] {
            let pixels = (0..17 * 19 * channels).map(|at| (at / channels % 19 * 9 + at / channels / 19 * 4) as u8);
            let bytes = ByteImage::new([17, 19, channels], pixels.collect()).unwrap();
            let whole = bytes.to_image();
            assert_eq!(whole.pixels()[5], f32::from(bytes.pixels()[5]) / 255.0);
            for region in [
                Region { left: 3, top: 2, width: 11, height: 13 },
                Region { left: 0, top: 0, width: 19, height: 17 },
                Region { left: 18, top: 16, width: 1, height: 1 },
            ] {
                let (found, exact) = (bytes.resized(region, 23, 5).unwrap(), whole.resized(region, 23, 5).unwrap());
                let rows = bytes.pixels().chunks(19 * channels).skip(region.top).take(region.height);
                let part = rows.flat_map(|row| &row[region.left * channels..][..region.width * channels]).copied();
                let part = ByteImage::new([region.height, region.width, channels], part.collect()).unwrap();
                assert_eq!(part.resized(Region { left: 0, top: 0, ..region }, 23, 5).unwrap(), found);
                let differences = found.pixels().iter().zip(exact.pixels()).map(|(found, exact)| (found - exact).abs());
                assert!(differences.fold(0.0, f32::max) < 1.2 / 255.0, "{region:?}");
            }
        }
    }

    #[test]
    fn what_is_no_image_or_no_part_of_one_is_refused() {
        assert!(ByteImage::new([2, 3, 3], vec![0; 17]).is_err());
        assert!(ByteImage::new([2, 3, 2], vec![0; 12]).is_err());
        assert!(ByteImage::new([0, 3, 1], Vec::new()).is_err());
        for region in [
            Region { left: 17, top: 0, width: 3, height: 2 },
            Region { left: 0, top: 17, width: 1, height: 1 },
            Region { left: 0, top: 0, width: 0, height: 1 },
            Region { left: usize::MAX, top: 0, width: 2, height: 1 },
        ] {
            assert!(image(1).resized(region, 4, 4).is_err(), "{region:?}");
        }
        assert!(image(3).resized(Region { left: 0, top: 0, width: 1, height: 1 }, 0, 4).is_err());
    }
}
