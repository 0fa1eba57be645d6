//! Names in a folder.

use std::io;
use std::path::Path;

/// Names of the files and folders, in their order, but for hidden ones.
///
/// # Errors
/// A folder that cannot be listed, a name that is no text.
pub(super) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.into_string().map_err(|name| {
            io::Error::new(io::ErrorKind::InvalidData, format!("the name {} is no text", name.display()))
        })?;
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// A file's name without its extension, and without `.nii` before `.gz`.
pub(super) fn stem(name: &str) -> &str {
    let inner = name.strip_suffix(".gz").unwrap_or(name);
    inner.rsplit_once('.').map_or(inner, |(stem, _)| stem)
}
