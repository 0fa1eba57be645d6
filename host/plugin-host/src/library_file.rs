//! The content of a library file, read once. Its digest and the code that is loaded are of the same bytes: a file that
//! is replaced or rewritten afterwards changes neither.
//!
//! The bytes are in memory that nobody can write to, or, where the system refuses such memory, in a temporary
//! file without a name. The dynamic loader opens the copy by its descriptor, `/proc/self/fd/N`. A file that is
//! rewritten in place while its code runs would otherwise change this code, too.
//!
//! A library that finds others beside it (`$ORIGIN` in its search path) is the exception: the dynamic loader takes the
//! folder from the path, so it is loaded by its path, and the file is compared with the one that was read before and
//! after it is loaded. The digest does not cover such other libraries either.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{MemfdFlags, OFlags, SealFlags, fcntl_add_seals, memfd_create};

use crate::digest::Digest;
use crate::symbols::names_origin;

/// Bytes that are read at a time.
const BLOCK: usize = 1 << 20;

/// The content of a library file, with its digest.
#[derive(Debug, Clone)]
pub struct LibraryFile {
    path: PathBuf,
    canonical: PathBuf,
    sha256: Arc<str>,
    copy: Arc<File>,
    version: FileVersion,
    names_origin: bool,
}

/// The identity of a file and of its content, as far as the file system tells. A change of status alone, such as another
/// link to the file, is none of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileVersion {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl FileVersion {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl LibraryFile {
    /// Reads a library file. No code of it runs.
    ///
    /// # Errors
    /// A file that cannot be read, is no regular file, or changes while it is read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let canonical = path.canonicalize()?;
        // A named pipe would otherwise wait for a writer.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let mut file = File::options().read(true).custom_flags(flags).open(&canonical)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let version = FileVersion::of(&metadata);
        let mut copy = memory(&canonical).or_else(|_| tempfile::tempfile())?;
        let mut digest = Digest::default();
        let mut block = vec![0; BLOCK];
        loop {
            let n = file.read(&mut block)?;
            if n == 0 {
                break;
            }
            digest.update(&block[..n]);
            copy.write_all(&block[..n])?;
        }
        if FileVersion::of(&file.metadata()?) != version {
            return Err(io::Error::other("it was changed while it was read"));
        }
        // Fails for a temporary file, which has no name that another program could open it by.
        let _ = fcntl_add_seals(&copy, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL);
        let names_origin = names_origin(&copy);
        let (path, sha256, copy) = (path.to_path_buf(), digest.finish().into(), Arc::new(copy));
        Ok(Self { path, canonical, sha256, copy, version, names_origin })
    }

    /// Path of the file, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SHA-256 of the content as 64 hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    pub(crate) fn shared_sha256(&self) -> &Arc<str> {
        &self.sha256
    }

    /// Path of the file, links resolved.
    pub(crate) fn canonical(&self) -> &Path {
        &self.canonical
    }

    /// The open copy. The path for the dynamic loader is valid as long as it is open.
    pub(crate) fn copy(&self) -> &Arc<File> {
        &self.copy
    }

    /// The path for the dynamic loader.
    ///
    /// # Errors
    /// A file that has to be loaded by its own path, and was changed since it was read.
    pub(crate) fn path_for_loader(&self) -> io::Result<PathBuf> {
        if !self.names_origin {
            return Ok(PathBuf::from(format!("/proc/self/fd/{}", self.copy.as_raw_fd())));
        }
        self.check_unchanged()?;
        Ok(self.canonical.clone())
    }

    /// Checks that a file that has to be loaded by its own path is still the one that was read.
    ///
    /// # Errors
    /// A file that was changed since it was read.
    pub(crate) fn check_unchanged(&self) -> io::Result<()> {
        if self.names_origin && FileVersion::of(&fs::metadata(&self.canonical)?) != self.version {
            return Err(io::Error::other("it was changed while it was loaded"));
        }
        Ok(())
    }
}

/// An empty file in memory, under the name of the library for people who look at the process.
fn memory(path: &Path) -> io::Result<File> {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    // Linux allows 249 bytes.
    let name = &name[..name.len().min(200)];
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Linux before 6.3 does not know EXEC and takes it for granted.
    let made = memfd_create(name, flags | MemfdFlags::EXEC).or_else(|_| memfd_create(name, flags))?;
    Ok(File::from(made))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_is_that_of_the_moment_when_the_file_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.so");
        fs::write(&path, "one").unwrap();
        let file = LibraryFile::open(&path).unwrap();
        // First rewritten in place, then replaced.
        fs::write(&path, "two").unwrap();
        fs::write(folder.path().join("b"), "three").unwrap();
        fs::rename(folder.path().join("b"), &path).unwrap();
        let loaded = file.path_for_loader().unwrap();
        assert_eq!(fs::read(&loaded).unwrap(), b"one");
        assert_eq!(file.sha256(), crate::digest::sha256_of_bytes(b"one"));
        assert!(fs::write(&loaded, "four").is_err(), "the copy can be written to");
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.so");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        for path in [pipe.as_path(), folder.path()] {
            let error = LibraryFile::open(path).unwrap_err();
            assert_eq!(error.to_string(), "it is not a regular file", "{}", path.display());
        }
    }
}
