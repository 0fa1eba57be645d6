//! Kinds of pixels of a TIFF page: the meaning of samples by the page's tags, and which kinds are supported.
//!
//! Supported are grey (black or white as 0), grey with alpha, RGB, RGBA and YCbCr in whole numbers, and palettes.
//! Refused are kinds whose black and white no tag states (floating point, signed), whose colours need a profile (CMYK,
//! L*a*b*), and those that the `tiff` crate does not decode. [`crate::tiff_pixels`] converts pixels.

use tiff::ColorType;
use tiff::TiffResult;
use tiff::decoder::Decoder;
use tiff::tags::{PhotometricInterpretation, PlanarConfiguration, SampleFormat, Tag};

use crate::tiff_patch::PatchedFile;
use crate::tiff_pixels::{Alpha, Colour, PixelKind};

/// Supported kinds, for error messages.
const READ: &str = "TIFF is read in grey, RGB, YCbCr and with a palette, in whole numbers";

/// The kind of a page's pixels. The text says why it is not supported, as the end of "... has".
pub(crate) fn pixel_kind(decoder: &mut Decoder<PatchedFile>) -> TiffResult<Result<PixelKind, String>> {
    let kind = kind_or_reason(decoder)?;
    Ok(kind.map_err(|what| if what.contains("hint:") { what } else { format!("{what}; {READ}") }))
}

fn kind_or_reason(decoder: &mut Decoder<PatchedFile>) -> TiffResult<Result<PixelKind, String>> {
    let compression = decoder.find_tag_unsigned::<u64>(Tag::Compression)?.unwrap_or(1);
    if let Some(name) = refused_compression(compression) {
        return Ok(Err(format!(
            "pixels compressed as {name} ({compression}); JPEG, LZW, Deflate, PackBits and fax of group 4 are read\n\
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
    let formats = decoder.find_tag_unsigned_vec::<u16>(Tag::SampleFormat)?.unwrap_or_default();
    if let Some(&format) = formats.iter().find(|&&format| format != SampleFormat::Uint.to_u16()) {
        let kind = if format == SampleFormat::IEEEFP.to_u16() { "floating point" } else { "signed or of another kind" };
        return Ok(Err(format!("{bits}-bit samples that are {kind}: it does not say which are black and white")));
    }
    let inverted = photometric(decoder)? == Some(PhotometricInterpretation::WhiteIsZero);
    if inverted && !(colour == Colour::Grey && matches!(bits, 1 | 2 | 4 | 8 | 16 | 32)) {
        return Ok(Err(format!("{bits}-bit samples in {} channels with white as 0", colour.n_samples())));
    }
    let small = bits < 8 && matches!(colour, Colour::Grey | Colour::Palette);
    if !small && !matches!(bits, 8 | 16 | 32) {
        return Ok(Err(format!("{bits}-bit samples")));
    }
    let planar = decoder.find_tag_unsigned::<u16>(Tag::PlanarConfiguration)?;
    let planar = planar == Some(PlanarConfiguration::Planar.to_u16());
    Ok(Ok(PixelKind { colour, bits: usize::from(bits), planar }))
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
        // The first two are Aperio's, in YCbCr and in RGB.
        33003 | 33005 | 34712 => Some("JPEG 2000"),
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
