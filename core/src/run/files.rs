//! Reading and writing files of a run folder.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::layout::RunLayout;
use crate::{Error, Result};

/// Writes a file atomically: to a temporary name beside the file, flushed and renamed, with the folder flushed too. Readers find either the old
/// content or all of the new.
///
/// `tempfile` and `atomic-write-file` choose random names and do not flush the folder. Here the name is known, with the extension
/// [`RunLayout::PARTIAL`], so that the next process recognises and removes what a killed one has left.
///
/// # Errors
/// A file that cannot be written; the old one is then untouched.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    let partial = partial_of(path);
    let write = || {
        let mut file = File::create(&partial)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        sync_folder(path.parent())
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&partial);
        Error::file("cannot write", path)(error)
    })
}

/// Flushes a folder, so that renames in the folder are durable.
pub(crate) fn sync_folder(folder: Option<&Path>) -> std::io::Result<()> {
    match folder {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// Reads a JSON file.
///
/// # Errors
/// A file that is missing, or holds something else.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).map_err(Error::file("cannot read", path))?;
    serde_json::from_slice(&text).map_err(|error| Error::damaged(path, error))
}

/// Reads a file with one JSON value a line.
pub(crate) fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let text = fs::read_to_string(path).map_err(Error::file("cannot read", path))?;
    text.lines()
        .enumerate()
        .map(|(line, text)| {
            serde_json::from_str(text).map_err(|error| Error::damaged(path, format!("line {}: {error}", line + 1)))
        })
        .collect()
}

/// One line of JSON, line feed included.
pub(crate) fn to_json_line(value: &impl Serialize, path: &Path) -> Result<String> {
    let mut line = serde_json::to_string(value).map_err(|error| Error::damaged(path, error))?;
    line.push('\n');
    Ok(line)
}

/// SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// A file that cannot be read.
pub fn sha256_of(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(Error::file("cannot read", path))?;
    let mut digest = Sha256::new();
    let mut block = vec![0; 1 << 16];
    loop {
        match file.read(&mut block).map_err(Error::file("cannot read", path))? {
            0 => break,
            n => digest.update(&block[..n]),
        }
    }
    Ok(hexadecimal(&digest.finalize()))
}

/// Check of one file of a run against its checksum.
#[derive(Debug)]
pub struct FileCheck {
    /// Path of the file, relative to the stage's folder.
    pub name: String,
    /// Fault of the file; none for a valid file.
    pub fault: Option<Error>,
}

/// Verifies a file against its recorded SHA-256.
pub(crate) fn check_file(path: &Path, expected: &str) -> Result<()> {
    match sha256_of(path)? {
        found if found == expected => Ok(()),
        found => Err(Error::damaged(path, format!("its SHA-256 is {found}, recorded is {expected}"))),
    }
}

/// Hexadecimal text of a digest.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a name belongs to a partial file or folder, whose writer ended too early.
pub fn is_partial(name: &str) -> bool {
    name.ends_with(RunLayout::PARTIAL)
}

/// Temporary name of a file or folder, in the same folder.
pub(crate) fn partial_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(RunLayout::PARTIAL);
    path.with_file_name(name)
}

/// Writes a folder atomically: `fill` writes into a folder of a temporary name, which is flushed and renamed. A former folder is replaced.
///
/// # Errors
/// Those of `fill`, a folder that cannot be written; what was there before is then untouched.
pub fn write_folder(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let partial = partial_of(path);
    let cannot = |error: std::io::Error| Error::file("cannot write", path)(error);
    remove_folder(&partial)?;
    let written = fs::create_dir_all(&partial).map_err(cannot).and_then(|()| fill(&partial)).and_then(|()| {
        sync_folder(Some(&partial)).map_err(cannot)?;
        remove_folder(path)?;
        fs::rename(&partial, path).and_then(|()| sync_folder(path.parent())).map_err(cannot)
    });
    if written.is_err() {
        // A failure of this removal is ignored; the next run removes the folder.
        let _ = fs::remove_dir_all(&partial);
    }
    written
}

/// Removes a folder with its content, if the folder exists: first by a rename, so that the name disappears at once.
///
/// # Errors
/// A folder that cannot be removed.
pub(crate) fn remove_folder(path: &Path) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".old");
    name.push(RunLayout::PARTIAL);
    let old = path.with_file_name(name);
    let removed = remove_all(&old).and_then(|()| match fs::rename(path, &old) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        renamed => renamed.and_then(|()| remove_all(&old)),
    });
    removed.map_err(Error::file("cannot remove", path))
}

fn remove_all(path: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
