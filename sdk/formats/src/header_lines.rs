//! Headers of text before or beside voxels, line by line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use medcoss_sdk::Error;

use crate::stored_voxels::explain;

/// Largest header in bytes. Gradients of diffusion weighting and texts of applications take some 100 KiB.
const MAX_BYTES: u64 = 1 << 20;

/// Lines of a header.
pub(crate) struct HeaderLines<'a> {
    path: &'a Path,
    file: BufReader<File>,
    n_bytes: u64,
}

impl<'a> HeaderLines<'a> {
    /// # Errors
    /// A file that cannot be opened.
    pub(crate) fn open(path: &'a Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|error| explain(path, &error))?;
        Ok(Self { path, file: BufReader::new(file), n_bytes: 0 })
    }

    /// The next line without its end and spaces around it; `None` at the end of the file. Bytes that are no UTF-8 are
    /// replaced: they are in comments and names.
    ///
    /// # Errors
    /// A file that cannot be read, lines of more than a MiB together.
    pub(crate) fn next(&mut self) -> Result<Option<String>, Error> {
        let mut line = Vec::new();
        let left = MAX_BYTES - self.n_bytes;
        self.file.by_ref().take(left).read_until(b'\n', &mut line).map_err(|error| explain(self.path, &error))?;
        self.n_bytes += line.len() as u64;
        if self.n_bytes == MAX_BYTES {
            let path = self.path.display();
            return Err(Error::corrupt(format!("{path} has a header of more than {MAX_BYTES} bytes")));
        }
        Ok((!line.is_empty()).then(|| String::from_utf8_lossy(&line).trim().to_owned()))
    }

    /// Number of bytes of the lines so far.
    pub(crate) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }
}

/// The numbers of a field, separated by spaces.
///
/// # Errors
/// Text that is no number, another number of them.
pub(crate) fn numbers<T: std::str::FromStr>(path: &Path, field: &str, text: &str, n: usize) -> Result<Vec<T>, Error> {
    let found: Option<Vec<T>> = text.split_whitespace().map(|word| word.parse().ok()).collect();
    found.filter(|found| found.len() == n).ok_or_else(|| {
        let path = path.display();
        Error::corrupt(format!("{path} states {field} as {:?}; {n} numbers are expected", start_of(text)))
    })
}

/// The beginning of a text for messages.
pub(crate) fn start_of(text: &str) -> String {
    text.chars().take(80).collect()
}
