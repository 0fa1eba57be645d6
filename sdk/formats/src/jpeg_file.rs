//! JPEG files, decoded into no more channels than the caller wants.
//!
//! Calls the decoder of the `image` crate directly, because that crate reads a header twice and always computes colour.
//! Colours of print, such as CMYK, are left to it.

use std::path::Path;

use image::metadata::Orientation;
use medcoss_sdk::Error;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use crate::tiff_file::check_size;

/// Largest number of scans of a JPEG. Progressive ones have about ten.
const MAX_SCANS: usize = 100;

/// A decoded JPEG.
pub(crate) struct Raster {
    pub(crate) size: [u32; 2],
    /// `[height, width, channels]`.
    pub(crate) pixels: Vec<u8>,
    /// 1 or 3.
    pub(crate) channels: usize,
    /// Orientation in which the image is displayed.
    pub(crate) orientation: Orientation,
}

/// Decodes a file's content: with `grey` only the stored luma, otherwise the channels of the file. `None` for colours
/// of print.
///
/// # Errors
/// Content that is damaged, cut off or too large.
pub(crate) fn decode(path: &Path, content: &[u8], grey: bool) -> Result<Option<Raster>, Error> {
    if !has_end_of_image(content) {
        return Err(Error::corrupt(format!("{} is cut off: it has no end-of-image marker", path.display())));
    }
    check_scans(content).map_err(|what| Error::unsupported(format!("{} has {what}", path.display())))?;
    let failed = |error: DecodeErrors| explain(path, &error);
    // The decoder's own limits are below ours.
    let options = DecoderOptions::default().set_strict_mode(false).set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(content), options);
    decoder.decode_headers().map_err(failed)?;
    let (Some((width, height)), Some(stored)) = (decoder.dimensions(), decoder.input_colorspace()) else {
        return Err(Error::corrupt(format!("{} is damaged: it has no size", path.display())));
    };
    check_size(path, width, height)?;
    let (wanted, channels) = match stored {
        ColorSpace::Luma => (ColorSpace::Luma, 1),
        ColorSpace::YCbCr if grey => (ColorSpace::Luma, 1),
        ColorSpace::YCbCr | ColorSpace::RGB => (ColorSpace::RGB, 3),
        _ => return Ok(None),
    };
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    decoder.set_options(options.jpeg_set_out_colorspace(wanted));
    let mut pixels = vec![0; width * height * channels];
    decoder.decode_into(&mut pixels).map_err(failed)?;
    let orientation = orientation.unwrap_or(Orientation::NoTransforms);
    // A JPEG cannot state a side above 65535.
    Ok(Some(Raster { size: [height as u32, width as u32], pixels, channels, orientation }))
}

/// Whether a JPEG has an end marker. The decoder fills missing pixels with grey and reports nothing.
fn has_end_of_image(content: &[u8]) -> bool {
    // Segments before the first scan are skipped: a thumbnail among them has an end marker of its own.
    let mut at = 2;
    while let Some(&[0xff, marker]) = content.get(at..at + 2) {
        let Some(&[high, low]) = content.get(at + 2..at + 4) else { return false };
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
        if marker == 0xda {
            break;
        }
    }
    // In a scan 0xff is followed by zero or by a marker, so these bytes are the end marker. It is nearly always at the
    // very end.
    content.get(at..).is_some_and(|scans| scans.windows(2).rev().any(|pair| pair == [0xff, 0xd9]))
}

/// Refuses a JPEG with too many scans: each scan of a progressive JPEG is a pass over all pixels, for a few bytes. The
/// error is the end of a sentence.
pub(crate) fn check_scans(content: &[u8]) -> Result<(), String> {
    let n_scans = content.windows(2).filter(|pair| *pair == [0xff, 0xda]).count();
    if n_scans > MAX_SCANS {
        return Err(format!("a JPEG of {n_scans} scans; at most {MAX_SCANS} are read"));
    }
    Ok(())
}

fn explain(path: &Path, error: &DecodeErrors) -> Error {
    let path = path.display();
    let explained = match error {
        DecodeErrors::Unsupported(_) => Error::unsupported(format!("{path} is an image of an unsupported kind")),
        DecodeErrors::LargeDimensions(_) => Error::unsupported(format!("{path} needs too much memory")),
        _ => Error::corrupt(format!("{path} is damaged")),
    };
    explained.caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jpeg_with_too_many_scans_is_refused_before_it_is_decoded() {
        // Scans whose segments hold nothing but their length.
        let with_scans = |n: usize| [&[0xff, 0xd8][..], &[0xff, 0xda, 0, 2].repeat(n), &[0xff, 0xd9]].concat();
        let refused = |n: usize| decode(Path::new("a.jpg"), &with_scans(n), true).err().unwrap().to_string();
        assert_eq!(refused(101), "a.jpg has a JPEG of 101 scans; at most 100 are read");
        // A hundred scans are allowed here, and the decoder refuses them.
        assert!(!refused(100).contains("scans"), "{}", refused(100));
    }
}
