//! Files of voxels that a header names: MetaImage and NRRD have the voxels in the file of the header, or in another.
//!
//! A name in a header is untrusted. It is a plain file of the header's own folder, or it is refused.

use std::path::{Component, Path, PathBuf};

use medcoss_sdk::{Error, FoundFile};

/// The file of this name beside a header.
///
/// # Errors
/// A name with a folder in it, a link to another folder, a file that is missing or no plain file.
pub(crate) fn beside(header: &Path, name: &str) -> Result<PathBuf, Error> {
    let shown = header.display();
    let mut parts = Path::new(name).components().filter(|part| *part != Component::CurDir);
    let (Some(Component::Normal(file)), None) = (parts.next(), parts.next()) else {
        return Err(Error::unsupported(format!(
            "{shown} has its voxels in {name:?}; they are read from the folder of the header alone\n\
             hint: put both files into one folder, and name the file in the header without a path"
        )));
    };
    let path = header.with_file_name(file);
    let failed = |error: std::io::Error| {
        Error::unreadable(format!("{shown} has its voxels in {name:?}, which cannot be read")).caused_by(&error)
    };
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(Error::unreadable(format!("{shown} has its voxels in {name:?}, which is no plain file")));
    }
    let folder = match header.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let target = path.canonicalize().map_err(failed)?;
    if target.parent() != Some(&*folder.canonicalize().map_err(failed)?) {
        return Err(Error::unsupported(format!(
            "{shown} has its voxels in {name:?}, a link to another folder; they are read from the folder of the header \
             alone\nhint: put the file itself there"
        )));
    }
    Ok(path)
}

/// The found file of voxels at a path beside the found file of its header; `None` if it cannot be examined.
pub(crate) fn found(header: &FoundFile, path: PathBuf) -> Option<FoundFile> {
    let metadata = path.metadata().ok()?;
    let name = path.file_name()?.to_string_lossy().into_owned();
    let id = header.id.rsplit_once('/').map_or(name.clone(), |(folder, _)| format!("{folder}/{name}"));
    Some(FoundFile { path, id, entry: header.entry, bytes: metadata.len(), modified: metadata.modified().ok() })
}

#[cfg(test)]
mod tests {
    use medcoss_sdk::code;

    use super::*;

    #[test]
    fn voxels_are_in_the_folder_of_their_header_or_refused() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("scans");
        std::fs::create_dir_all(folder.join("below")).unwrap();
        let header = folder.join("a.mhd");
        for file in ["scans/a.raw", "scans/below/a.raw", "secret.raw"] {
            std::fs::write(root.path().join(file), "").unwrap();
        }
        std::os::unix::fs::symlink(folder.join("a.raw"), folder.join("alias.raw")).unwrap();
        std::os::unix::fs::symlink(root.path().join("secret.raw"), folder.join("out.raw")).unwrap();
        for name in ["a.raw", "./a.raw", "alias.raw"] {
            assert_eq!(beside(&header, name).unwrap().parent(), Some(&*folder), "{name}");
        }
        let absolute = root.path().join("secret.raw").display().to_string();
        for name in [absolute.as_str(), "../secret.raw", "below/a.raw", "../scans/a.raw", "..", ".", "", "out.raw"] {
            let error = beside(&header, name).unwrap_err();
            assert_eq!(error.code(), code::UNSUPPORTED, "{name}: {error}");
        }
        for name in ["none.raw", "below", "a\0.raw"] {
            assert_eq!(beside(&header, name).unwrap_err().code(), code::UNREADABLE, "{name}");
        }
    }
}
