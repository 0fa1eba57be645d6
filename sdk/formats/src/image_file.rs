//! PNG, JPEG, TIFF and BMP images, decoded whole, into no more bits and channels than the file has and the caller wants.
//!
//! Values are those of the file, scaled to `[0, 1]`, without colour management: the largest number of the file's bits becomes 1, or of
//! as many as it uses where the caller wants that. Slides, which do not fit into memory,
//! are read by region with [`crate::tiff_file`].

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, ErrorKind, Read, Seek};
use std::path::Path;

use image::codecs::bmp::BmpDecoder;
use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::error::ImageError;
use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer, ImageDecoder, Limits};
use medcoss_sdk::Error;
use medcoss_sdk::byte_image::ByteImage;
use medcoss_sdk::image::{Image, Region, Resizable};

use crate::bit_depth::BitDepth;
use crate::jpeg_file::{self, Raster};
use crate::png_head::PngHead;
pub use crate::png_head::with_significant_bits;
use crate::tiff_file::{TiffFile, check_size};
use crate::tiff_pixels::Colour;

/// Memory in bytes that a decoder may claim beside the pixels. Most of it is for colour profiles, which are inflated
/// and not used.
const MAX_DECODER_BYTES: u64 = 1 << 26;
/// Largest memory of an image while it is decoded, in bytes.
const MAX_IMAGE_BYTES: usize = 640 << 20;
/// Largest JPEG file in bytes; it is read as a whole.
const MAX_JPEG_BYTES: u64 = 1 << 28;

/// Bytes of a value in an [`Image`].
const FLOAT_BYTES: usize = size_of::<f32>();

/// Supported file formats, for display.
pub const FILE_FORMATS: &str = "PNG, JPEG, TIFF, BMP";

/// Whether a lower-case file name has an extension of an image file.
pub fn has_known_extension(lower_case_name: &str) -> bool {
    [".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"].iter().any(|extension| lower_case_name.ends_with(extension))
}

/// Whether a file with these first bytes is an image file.
pub fn has_known_signature(first: [u8; 4]) -> bool {
    matches!(
        first,
        [0x89, b'P', b'N', b'G']
            | [0xff, 0xd8, 0xff, _]
            | [b'I', b'I', 42 | 43, 0]
            | [b'M', b'M', 0, 42 | 43]
            | [b'B', b'M', ..]
    )
}

/// An image with its pixels as they were decoded.
#[derive(Debug, Clone, PartialEq)]
pub enum DecodedImage {
    /// Channels of 8 bits, without transparency.
    Bytes(ByteImage),
    /// Any other image, as floats in `[0, 1]`.
    Floats(Image),
}

impl DecodedImage {
    /// The whole image in `[0, 1]`.
    pub fn into_image(self) -> Image {
        match self {
            Self::Bytes(image) => image.to_image(),
            Self::Floats(image) => image,
        }
    }

    /// The image with one channel, see [`Image::into_grey`].
    pub fn into_grey(self) -> Self {
        match self {
            Self::Bytes(image) if image.channels() == 1 => Self::Bytes(image),
            other => Self::Floats(other.into_image().into_grey()),
        }
    }
}

impl Resizable for DecodedImage {
    fn width(&self) -> usize {
        match self {
            Self::Bytes(image) => image.width(),
            Self::Floats(image) => image.width(),
        }
    }

    fn height(&self) -> usize {
        match self {
            Self::Bytes(image) => image.height(),
            Self::Floats(image) => image.height(),
        }
    }

    fn resized(&self, region: Region, width: usize, height: usize) -> Result<Image, Error> {
        match self {
            Self::Bytes(image) => image.resized(region, width, height),
            Self::Floats(image) => image.resized(region, width, height),
        }
    }
}

/// The number that becomes 1.
#[derive(Debug, Clone, Copy)]
enum White {
    /// The largest of the bits that the file has for a number.
    OfStoredBits,
    /// The largest of the bits that its numbers use: those that the user states, or else those of [`BitDepth`].
    OfUsedBits(Option<u32>),
}

