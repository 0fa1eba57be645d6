//! Pictures of 8 bits a channel, as most files store them. A part of one becomes an [`Image`]; the rest is never computed with.

use std::array;

use crate::Error;
use crate::image::{Image, Picture, Region};

/// A picture of 8 bits a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByteImage {
    width: usize,
    height: usize,
    channels: usize,
    pixels: Vec<u8>,
}

impl ByteImage {
    /// A picture from `pixels` `[height, width, channels]`; one channel is grey, three are RGB. 255 is white.
    ///
    /// # Errors
    /// No pixels, another number of channels, pixels that do not have these dimensions.
    pub fn new([height, width, channels]: [usize; 3], pixels: Vec<u8>) -> Result<Self, Error> {
        let expected = height.checked_mul(width).and_then(|n| n.checked_mul(channels));
        if pixels.is_empty() || !matches!(channels, 1 | 3) || expected != Some(pixels.len()) {
            let found = pixels.len();
            return Err(Error::bad_request(format!("{found} bytes are no {width}x{height}x{channels} picture")));
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

    /// The whole picture in `[0, 1]`.
    pub fn to_image(&self) -> Image {
        let units = units();
        let pixels = self.pixels.iter().map(|&byte| units[usize::from(byte)]).collect();
        Image::of([self.height, self.width, self.channels], pixels)
    }

    /// A region in `[0, 1]`; `None` when it is empty or not inside the picture.
    fn cut(&self, region: Region) -> Option<Image> {
        let Region { left, top, width, height } = region;
        let inside = |start: usize, n: usize, all: usize| n > 0 && start.checked_add(n).is_some_and(|end| end <= all);
        if !inside(left, width, self.width) || !inside(top, height, self.height) {
            return None;
        }
        let units = units();
        let mut pixels = Vec::with_capacity(width * height * self.channels);
        for row in self.pixels.chunks_exact(self.width * self.channels).skip(top).take(height) {
            let run = &row[left * self.channels..][..width * self.channels];
            pixels.extend(run.iter().map(|&byte| units[usize::from(byte)]));
        }
        Some(Image::of([height, width, self.channels], pixels))
    }
}

impl Picture for ByteImage {
    fn width(&self) -> usize {
        self.width
    }

    fn height(&self) -> usize {
        self.height
    }

    fn resized(&self, region: Region, width: usize, height: usize) -> Result<Image, Error> {
        let cut = self.cut(region).ok_or_else(|| {
            let (from_width, from_height) = (self.width, self.height);
            Error::bad_request(format!("{region:?} is no part of {from_width}x{from_height} pixels"))
        })?;
        cut.resized(Region { left: 0, top: 0, ..region }, width, height)
    }
}

/// What each byte is in `[0, 1]`. Looking it up is faster than dividing.
fn units() -> [f32; 256] {
    array::from_fn(|byte| byte as f32 / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(channels: usize) -> ByteImage {
        let pixels = (0..17 * 19 * channels).map(|value| (value * 193 % 256) as u8).collect();
        ByteImage::new([17, 19, channels], pixels).unwrap()
    }

    #[test]
    fn a_part_is_that_of_the_whole_to_the_bit() {
        for channels in [1, 3] {
            let bytes = picture(channels);
            let whole = bytes.to_image();
            assert_eq!(whole.pixels()[5], f32::from(bytes.pixels()[5]) / 255.0);
            for region in [
                Region { left: 3, top: 2, width: 11, height: 13 },
                Region { left: 0, top: 0, width: 19, height: 17 },
                Region { left: 18, top: 16, width: 1, height: 1 },
            ] {
                assert_eq!(bytes.resized(region, 23, 5).unwrap(), whole.resized(region, 23, 5).unwrap());
            }
        }
    }

    #[test]
    fn what_is_no_picture_or_no_part_of_one_is_refused() {
        assert!(ByteImage::new([2, 3, 3], vec![0; 17]).is_err());
        assert!(ByteImage::new([2, 3, 2], vec![0; 12]).is_err());
        assert!(ByteImage::new([0, 3, 1], Vec::new()).is_err());
        for region in [
            Region { left: 17, top: 0, width: 3, height: 2 },
            Region { left: 0, top: 17, width: 1, height: 1 },
            Region { left: 0, top: 0, width: 0, height: 1 },
            Region { left: usize::MAX, top: 0, width: 2, height: 1 },
        ] {
            assert!(picture(1).resized(region, 4, 4).is_err(), "{region:?}");
        }
        assert!(picture(3).resized(Region { left: 0, top: 0, width: 1, height: 1 }, 0, 4).is_err());
    }
}
