//! Colour of decoded frames: planes to interleaved pixels, YCbCr to RGB, palettes.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use medcoss_sdk::Error;

use super::attributes::{exactly, words};
use super::object::Object;
use super::palette_segments;

/// Interleaves three planes of `n_pixels` into pixels of three channels.
pub(crate) fn interleaved(planes: &[i32], n_pixels: usize) -> Vec<i32> {
    (0..n_pixels).flat_map(|at| [planes[at], planes[n_pixels + at], planes[2 * n_pixels + at]]).collect()
}

/// Expands 4:2:2 pairs of pixels (luma, luma, two colour differences) to pixels of three channels.
pub(crate) fn unshared(samples: &[i32]) -> Vec<i32> {
    let (pairs, _) = samples.as_chunks::<4>();
    pairs.iter().flat_map(|&[first, second, blue, red]| [first, blue, red, second, blue, red]).collect()
}

/// Converts full-range YCbCr (`YBR_FULL` of DICOM, ITU-R BT.601) to RGB, in place.
pub(crate) fn to_rgb(samples: &mut [i32], n_bits: u32) {
    let (most, middle) = ((1_u64 << n_bits) as f64 - 1.0, (1_u64 << (n_bits - 1)) as f64);
    let (pixels, _) = samples.as_chunks_mut::<3>();
    for pixel in pixels {
        let [luma, blue, red] = pixel.map(f64::from);
        let (blue, red) = (blue - middle, red - middle);
        let rgb =
            [luma + 1.402 * red, luma - (0.114 * 1.772 * blue + 0.299 * 1.402 * red) / 0.587, luma + 1.772 * blue];
        *pixel = rgb.map(|value| value.round().clamp(0.0, most) as i32);
    }
}

/// Palette: for each index an RGB colour in `[0, 1]`.
pub(crate) struct Palette {
    first: i32,
    colours: Vec<[f32; 3]>,
}

impl Palette {
    /// Reads the palette of an object, plain or segmented.
    ///
    /// # Errors
    /// A palette that is missing or damaged.
    pub(crate) fn of(object: &Object) -> Result<Self, Error> {
        let path = object.path.display();
        let missing = || Error::corrupt(format!("{path} has pixels of a palette and no valid palette"));
        let channel = |descriptor: Tag, data: Tag, segments: Tag| {
            let [n, first, n_bits] = exactly::<3>(&object.header, descriptor)?;
            // The number of entries has 16 bits; 0 means 65536.
            let n = if n == 0.0 { 65536 } else { n as i64 as u16 as usize };
            let stored = |tag| words(&object.header, tag, object.encoding.big_endian).filter(|words| !words.is_empty());
            let bytes = |words: &[u16]| words.iter().flat_map(|word| word.to_le_bytes()).map(u16::from).collect();
            let entries: Vec<u16> = match (stored(data), stored(segments)) {
                // Entries of 8 bits may be packed in pairs.
                (Some(words), _) if n_bits == 8.0 && words.len() < n => bytes(&words),
                (Some(words), _) => words,
                (None, Some(words)) if n_bits == 8.0 => palette_segments::expanded(&bytes(&words), 8, n)?,
                (None, Some(words)) => palette_segments::expanded(&words, 16, n)?,
                (None, None) => return None,
            };
            // Many files state 16 bits and store 8.
            let most = if n_bits == 8.0 || entries.iter().all(|&entry| entry < 256) { 255.0 } else { 65535.0 };
            let values: Vec<f32> = entries.into_iter().take(n).map(|entry| f32::from(entry) / most).collect();
            (!values.is_empty()).then_some((first as i32, values))
        };
        let (first, red) = channel(
            tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
            tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
            tags::SEGMENTED_RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        )
        .ok_or_else(missing)?;
        let (_, green) = channel(
            tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
            tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
            tags::SEGMENTED_GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        )
        .ok_or_else(missing)?;
        let (_, blue) = channel(
            tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
            tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
            tags::SEGMENTED_BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        )
        .ok_or_else(missing)?;
        let colours = red.into_iter().zip(green).zip(blue).map(|((red, green), blue)| [red, green, blue]).collect();
        Ok(Self { first, colours })
    }

    /// The colour of an index; an index beyond either end has that end's colour.
    pub(crate) fn colour(&self, number: i32) -> [f32; 3] {
        let at = i64::from(number) - i64::from(self.first);
        self.colours[at.clamp(0, self.colours.len() as i64 - 1) as usize]
    }
}
