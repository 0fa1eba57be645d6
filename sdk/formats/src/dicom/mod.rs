//! DICOM: files as images, series as volumes.
//!
//! [`read_image`] reads a file for display, and [`read_values`] as the scanner measured it. [`series`] builds volumes
//! from slices that [`find_series`] puts together, and [`slide`] reads whole slides by region. The DICOM-rs crates interpret elements; `jpeg-decoder`,
//! `openreadout-codecs` and `rust-j2k` decode pixels, all without C or C++. The modules here take an untrusted file
//! apart before these crates see it, and decide what is refused.
//!
//! Supported are implicit and explicit VR in both byte orders, deflated data sets, and pixels that are native, RLE,
//! JPEG (8 and 12 bit, lossless), JPEG-LS (grey, and colours that are not interleaved), JPEG 2000, also of high throughput, or
//! deflated. Not supported are arithmetic and hierarchical JPEG, interleaved colours in JPEG-LS, JPEG XL and video; floating point pixels; chroma subsampling
//! other than 4:2:2. Overlays are ignored and non-square pixels are not corrected: an image is its grid of pixels.

mod attributes;
mod buffered_file;
mod colour;
mod decode;
pub(crate) mod deidentify;
mod display;
mod elements;
mod file_meta;
pub mod find_series;
mod frames;
mod functional_groups;
mod image_kind;
mod image_plane;
mod jpeg;
mod jpeg2000;
mod jpeg_ls;
mod kept_elements;
mod localisers;
mod modality_lut;
mod mosaic;
pub mod multi_frame;
mod object;
mod padding;
mod palette_segments;
mod pixels;
mod private_elements;
pub mod radiograph;
mod raster;
mod rle;
mod scan_elements;
pub mod scan_rules;
mod scan_separation;
mod scanner;
pub mod series;
mod series_files;
mod series_grouping;
mod series_name;
mod siemens_csa;
#[cfg(feature = "slide")]
pub mod slide;
mod sop_class;
pub(crate) mod stack;
mod transfer_syntax;
mod validate;
pub mod write;
pub mod write_multi_frame;

use std::path::Path;

use dicom_dictionary_std::tags;
use medcoss_sdk::image::Image;
use medcoss_sdk::{Error, FileGrid, Inclusion};

use attributes::{count, exactly};
use colour::Palette;
use decode::{number, stored_samples};
use display::{Display, Presentation};
use frames::Frames;
use functional_groups::functional_group;
use modality_lut::ModalityLut;
use object::Object;
use pixels::{Photometric, Pixels};

/// Supported file formats, for display.
pub const FILE_FORMATS: &str = "DICOM (.dcm, .dicom, .ima, or by content)";

/// Whether a lower-case file name has an extension of DICOM.
pub fn has_known_extension(lower_case_name: &str) -> bool {
    [".dcm", ".dicom", ".ima"].iter().any(|extension| lower_case_name.ends_with(extension))
}

/// Kind of a file in a folder that is searched for DICOM images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Candidate {
    /// A DICOM file that may hold an image.
    Image,
    /// A DICOM file without an image: a report, a plan, a segmentation, a directory of files (DICOMDIR).
    WithoutImage,
    /// Not a DICOM file.
    Other,
}

impl Candidate {
    /// Whether a dataset of images uses the file.
    pub fn inclusion(self) -> Inclusion {
        match self {
            Self::Image => Inclusion::Included,
            Self::WithoutImage => Inclusion::Excluded("DICOM without an image".into()),
            Self::Other => Inclusion::AnotherKind,
        }
    }
}

/// Leaves out a DICOM file because of its Modality (0008,0060).
pub fn of_modality(found: &str) -> Inclusion {
    Inclusion::Excluded(format!("DICOM of modality {found}").into())
}

/// Classifies a file of a folder by its first bytes. A file with the magic is a DICOM file whatever its name; without
/// the magic its extension decides.
pub fn candidate(path: &Path, lower_case_name: &str) -> Candidate {
    match file_meta::sniff(path) {
        Ok(Some(meta)) if sop_class::without_image(&meta.sop_class).is_some() => Candidate::WithoutImage,
        Ok(Some(_)) => Candidate::Image,
        Ok(None) | Err(_) if has_known_extension(lower_case_name) => Candidate::Image,
        Ok(None) | Err(_) => Candidate::Other,
    }
}

/// Number of frames that a file states; 1 where it states none or cannot be read.
pub fn n_frames(path: &Path) -> u64 {
    let header = Object::peek(path, tags::NUMBER_OF_FRAMES).ok();
    header.and_then(|header| count(&header, tags::NUMBER_OF_FRAMES)).unwrap_or(1)
}