/// Reads an image of up to 32 bit as grey or RGB in `[0, 1]`. The content decides the format, not the name. Transparency
/// is composited over white, palettes are resolved, the orientation of TIFF and the EXIF orientation of JPEG and PNG are applied.
///
/// # Errors
/// A file that is missing, damaged, of another kind, of samples whose black and white nothing states, or above
/// [`MAX_PIXELS`](crate::tiff_file::MAX_PIXELS).
pub fn read_image(path: &Path) -> Result<Image, Error> {
    read(path, false, White::OfStoredBits).map(|(image, _)| image.into_image())
}

/// Reads an image as [`read_image`] does, with the pixels as they were decoded.
///
/// # Errors
/// Those of [`read_image`].
pub fn read_decoded(path: &Path) -> Result<DecodedImage, Error> {
    read(path, false, White::OfStoredBits).map(|(image, _)| image)
}

/// Reads an image as [`read_decoded`] does, with one channel. Of a JPEG only the stored luma is decoded; other colour
/// is converted to luma.
///
/// # Errors
/// Those of [`read_image`].
pub fn read_grey(path: &Path) -> Result<DecodedImage, Error> {
    read(path, true, White::OfStoredBits).map(|(image, _)| image.into_grey())
}

/// Reads an image as [`read_grey`] does. Where samples have more than 8 bits, the largest number of the bits that they use becomes 1:
/// of `bits`, or else of those that the file's own numbers take. Transparent images in TIFF are read by the bits that they are stored in.
///
/// # Errors
/// Those of [`read_image`], a number that does not fit into `bits`.
pub fn read_grey_by_depth(path: &Path, bits: Option<u32>) -> Result<(DecodedImage, Option<BitDepth>), Error> {
    read(path, true, White::OfUsedBits(bits)).map(|(image, depth)| (image.into_grey(), depth))
}

/// Reads an image as [`read_decoded`] does, scaled as [`read_grey_by_depth`] says.
///
/// # Errors
/// Those of [`read_grey_by_depth`].
pub fn read_decoded_by_depth(path: &Path, bits: Option<u32>) -> Result<DecodedImage, Error> {
    read(path, false, White::OfUsedBits(bits)).map(|(image, _)| image)
}

/// What an image file says about itself before its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Whether samples have more than 8 bits.
    pub is_deep: bool,
    /// Whether further images follow the first, which is the one that is read.
    pub has_further_images: bool,
}

/// The head of an image file; `None` of a file that cannot be read.
pub fn head(path: &Path) -> Option<Head> {
    let mut file = BufReader::new(File::open(path).ok()?);
    let mut first = [0; 4];
    file.read_exact(&mut first).ok()?;
    match first {
        [0x89, b'P', b'N', b'G'] => {
            let head = PngHead::read(&mut file).ok()??;
            Some(Head { is_deep: head.bits > 8, has_further_images: false })
        }
        [b'I', b'I', 42 | 43, 0] | [b'M', b'M', 0, 42 | 43] => {
            let mut tiff = TiffFile::open(path).ok()?;
            let has_further_images = tiff.has_next();
            let kind = tiff.pixel_kind().ok()?;
            let is_deep = kind.colour != Colour::Palette && kind.significant_bits().is_some_and(|bits| bits > 8);
            Some(Head { is_deep, has_further_images })
        }
        _ => Some(Head { is_deep: false, has_further_images: false }),
    }
}

/// Rows and columns of an image file as viewers show it: what [`read_image`] gives, from the file's head. The orientation of TIFF and
/// the EXIF orientation of JPEG and PNG are applied.
///
/// # Errors
/// Those of [`read_image`], as far as the head is concerned.
pub fn displayed_size(path: &Path) -> Result<[usize; 2], Error> {
    let unreadable =
        |error: std::io::Error| Error::unreadable(format!("{} cannot be read", path.display())).caused_by(&error);
    let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut first = [0; 4];
    file.read_exact(&mut first).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    let explained = |error: ImageError| explain(path, &error);
    match first {
        [0x89, b'P', b'N', b'G'] => oriented_size(path, png_decoder(file).map_err(explained)?),
        [b'B', b'M', ..] => oriented_size(path, BmpDecoder::new(file).map_err(explained)?),
        [0xff, 0xd8, 0xff, _] => oriented_size(path, JpegDecoder::new(file).map_err(explained)?),
        _ => {
            let page = TiffFile::open(path)?.page();
            Ok([page.height, page.width])
        }
    }
}

