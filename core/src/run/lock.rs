//! Lock of a run folder for one writer. The operating system releases the lock when the process ends, however it ends.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};

use super::layout::RunLayout;
use crate::confined_path::ConfinedPath;
use crate::{Error, Result, RunError};

/// Lock of a run folder: permission to write, until dropped.
#[derive(Debug)]
pub struct RunLock {
    _folder: FolderLock,
    /// Lock file with the number of the process, open as long as the lock is held.
    _file: File,
}

impl RunLock {
    /// Takes the lock of a run folder. The folder itself is locked, so that a removed lock file lets no second process in; the file is locked for
    /// file systems that lock no folders.
    ///
    /// # Errors
    /// Another process that holds it, a folder that cannot be written.
    pub fn take(run: &RunLayout) -> Result<Self> {
        let path = run.lock();
        let locked = |holder: String| RunError::Locked { run: run.folder().path(), holder };
        let folder = FolderLock::take(run.folder()).map_err(|error| match error {
            Error::Run(RunError::Locked { holder, .. }) => locked(holder_in(&path).unwrap_or(holder)).into(),
            error => error,
        })?;
        let mut file = path.open_or_create()?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(locked(holder_in(&path).unwrap_or_else(|| "another process".into())).into());
            }
            Err(TryLockError::Error(error)) => return Err(Error::file("cannot lock", &path.path())(error)),
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(Error::file("cannot write", &path.path()))?;
        Ok(Self { _folder: folder, _file: file })
    }
}

/// The process that a lock file names.
fn holder_in(path: &ConfinedPath) -> Option<String> {
    let mut text = String::new();
    path.open().ok()?.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse::<u32>().ok().map(|id| format!("process {id}"))
}

/// Lock of a folder for one writer, until dropped.
#[derive(Debug)]
pub struct FolderLock {
    _folder: Option<File>,
}

impl FolderLock {
    /// Takes the lock of an existing folder. On file systems that lock no folders nothing is locked.
    ///
    /// # Errors
    /// Another process that holds it, a folder that does not exist.
    pub fn take(folder: &ConfinedPath) -> Result<Self> {
        let missing = || Error::file("cannot lock", &folder.path())(std::io::ErrorKind::NotFound.into());
        let opened: File = folder.enter()?.ok_or_else(missing)?.into();
        match opened.try_lock() {
            Ok(()) => Ok(Self { _folder: Some(opened) }),
            Err(TryLockError::WouldBlock) => {
                Err(RunError::Locked { run: folder.path(), holder: "another process".into() }.into())
            }
            Err(TryLockError::Error(_)) => Ok(Self { _folder: None }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_learns_who_the_first_is_and_may_follow_it() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunLayout::open(folder.path()).unwrap();
        let first = RunLock::take(&run).unwrap();
        let error = RunLock::take(&run).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(first);
        RunLock::take(&run).unwrap();
    }

    #[test]
    fn a_removed_lock_file_lets_no_second_writer_in() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunLayout::open(folder.path()).unwrap();
        let _first = RunLock::take(&run).unwrap();
        std::fs::remove_file(run.lock().path()).unwrap();
        let error = RunLock::take(&RunLayout::open(folder.path()).unwrap()).unwrap_err().to_string();
        assert!(error.contains("is being written by another process"), "{error}");
    }
}
