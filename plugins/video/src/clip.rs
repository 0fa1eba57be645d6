//! Clips: which files make one up, and their frames.
//!
//! A clip is an animated GIF, or a series of numbered images.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Seek};
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::{DynamicImage, ImageDecoder, ImageError, Limits};
use medcoss_formats::image_series::ImageSeries;
use medcoss_sdk::image::Image;
use medcoss_sdk::{Account, Error, Found, FoundFile, find_files};

use crate::animation;
use crate::clip_info::{ClipInfo, MAX_PIXELS};

/// File formats that are read, for display.
pub(crate) const FILE_FORMATS: &[&str] = &["folders of numbered frames (PNG, JPEG)", "animated GIF"];
/// Memory that a decoder of PNG may claim beside the pixels, in bytes: for colour profiles, which are inflated and not used.
const MAX_DECODER_BYTES: u64 = 1 << 25;
/// Largest file of a frame in bytes.
const MAX_FILE_BYTES: u64 = 1 << 27;
/// Most scans of a JPEG: each goes through all pixels, for a few bytes. Progressive ones have some ten.
const MAX_SCANS: usize = 100;

/// The files of a clip.
#[derive(Debug)]
pub(crate) enum Clip {
    /// Images in the order of their numbers.
    Images(ImageSeries),
    /// One file.
    Gif(FoundFile),
}

/// The clips of the entries, in the order of their first files' ids.
///
/// # Errors
/// Those of [`find_files`].
pub(crate) fn find(base: &Path, entries: &[PathBuf]) -> Result<(Vec<Clip>, Account), Error> {
    let extensions = [".png", ".jpg", ".jpeg", ".gif"];
    let accepts = |name: &str| extensions.iter().any(|extension| name.ends_with(extension));
    let Found { files, account } = find_files(base, entries, accepts, &FILE_FORMATS.join(", "))?;
    let (gifs, images): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.id.to_lowercase().ends_with(".gif"));
    let mut clips: Vec<Clip> = gifs.into_iter().map(Clip::Gif).collect();
    clips.extend(ImageSeries::of(images).into_iter().map(Clip::Images));
    clips.sort_by(|one, two| one.id().cmp(two.id()));
    Ok((clips, account))
}

impl Clip {
    /// The id of its first file.
    pub(crate) fn id(&self) -> &str {
        &self.files()[0].id
    }

    /// In their order; there is at least one.
    pub(crate) fn files(&self) -> &[FoundFile] {
        match self {
            Self::Images(series) => &series.files,
            Self::Gif(file) => std::slice::from_ref(file),
        }
    }

    /// What a table of labels names: the file, or the folder of images that are alone in it.
    pub(crate) fn named(&self) -> FoundFile {
        match self {
            Self::Images(series) => series.named(),
            Self::Gif(file) => file.clone(),
        }
    }

    /// How many frames, of which size: that of the first.
    ///
    /// # Errors
    /// A first frame, or a GIF, that is damaged.
    pub(crate) fn info(&self) -> Result<ClipInfo, Error> {
        match self {
            Self::Gif(file) => {
                file.check_unchanged()?;
                animation::info(&file.path)
            }
            Self::Images(ImageSeries { files, .. }) => {
                let [width, height] = size(&files[0])?;
                Ok(ClipInfo { n_frames: files.len(), width, height })
            }
        }
    }

    /// Some frames, in rising order.
    ///
    /// # Errors
    /// A frame that is missing or damaged, and those of `visit`.
    pub(crate) fn read(
        &self,
        wanted: &[usize],
        mut visit: impl FnMut(Image) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Self::Gif(file) => animation::read(&file.path, wanted, visit),
            Self::Images(ImageSeries { files, .. }) => {
                wanted.iter().try_for_each(|&frame| visit(image(&files[frame])?))
            }
        }
    }
}

/// `[width, height]` of a frame that is a file.
fn size(file: &FoundFile) -> Result<[usize; 2], Error> {
    file.check_unchanged()?;
    let mut content = BufReader::new(File::open(&file.path).map_err(|error| unreadable(file, &error))?);
    let beginning = content.fill_buf().map_err(|error| unreadable(file, &error))?;
    match beginning {
        [0x89, b'P', b'N', b'G', ..] => checked_size(file, &png(file, content)?),
        [0xff, 0xd8, 0xff, ..] => checked_size(file, &jpeg(file, file.read_at_most(MAX_FILE_BYTES)?)?),
        _ => Err(Error::corrupt(format!("{} is neither PNG nor JPEG", file.id))),
    }
}

fn png<R: BufRead + Seek>(file: &FoundFile, content: R) -> Result<PngDecoder<R>, Error> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    PngDecoder::with_limits(content, limits).map_err(|error| explained(file, &error))
}

fn jpeg(file: &FoundFile, content: Vec<u8>) -> Result<JpegDecoder<Cursor<Vec<u8>>>, Error> {
    let n_scans = content.windows(2).filter(|pair| *pair == [0xff, 0xda]).count();
    if n_scans > MAX_SCANS {
        return Err(Error::unsupported(format!("{} has {n_scans} scans; at most {MAX_SCANS} are read", file.id)));
    }
    JpegDecoder::new(Cursor::new(content)).map_err(|error| explained(file, &error))
}

fn checked_size(file: &FoundFile, decoder: &impl ImageDecoder) -> Result<[usize; 2], Error> {
    let (width, height) = decoder.dimensions();
    let size = [width as usize, height as usize];
    if size[0].saturating_mul(size[1]) > MAX_PIXELS {
        return Err(Error::unsupported(format!("{} is {width}x{height}; up to {MAX_PIXELS} pixels are read", file.id)));
    }
    Ok(size)
}

/// A frame that is a file.
fn image(file: &FoundFile) -> Result<Image, Error> {
    file.check_unchanged()?;
    let content = file.read_at_most(MAX_FILE_BYTES)?;
    match content.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => decoded(file, png(file, Cursor::new(content))?),
        // Decoders fill the missing part of a JPEG with grey.
        [0xff, 0xd8, 0xff, ..] if !content.windows(2).any(|pair| pair == [0xff, 0xd9]) => {
            Err(Error::corrupt(format!("{} is cut off: it has no end-of-image marker", file.id)))
        }
        [0xff, 0xd8, 0xff, ..] => decoded(file, jpeg(file, content)?),
        _ => Err(Error::corrupt(format!("{} is neither PNG nor JPEG", file.id))),
    }
}

fn decoded(file: &FoundFile, decoder: impl ImageDecoder) -> Result<Image, Error> {
    let [width, height] = checked_size(file, &decoder)?;
    let decoded = DynamicImage::from_decoder(decoder).map_err(|error| explained(file, &error))?;
    let grey = matches!(decoded, DynamicImage::ImageLuma8(_) | DynamicImage::ImageLuma16(_));
    let (channels, pixels) =
        if grey { (1, decoded.to_luma32f().into_raw()) } else { (3, decoded.into_rgb32f().into_raw()) };
    Image::new([height, width, channels], pixels)
}

fn unreadable(file: &FoundFile, error: &std::io::Error) -> Error {
    Error::unreadable(format!("{} cannot be read", file.id)).caused_by(error)
}

fn explained(file: &FoundFile, error: &ImageError) -> Error {
    match error {
        ImageError::Limits(_) => Error::unsupported(format!("{} needs too much memory", file.id)).caused_by(error),
        _ => Error::corrupt(format!("{} is not a valid image", file.id)).caused_by(error),
    }
}