/// Values of one frame, in the units of the modality.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// `[rows, columns, channels]`; three channels are RGB, palettes are not resolved.
    pub size: [usize; 3],
    /// Values in the order of `size`. Colours are as stored, other values are rescaled.
    pub values: Vec<f32>,
    /// Number of frames in the file.
    pub n_frames: usize,
}

/// Reads one frame of a file, of any kind of object, without any step for display.
///
/// # Errors
/// A file that is missing, damaged, of another format or of an unsupported kind; a frame that the file does not have.
pub fn read_values(path: &Path, frame: usize) -> Result<Values, Error> {
    let mut object = Object::open(path)?;
    let pixels = Pixels::of(&object)?;
    let values = modality_values(&mut object, &pixels, frame)?;
    Ok(Values { size: [pixels.rows, pixels.columns, pixels.n_samples], values, n_frames: pixels.n_frames })
}

fn modality_values(object: &mut Object, pixels: &Pixels, frame: usize) -> Result<Vec<f32>, Error> {
    if frame >= pixels.n_frames {
        let (path, n) = (object.path.display(), pixels.n_frames);
        return Err(Error::bad_request(format!("{path} has {n} frames; number {frame} is none of them")));
    }
    let frames = Frames::find(object, pixels)?;
    let samples = stored_samples(object, pixels, &frames, frame)?;
    if pixels.n_samples > 1 || pixels.photometric == Photometric::Palette {
        return Ok(samples.into_iter().map(|sample| number(sample, pixels) as f32).collect());
    }
    Ok(ModalityLut::of(object, frame)?.values(samples, pixels))
}

/// The grid of a file's first frame: rows, columns and their distances, from its header. One frame alone does not become a volume, so
/// where it lies in the body is not said.
///
/// # Errors
/// Those of [`read_image`], as far as the header is concerned.
pub fn image_grid(path: &Path) -> Result<FileGrid, Error> {
    let object = Object::open_image(path)?;
    let pixels = Pixels::of(&object)?;
    let measures = functional_group(&object.header, 0, tags::PIXEL_MEASURES_SEQUENCE);
    let spacing = exactly::<2>(measures, tags::PIXEL_SPACING)
        .or_else(|| exactly::<2>(&object.header, tags::IMAGER_PIXEL_SPACING))
        .filter(|spacing| spacing.iter().all(|mm| mm.is_finite() && *mm > 0.0));
    Ok(FileGrid { spacing_mm: spacing.map(Vec::from), ..FileGrid::of_shape([pixels.rows, pixels.columns]) })
}

/// The first frame of a file, as it is displayed.
#[derive(Debug, Clone, PartialEq)]
pub struct DisplayImage {
    /// Grey or RGB in `[0, 1]`.
    pub image: Image,
    /// Number of frames in the file.
    pub n_frames: usize,
}

/// Reads the first frame of a file as an image in `[0, 1]`, bright where a viewer shows it bright.
///
/// Grey values are mapped by the file's VOI LUT or first window. Without either, the minimum of the image becomes black
/// and the maximum white. Low values are white where the file says so (MONOCHROME1, or Presentation LUT Shape INVERSE); a Presentation LUT
/// is applied.
///
/// # Errors
/// Those of [`read_values`], an object without an acquired image, such as a plan or a segmentation.
pub fn read_image(path: &Path) -> Result<DisplayImage, Error> {
    let mut object = Object::open_image(path)?;
    let pixels = Pixels::of(&object)?;
    let size = [pixels.rows, pixels.columns];
    let [rows, columns] = size;
    let image = match pixels.photometric {
        Photometric::Monochrome1 | Photometric::Monochrome2 => {
            let mut values = modality_values(&mut object, &pixels, 0)?;
            let modality = ModalityLut::of(&object, 0)?;
            let padding = display::padding(&object).map(|ends| {
                let [one, other] = ends.map(|end| modality.value(end));
                [one.min(other), one.max(other)]
            });
            Display::of(&object, 0)?.apply(&mut values, padding);
            Presentation::of(&object, &pixels)?.apply(&mut values);
            Image::new([rows, columns, 1], values)?
        }
        Photometric::Palette => {
            let palette = Palette::of(&object)?;
            let frames = Frames::find(&mut object, &pixels)?;
            let samples = stored_samples(&mut object, &pixels, &frames, 0)?;
            let values = samples.into_iter().flat_map(|sample| palette.colour(sample)).collect();
            Image::new([rows, columns, 3], values)?
        }
        Photometric::Rgb | Photometric::YbrFull | Photometric::YbrFull422 | Photometric::Jpeg2000 => {
            let mut values = modality_values(&mut object, &pixels, 0)?;
            let most = ((1_u64 << pixels.bits_stored) - 1) as f32;
            for value in &mut values {
                *value = (*value / most).clamp(0.0, 1.0);
            }
            Image::new([rows, columns, 3], values)?
        }
    };
    Ok(DisplayImage { image, n_frames: pixels.n_frames })
}
