//! Picture files: PNG, JPEG and TIFF, decoded whole.
//!
//! Colour management is left out: values are those of the file, scaled to `[0, 1]`. Slides, which do not fit into
//! memory, are read by region with [`crate::tiff_file`].

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, ErrorKind, Read, Seek};
use std::path::Path;

use image::error::ImageError;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use medcoss_sdk::Error;
use medcoss_sdk::image::Image;

use crate::tiff_file::{TiffFile, check_size};

/// Memory that a decoder may claim, in bytes: twice what the largest picture takes.
const MAX_DECODER_BYTES: u64 = 1 << 30;

/// The kinds that are read, for people.
pub const KINDS: &str = "PNG, JPEG, TIFF";

/// Whether a lower-case file name ends like a picture file.
pub fn has_known_name(lower_case_name: &str) -> bool {
    [".png", ".jpg", ".jpeg", ".tif", ".tiff"].iter().any(|ending| lower_case_name.ends_with(ending))
}

/// Whether a file that begins so is a picture file.
pub fn begins_like_one(first: [u8; 4]) -> bool {
    matches!(
        first,
        [0x89, b'P', b'N', b'G'] | [0xff, 0xd8, 0xff, _] | [b'I', b'I', 42 | 43, 0] | [b'M', b'M', 0, 42 | 43]
    )
}

/// Reads a picture of 8 or 16 bit as grey or RGB in `[0, 1]`; the content decides the kind, not the name. Transparency
/// is laid over white, palettes are resolved, the EXIF orientation of JPEG and PNG is applied.
///
/// # Errors
/// A file that is missing, damaged, of another kind, of floating point samples, or above
/// [`MAX_PIXELS`](crate::tiff_file::MAX_PIXELS).
pub fn read_image(path: &Path) -> Result<Image, Error> {
    let unreadable =
        |error: std::io::Error| Error::unreadable(format!("{} cannot be read", path.display())).caused_by(&error);
    let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut first = Vec::with_capacity(8);
    file.by_ref().take(8).read_to_end(&mut first).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    match first.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => decode(path, file, ImageFormat::Png),
        [0xff, 0xd8, 0xff, ..] => {
            let mut content = Vec::new();
            file.read_to_end(&mut content).map_err(unreadable)?;
            if !has_end_of_image(&content) {
                return Err(Error::corrupt(format!("{} is cut off: it has no end-of-image marker", path.display())));
            }
            decode(path, Cursor::new(content), ImageFormat::Jpeg)
        }
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => TiffFile::open(path)?.read_whole(),
        [] => Err(Error::corrupt(format!("{} is empty", path.display()))),
        other => {
            let (path, begins) = (path.display(), other.escape_ascii());
            Err(Error::corrupt(format!("{path} is neither PNG, JPEG nor TIFF; it begins with \"{begins}\"")))
        }
    }
}

fn decode(path: &Path, file: impl BufRead + Seek, format: ImageFormat) -> Result<Image, Error> {
    let explained = |error: ImageError| explain(path, &error);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    let mut reader = ImageReader::with_format(file, format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(explained)?;
    let (width, height) = decoder.dimensions();
    check_size(path, width as usize, height as usize)?;
    let orientation = decoder.orientation().map_err(explained)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(explained)?;
    picture.apply_orientation(orientation);

    let size = [picture.height() as usize, picture.width() as usize];
    match picture {
        DynamicImage::ImageLuma8(picture) => opaque::<1, _>(size, picture.as_raw(), byte),
        DynamicImage::ImageLumaA8(picture) => over_white::<2, _>(size, picture.as_raw(), byte),
        DynamicImage::ImageRgb8(picture) => opaque::<3, _>(size, picture.as_raw(), byte),
        DynamicImage::ImageRgba8(picture) => over_white::<4, _>(size, picture.as_raw(), byte),
        DynamicImage::ImageLuma16(picture) => opaque::<1, _>(size, picture.as_raw(), word),
        DynamicImage::ImageLumaA16(picture) => over_white::<2, _>(size, picture.as_raw(), word),
        DynamicImage::ImageRgb16(picture) => opaque::<3, _>(size, picture.as_raw(), word),
        DynamicImage::ImageRgba16(picture) => over_white::<4, _>(size, picture.as_raw(), word),
        other => Err(Error::unsupported(format!("{} has pixels of kind {:?}", path.display(), other.color()))),
    }
}

/// Whether a JPEG goes on to its end. The decoder fills up what is missing with grey and says nothing.
fn has_end_of_image(content: &[u8]) -> bool {
    // Segments before the first scan are passed over: a thumbnail among them has an end of its own.
    let mut at = 2;
    while let Some(&[0xff, marker]) = content.get(at..at + 2) {
        let Some(&[high, low]) = content.get(at + 2..at + 4) else { return false };
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
        if marker == 0xda {
            break;
        }
    }
    // In a scan 0xff is followed by zero or by a marker, so this is no coincidence.
    content.get(at..).is_some_and(|scans| scans.windows(2).any(|pair| pair == [0xff, 0xd9]))
}

fn byte(value: u8) -> f32 {
    f32::from(value) / 255.0
}

fn word(value: u16) -> f32 {
    f32::from(value) / 65535.0
}

/// Samples without transparency, `N` a pixel.
fn opaque<const N: usize, T: Copy>(
    [height, width]: [usize; 2],
    samples: &[T],
    unit: impl Fn(T) -> f32,
) -> Result<Image, Error> {
    Image::new([height, width, N], samples.iter().map(|&sample| unit(sample)).collect())
}

/// Samples with straight transparency as the last of `N` a pixel, over white.
fn over_white<const N: usize, T: Copy>(
    [height, width]: [usize; 2],
    samples: &[T],
    unit: impl Fn(T) -> f32,
) -> Result<Image, Error> {
    let n_channels = N - 1;
    let mut flat = vec![0.0; height * width * n_channels];
    let (pixels, _) = samples.as_chunks::<N>();
    for (out, pixel) in flat.chunks_exact_mut(n_channels).zip(pixels) {
        let alpha = unit(pixel[n_channels]);
        for (value, &sample) in out.iter_mut().zip(pixel) {
            *value = unit(sample) * alpha + 1.0 - alpha;
        }
    }
    Image::new([height, width, n_channels], flat)
}

fn explain(path: &Path, error: &ImageError) -> Error {
    let path = path.display();
    let explained = match error {
        ImageError::IoError(error) if error.kind() != ErrorKind::UnexpectedEof => {
            Error::unreadable(format!("{path} cannot be read"))
        }
        ImageError::Limits(_) => Error::unsupported(format!("{path} needs too much memory")),
        ImageError::Unsupported(_) => Error::unsupported(format!("{path} is a picture of an unsupported kind")),
        _ => Error::corrupt(format!("{path} is damaged")),
    };
    explained.caused_by(error)
}
