//! Which files are radiographs, and how each kind is read.

use std::path::Path;

use medcoss_formats::image_file;
use medcoss_sdk::Error;
use medcoss_sdk::image::Image;

/// The kinds that are read, for people.
pub const KINDS: &[&str] = &["PNG", "JPEG", "TIFF"];

/// Whether a file in a folder is taken, by its lower-case name.
pub fn has_known_name(lower_case_name: &str) -> bool {
    image_file::has_known_name(lower_case_name)
}

/// Reads a radiograph as grey in `[0, 1]`: the place where the kind of a file decides how. Picture files hold grey
/// values ready for display; colour is turned to luma.
///
/// # Errors
/// A file that is missing, damaged or of another kind.
pub fn read(path: &Path) -> Result<Image, Error> {
    Ok(image_file::read_image(path)?.into_grey())
}