fn oriented_size(path: &Path, mut decoder: impl ImageDecoder) -> Result<[usize; 2], Error> {
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    check_size(path, width, height)?;
    Ok(match decoder.orientation().map_err(|error| explain(path, &error))? {
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            [width, height]
        }
        Orientation::NoTransforms
        | Orientation::Rotate180
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical => [height, width],
    })
}

fn read(path: &Path, grey: bool, white: White) -> Result<(DecodedImage, Option<BitDepth>), Error> {
    let unreadable =
        |error: std::io::Error| Error::unreadable(format!("{} cannot be read", path.display())).caused_by(&error);
    let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut first = Vec::with_capacity(8);
    file.by_ref().take(8).read_to_end(&mut first).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    match first.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => {
            let significant = PngHead::read(&mut file).map_err(unreadable)?.and_then(|head| head.significant);
            file.rewind().map_err(unreadable)?;
            let decoder = png_decoder(file).map_err(|error| explain(path, &error))?;
            decode(path, decoder, white, significant)
        }
        [b'B', b'M', ..] => {
            let decoder = BmpDecoder::new(file).map_err(|error| explain(path, &error))?;
            decode(path, decoder, white, None)
        }
        [0xff, 0xd8, 0xff, ..] => {
            let mut content = Vec::new();
            file.take(MAX_JPEG_BYTES + 1).read_to_end(&mut content).map_err(unreadable)?;
            if content.len() as u64 > MAX_JPEG_BYTES {
                let most = MAX_JPEG_BYTES >> 20;
                return Err(Error::unsupported(format!("{} is a JPEG of more than {most} MiB", path.display())));
            }
            decode_jpeg(path, content, grey).map(|image| (image, None))
        }
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => {
            let mut tiff = TiffFile::open(path)?;
            read_tiff(path, &mut tiff, white)
        }
        [] => Err(Error::corrupt(format!("{} is empty", path.display()))),
        other => {
            let (path, begins) = (path.display(), other.escape_ascii());
            Err(Error::corrupt(format!("{path} is neither PNG, JPEG, TIFF nor BMP; it begins with \"{begins}\"")))
        }
    }
}

fn read_tiff(path: &Path, tiff: &mut TiffFile, white: White) -> Result<(DecodedImage, Option<BitDepth>), Error> {
    let (page, kind) = (tiff.page(), tiff.pixel_kind()?);
    check_size(path, page.width, page.height)?;
    let n_copies = if tiff.is_turned() { 2 } else { 1 };
    check_memory(path, page.width * page.height, n_copies * FLOAT_BYTES * kind.colour.n_channels())?;
    let mut image = tiff.read_whole()?;
    let stored = kind.significant_bits().filter(|&bits| bits > 8 && matches!(kind.colour, Colour::Grey | Colour::Rgb));
    let Some(stored) = stored else { return Ok((DecodedImage::Floats(image), None)) };
    let full = ((1_u64 << stored) - 1) as f64;
    // White as 0 was turned round: what is stored counts from white.
    let number = |value: f32| if kind.inverted { 1.0 - f64::from(value) } else { f64::from(value) };
    let largest = image.pixels().iter().map(|&value| number(value)).fold(0.0, f64::max) * full;
    let depth = depth(path, largest.round() as u32, stored, white, None)?;
    if let Some(depth) = depth.filter(|depth| depth.used != depth.stored) {
        for value in image.pixels_mut() {
            let part = ((number(*value) * full).round() / depth.white()).min(1.0) as f32;
            *value = if kind.inverted { 1.0 - part } else { part };
        }
    }
    Ok((DecodedImage::Floats(image), depth))
}

