//! Segmentation masks of images: labels as they are stored in PNG and TIFF files of 1 to 16 bit, and in BMP files of 1 to 8.
//!
//! A label is the stored number of a pixel: grey is not rescaled, and a palette gives its indices. JPEG is not read,
//! since it changes numbers.

use std::fs::File;
use std::io::{BufReader, Read, Seek};

use image::codecs::bmp::BmpDecoder;
use image::metadata::Orientation;
use image::{ColorType as DecodedColour, ImageDecoder, ImageError};
use medcoss_sdk::label_map::LabelMap;
use medcoss_sdk::{Error, FoundFile};
use png::{BitDepth, ColorType, Decoder, Limits, Transformations};
use tiff::tags::Tag;

use crate::image_file::png_decoder;
use crate::tiff_file::{TiffFile, check_size};
use crate::tiff_pixels::{Colour, Numbers};

/// File extensions of supported masks.
pub const MASK_EXTENSIONS: &[&str] = &[".png", ".tif", ".tiff", ".bmp"];
/// Memory that the decoder may claim beside the pixels, in bytes.
const MAX_DECODER_BYTES: usize = 1 << 26;

/// Reads the labels of an image, `[rows, columns]`: grey pixels (PNG, TIFF), indices of a palette (PNG, BMP), or equal red,
/// green and blue (PNG, BMP). The content decides the format, not the name.
///
/// # Errors
/// A file that is missing, damaged or of another kind; colours, transparency, white as 0, more than 16 bit.
pub fn read_labels(mask: &FoundFile) -> Result<LabelMap, Error> {
    let path = &mask.path;
    let unreadable =
        |error: std::io::Error| Error::unreadable(format!("mask {} cannot be read", path.display())).caused_by(&error);
    let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut first = Vec::with_capacity(4);
    file.by_ref().take(4).read_to_end(&mut first).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    match first.as_slice() {
        [0x89, b'P', b'N', b'G'] => read_png(mask, file),
        [b'I', b'I', 42 | 43, 0] | [b'M', b'M', 0, 42 | 43] => read_tiff(mask),
        [b'B', b'M', ..] => read_bmp(mask, file),
        [0xff, 0xd8, 0xff, _] => Err(Error::unsupported(format!(
            "mask {} is a JPEG, which does not keep numbers as they are\nhint: export masks as PNG",
            mask.id
        ))),
        other => {
            let (mask, begins) = (&mask.id, other.escape_ascii());
            Err(Error::corrupt(format!("mask {mask} is neither PNG, TIFF nor BMP; it begins with \"{begins}\"")))
        }
    }
}

fn read_png(mask: &FoundFile, file: BufReader<File>) -> Result<LabelMap, Error> {
    let damaged = |error: png::DecodingError| Error::corrupt(format!("mask {} is damaged", mask.id)).caused_by(&error);
    check_upright(mask)?;
    let mut decoder = Decoder::new_with_limits(file, Limits { bytes: MAX_DECODER_BYTES });
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_ignore_text_chunk(true);
    let mut reader = decoder.read_info().map_err(damaged)?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    check_size(&mask.path, width, height)?;
    let (colour, depth) = (reader.info().color_type, reader.info().bit_depth);
    let bytes = reader.output_buffer_size().ok_or_else(|| too_large(mask))?;
    let mut packed = vec![0; bytes];
    let frame = reader.next_frame(&mut packed).map_err(damaged)?;
    let rows = packed.chunks_exact(frame.line_size).take(height);
    let n_samples = width * colour.samples();
    let mut labels = Vec::with_capacity(width * height);
    for row in rows {
        add_labels(mask, &mut labels, unpacked(row, depth, n_samples), colour, depth)?;
    }
    LabelMap::new(&[height, width], labels)
}

/// The numbers of a row. Below 8 bit a byte holds several, the first in its highest bits.
fn unpacked(row: &[u8], depth: BitDepth, n_samples: usize) -> impl Iterator<Item = u16> {
    let bits = depth as usize;
    (0..n_samples).map(move |at| match bits {
        16 => u16::from_be_bytes([row[2 * at], row[2 * at + 1]]),
        _ => {
            let (first, most) = (at * bits, (1u16 << bits) - 1);
            u16::from(row[first / 8] >> (8 - bits - first % 8)) & most
        }
    })
}

