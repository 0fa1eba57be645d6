//! Volumes: which files make one up, and their slices.
//!
//! A volume is a DICOM file of one or more frames, or a series of numbered images of one folder. A single image is a
//! volume of one slice.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use medcoss_formats::dicom::multi_frame::MultiFrame;
use medcoss_formats::dicom::{self, Candidate};
use medcoss_formats::image_file;
use medcoss_formats::image_series::ImageSeries;
use medcoss_sdk::image::Image;
use medcoss_sdk::{Account, Error, Found, FoundFile, Inclusion, find_files_by_content};

use crate::pgm;

/// File formats that are read, for display.
pub(crate) const FILE_FORMATS: &[&str] = &[
    "folders of numbered slices (PNG, JPEG, TIFF, BMP, PGM)",
    "DICOM, single- and multi-frame (.dcm, .dicom, .ima, or by content)",
];

/// Modalities (0008,0060) of DICOM files in folders that are taken; those that state none are as well.
const MODALITIES: [&str; 3] = ["OPT", "OCT", "OT"];
/// Most slices of a volume.
const MAX_SLICES: usize = 1 << 16;

/// The files of a volume.
#[derive(Debug)]
pub(crate) enum Volume {
    /// Images in the order of their numbers.
    Images(ImageSeries),
    /// One file.
    Dicom(FoundFile),
}

/// What is known of a volume before its pixels are read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VolumeInfo {
    pub n_slices: usize,
    /// Distances of slices, rows and columns in millimetres, where the file states them.
    pub spacing_mm: Option<[f64; 3]>,
}

/// The volumes of the entries, in the order of their first files' ids. DICOM files in folders are left out if they are
/// of another modality than optical coherence tomography, or without an image.
///
/// # Errors
/// Those of [`find_files_by_content`]; all files are left out.
pub(crate) fn find(base: &Path, entries: &[PathBuf]) -> Result<(Vec<Volume>, Account), Error> {
    let named: Vec<PathBuf> = entries.iter().map(|entry| base.join(entry)).collect();
    let inclusion = |path: &Path, name: &str| {
        if image_file::has_known_extension(name) || name.ends_with(".pgm") {
            return Inclusion::Included;
        }
        match dicom::candidate(path, name) {
            // A file that cannot be read is an invalid sample, and not one that is left out.
            Candidate::Image => match MultiFrame::open(path).ok().and_then(|file| file.modality()) {
                Some(modality) if !MODALITIES.contains(&modality.as_str()) => dicom::of_modality(&modality),
                _ => Inclusion::Included,
            },
            other => other.inclusion(),
        }
    };
    let Found { files, account } = find_files_by_content(base, entries, inclusion, &FILE_FORMATS.join(", "))?;
    let is_image = |file: &FoundFile| {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let by_name = image_file::has_known_extension(&name) || name.ends_with(".pgm");
        by_name || named.contains(&file.path) && has_image_signature(&file.path)
    };
    let (images, dicoms): (Vec<_>, Vec<_>) = files.into_iter().partition(is_image);
    let mut volumes: Vec<Volume> = dicoms.into_iter().map(Volume::Dicom).collect();
    volumes.extend(ImageSeries::of(images).into_iter().map(Volume::Images));
    volumes.sort_by(|one, two| one.id().cmp(two.id()));
    Ok((volumes, account))
}

fn has_image_signature(path: &Path) -> bool {
    let mut first = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut first));
    read.is_ok() && (image_file::has_known_signature(first) || pgm::has_signature(first))
}

impl Volume {
    /// The id of its first file.
    pub(crate) fn id(&self) -> &str {
        &self.files()[0].id
    }

    /// In their order; there is at least one.
    pub(crate) fn files(&self) -> &[FoundFile] {
        match self {
            Self::Images(series) => &series.files,
            Self::Dicom(file) => std::slice::from_ref(file),
        }
    }

    /// What a table of labels names: the file, or the folder of slices that are alone in it.
    pub(crate) fn named(&self) -> FoundFile {
        match self {
            Self::Images(series) => series.named(),
            Self::Dicom(file) => file.clone(),
        }
    }

    /// Number and distances of slices, from headers and names.
    ///
    /// # Errors
    /// A DICOM file that is damaged or of an unsupported kind.
    pub(crate) fn info(&self) -> Result<VolumeInfo, Error> {
        let info = match self {
            Self::Images(series) => VolumeInfo { n_slices: series.files.len(), spacing_mm: None },
            Self::Dicom(file) => {
                let file = MultiFrame::open(&file.path)?;
                VolumeInfo { n_slices: file.n_frames(), spacing_mm: file.spacing_mm() }
            }
        };
        match info.n_slices {
            n if n > MAX_SLICES => Err(Error::unsupported(format!("it has {n} slices; at most {MAX_SLICES} are read"))),
            _ => Ok(info),
        }
    }

    /// Rows and columns of its first slice, from the head of the file.
    ///
    /// # Errors
    /// A file that is missing, damaged or of another kind.
    pub(crate) fn plane(&self) -> Result<[usize; 2], Error> {
        let file = &self.files()[0];
        file.check_unchanged()?;
        match self {
            Self::Dicom(file) => MultiFrame::open(&file.path).map(|file| file.size()),
            Self::Images(_) if is_pgm(file) => pgm::read(file).map(|image| [image.height(), image.width()]),
            Self::Images(_) => image_file::displayed_size(&file.path),
        }
    }

    /// Some slices as grey images in `[0, 1]`.
    ///
    /// # Errors
    /// A slice that is missing, damaged, or of another size than the first of them.
    pub(crate) fn read(&self, slices: Range<usize>) -> Result<Vec<Image>, Error> {
        let images: Vec<Image> = match self {
            Self::Images(series) => {
                let files = series.files.get(slices.clone()).unwrap_or_default();
                files.iter().map(image).collect::<Result<_, Error>>()?
            }
            Self::Dicom(file) => {
                file.check_unchanged()?;
                let mut file = MultiFrame::open(&file.path)?;
                slices.clone().map(|slice| file.read(slice).map(Image::into_grey)).collect::<Result<_, Error>>()?
            }
        };
        let size = |image: &Image| (image.width(), image.height());
        let Some(first) = images.first().map(size).filter(|_| images.len() == slices.len()) else {
            return Err(Error::corrupt(format!("slices {slices:?} are not all there")));
        };
        match images.iter().map(size).find(|size| *size != first) {
            Some((width, height)) => {
                Err(Error::corrupt(format!("its first slice is {}x{}, another is {width}x{height}", first.0, first.1)))
            }
            None => Ok(images),
        }
    }

    /// Whether the file states that its pixels show text.
    pub(crate) fn states_burned_in_annotation(&self) -> bool {
        match self {
            Self::Images(_) => false,
            Self::Dicom(file) => MultiFrame::open(&file.path).is_ok_and(|file| file.states_burned_in_annotation()),
        }
    }
}

fn is_pgm(file: &FoundFile) -> bool {
    let mut first = [0; 4];
    let read = File::open(&file.path).and_then(|mut file| file.read_exact(&mut first));
    read.is_ok() && pgm::has_signature(first)
}

fn image(file: &FoundFile) -> Result<Image, Error> {
    file.check_unchanged()?;
    if is_pgm(file) {
        return pgm::read(file);
    }
    image_file::read_grey(&file.path).map(|image| image.into_image().into_grey())
}