/// The depth that an image is scaled by; `None` where it is that of its file.
fn depth(
    path: &Path,
    largest: u32,
    stored: u32,
    white: White,
    significant: Option<u32>,
) -> Result<Option<BitDepth>, Error> {
    let White::OfUsedBits(wanted) = white else { return Ok(None) };
    let depth = BitDepth::of(largest, stored, wanted, significant);
    depth.map(Some).map_err(|what| Error::unsupported(format!("{} has {what}", path.display())))
}

/// Decodes a JPEG of the file `path`, such as a frame of a clip. With `grey` only the stored luma is decoded, where there is one.
///
/// # Errors
/// Content that is damaged, cut off or too large.
pub fn decode_jpeg(path: &Path, content: Vec<u8>, grey: bool) -> Result<DecodedImage, Error> {
    match jpeg_file::decode(path, &content, grey)? {
        Some(raster) => turned(path, raster),
        None => {
            let decoder = JpegDecoder::new(Cursor::new(content)).map_err(|error| explain(path, &error))?;
            decode(path, decoder, White::OfStoredBits, None).map(|(image, _)| image)
        }
    }
}

/// A decoded JPEG in the orientation in which it is displayed.
fn turned(path: &Path, raster: Raster) -> Result<DecodedImage, Error> {
    let Raster { size: [height, width], pixels, channels, orientation } = raster;
    if orientation == Orientation::NoTransforms {
        return ByteImage::new([height as usize, width as usize, channels], pixels).map(DecodedImage::Bytes);
    }
    let image = match channels {
        1 => ImageBuffer::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8),
        _ => ImageBuffer::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8),
    };
    let damaged = || Error::corrupt(format!("{} is damaged: it has too few pixels", path.display()));
    let mut image = image.ok_or_else(damaged)?;
    image.apply_orientation(orientation);
    stored(path, image, White::OfStoredBits, None).map(|(image, _)| image)
}

/// A PNG decoder that claims no more memory than a row of pixels and some metadata take.
pub(crate) fn png_decoder<R: BufRead + Seek>(file: R) -> Result<PngDecoder<R>, ImageError> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    PngDecoder::with_limits(file, limits)
}

fn decode(
    path: &Path,
    mut decoder: impl ImageDecoder,
    white: White,
    significant: Option<u32>,
) -> Result<(DecodedImage, Option<BitDepth>), Error> {
    let explained = |error: ImageError| explain(path, &error);
    let (width, height) = decoder.dimensions();
    check_size(path, width as usize, height as usize)?;
    let colour = decoder.color_type();
    let is_stored = colour.bytes_per_pixel() == colour.channel_count();
    // Pixels that are neither grey nor colour of 8 bits become floats beside the decoded pixels.
    let n_colours = usize::from(colour.channel_count() - u8::from(colour.has_alpha()));
    let numbers = if is_stored && !colour.has_alpha() { 0 } else { FLOAT_BYTES * n_colours };
    let bytes_per_pixel = usize::from(colour.bytes_per_pixel()) + numbers;
    check_memory(path, width as usize * height as usize, bytes_per_pixel)?;
    let orientation = decoder.orientation().map_err(explained)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(explained)?;
    image.apply_orientation(orientation);
    stored(path, image, white, significant)
}

/// Refuses an image that takes more than [`MAX_IMAGE_BYTES`].
fn check_memory(path: &Path, n_pixels: usize, bytes_per_pixel: usize) -> Result<(), Error> {
    let n_bytes = n_pixels.saturating_mul(bytes_per_pixel);
    if n_bytes > MAX_IMAGE_BYTES {
        return Err(Error::unsupported(format!(
            "{} takes {} MiB of memory, above the limit of {} MiB\nhint: store it in 8 bits without transparency, as PNG or JPEG",
            path.display(),
            n_bytes >> 20,
            MAX_IMAGE_BYTES >> 20
        )));
    }
    Ok(())
}

