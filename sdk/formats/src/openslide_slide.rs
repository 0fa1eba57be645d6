//! Slides that the C library OpenSlide reads: Hamamatsu NDPI and VMS, MIRAX, Ventana BIF, and what later versions of it add.
//!
//! Only with the feature `openslide`: C code that reads files of strangers is a choice of whoever builds. Places are those of the library:
//! the whole of the glass, with the background where nothing was scanned.

use std::path::{Path, PathBuf};

use medcoss_sdk::Error;
use medcoss_sdk::image::{Image, Region};
use openslide_rs::errors::OpenSlideError;
use openslide_rs::{Address, OpenSlide, Size};

use crate::slide_level::Level;
use crate::slide_resolution;

/// Side of the squares in which regions are read; the library does not say how tiles lie.
const CHUNK: usize = 256;
/// Most pixels of a region.
const MAX_PIXELS: usize = 1 << 26;
/// Microns per pixel along both axes.
const MPP: [&str; 2] = ["openslide.mpp-x", "openslide.mpp-y"];

/// An open slide.
pub struct OpenSlideSlide {
    path: PathBuf,
    slide: OpenSlide,
    levels: Vec<Level>,
    /// Red, green and blue where nothing was scanned.
    background: [f32; 3],
}

impl OpenSlideSlide {
    /// Opens a slide and lists its levels.
    ///
    /// # Errors
    /// A file that is missing, or that the library does not know or cannot read.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let slide = OpenSlide::new(path).map_err(|error| explained(path, &error))?;
        let property = |name: &str| slide.property_value(name).ok();
        let mpp = MPP.map(|name| property(name).and_then(|text| text.trim().parse::<f64>().ok()));
        let mpp = match mpp {
            [Some(x), Some(y)] => Some(f64::midpoint(x, y)).filter(slide_resolution::is_plausible),
            _ => None,
        };
        let background = property("openslide.background-color").and_then(|text| colour(&text)).unwrap_or([1.0; 3]);
        let sizes = slide.all_level_dimensions().iter().zip(slide.all_level_downsamples());
        let levels: Vec<Level> = sizes
            .enumerate()
            .filter(|(_, (size, downsample))| size.w > 0 && size.h > 0 && downsample.is_finite())
            .map(|(index, (size, &downsample))| Level {
                index,
                width: size.w as usize,
                height: size.h as usize,
                downsample: downsample.max(1.0),
                mpp: mpp.map(|mpp| mpp * downsample.max(1.0)),
                chunk: [CHUNK; 2],
            })
            .collect();
        if levels.first().is_none_or(|level| level.index != 0) {
            return Err(Error::corrupt(format!("{} has no level of full size", path.display())));
        }
        Ok(Self { path: path.to_owned(), slide, levels, background })
    }

    /// Levels, the full one first, then by decreasing size.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// Reads a region of a level, in pixels of that level.
    ///
    /// # Errors
    /// A region that is not inside the level or too large, a level that the slide does not have, damaged data.
    pub fn read_region(&mut self, level: Level, region: Region) -> Result<Image, Error> {
        let Region { left, top, width, height } = region;
        let shown = self.path.display();
        let Some(level) = self.levels.iter().find(|own| own.index == level.index) else {
            let n = self.levels.len();
            return Err(Error::bad_request(format!("{shown} has {n} levels, and none of number {}", level.index)));
        };
        let fits = |start: usize, length: usize, all: usize| {
            length > 0 && start.checked_add(length).is_some_and(|end| end <= all)
        };
        if !fits(left, width, level.width) || !fits(top, height, level.height) || width * height > MAX_PIXELS {
            return Err(Error::bad_request(format!(
                "{shown} has a level of {}x{}; {width}x{height} pixels from ({left}, {top}) on were asked for",
                level.width, level.height
            )));
        }
        // The library takes the corner in pixels of the full level.
        let full = |place: usize| (place as f64 * level.downsample).round() as u32;
        let wanted = openslide_rs::Region {
            size: Size { w: width as u32, h: height as u32 },
            level: level.index as u32,
            address: Address { x: full(left), y: full(top) },
        };
        let bytes = self.slide.read_region(&wanted).map_err(|error| explained(&self.path, &error))?;
        let (pixels, _) = bytes.as_chunks::<4>();
        let values = pixels.iter().flat_map(|&pixel| self.colour_of(pixel)).collect();
        Image::new([height, width, 3], values)
    }

    /// Red, green and blue of a pixel, whose colours were multiplied by its opacity.
    fn colour_of(&self, pixel: [u8; 4]) -> [f32; 3] {
        let [opacity, red, green, blue] = u32::from_ne_bytes(pixel).to_be_bytes().map(|byte| f32::from(byte) / 255.0);
        let on = |colour: f32, background: f32| (colour + (1.0 - opacity) * background).clamp(0.0, 1.0);
        let [behind_red, behind_green, behind_blue] = self.background;
        [on(red, behind_red), on(green, behind_green), on(blue, behind_blue)]
    }
}

/// A colour in six hexadecimal digits.
fn colour(text: &str) -> Option<[f32; 3]> {
    let [_, red, green, blue] = u32::from_str_radix(text, 16).ok().filter(|_| text.len() == 6)?.to_be_bytes();
    Some([red, green, blue].map(|byte| f32::from(byte) / 255.0))
}

fn explained(path: &Path, error: &OpenSlideError) -> Error {
    let path = path.display();
    match error {
        OpenSlideError::MissingFile(_) => Error::unreadable(format!("{path} is missing")),
        OpenSlideError::UnsupportedFile(_) => {
            let version = OpenSlide::version().unwrap_or_default();
            Error::unsupported(format!(
                "{path} is of no format that OpenSlide {version} reads\n\
                 hint: convert it to a tiled TIFF with a pyramid, with vips or bioformats2raw and raw2ometiff"
            ))
        }
        _ => Error::corrupt(format!("{path} cannot be read by OpenSlide")).caused_by(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_six_digits() {
        assert_eq!(colour("ff0000"), Some([1.0, 0.0, 0.0]));
        for text in ["ff00", "ff00000", "gg0000", "-f0000", ""] {
            assert_eq!(colour(text), None, "{text}");
        }
    }
}
