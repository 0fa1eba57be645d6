//! Reading and writing files of a run folder.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// Writes a file so that it is either the old one or wholly the new one: to a temporary name beside it, flushed, renamed,
/// the folder flushed too.
///
/// # Errors
/// A file that cannot be written; the old one is then untouched.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".partial");
    let partial = path.with_file_name(name);
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

/// Makes renames in a folder durable.
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

/// Reads a file of one JSON value a line.
pub(crate) fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let text = fs::read_to_string(path).map_err(Error::file("cannot read", path))?;
    text.lines()
        .enumerate()
        .map(|(line, text)| {
            serde_json::from_str(text).map_err(|error| Error::damaged(path, format!("line {}: {error}", line + 1)))
        })
        .collect()
}

/// One line of JSON, with its line feed.
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
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
