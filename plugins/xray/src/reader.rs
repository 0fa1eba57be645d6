//! Finding and reading of radiographs: image files and DICOM files.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use medcoss_formats::dicom::{self, radiograph};
use medcoss_formats::image_file::{self, DecodedImage};
use medcoss_formats::image_survey::notice_used_bits;
use medcoss_sdk::{Account, Error, FileGrid, Found, FoundFile, Inclusion, find_files_by_content};

/// File formats that are read, for display.
pub const FILE_FORMATS: &[&str] = &["PNG", "JPEG", "TIFF", "BMP", dicom::FILE_FORMATS];

/// The files of the entries. Of DICOM files in folders, those that are no radiographs are left out.
///
/// # Errors
/// Those of [`find_files_by_content`].
pub fn find(base: &Path, entries: &[PathBuf], bit_depth: Option<u32>) -> Result<Found, Error> {
    let inclusion = |path: &Path, name: &str| match image_file::has_known_extension(name) {
        true => Inclusion::Included,
        false => radiograph::inclusion(path, name),
    };
    let mut found = find_files_by_content(base, entries, inclusion, &FILE_FORMATS.join(", "))?;
    survey(&found.files, bit_depth, &mut found.account);
    Ok(found)
}

/// Says what of the files is not in the samples as it is in them: further frames, and the scale of more than 8 bits.
fn survey(files: &[FoundFile], bit_depth: Option<u32>, account: &mut Account) {
    let (mut n_several, mut deep) = (0, Vec::new());
    for file in files {
        let has_several = if is_image_file(&file.path) {
            let head = image_file::head(&file.path);
            deep.extend(head.is_some_and(|head| head.is_deep).then_some(file));
            head.is_some_and(|head| head.has_further_images)
        } else {
            dicom::n_frames(&file.path) > 1
        };
        n_several += usize::from(has_several);
    }
    account.notice(n_several, files.len(), "files have several frames or pages, of which the first is read");
    if bit_depth.is_some() {
        return;
    }
    notice_used_bits(&deep, account);
}

/// Reads a radiograph as grey in `[0, 1]`. Image files hold grey values for display, of `bit_depth` bits or of as many as they use; DICOM
/// files state the transformation of theirs. Colour is converted to luma. Of several frames or pages the first is read.
///
/// # Errors
/// A file that is missing, damaged or of another kind.
pub fn read(file: &FoundFile, bit_depth: Option<u32>) -> Result<DecodedImage, Error> {
    if is_image_file(&file.path) {
        return image_file::read_grey_by_depth(&file.path, bit_depth).map(|(image, _)| image);
    }
    Ok(DecodedImage::Floats(dicom::read_image(&file.path)?.image.into_grey()))
}

/// Rows and columns of a radiograph as it is read, from the file's head.
///
/// # Errors
/// A file that is missing, damaged or of another kind.
pub fn grid(file: &FoundFile) -> Result<FileGrid, Error> {
    match is_image_file(&file.path) {
        true => image_file::displayed_size(&file.path).map(FileGrid::of_shape),
        false => dicom::image_grid(&file.path),
    }
}

/// Whether a file is an image file rather than a DICOM file: by its name or, where that says neither, by its first
/// bytes.
pub(crate) fn is_image_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    if image_file::has_known_extension(&name) || dicom::has_known_extension(&name) {
        return image_file::has_known_extension(&name);
    }
    let mut first = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut first));
    read.is_ok() && image_file::has_known_signature(first)
}
