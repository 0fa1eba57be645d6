//! Reading and writing files of a run folder.

use std::io::{Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::layout::RunLayout;
use crate::confined_path::{ConfinedPath, EntryKind};
use crate::{Error, Result, RunError};

/// Number of bytes of a text file of a run that is read. The largest is the list of a buffer's samples, with a line a sample.
const MAX_TEXT: u64 = 1 << 30;

/// Number of bytes of a file whose checksum is computed. A sparse file has any size without taking room.
const MAX_FILE: u64 = 256 << 30;

/// Number of bytes of a JSON document that is read.
const MAX_DOCUMENT: u64 = 256 << 20;

/// Writes a file atomically: to a random name beside the file, flushed and renamed, with the folder flushed too. Readers find either the old
/// content or all of the new.
///
/// `tempfile` and `atomic-write-file` open by path and do not flush the folder.
///
/// # Errors
/// A file that cannot be written; the old one is then untouched.
pub fn write_atomically(path: &ConfinedPath, content: &[u8]) -> Result<()> {
    let (partial, file) = path.create_partial()?;
    finish_partial(path, &partial, || {
        let mut file = file;
        file.write_all(content).and_then(|()| file.sync_all()).map_err(Error::file("cannot write", &path.path()))
    })
}

/// Runs `write`, then gives the partial file its name. Without success nothing is left of the partial file.
pub(crate) fn finish_partial(
    path: &ConfinedPath,
    partial: &ConfinedPath,
    write: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let written = write().and_then(|()| partial.rename_to(path)).and_then(|()| path.parent().sync_folder());
    if written.is_err() {
        // Nothing can be done if this fails too; the next process removes the file.
        let _ = partial.remove();
    }
    written
}

/// Reads a JSON file.
///
/// # Errors
/// A file that is missing, or holds something else.
pub fn read_json<T: DeserializeOwned>(path: &ConfinedPath) -> Result<T> {
    serde_json::from_slice(&read_document_bytes(path)?).map_err(|error| Error::damaged(&path.path(), error))
}

/// Bytes of a JSON document.
pub(crate) fn read_document_bytes(path: &ConfinedPath) -> Result<Vec<u8>> {
    path.read(MAX_DOCUMENT)
}

/// Reads a text file of a run.
///
/// # Errors
/// A file that is missing, too large or not valid UTF-8.
pub fn read_text(path: &ConfinedPath) -> Result<String> {
    path.read_text(MAX_TEXT)
}

/// Reads a file with one JSON value a line.
pub(crate) fn read_lines<T: DeserializeOwned>(path: &ConfinedPath) -> Result<Vec<T>> {
    let text = read_text(path)?;
    text.lines()
        .enumerate()
        .map(|(line, text)| {
            let damaged = |error| Error::damaged(&path.path(), format!("line {}: {error}", line + 1));
            serde_json::from_str(text).map_err(damaged)
        })
        .collect()
}

/// One line of JSON, line feed included.
pub(crate) fn to_json_line(value: &impl Serialize, path: &ConfinedPath) -> Result<String> {
    let mut line = serde_json::to_string(value).map_err(|error| Error::damaged(&path.path(), error))?;
    line.push('\n');
    Ok(line)
}

/// SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// A file that cannot be read, or is larger than any file of a run.
pub fn sha256_of(path: &ConfinedPath) -> Result<String> {
    let file = path.open()?;
    let found = file.metadata().map_err(Error::file("cannot read", &path.path()))?.len();
    if found > MAX_FILE {
        return Err(RunError::TooLarge { path: path.path(), found, limit: MAX_FILE }.into());
    }
    sha256_of_content(file.take(MAX_FILE)).map_err(Error::file("cannot read", &path.path()))
}

/// SHA-256 of all that a reader gives, in hexadecimal.
///
/// # Errors
/// Those of the reader.
pub fn sha256_of_content(mut content: impl Read) -> std::io::Result<String> {
    let mut digest = Sha256::new();
    let mut block = vec![0; 1 << 16];
    loop {
        match content.read(&mut block)? {
            0 => return Ok(hexadecimal(&digest.finalize())),
            n => digest.update(&block[..n]),
        }
    }
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
pub(crate) fn check_file(path: &ConfinedPath, expected: &str) -> Result<()> {
    match sha256_of(path)? {
        found if found == expected => Ok(()),
        found => Err(Error::damaged(&path.path(), format!("its SHA-256 is {found}, recorded is {expected}"))),
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

/// Writes a folder atomically: `fill` writes into a folder of a random name, which is flushed and renamed. A former folder is replaced.
///
/// # Errors
/// Those of `fill`, a folder that cannot be written; what was there before is then untouched.
pub fn write_folder(path: &ConfinedPath, fill: impl FnOnce(&ConfinedPath) -> Result<()>) -> Result<()> {
    path.parent().create_folder()?;
    let partial = path.create_partial_folder()?;
    finish_partial(path, &partial, || {
        fill(&partial)?;
        partial.make_private()?;
        partial.sync_folder()?;
        remove_folder(path)
    })
}

/// Removes a folder with its content, if the folder exists: first by a rename, so that the name disappears at once.
///
/// # Errors
/// A folder that cannot be removed.
pub(crate) fn remove_folder(path: &ConfinedPath) -> Result<()> {
    if path.kind()?.is_none() {
        return Ok(());
    }
    // An empty folder may be replaced by a rename.
    let old = path.create_partial_folder()?;
    path.rename_to(&old)?;
    old.remove()
}

/// Removes files and folders that an earlier process left incomplete in a folder. The caller holds the lock of the folder.
///
/// # Errors
/// A link or a special file, an entry that cannot be removed.
pub fn remove_partial(folder: &ConfinedPath) -> Result<()> {
    let entries = folder.entries()?;
    entries.iter().filter(|(name, _)| is_partial(name)).try_for_each(|(name, _)| folder.join(name).remove())
}

/// As [`remove_partial`], in a run's folder and those below. Folders that plugins wrote are left as they are.
///
/// # Errors
/// Those of [`remove_partial`].
pub fn remove_partial_below(folder: &ConfinedPath) -> Result<()> {
    remove_partial(folder)?;
    for (name, kind) in folder.entries()? {
        if kind == EntryKind::Folder && name != RunLayout::BUFFER_SAMPLES && name != RunLayout::ASSETS {
            remove_partial_below(&folder.join(&name))?;
        }
    }
    Ok(())
}
