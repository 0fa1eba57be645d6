//! Kinds of pixels of a TIFF page: the meaning of samples by the page's tags, and which kinds are supported.
//!
//! Supported are grey (black or white as 0), grey with alpha, RGB, RGBA and YCbCr in whole numbers or floating point, and palettes.
//! Refused are kinds whose colours need a profile (CMYK, L*a*b*), and those that nothing here decodes. No tag states what is black
//! and white in signed and floating point samples: they are read from 0 up, and others are refused when they are met.
//! [`crate::tiff_pixels`] converts pixels.

use tiff::ColorType;
use tiff::TiffResult;
use tiff::decoder::Decoder;
use tiff::tags::{PhotometricInterpretation, PlanarConfiguration, SampleFormat, Tag};

use crate::tiff_chunk::is_decompressed;
use crate::tiff_patch::PatchedFile;
use crate::tiff_pixels::{Alpha, ChunkDecoder, Colour, Numbers, PixelKind};

/// Supported kinds, for error messages.
const READ: &str = "TIFF is read in grey, RGB, YCbCr and with a palette, of 1 to 16 or 32 bits";
/// Compressions that are JPEG 2000: Aperio's in YCbCr and in RGB, and the usual one.
const JPEG_2000: [u64; 3] = [APERIO_YCBCR, APERIO_RGB, 34712];
const APERIO_YCBCR: u64 = 33003;
const APERIO_RGB: u64 = 33005;

/// The kind of a page's pixels. The text says why it is not supported, as the end of "... has".
pub(crate) fn pixel_kind(decoder: &mut Decoder<PatchedFile>) -> TiffResult<Result<PixelKind, String>> {
    let kind = kind_or_reason(decoder)?;
    Ok(kind.map_err(|what| if what.contains("hint:") { what } else { format!("{what}; {READ}") }))
}

fn kind_or_reason(decoder: &mut Decoder<PatchedFile>) -> TiffResult<Result<PixelKind, String>> {
    let compression = decoder.find_tag_unsigned::<u64>(Tag::Compression)?.unwrap_or(1);
    if let Some(name) = refused_compression(compression) {
        return Ok(Err(format!(
            "pixels compressed as {name} ({compression}); JPEG, JPEG 2000, LZW, Deflate, PackBits and fax of group 4 are read\n\
             hint: convert the file to one of these"
        )));
    }
    let (colour, bits) = match photometric(decoder)? {
        Some(PhotometricInterpretation::RGBPalette) => {
            let bits = decoder.find_tag_unsigned_vec::<u16>(Tag::BitsPerSample)?.unwrap_or_default();
            let bits = bits.first().copied().unwrap_or(1);
            if bits > 8 && bits != 16 {
                return Ok(Err(format!("a palette for {bits}-bit indices")));
            }
            (Colour::Palette, bits as u8)
        }
        Some(PhotometricInterpretation::CMYK) => {
            return Ok(Err("colours in CMYK, whose look depends on a printer's profile".into()));
        }
        _ => match colour_and_bits(decoder)? {
            Ok(found) => found,
            Err(ColorType::Multiband { num_samples, .. }) => {
                return Ok(Err(format!("{num_samples} channels without a colour each")));
            }
            Err(other) => return Ok(Err(format!("pixels of kind {other:?}"))),
        },
    };
    // Aperio's codes state the colours, whatever the photometric interpretation says.
    let colour = match (compression, colour) {
        (APERIO_YCBCR, Colour::Rgb) => Colour::YCbCr,
        (APERIO_RGB, Colour::YCbCr) => Colour::Rgb,
        _ => colour,
    };
    let formats = decoder.find_tag_unsigned_vec::<u16>(Tag::SampleFormat)?.unwrap_or_default();
    let format = formats.first().copied().unwrap_or(SampleFormat::Uint.to_u16());
    let numbers = match SampleFormat::from_u16_exhaustive(format) {
        SampleFormat::Uint => Numbers::Unsigned,
        SampleFormat::Int if matches!(bits, 8 | 16 | 32) => Numbers::Signed,
        SampleFormat::IEEEFP if matches!(bits, 32 | 64) => Numbers::Float,
        SampleFormat::Int => return Ok(Err(format!("signed samples of {bits} bits"))),
        SampleFormat::IEEEFP => return Ok(Err(format!("floating point samples of {bits} bits"))),
        _ => return Ok(Err(format!("{bits}-bit samples of a kind that is no number (SampleFormat {format})"))),
    };
    if numbers != Numbers::Unsigned && (colour == Colour::Palette || colour == Colour::YCbCr) {
        return Ok(Err(format!("{bits}-bit samples of kind {colour:?} that are {numbers:?}")));
    }
    let inverted = photometric(decoder)? == Some(PhotometricInterpretation::WhiteIsZero);
    let can_invert = colour == Colour::Grey && numbers == Numbers::Unsigned && matches!(bits, 1 | 2 | 4 | 8..=16 | 32);
    if inverted && !can_invert {
        return Ok(Err(format!("{bits}-bit samples in {} channels with white as 0", colour.n_samples())));
    }
    let planar = decoder.find_tag_unsigned::<u16>(Tag::PlanarConfiguration)?;
    let planar = planar == Some(PlanarConfiguration::Planar.to_u16());
    let n_samples = decoder.find_tag_unsigned::<u16>(Tag::SamplesPerPixel)?.unwrap_or(1);
    let is_plain = usize::from(n_samples) == colour.n_samples() && colour != Colour::Palette;
    let is_small = bits < 8 && matches!(colour, Colour::Grey | Colour::Palette);
    let chunk_decoder = if JPEG_2000.contains(&compression) {
        if !is_plain || planar || inverted || !(8..=16).contains(&bits) || numbers != Numbers::Unsigned {
            return Ok(Err(format!("{bits}-bit samples of kind {colour:?} in JPEG 2000")));
        }
        ChunkDecoder::Jpeg2000
    } else if numbers == Numbers::Unsigned && ((9..=15).contains(&bits) || bits < 8 && !is_small) {
        let predictor = decoder.find_tag_unsigned::<u16>(Tag::Predictor)?.unwrap_or(1);
        if !is_plain || colour == Colour::YCbCr || predictor != 1 || !is_decompressed(compression) {
            return Ok(Err(format!(
                "{bits}-bit samples of kind {colour:?} with predictor {predictor} and compression {compression}"
            )));
        }
        ChunkDecoder::Packed
    } else {
        if !is_small && !matches!(bits, 8 | 16 | 32) && numbers != Numbers::Float {
            return Ok(Err(format!("{bits}-bit samples")));
        }
        ChunkDecoder::Crate
    };
    Ok(Ok(PixelKind { colour, bits: usize::from(bits), numbers, planar, inverted, decoder: chunk_decoder }))
}