/// Appends the labels of a row, one per pixel.
fn add_labels(
    mask: &FoundFile,
    labels: &mut Vec<u16>,
    mut samples: impl Iterator<Item = u16>,
    colour: ColorType,
    depth: BitDepth,
) -> Result<(), Error> {
    let (has_alpha, n_colours) = match colour {
        ColorType::Grayscale | ColorType::Indexed => {
            labels.extend(samples);
            return Ok(());
        }
        ColorType::GrayscaleAlpha => (true, 1),
        ColorType::Rgb => (false, 3),
        ColorType::Rgba => (true, 3),
    };
    let opaque = ((1u32 << depth as u32) - 1) as u16;
    while let Some(label) = samples.next() {
        let is_grey = (1..n_colours).all(|_| samples.next() == Some(label));
        let is_opaque = !has_alpha || samples.next() == Some(opaque);
        if !(is_grey && is_opaque) {
            return Err(Error::unsupported(format!(
                "mask {} has colours or transparency; a label is one number a pixel\n\
                 hint: write masks in grey or with a palette, 8 or 16 bit",
                mask.id
            )));
        }
        labels.push(label);
    }
    Ok(())
}

fn read_bmp(mask: &FoundFile, file: BufReader<File>) -> Result<LabelMap, Error> {
    let damaged = |error: ImageError| Error::corrupt(format!("mask {} is damaged", mask.id)).caused_by(&error);
    let mut decoder = BmpDecoder::new(file).map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    check_size(&mask.path, width, height)?;
    if decoder.get_palette().is_some() {
        decoder.set_indexed_color(true);
    }
    let colour = match decoder.color_type() {
        DecodedColour::L8 => ColorType::Grayscale,
        DecodedColour::Rgba8 => ColorType::Rgba,
        _ => ColorType::Rgb,
    };
    // Sizes are within the limit, and a pixel has four bytes at most.
    let mut samples = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut samples).map_err(damaged)?;
    let mut labels = Vec::with_capacity(width * height);
    add_labels(mask, &mut labels, samples.into_iter().map(u16::from), colour, BitDepth::Eight)?;
    LabelMap::new(&[height, width], labels)
}

fn read_tiff(mask: &FoundFile) -> Result<LabelMap, Error> {
    let mut tiff = TiffFile::open(&mask.path)?;
    let kind = tiff.pixel_kind()?;
    if tiff.is_turned() {
        return Err(turned(mask, &"Orientation"));
    }
    if kind.colour != Colour::Grey || kind.bits > 16 || kind.numbers != Numbers::Unsigned {
        return Err(tiff.unsupported(&format!(
            "{}-bit pixels of kind {:?} ({:?}), and a mask has one unsigned number of up to 16 bit a pixel",
            kind.bits, kind.colour, kind.numbers
        )));
    }
    if tiff.number(Tag::PhotometricInterpretation) == Some(0) {
        return Err(tiff.unsupported("white as 0, which leaves open whether 0 is the background of the mask"));
    }
    let page = tiff.page();
    let whole = medcoss_sdk::image::Region { left: 0, top: 0, width: page.width, height: page.height };
    let image = tiff.read_region_over(whole, 0.0)?;
    // Values are numbers divided by the largest of so many bits; a float, whose significand has 24 bits, gives each
    // number of 16 bits back.
    let largest = ((1u32 << kind.bits) - 1) as f32;
    let labels = image.pixels().iter().map(|value| (value * largest).round() as u16).collect();
    LabelMap::new(&[page.height, page.width], labels)
}

/// Checks that no tag turns the mask: it would be unclear whether its sample is turned as well.
fn check_upright(mask: &FoundFile) -> Result<(), Error> {
    let orientation = File::open(&mask.path).ok().and_then(|file| {
        let mut decoder = png_decoder(BufReader::new(file)).ok()?;
        decoder.orientation().ok()
    });
    match orientation {
        // A file that cannot be opened here reports its error when it is read.
        None | Some(Orientation::NoTransforms) => Ok(()),
        Some(other) => Err(turned(mask, &other)),
    }
}

fn turned(mask: &FoundFile, tag: &dyn std::fmt::Debug) -> Error {
    Error::unsupported(format!(
        "mask {} has a tag that turns it ({tag:?})\nhint: turn the pixels and remove the tag",
        mask.id
    ))
}

fn too_large(mask: &FoundFile) -> Error {
    Error::unsupported(format!("mask {} needs too much memory", mask.id))
}
