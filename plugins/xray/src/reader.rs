//! Finding and reading of radiographs: image files and DICOM files.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use medcoss_formats::dicom;
use medcoss_formats::image_file::{self, DecodedImage};
use medcoss_sdk::{Error, Found, FoundFile, Verdict, find_files_by_content, log};

/// File formats that are read, for display.
pub const FILE_FORMATS: &[&str] = &["PNG", "JPEG", "TIFF", dicom::FILE_FORMATS];

/// The files of the entries. Of DICOM files in folders, those that can hold no image, such as reports, are excluded.
///
/// # Errors
/// Those of [`find_files_by_content`].
pub fn find(base: &Path, entries: &[PathBuf]) -> Result<Found, Error> {
    let verdict = |path: &Path, name: &str| match image_file::has_known_extension(name) {
        true => Verdict::Used,
        false => dicom::candidate(path, name).verdict(),
    };
    find_files_by_content(base, entries, verdict, &FILE_FORMATS.join(", "))
}

/// Reads a radiograph as grey in `[0, 1]`. Image files hold grey values for display; DICOM files state the transformation of theirs. Colour is
/// converted to luma. Of several frames the first is read, with one warning.
///
/// # Errors
/// A file that is missing, damaged or of another kind.
pub fn read(file: &FoundFile) -> Result<DecodedImage, Error> {
    static SEVERAL_REPORTED: AtomicBool = AtomicBool::new(false);
    if is_image_file(&file.path) {
        return image_file::read_grey(&file.path);
    }
    let image = dicom::read_image(&file.path)?;
    if image.n_frames > 1 && !SEVERAL_REPORTED.swap(true, Ordering::Relaxed) {
        log::warn(&format!("{} has {} frames; only the first frame of such files is used", file.id, image.n_frames));
    }
    Ok(DecodedImage::Floats(image.image.into_grey()))
}

/// Whether a file is an image file rather than a DICOM file: by its name or, where that says neither, by its first
/// bytes.
fn is_image_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    if image_file::has_known_extension(&name) || dicom::has_known_extension(&name) {
        return image_file::has_known_extension(&name);
    }
    let mut first = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut first));
    read.is_ok() && image_file::has_known_signature(first)
}
