//! What a worker prints: it goes to the host's log, and its end is shown when the worker dies.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::process::Stdio;

use rustix::fs::{MemfdFlags, OFlags, fcntl_setfl, memfd_create};

use crate::services::log;

/// Bytes of the file that are kept before it is emptied.
const LONGEST: u64 = 1 << 20;
/// Bytes that are shown when a worker dies.
const LAST: usize = 1500;

/// A file in memory that a worker's standard output and standard error go to. A thread that reads a pipe would be one of the host's.
#[derive(Debug)]
pub(crate) struct Printed {
    file: File,
    n_read: u64,
    last: String,
}

impl Printed {
    pub(crate) fn new() -> io::Result<Self> {
        let file = File::from(memfd_create("medcoss-python-printed", MemfdFlags::CLOEXEC)?);
        // The worker goes on at the beginning after the file was emptied.
        fcntl_setfl(&file, OFlags::APPEND)?;
        Ok(Self { file, n_read: 0, last: String::new() })
    }

    /// A descriptor for a worker.
    pub(crate) fn for_worker(&self) -> io::Result<Stdio> {
        Ok(self.file.try_clone()?.into())
    }

    /// Passes what was printed since the last call to the host's log.
    pub(crate) fn forward(&mut self) {
        let text = self.read_new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            log(line);
        }
    }

    /// The end of what was printed, for a message.
    pub(crate) fn last_words(&mut self) -> &str {
        self.read_new();
        self.last.trim()
    }

    fn read_new(&mut self) -> String {
        let length = self.file.metadata().map_or(0, |metadata| metadata.len());
        if length <= self.n_read {
            return String::new();
        }
        let n = (length - self.n_read).min(LONGEST);
        let mut bytes = vec![0; n as usize];
        if self.file.read_exact_at(&mut bytes, length - n).is_err() {
            return String::new();
        }
        self.n_read = length;
        if length > LONGEST && self.file.set_len(0).is_ok() {
            self.n_read = 0;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        self.last.push_str(&text);
        let mut excess = self.last.len().saturating_sub(LAST);
        while !self.last.is_char_boundary(excess) {
            excess += 1;
        }
        self.last.drain(..excess);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn new_text_is_read_once_and_the_end_stays() {
        let mut printed = Printed::new().unwrap();
        let mut worker = printed.file.try_clone().unwrap();
        worker.write_all("one\ntwö\n".as_bytes()).unwrap();
        assert_eq!(printed.read_new(), "one\ntwö\n");
        assert_eq!(printed.read_new(), "");
        let long = "ö".repeat(LONGEST as usize);
        worker.write_all(long.as_bytes()).unwrap();
        assert_eq!(printed.read_new().len() as u64, LONGEST);
        assert_eq!(printed.file.metadata().unwrap().len(), 0, "the file is emptied");
        worker.write_all(b"end").unwrap();
        assert!(printed.last_words().ends_with("öend") && printed.last.len() <= LAST);
    }
}
