//! The content of a file, without lines that are too long to be a document: they are left out while the file is read, so that they never
//! are in memory.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use medcoss_sdk::{Error, Fingerprint};

/// Longest line in bytes. Of a document the first MiB at most is used.
pub const MAX_LINE_BYTES: usize = 1 << 23;
/// Bytes that are read at once.
const CHUNK_BYTES: u64 = 1 << 20;

/// What was read of a file.
#[derive(Debug, Default)]
pub struct Content {
    /// The file; lines that are too long are empty.
    pub bytes: Vec<u8>,
    /// Number and bytes of each line that is too long.
    pub long_lines: Vec<(u64, usize)>,
    /// Of the bytes that are left out.
    pub left_out: Fingerprint,
}

impl Content {
    /// Reads a file that messages call `name`, of at most `max_bytes`, leaving out lines of more than `max_line_bytes`.
    ///
    /// # Errors
    /// A file that cannot be read, or of more bytes.
    pub fn read(path: &Path, name: &str, max_bytes: u64, max_line_bytes: usize) -> Result<Self, Error> {
        let failed = |error: std::io::Error| Error::unreadable(format!("{name} cannot be read")).caused_by(&error);
        let mut file = File::open(path).map_err(failed)?;
        let (mut content, mut line) = (Self::default(), Line { number: 1, ..Line::default() });
        let (mut chunk, mut n_read) = (Vec::new(), 0);
        loop {
            chunk.clear();
            file.by_ref().take(CHUNK_BYTES).read_to_end(&mut chunk).map_err(failed)?;
            n_read += chunk.len() as u64;
            if n_read > max_bytes {
                let most = max_bytes >> 20;
                return Err(Error::unsupported(format!("{name} has more than {most} MiB")));
            }
            if chunk.is_empty() {
                if line.is_long {
                    content.long_lines.push((line.number, line.n_bytes));
                }
                return Ok(content);
            }
            for piece in chunk.split_inclusive(|&byte| matches!(byte, b'\n' | b'\r')) {
                content.add(piece, &mut line, max_line_bytes);
            }
        }
    }

    /// Adds a piece of a line, with its end if it has one.
    fn add(&mut self, piece: &[u8], line: &mut Line, max_line_bytes: usize) {
        let end = piece.last().copied().filter(|byte| matches!(byte, b'\n' | b'\r'));
        line.n_bytes += piece.len() - usize::from(end.is_some());
        if !line.is_long && line.n_bytes > max_line_bytes {
            self.left_out.add(&self.bytes[line.start..]);
            self.bytes.truncate(line.start);
            line.is_long = true;
        }
        match line.is_long {
            true => self.left_out.add(piece),
            false => self.bytes.extend_from_slice(piece),
        }
        let Some(end) = end else { return };
        if line.is_long {
            self.bytes.push(end);
            self.long_lines.push((line.number, line.n_bytes));
        }
        let number = line.number + u64::from(end == b'\n');
        *line = Line { number, start: self.bytes.len(), ..Line::default() };
    }
}

/// The line that is being read.
#[derive(Default)]
struct Line {
    /// From 1.
    number: u64,
    /// Where it begins in the content.
    start: usize,
    /// Without its end.
    n_bytes: usize,
    is_long: bool,
}

/// Why a line of a file is no document.
pub fn too_long(name: &str, (line, n_bytes): (u64, usize)) -> Error {
    let most = MAX_LINE_BYTES >> 20;
    Error::unsupported(format!(
        "{name}, line {line}: {n_bytes} bytes without a line break; a line has at most {most} MiB"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(text: &[u8], max_line_bytes: usize) -> Content {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        std::fs::write(&path, text).unwrap();
        Content::read(&path, "a.txt", 1 << 24, max_line_bytes).unwrap()
    }

    #[test]
    fn long_lines_are_left_out_and_counted() {
        let read = content(b"one\r\nlonger\ntwo\n\nlongest", 3);
        assert_eq!(read.bytes, b"one\r\n\ntwo\n\n");
        assert_eq!(read.long_lines, [(2, 6), (5, 7)]);
        assert_eq!(content(b"one\ntwo", 3).bytes, b"one\ntwo");
        assert!(content(b"", 3).long_lines.is_empty());
    }

    #[test]
    fn a_long_line_may_take_many_reads_and_its_bytes_count_for_the_fingerprint() {
        let long = |letter: u8| [&b"a\n"[..], &vec![letter; 9 << 20], b"\nb"].concat();
        let (one, other) = (content(&long(b'x'), MAX_LINE_BYTES), content(&long(b'y'), MAX_LINE_BYTES));
        assert_eq!((one.bytes.as_slice(), one.long_lines.as_slice()), (&b"a\n\nb"[..], &[(2, 9 << 20)][..]));
        assert_ne!(one.left_out.hex(), other.left_out.hex());
    }

    #[test]
    fn files_above_the_limit_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.xml");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let error = Content::read(&path, "a.xml", 2 << 20, MAX_LINE_BYTES).unwrap_err();
        assert_eq!(error.message(), "a.xml has more than 2 MiB");
    }
}
