//! Pictures as arrays: resampling, crops, flips.
//!
//! Nothing here reads files, knows tokens or decides which transformation a view needs; [`crate::framing`] does the last two.
//! Resampling is Catmull-Rom (cubic, a = -0.5) with the kernel widened when shrinking: Pillow's `BICUBIC`, which is also what
//! torchvision calls antialiased bicubic.

use fast_image_resize::images::{CroppedImage, Image as Target, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use rand::{Rng, RngExt};

use crate::Error;

/// A picture with values in `[0, 1]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    width: usize,
    height: usize,
    channels: usize,
    pixels: Vec<f32>,
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
    /// A picture from `pixels` `[height, width, channels]` in `[0, 1]`; one channel is grey, three are RGB.
    ///
    /// # Errors
    /// No pixels, another number of channels, pixels that do not have these dimensions.
    pub fn new([height, width, channels]: [usize; 3], pixels: Vec<f32>) -> Result<Self, Error> {
        let expected = height.checked_mul(width).and_then(|n| n.checked_mul(channels));
        if pixels.is_empty() || !matches!(channels, 1 | 3) || expected != Some(pixels.len()) {
            let found = pixels.len();
            return Err(Error::bad_request(format!("{found} values are no {width}x{height}x{channels} picture")));
        }
        Ok(Self { width, height, channels, pixels })
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

    /// The picture in one channel: luma by ITU-R BT.601, the weights of JPEG. Equal channels give back their value.
    pub fn into_grey(self) -> Self {
        if self.channels == 1 {
            return self;
        }
        let (pixels, _) = self.pixels.as_chunks::<3>();
        let luma = |&[r, g, b]: &[f32; 3]| if r == g && g == b { r } else { 0.299 * r + 0.587 * g + 0.114 * b };
        Self { channels: 1, pixels: pixels.iter().map(luma).collect(), ..self }
    }

    /// The picture in three channels; grey is repeated.
    pub fn into_rgb(self) -> Self {
        if self.channels == 3 {
            return self;
        }
        Self { channels: 3, pixels: self.pixels.iter().flat_map(|&value| [value; 3]).collect(), ..self }
    }

    /// Mirrors left and right.
    pub fn flip_horizontal(&mut self) {
        for row in self.pixels.chunks_exact_mut(self.width * self.channels) {
            for x in 0..self.width / 2 {
                let mirrored = self.width - 1 - x;
                for channel in 0..self.channels {
                    row.swap(x * self.channels + channel, mirrored * self.channels + channel);
                }
            }
        }
    }

    /// Mirrors top and bottom.
    pub fn flip_vertical(&mut self) {
        let stride = self.width * self.channels;
        let (upper, lower) = self.pixels.split_at_mut(self.height / 2 * stride);
        for (above, below) in upper.chunks_exact_mut(stride).zip(lower.rchunks_exact_mut(stride)) {
            above.swap_with_slice(below);
        }
    }

    /// A region at another size, `[0, 1]` kept. Pixels outside the region have no influence, as when it were cut out first.
    ///
    /// # Errors
    /// A region that is empty or not inside the picture, a target without pixels.
    pub fn resized(&self, region: Region, width: usize, height: usize) -> Result<Self, Error> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            let (from_width, from_height) = (self.width, self.height);
            Error::bad_request(format!(
                "{region:?} of {from_width}x{from_height} pixels cannot become {width}x{height}"
            ))
            .caused_by(error)
        };
        let kind = if self.channels == 1 { PixelType::F32 } else { PixelType::F32x3 };
        let mut pixels = vec![0.0_f32; width * height * self.channels];
        {
            let bytes = bytemuck::cast_slice(&self.pixels);
            let [from_width, from_height, left, top, cut_width, cut_height, wide, high] =
                [self.width, self.height, region.left, region.top, region.width, region.height, width, height]
                    .map(|side| u32::try_from(side).unwrap_or(u32::MAX));
            let source = ImageRef::new(from_width, from_height, bytes, kind).map_err(|error| failed(&error))?;
            let cut = CroppedImage::new(&source, left, top, cut_width, cut_height).map_err(|error| failed(&error))?;
            let target = bytemuck::cast_slice_mut(&mut pixels);
            let mut target = Target::from_slice_u8(wide, high, target, kind).map_err(|error| failed(&error))?;
            let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
            Resizer::new().resize(&cut, &mut target, &options).map_err(|error| failed(&error))?;
        }
        for value in &mut pixels {
            *value = value.clamp(0.0, 1.0);
        }
        Self::new([height, width, self.channels], pixels)
    }
}

impl Region {
    /// The largest centred square.
    pub fn centre_square(width: usize, height: usize) -> Self {
        let side = width.min(height);
        Self { left: (width - side) / 2, top: (height - side) / 2, width: side, height: side }
    }

    /// The region of torchvision's `RandomResizedCrop`: its area is a fraction in `scale` of the picture's, its aspect ratio
    /// (width / height) log-uniform in `ratio`. After ten draws that do not fit, the largest centred region whose aspect
    /// ratio is within bounds.
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
