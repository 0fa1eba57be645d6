//! A tiled TIFF with a smaller level, as slide scanners write them: every tile a JPEG in YCbCr.

use std::error::Error;
use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{RgbImage, imageops};
use tiff::encoder::{DirectoryEncoder, Rational, TiffEncoder, TiffKindStandard};
use tiff::tags::{CompressionMethod, PhotometricInterpretation, ResolutionUnit, Tag};

/// How much smaller the second level is.
const SHRINK: u32 = 4;
/// Pixels to the centimetre of the full level: 0.5 microns a pixel, as at 20x.
const PIXELS_A_CENTIMETRE: u32 = 20_000;

/// The file. `tile` is the side of the tiles, a multiple of 16.
///
/// # Errors
/// None that an image in memory could cause; those of the encoders are passed on.
pub fn encode(slide: &RgbImage, tile: u32) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut file = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut file)?;
    let small = imageops::thumbnail(slide, slide.width() / SHRINK, slide.height() / SHRINK);
    for (level, shrink) in [(slide, 1), (&small, SHRINK)] {
        write_level(&mut encoder.image_directory()?, level, tile, PIXELS_A_CENTIMETRE / shrink)?;
    }
    Ok(file.into_inner())
}

fn write_level(
    directory: &mut DirectoryEncoder<'_, &mut Cursor<Vec<u8>>, TiffKindStandard>,
    level: &RgbImage,
    tile: u32,
    pixels_a_centimetre: u32,
) -> Result<(), Box<dyn Error>> {
    let (width, height) = level.dimensions();
    let (mut offsets, mut lengths) = (Vec::new(), Vec::new());
    for top in (0..height).step_by(tile as usize) {
        for left in (0..width).step_by(tile as usize) {
            let jpeg = jpeg(level, left, top, tile)?;
            offsets.push(u32::try_from(directory.write_data(jpeg.as_slice())?)?);
            lengths.push(u32::try_from(jpeg.len())?);
        }
    }
    directory.write_tag(Tag::ImageWidth, width)?;
    directory.write_tag(Tag::ImageLength, height)?;
    directory.write_tag(Tag::BitsPerSample, &[8_u16; 3][..])?;
    directory.write_tag(Tag::SamplesPerPixel, 3_u16)?;
    directory.write_tag(Tag::Compression, CompressionMethod::ModernJPEG)?;
    directory.write_tag(Tag::PhotometricInterpretation, PhotometricInterpretation::YCbCr)?;
    directory.write_tag(Tag::ChromaSubsampling, &[1_u16; 2][..])?;
    directory.write_tag(Tag::XResolution, Rational { n: pixels_a_centimetre, d: 1 })?;
    directory.write_tag(Tag::YResolution, Rational { n: pixels_a_centimetre, d: 1 })?;
    directory.write_tag(Tag::ResolutionUnit, ResolutionUnit::Centimeter)?;
    directory.write_tag(Tag::TileWidth, tile)?;
    directory.write_tag(Tag::TileLength, tile)?;
    directory.write_tag(Tag::TileOffsets, offsets.as_slice())?;
    directory.write_tag(Tag::TileByteCounts, lengths.as_slice())?;
    Ok(())
}

/// One tile. Past the edges of the level the last row and column go on.
fn jpeg(level: &RgbImage, left: u32, top: u32, tile: u32) -> Result<Vec<u8>, Box<dyn Error>> {
    let (width, height) = level.dimensions();
    let pixels = RgbImage::from_fn(tile, tile, |column, row| {
        *level.get_pixel((left + column).min(width - 1), (top + row).min(height - 1))
    });
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, 90).encode_image(&pixels)?;
    Ok(file)
}
