//! Names of NIfTI files: which belong together, a header (`.hdr`) and its voxels (`.img`), each compressed or not.
//!
//! Looks whether files exist, and never into them.

use std::path::{Path, PathBuf};

/// Extensions of a header that has its voxels beside it.
const HEADERS: [&str; 2] = [".hdr", ".hdr.gz"];
/// Extensions of the voxels.
const VOXELS: [&str; 2] = [".img", ".img.gz"];

/// Whether a lower-case file name ends like a NIfTI file.
pub fn has_known_extension(lower_case_name: &str) -> bool {
    [".nii", ".nii.gz"].iter().chain(&HEADERS).chain(&VOXELS).any(|extension| lower_case_name.ends_with(extension))
}

/// Whether a path is called like a header that has its voxels beside it.
pub(crate) fn is_header_name(path: &Path) -> bool {
    stem(path, &HEADERS).is_some()
}

/// Whether a path is called like the voxels of a header beside it.
pub(crate) fn is_voxels_name(path: &Path) -> bool {
    stem(path, &VOXELS).is_some()
}

/// The voxels that belong to a header, if they are there.
pub(crate) fn voxels_of(header: &Path) -> Option<PathBuf> {
    beside(header, &HEADERS, &VOXELS)
}

/// The header that belongs to voxels, if it is there.
pub(crate) fn header_of(voxels: &Path) -> Option<PathBuf> {
    beside(voxels, &VOXELS, &HEADERS)
}

/// The first file that exists with the stem of `path` and one of the extensions, in lower or in upper case. That
/// compressed as `path` itself goes before the other.
fn beside(path: &Path, extensions: &[&str; 2], wanted: &[&str; 2]) -> Option<PathBuf> {
    let stem = stem(path, extensions)?;
    let compressed = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    let order = if compressed { [wanted[1], wanted[0]] } else { *wanted };
    let named = |extension: &str| {
        [extension.to_owned(), extension.to_uppercase(), extension.to_uppercase().replace(".GZ", ".gz")]
            .into_iter()
            .map(|extension| path.with_file_name(format!("{stem}{extension}")))
            .find(|candidate| candidate.is_file())
    };
    order.into_iter().find_map(named)
}

/// The file name without one of the extensions. Names that are no Unicode have none.
fn stem(path: &Path, extensions: &[&str; 2]) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    // Extensions are ASCII, so that lower case does not move their place.
    let lower = name.to_ascii_lowercase();
    let extension = extensions.iter().find(|extension| lower.ends_with(**extension))?;
    Some(name[..name.len() - extension.len()].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_finds_its_voxels_and_voxels_their_header_however_they_are_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["a.hdr", "a.img", "a.img.gz", "b.hdr.gz", "b.img", "C.HDR", "C.IMG", "d.hdr", "e.img.gz"] {
            std::fs::write(at(name), "").unwrap();
        }
        assert_eq!(voxels_of(&at("a.hdr")), Some(at("a.img")));
        assert_eq!(header_of(&at("a.img.gz")), Some(at("a.hdr")));
        assert_eq!(voxels_of(&at("b.hdr.gz")), Some(at("b.img")));
        assert_eq!(header_of(&at("b.img")), Some(at("b.hdr.gz")));
        assert_eq!(voxels_of(&at("C.HDR")), Some(at("C.IMG")));
        assert_eq!(voxels_of(&at("d.hdr")), None);
        assert_eq!(header_of(&at("e.img.gz")), None);
        assert_eq!(voxels_of(&at("a.img")), None);
    }

    #[test]
    fn names_tell_files_of_this_kind() {
        for name in ["a.nii", "a.nii.gz", "a.hdr", "a.hdr.gz", "a.img", "a.img.gz"] {
            assert!(has_known_extension(name), "{name}");
        }
        for name in ["nii", "a.nii.bz2", "a.gz", "a.hdr.txt", "a.dcm"] {
            assert!(!has_known_extension(name), "{name}");
        }
    }
}
