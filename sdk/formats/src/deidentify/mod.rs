//! De-identified copies of image files, for samples that a run stores.
//!
//! Each format has a list of what stays: the pixels, bit by bit, and the metadata that decoding and display need. All
//! other content is left out. Copies have numbers as names and never the name of the file. Pixels are not changed: text
//! that is burned into an image stays, and so does a face that can be reconstructed from a scan.

mod bmp;
mod exif;
pub(crate) mod jpeg;
mod png;
mod tiff;

#[cfg(feature = "dicom")]
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use medcoss_sdk::{Error, FoundFile, log, saved_samples};

#[cfg(feature = "dicom")]
use crate::dicom;

/// Overwrites what a JPEG in memory holds beside its pixels and what decoding needs: comments, EXIF, what follows its end.
pub fn blank_jpeg(image: &mut [u8]) {
    jpeg::blank(image);
}

/// File extensions that a copy keeps, because the readers of some plugins choose the format by extension.
const EXTENSIONS: [&str; 9] = ["png", "jpg", "jpeg", "tif", "tiff", "bmp", "dcm", "dicom", "ima"];

/// Byte range of the DICOM magic, after the preamble.
const DICOM_MAGIC: std::ops::Range<usize> = 128..132;

/// Writer of de-identified copies. UIDs are replaced by numbers, the same for all copies of one writer.
#[derive(Debug, Default)]
pub struct Deidentifier {
    #[cfg(feature = "dicom")]
    uids: BTreeMap<String, usize>,
    n_copies: usize,
    n_burned_in: usize,
}

impl Deidentifier {
    /// Writes a de-identified copy of a file into a folder and returns the copy's name, which begins with `position`.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, or is not PNG, JPEG, TIFF, BMP or DICOM; a copy that cannot be written.
    pub fn copy(&mut self, file: &FoundFile, position: usize, folder: &Path) -> Result<PathBuf, Error> {
        let unreadable = |error: io::Error| {
            Error::unreadable(format!("{} cannot be copied to {}", file.path.display(), folder.display()))
                .caused_by(&error)
        };
        let damaged = || Error::corrupt(format!("{} is damaged and cannot be copied", file.id));
        let mut source = File::open(&file.path).map_err(unreadable)?;
        let mut beginning = Vec::new();
        source.by_ref().take(DICOM_MAGIC.end as u64).read_to_end(&mut beginning).map_err(unreadable)?;
        let Some(&first) = beginning.first_chunk::<4>() else { return Err(damaged()) };
        // The preamble of a DICOM file may be the header of a TIFF file.
        let is_tiff_by_name = file.id.to_lowercase().ends_with(".tif") || file.id.to_lowercase().ends_with(".tiff");
        let is_dicom = !is_tiff_by_name && beginning.get(DICOM_MAGIC).is_some_and(|magic| magic == b"DICM");
        let named = |usual: &str| {
            let found = file.path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
            let extension = found.filter(|found| EXTENSIONS.contains(&found.as_str())).unwrap_or(usual.into());
            saved_samples::name(position, &format!(".{extension}"))
        };
        self.n_copies += 1;
        let name = match first {
            _ if is_dicom => self.copy_dicom(file, &named("dcm"), folder)?,
            [0x89, b'P', b'N', b'G'] => {
                let name = named("png");
                let copy = png::without_metadata(&file.read()?).ok_or_else(damaged)?;
                saved_samples::write(&folder.join(&name), &copy)?;
                name
            }
            [b'B', b'M', ..] => {
                let name = named("bmp");
                let copy = bmp::without_metadata(&file.read()?).ok_or_else(damaged)?;
                saved_samples::write(&folder.join(&name), &copy)?;
                name
            }
            [0xff, 0xd8, 0xff, _] => {
                let name = named("jpg");
                let mut copy = file.read()?;
                jpeg::blank(&mut copy);
                saved_samples::write(&folder.join(&name), &copy)?;
                name
            }
            [b'I', b'I', 42 | 43, 0] | [b'M', b'M', 0, 42 | 43] => {
                let name = named("tif");
                let mut target = File::create_new(folder.join(&name)).map_err(unreadable)?;
                tiff::copy(&mut source, &mut target).map_err(unreadable)?;
                name
            }
            _ => self.copy_dicom(file, &named("dcm"), folder)?,
        };
        Ok(name.into())
    }

    #[cfg(feature = "dicom")]
    fn copy_dicom(&mut self, file: &FoundFile, name: &str, folder: &Path) -> Result<String, Error> {
        let found = dicom::deidentify::write(&file.path, &folder.join(name), &mut |uid| self.uid(uid))?;
        self.n_burned_in += usize::from(found.burned_in_annotation);
        Ok(name.into())
    }

    #[cfg(not(feature = "dicom"))]
    fn copy_dicom(&mut self, file: &FoundFile, _: &str, _: &Path) -> Result<String, Error> {
        Err(Error::unsupported(format!("{} is neither PNG, JPEG, TIFF nor BMP and cannot be copied", file.id)))
    }

    /// The replacement of a UID: a number, in the order in which UIDs are met. It reveals nothing about the UID.
    #[cfg(feature = "dicom")]
    fn uid(&mut self, uid: &str) -> String {
        let next = self.uids.len() + 1;
        format!("2.25.{}", self.uids.entry(uid.to_owned()).or_insert(next))
    }

    /// Warns of copies whose files state that their pixels show text about the patient (Burned In Annotation).
    pub fn warn_of_burned_in_annotations(&self) {
        if self.n_burned_in > 0 {
            log::warn(&format!(
                "{} of {} copied samples state annotations in their pixels (Burned In Annotation is YES); copies are not cropped\n\
                 hint: remove such files from the data, or keep buffers by reference",
                self.n_burned_in, self.n_copies
            ));
        }
    }
}
