//! Finding a dataset's files.

use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use crate::Error;

/// A file of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// Path of the file.
    pub path: PathBuf,
    /// Entry and path below it, with `/`: `xray/pneumonia/img/chest_0.jpeg`.
    pub id: String,
    /// Size.
    pub bytes: u64,
    /// When it was last written, where the file system reports it.
    pub modified: Option<SystemTime>,
}

impl FoundFile {
    /// The whole file.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read(&self) -> Result<Vec<u8>, Error> {
        std::fs::read(&self.path)
            .map_err(|error| Error::unreadable(format!("{} cannot be read", self.path.display())).caused_by(&error))
    }

    /// The whole file as text.
    ///
    /// # Errors
    /// A file that cannot be read, or is no UTF-8.
    pub fn read_text(&self) -> Result<String, Error> {
        String::from_utf8(self.read()?).map_err(|error| Error::corrupt("it is no UTF-8 text").caused_by(&error))
    }

    /// Checks that the file has not changed since it was found: a run must not mix content from before and after a change. Costs one `stat`.
    ///
    /// # Errors
    /// A file that is gone, or that was written since.
    pub fn check_unchanged(&self) -> Result<(), Error> {
        let now = std::fs::metadata(&self.path).map_err(|error| {
            Error::unreadable(format!("{} no longer exists or cannot be examined", self.path.display()))
                .caused_by(&error)
        })?;
        if now.len() != self.bytes || now.modified().ok() != self.modified {
            return Err(Error::corrupt(format!(
                "{} has changed since the data were opened ({} bytes then, {} now)",
                self.path.display(),
                self.bytes,
                now.len()
            )));
        }
        Ok(())
    }
}

/// Name of a data entry as it begins sample ids: the entry itself, or its last component when it is absolute or
/// climbs out of the base.
pub fn entry_name(entry: &Path) -> String {
    let plain = entry.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let parts: Vec<_> = entry
        .components()
        .filter_map(|part| match part {
            Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    if plain { parts.join("/") } else { parts.last().cloned().unwrap_or_default() }
}

/// Files of the entries that `accepts` by their lower-case file name, in the order of their ids. An entry that is itself a file is
/// taken whatever its name. Hidden files are skipped; symbolic links are followed, loops are an error.
///
/// # Errors
/// An entry that is missing, a folder that cannot be read, no file at all, two entries that give the same id.
pub fn find_files(
    base: &Path,
    entries: &[PathBuf],
    accepts: impl Fn(&str) -> bool,
    kinds: &str,
) -> Result<Vec<FoundFile>, Error> {
    find_files_by_content(base, entries, |_, name| accepts(name), kinds)
}

/// As [`find_files`], for kinds whose names say little: `accepts` is given each file's path as well, and may look into it.
///
/// # Errors
/// Those of [`find_files`].
pub fn find_files_by_content(
    base: &Path,
    entries: &[PathBuf],
    accepts: impl Fn(&Path, &str) -> bool,
    kinds: &str,
) -> Result<Vec<FoundFile>, Error> {
    let mut found = Vec::new();
    for entry in entries {
        let root = base.join(entry);
        if !root.exists() {
            return Err(Error::unreadable(format!(
                "data {} not found (looked for {})\nhint: paths are relative to the configuration file, or to --data-root",
                entry.display(),
                root.display()
            )));
        }
        let name = entry_name(entry);
        let single = root.is_file();
        let entries_below = walkdir::WalkDir::new(&root).follow_links(true).sort_by_file_name();
        for item in entries_below.into_iter().filter_entry(|item| item.depth() == 0 || !is_hidden(item.file_name())) {
            let item = item.map_err(|error| {
                Error::unreadable(format!("data {} cannot be listed", entry.display())).caused_by(&error)
            })?;
            let name_in_lower_case = item.file_name().to_string_lossy().to_lowercase();
            if !item.file_type().is_file() || !(single || accepts(item.path(), &name_in_lower_case)) {
                continue;
            }
            let below = item.path().strip_prefix(&root).unwrap_or(item.path());
            let mut id = name.clone();
            for part in below.components() {
                if !id.is_empty() {
                    id.push('/');
                }
                id.push_str(&part.as_os_str().to_string_lossy());
            }
            let metadata = item.metadata().map_err(|error| {
                Error::unreadable(format!("{} cannot be examined", item.path().display())).caused_by(&error)
            })?;
            let (bytes, modified) = (metadata.len(), metadata.modified().ok());
            found.push(FoundFile { path: item.into_path(), id, bytes, modified });
        }
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    if let Some(pair) = found.windows(2).find(|pair| pair[0].id == pair[1].id) {
        return Err(Error::bad_request(format!(
            "{} and {} would have the same sample id {}\nhint: name each data entry once, and entries with distinct names",
            pair[0].path.display(),
            pair[1].path.display(),
            pair[0].id
        )));
    }
    if found.is_empty() {
        let names: Vec<_> = entries.iter().map(|entry| entry.display().to_string()).collect();
        return Err(Error::unreadable(format!(
            "no files of a known format in {} (looked for {kinds})",
            names.join(", ")
        )));
    }
    Ok(found)
}

fn is_hidden(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().first() == Some(&b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_as_text_says_why() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.txt"), "sch\u{f6}n").unwrap();
        std::fs::write(folder.path().join("b.txt"), [0x61, 0xff]).unwrap();
        let files = find_files(folder.path(), &[PathBuf::from(".")], |_| true, "text").unwrap();
        assert_eq!(files[0].read_text().unwrap(), "sch\u{f6}n");
        assert_eq!(files[1].read().unwrap(), [0x61, 0xff]);
        assert_eq!(files[1].read_text().unwrap_err().code(), crate::code::CORRUPT);
        std::fs::remove_file(&files[0].path).unwrap();
        assert_eq!(files[0].read_text().unwrap_err().code(), crate::code::UNREADABLE);
    }

    #[test]
    fn a_file_that_was_written_again_or_removed_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        std::fs::write(&path, "one").unwrap();
        let file = find_files(folder.path(), &[PathBuf::from("a.png")], |_| true, "PNG").unwrap().remove(0);
        file.check_unchanged().unwrap();
        // Of the same size, but later.
        let later = std::fs::File::options().write(true).open(&path).unwrap();
        later.set_modified(SystemTime::now() + std::time::Duration::from_secs(5)).unwrap();
        assert!(file.check_unchanged().unwrap_err().message().contains("has changed since"));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(file.check_unchanged().unwrap_err().code(), crate::code::UNREADABLE);
    }
}