fn photometric(decoder: &mut Decoder<PatchedFile>) -> TiffResult<Option<PhotometricInterpretation>> {
    let found = decoder.find_tag_unsigned::<u16>(Tag::PhotometricInterpretation)?;
    Ok(found.and_then(PhotometricInterpretation::from_u16))
}

fn colour_and_bits(decoder: &mut Decoder<PatchedFile>) -> TiffResult<Result<(Colour, u8), ColorType>> {
    let alpha = match decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples).ok().flatten().as_deref() {
        Some([1, ..]) => Alpha::Premultiplied,
        Some([0, ..]) => Alpha::None,
        _ => Alpha::Straight,
    };
    Ok(Ok(match decoder.colortype()? {
        ColorType::Gray(bits) => (Colour::Grey, bits),
        ColorType::GrayA(bits) => (Colour::GreyAlpha(alpha), bits),
        ColorType::Multiband { bit_depth, num_samples: 2 } => (Colour::GreyAlpha(alpha), bit_depth),
        ColorType::RGB(bits) => (Colour::Rgb, bits),
        ColorType::RGBA(bits) => (Colour::RgbAlpha(alpha), bits),
        ColorType::YCbCr(bits) => (Colour::YCbCr, bits),
        other => return Ok(Err(other)),
    }))
}

/// Name of a compression that no maintained library in Rust decodes.
fn refused_compression(code: u64) -> Option<&'static str> {
    match code {
        2 | 3 => Some("fax of group 3"),
        6 => Some("JPEG in its old form"),
        32809 => Some("ThunderScan"),
        34676 | 34677 => Some("LogLuv"),
        50000 => Some("Zstandard"),
        50001 => Some("WebP"),
        _ => None,
    }
}

/// The RGB colours of a palette in `[0, 1]`, one for each index of `bits`. The text says what is wrong.
pub(crate) fn palette(decoder: &mut Decoder<PatchedFile>, bits: usize) -> TiffResult<Result<Vec<[f32; 3]>, String>> {
    let stored = decoder.find_tag_unsigned_vec::<u16>(Tag::ColorMap)?.unwrap_or_default();
    let n = 1 << bits;
    if stored.len() != 3 * n {
        return Ok(Err(format!("a palette of {} numbers, where {} are needed", stored.len(), 3 * n)));
    }
    // Some writers fill 16-bit numbers with 8-bit ones.
    let white = if stored.iter().all(|&value| value < 256) { 255.0 } else { 65535.0 };
    Ok(Ok((0..n).map(|index| [0, 1, 2].map(|channel| f32::from(stored[channel * n + index]) / white)).collect()))
}
