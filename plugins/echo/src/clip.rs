//! Clips: which files are read, their frames, and copies without what identifies a patient.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use medcoss_formats::deidentify::{Deidentifier, blank_jpeg};
use medcoss_formats::dicom::multi_frame::MultiFrame;
use medcoss_formats::dicom::{self, Candidate};
use medcoss_sdk::image::{Image, Region};
use medcoss_sdk::{Error, Found, FoundFile, Inclusion, find_files_by_content, saved_samples};

use crate::avi::{self, Avi};

/// File formats that are read, for display.
pub(crate) const FILE_FORMATS: &[&str] =
    &["DICOM, single- and multi-frame (.dcm, .dicom, .ima, or by content)", "AVI with motion JPEG (.avi)"];

/// Modalities (0008,0060) of DICOM files in folders that are taken; those that state none are as well.
const MODALITIES: [&str; 3] = ["US", "IVUS", "OT"];

/// An opened clip.
pub(crate) enum Clip {
    Dicom(Box<MultiFrame>),
    Avi(Avi),
}

/// What is known of a clip before its frames are read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ClipInfo {
    pub n_frames: usize,
    pub width: usize,
    pub height: usize,
    /// Seconds from a frame to the next, where the file says.
    pub frame_seconds: Option<f64>,
    /// The region of tissue, where the file says.
    pub region: Option<Region>,
}

/// The files of the entries. DICOM files in folders are left out if they are of another modality than ultrasound, or
/// without an image.
///
/// # Errors
/// Those of [`find_files_by_content`].
pub(crate) fn find(base: &Path, entries: &[PathBuf]) -> Result<Found, Error> {
    let inclusion = |path: &Path, name: &str| {
        if name.ends_with(".avi") {
            return Inclusion::Included;
        }
        match dicom::candidate(path, name) {
            // A file that cannot be read is an invalid sample, and not one that is left out.
            Candidate::Image => {
                let modality = MultiFrame::open(path).ok().and_then(|file| file.modality());
                match modality {
                    Some(modality) if !MODALITIES.contains(&modality.as_str()) => dicom::of_modality(&modality),
                    _ => Inclusion::Included,
                }
            }
            other => other.inclusion(),
        }
    };
    find_files_by_content(base, entries, inclusion, &FILE_FORMATS.join(", "))
}

impl Clip {
    /// Opens a file: AVI by its first bytes, and else DICOM.
    ///
    /// # Errors
    /// A file that has changed, is damaged, or of another kind.
    pub(crate) fn open(file: &FoundFile) -> Result<Self, Error> {
        file.check_unchanged()?;
        if is_avi(file) {
            Avi::open(&file.path).map(Self::Avi)
        } else {
            MultiFrame::open(&file.path).map(Box::new).map(Self::Dicom)
        }
    }

    pub(crate) fn info(&self) -> ClipInfo {
        match self {
            Self::Dicom(file) => {
                let [height, width] = file.size();
                let (frame_seconds, region) = (file.frame_seconds(), file.ultrasound_region());
                ClipInfo { n_frames: file.n_frames(), width, height, frame_seconds, region }
            }
            Self::Avi(file) => {
                let [width, height] = file.size;
                let (n_frames, frame_seconds) = (file.n_frames(), file.frame_seconds);
                ClipInfo { n_frames, width, height, frame_seconds, region: None }
            }
        }
    }

    /// A frame, in colour where the file and the caller have it.
    ///
    /// # Errors
    /// A frame that is damaged.
    pub(crate) fn read(&mut self, frame: usize, colour: bool) -> Result<Image, Error> {
        let image = match self {
            Self::Dicom(file) => file.read(frame)?,
            Self::Avi(file) => file.read(frame, !colour)?,
        };
        Ok(if colour { image.into_rgb() } else { image.into_grey() })
    }
}

/// Copies a file into a new folder: the pixels of all frames as they are compressed, and what decoding needs. Gives the
/// name of the copy.
///
/// # Errors
/// A file that cannot be read, or a copy that cannot be written.
pub(crate) fn copy(file: &FoundFile, folder: &Path, deidentifier: &mut Deidentifier) -> Result<PathBuf, Error> {
    file.check_unchanged()?;
    std::fs::create_dir(folder)
        .map_err(|error| Error::unreadable(format!("{} cannot be made", folder.display())).caused_by(&error))?;
    if !is_avi(file) {
        return deidentifier.copy(file, 0, folder);
    }
    let source = Avi::open(&file.path)?;
    let name = saved_samples::name(0, ".avi");
    avi::write(&folder.join(&name), source.size, source.frame_seconds, source.n_frames(), |frame| {
        let mut content = source.jpeg(frame)?;
        blank_jpeg(&mut content);
        Ok(content)
    })?;
    Ok(name.into())
}

fn is_avi(file: &FoundFile) -> bool {
    let mut first = [0; 4];
    let read = File::open(&file.path).and_then(|mut file| file.read_exact(&mut first));
    (read.is_ok() && first == *b"RIFF") || file.id.to_lowercase().ends_with(".avi")
}