fn stored(
    path: &Path,
    image: DynamicImage,
    white: White,
    significant: Option<u32>,
) -> Result<(DecodedImage, Option<BitDepth>), Error> {
    let size = [image.height() as usize, image.width() as usize];
    let [height, width] = size;
    let bytes = |channels: usize, raw: Vec<u8>| {
        ByteImage::new([height, width, channels], raw).map(|image| (DecodedImage::Bytes(image), None))
    };
    let depth_of = |largest: u16| depth(path, u32::from(largest), 16, white, significant);
    let floats = match image {
        DynamicImage::ImageLuma8(image) => return bytes(1, image.into_raw()),
        DynamicImage::ImageRgb8(image) => return bytes(3, image.into_raw()),
        DynamicImage::ImageLumaA8(image) => (over_white::<2, _>(size, image.as_raw(), byte, byte), None),
        DynamicImage::ImageRgba8(image) => (over_white::<4, _>(size, image.as_raw(), byte, byte), None),
        DynamicImage::ImageLuma16(image) => {
            let depth = depth_of(largest::<1>(image.as_raw(), 1))?;
            (opaque::<1>(size, image.as_raw(), word_of(depth)), depth)
        }
        DynamicImage::ImageLumaA16(image) => {
            let depth = depth_of(largest::<2>(image.as_raw(), 1))?;
            (over_white::<2, _>(size, image.as_raw(), word_of(depth), word_of(None)), depth)
        }
        DynamicImage::ImageRgb16(image) => {
            let depth = depth_of(largest::<3>(image.as_raw(), 3))?;
            (opaque::<3>(size, image.as_raw(), word_of(depth)), depth)
        }
        DynamicImage::ImageRgba16(image) => {
            let depth = depth_of(largest::<4>(image.as_raw(), 3))?;
            (over_white::<4, _>(size, image.as_raw(), word_of(depth), word_of(None)), depth)
        }
        other => {
            return Err(Error::unsupported(format!("{} has pixels of kind {:?}", path.display(), other.color())));
        }
    };
    floats.0.map(|image| (DecodedImage::Floats(image), floats.1))
}

/// The largest of the first `n` samples of each pixel of `N`.
fn largest<const N: usize>(samples: &[u16], n: usize) -> u16 {
    let (pixels, _) = samples.as_chunks::<N>();
    pixels.iter().flat_map(|pixel| &pixel[..n]).copied().max().unwrap_or(0)
}

fn byte(value: u8) -> f32 {
    f32::from(value) / 255.0
}

/// The conversion of samples of 16 bit that use a depth.
fn word_of(depth: Option<BitDepth>) -> impl Fn(u16) -> f32 {
    let white = depth.map_or(65535.0, BitDepth::white) as f32;
    move |value| (f32::from(value) / white).min(1.0)
}

/// Converts samples of 16 bit without transparency, `N` per pixel.
fn opaque<const N: usize>(
    [height, width]: [usize; 2],
    samples: &[u16],
    unit: impl Fn(u16) -> f32,
) -> Result<Image, Error> {
    Image::new([height, width, N], samples.iter().map(|&sample| unit(sample)).collect())
}

/// Composites samples over white; the last of `N` per pixel is straight alpha.
fn over_white<const N: usize, T: Copy>(
    [height, width]: [usize; 2],
    samples: &[T],
    unit: impl Fn(T) -> f32,
    coverage: impl Fn(T) -> f32,
) -> Result<Image, Error> {
    let n_channels = N - 1;
    let mut flat = vec![0.0; height * width * n_channels];
    let (pixels, _) = samples.as_chunks::<N>();
    for (out, pixel) in flat.chunks_exact_mut(n_channels).zip(pixels) {
        let alpha = coverage(pixel[n_channels]);
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
        ImageError::Unsupported(_) => Error::unsupported(format!("{path} is an image of an unsupported kind")),
        _ => Error::corrupt(format!("{path} is damaged")),
    };
    explained.caused_by(error)
}
