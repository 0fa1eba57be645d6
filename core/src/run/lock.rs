//! Lock of a run folder for one writer. The operating system releases the lock when the process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::layout::RunLayout;
use crate::{Error, Result, RunError};

/// Lock of a run folder: permission to write, until dropped.
#[derive(Debug)]
pub struct RunLock {
    /// Lock file, open as long as the lock is held.
    _file: File,
}

impl RunLock {
    /// Takes the lock of an existing run folder.
    ///
    /// # Errors
    /// Another process that holds it, a folder that cannot be written.
    pub fn take(run: &Path) -> Result<Self> {
        let path = run.join(RunLayout::LOCK);
        let cannot = || Error::file("cannot write", &path);
        let mut file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path).map_err(cannot())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                let holder = holder.trim();
                let holder = if holder.is_empty() { "another process".into() } else { format!("process {holder}") };
                return Err(RunError::Locked { run: run.into(), holder }.into());
            }
            Err(TryLockError::Error(error)) => return Err(Error::file("cannot lock", &path)(error)),
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(cannot())?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_learns_who_the_first_is_and_may_follow_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = RunLock::take(folder.path()).unwrap();
        let error = RunLock::take(folder.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(first);
        RunLock::take(folder.path()).unwrap();
    }
}
