//! Names of the files of NIfTI pairs: a header (`.hdr`) and its voxels (`.img`), each compressed or not.
//!
//! Checks whether files exist, and reads none.

use std::path::{Path, PathBuf};

/// Extensions of a header with a separate file of voxels.
const HEADERS: [&str; 2] = [".hdr", ".hdr.gz"];
/// Extensions of a separate file of voxels.
const VOXELS: [&str; 2] = [".img", ".img.gz"];

/// Whether a lower-case file name has an extension of NIfTI.
pub fn has_known_extension(lower_case_name: &str) -> bool {
    [".nii", ".nii.gz"].iter().chain(&HEADERS).chain(&VOXELS).any(|extension| lower_case_name.ends_with(extension))
}

/// Whether a path has the extension of a header with a separate file of voxels.
pub(crate) fn is_header_name(path: &Path) -> bool {
    stem(path, &HEADERS).is_some()
}

/// Whether a path has the extension of a separate file of voxels.
pub(crate) fn is_voxels_name(path: &Path) -> bool {
    stem(path, &VOXELS).is_some()
}

/// The file of voxels that belongs to a header, if it exists.
pub(crate) fn voxels_of(header: &Path) -> Option<PathBuf> {
    beside(header, &HEADERS, &VOXELS)
}

/// The header that belongs to a file of voxels, if it exists.
pub(crate) fn header_of(voxels: &Path) -> Option<PathBuf> {
    beside(voxels, &VOXELS, &HEADERS)
}

/// The first existing file with the stem of `path` and one of the extensions, in lower or upper case. A file that is
/// compressed as `path` itself is has precedence.
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

/// The file name without one of the extensions; `None` for names that are not Unicode.
fn stem(path: &Path, extensions: &[&str; 2]) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    // Extensions are ASCII, so that their offset in the name does not depend on case.
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
    fn file_names_are_recognised_by_their_extension() {
        for name in ["a.nii", "a.nii.gz", "a.hdr", "a.hdr.gz", "a.img", "a.img.gz"] {
            assert!(has_known_extension(name), "{name}");
        }
        for name in ["nii", "a.nii.bz2", "a.gz", "a.hdr.txt", "a.dcm"] {
            assert!(!has_known_extension(name), "{name}");
        }
    }
}
