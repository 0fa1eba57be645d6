//! Writes AVI files of motion JPEG, with the headers that readers need and nothing else.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use medcoss_sdk::Error;

/// Largest file: lists of RIFF have 32 bits for their length.
const MAX_BYTES: usize = 1 << 31;

/// Writes JPEGs of `size` (width and height) as a clip with so many seconds from a frame to the next.
///
/// # Errors
/// More than 2 GiB of frames, those of `frame`, a file that cannot be written.
pub(crate) fn write(
    path: &Path,
    size: [usize; 2],
    frame_seconds: Option<f64>,
    n_frames: usize,
    mut frame: impl FnMut(usize) -> Result<Vec<u8>, Error>,
) -> Result<(), Error> {
    let failed =
        |error: std::io::Error| Error::unreadable(format!("{} cannot be written", path.display())).caused_by(&error);
    let mut file = BufWriter::new(File::create_new(path).map_err(failed)?);
    // The lengths of lists are known at the end.
    file.write_all(&header(size, frame_seconds, n_frames, 0, 0)).map_err(failed)?;
    let (mut index, mut n_bytes) = (Vec::new(), 4);
    for number in 0..n_frames {
        let content = frame(number)?;
        if n_bytes + content.len() > MAX_BYTES {
            return Err(Error::unsupported("its frames have more than 2 GiB"));
        }
        index.extend([b"00dc".as_slice(), &word(0x10), &word(n_bytes), &word(content.len())].concat());
        file.write_all(&chunk(b"00dc", &content)).map_err(failed)?;
        n_bytes += 8 + content.len().next_multiple_of(2);
    }
    file.write_all(&chunk(b"idx1", &index)).map_err(failed)?;
    let mut file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    let header = header(size, frame_seconds, n_frames, n_bytes, index.len());
    std::io::Seek::rewind(&mut file).and_then(|()| file.write_all(&header)).map_err(failed)
}

fn header(
    [width, height]: [usize; 2],
    frame_seconds: Option<f64>,
    n_frames: usize,
    n_movi: usize,
    n_index: usize,
) -> Vec<u8> {
    // In microseconds; 0 for a clip that does not say.
    let micros = (frame_seconds.unwrap_or(0.0) * 1e6).round() as usize;
    let main = [micros, 0, 0, 0x10, n_frames, 0, 1, 0, width, height, 0, 0, 0, 0].map(word).concat();
    let numbers = [0, 0, 0, micros, 1_000_000, 0, n_frames, 0, usize::MAX, 0, 0, 0];
    let stream = [b"vidsMJPG".as_slice(), &numbers.map(word).concat()].concat();
    let image = [40, width, height].map(word).concat();
    let format =
        [image.as_slice(), &[1, 0, 24, 0], b"MJPG", &[width * height * 3, 0, 0, 0, 0].map(word).concat()].concat();
    let stream = [b"strl".as_slice(), &chunk(b"strh", &stream), &chunk(b"strf", &format)].concat();
    let headers = [b"hdrl".as_slice(), &chunk(b"avih", &main), &chunk(b"LIST", &stream)].concat();
    let riff = 4 + 8 + headers.len() + 8 + n_movi + 8 + n_index;
    [b"RIFF".as_slice(), &word(riff), b"AVI ", &chunk(b"LIST", &headers), b"LIST", &word(n_movi), b"movi"].concat()
}

fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut bytes = [name.as_slice(), &word(content.len()), content].concat();
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes
}

/// A number of 32 bits, low byte first.
fn word(number: usize) -> [u8; 4] {
    (number as u32).to_le_bytes()
}
