//! Frames of a DICOM object: their positions in the file, and their bytes, one frame at a time.
//!
//! A compressed frame is one or more fragments. Fragments are assigned to frames by the first rule that applies: there
//! is one frame; there are as many frames as fragments; the offset tables; the first bytes of compressed images. Frames
//! are decoded elsewhere.

use std::io::{self, Read, Seek, SeekFrom};

use dicom_dictionary_std::tags;
use medcoss_sdk::Error;

use super::object::{Object, explain};
use super::pixels::Pixels;
use super::transfer_syntax::Coding;

/// Piece of a file: first byte and length.
pub(super) type Piece = (u64, u64);

pub(super) const ITEM: [u8; 4] = [0xfe, 0xff, 0x00, 0xe0];
pub(super) const SEQUENCE_END: [u8; 4] = [0xfe, 0xff, 0xdd, 0xe0];
/// Largest compressed frame in bytes: the largest frame needs no more when it is uncompressed.
const MAX_FRAME_BYTES: u64 = 1 << 28;
/// Largest number of fragments of an object: the largest slides have some hundred thousand frames.
const MAX_FRAGMENTS: usize = 1 << 21;

/// Positions of all frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frames {
    /// Frames of `frame_bits` bits each, one after another from byte `start` on.
    Native { start: u64, frame_bits: u64 },
    /// The pieces of each frame.
    Pieces(Vec<Vec<Piece>>),
}

impl Frames {
    /// Finds the frames of an object.
    ///
    /// # Errors
    /// Fewer bytes than the frames need, fragments that are damaged or belong to no frame.
    pub(crate) fn find(object: &mut Object, pixels: &Pixels) -> Result<Self, Error> {
        let (place, coding) = (object.pixels, object.coding);
        let Some(length) = place.length else {
            let (first, fragments) = fragments(object)?;
            return Self::assign(object, pixels, first, fragments);
        };
        if coding != Coding::Native {
            return Err(Error::corrupt(format!(
                "{} has pixels in one piece where its transfer syntax has fragments",
                object.path.display()
            )));
        }
        let frame_bits = pixels.frame_bits();
        let needed = frame_bits.saturating_mul(pixels.n_frames as u64).div_ceil(8);
        let left = object.end - place.start;
        let found = length.min(left);
        if found < needed {
            let (path, n, Pixels { columns, rows, .. }) = (object.path.display(), pixels.n_frames, *pixels);
            return Err(Error::corrupt(format!(
                "{path} has {found} bytes of pixels, too few for {n} frames of {columns}x{rows}, which take {needed}"
            )));
        }
        Ok(Self::Native { start: place.start, frame_bits })
    }

    fn assign(object: &mut Object, pixels: &Pixels, table: Piece, fragments: Vec<Piece>) -> Result<Self, Error> {
        let n_frames = pixels.n_frames;
        if n_frames == 1 {
            return Ok(Self::Pieces(vec![fragments]));
        }
        if fragments.len() == n_frames {
            return Ok(Self::Pieces(fragments.into_iter().map(|fragment| vec![fragment]).collect()));
        }
        let path = object.path.clone();
        let starts = match frame_starts(object, table, n_frames).map_err(|error| explain(&path, &error))? {
            Some(starts) => starts,
            None => starts_by_content(object, &fragments).map_err(|error| explain(&path, &error))?,
        };
        let mut frames: Vec<Vec<Piece>> = Vec::with_capacity(starts.len());
        for fragment in &fragments {
            if starts.binary_search(&fragment.0).is_ok() {
                frames.push(Vec::new());
            }
            if let Some(frame) = frames.last_mut() {
                frame.push(*fragment);
            }
        }
        if frames.len() != n_frames {
            let (path, n) = (path.display(), fragments.len());
            return Err(Error::corrupt(format!("{path} has {n} fragments that do not make {n_frames} frames")));
        }
        Ok(Self::Pieces(frames))
    }

    /// Reads the stored bytes of a frame. Also returns how many bits of the first byte belong to the frame before.
    ///
    /// # Errors
    /// A frame that does not exist or is too large, a file that cannot be read.
    pub(crate) fn read(&self, object: &mut Object, frame: usize) -> Result<(Vec<u8>, u32), Error> {
        let path = object.path.clone();
        let failed = |error: io::Error| explain(&path, &error);
        match self {
            Self::Native { start, frame_bits } => {
                let first = frame as u64 * frame_bits;
                let (first_byte, end_byte) = (first / 8, (first + frame_bits).div_ceil(8));
                if !object.swaps_bytes {
                    let bytes = read_piece(object, (start + first_byte, end_byte - first_byte)).map_err(failed)?;
                    return Ok((bytes, (first % 8) as u32));
                }
                // Whole words are read, so that pairs of bytes can be swapped. Pixel data are padded to whole words.
                let (first_word, end_word) = (first_byte / 2 * 2, end_byte.next_multiple_of(2));
                let mut bytes = read_piece(object, (start + first_word, end_word - first_word)).map_err(failed)?;
                for pair in bytes.chunks_exact_mut(2) {
                    pair.swap(0, 1);
                }
                bytes.drain(..(first_byte - first_word) as usize);
                Ok((bytes, (first % 8) as u32))
            }
            Self::Pieces(frames) => {
                let pieces = frames.get(frame).map(Vec::as_slice).unwrap_or_default();
                let n_bytes: u64 = pieces.iter().map(|(_, length)| length).sum();
                if n_bytes == 0 || n_bytes > MAX_FRAME_BYTES {
                    let path = path.display();
                    return Err(Error::corrupt(format!("{path} has {n_bytes} bytes in frame {frame}")));
                }
                let mut bytes = Vec::with_capacity(n_bytes as usize);
                for &piece in pieces {
                    bytes.extend(read_piece(object, piece).map_err(failed)?);
                }
                Ok((bytes, 0))
            }
        }
    }
}

pub(super) fn read_piece(object: &mut Object, (start, length): Piece) -> io::Result<Vec<u8>> {
    if start + length > object.end {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    object.source.seek(SeekFrom::Start(start))?;
    let mut bytes = vec![0; length as usize];
    object.source.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The basic offset table, and the fragments after it.
fn fragments(object: &mut Object) -> Result<(Piece, Vec<Piece>), Error> {
    let path = object.path.clone();
    let mut at = object.pixels.start;
    let mut found = Vec::new();
    let failed = |error: io::Error| explain(&path, &error);
    object.source.seek(SeekFrom::Start(at)).map_err(failed)?;
    // A file without a sequence delimiter is read as far as it goes.
    while object.end - at >= 8 {
        let mut head = [0; 8];
        object.source.read_exact(&mut head).map_err(failed)?;
        let [tag @ .., a, b, c, d] = head;
        let length = u64::from(u32::from_le_bytes([a, b, c, d]));
        at += 8;
        match tag {
            SEQUENCE_END => break,
            ITEM if found.len() > MAX_FRAGMENTS => {
                let path = path.display();
                return Err(Error::unsupported(format!("{path} has more than {MAX_FRAGMENTS} fragments of pixels")));
            }
            ITEM if length <= object.end - at => found.push((at, length)),
            ITEM => {
                let (path, left) = (path.display(), object.end - at);
                return Err(Error::corrupt(format!("{path} has a fragment of {length} bytes where {left} are left")));
            }
            _ => {
                let path = path.display();
                return Err(Error::corrupt(format!("{path} has other data where a fragment of pixels belongs")));
            }
        }
        at += length;
        // An absolute seek, since a relative one discards the buffer.
        object.source.seek(SeekFrom::Start(at)).map_err(failed)?;
    }
    if found.len() < 2 {
        return Err(Error::corrupt(format!("{} has no fragment of pixels", path.display())));
    }
    let fragments = found.split_off(1);
    Ok((found[0], fragments))
}

/// First byte of each frame's first fragment, by the offset tables.
fn frame_starts(object: &mut Object, table: Piece, n_frames: usize) -> io::Result<Option<Vec<u64>>> {
    // Offsets count from the header of the first fragment.
    let first = table.0 + table.1;
    let bytes = match object.header.get(tags::EXTENDED_OFFSET_TABLE).and_then(|element| element.to_bytes().ok()) {
        Some(bytes) if bytes.len() >= 8 * n_frames => {
            let (offsets, _) = bytes.as_chunks::<8>();
            let starts = offsets.iter().take(n_frames).map(|&offset| u64::from_le_bytes(offset));
            return Ok(Some(starts.map(|offset| first.saturating_add(offset).saturating_add(8)).collect()));
        }
        _ if table.1 >= 4 * n_frames as u64 => read_piece(object, (table.0, 4 * n_frames as u64))?,
        _ => return Ok(None),
    };
    let (offsets, _) = bytes.as_chunks::<4>();
    let starts = offsets.iter().take(n_frames).map(|&offset| first + u64::from(u32::from_le_bytes(offset)) + 8);
    Ok(Some(starts.collect()))
}

/// First bytes of the fragments that begin like a compressed image.
fn starts_by_content(object: &mut Object, fragments: &[Piece]) -> io::Result<Vec<u64>> {
    let begins: &[u8] = match object.coding {
        Coding::Jpeg | Coding::JpegLs => &[0xff, 0xd8],
        Coding::Jpeg2000 => &[0xff, 0x4f],
        Coding::Native | Coding::Deflated | Coding::Rle => return Ok(Vec::new()),
    };
    let mut starts = Vec::new();
    for &(start, length) in fragments {
        if length >= 2 && read_piece(object, (start, 2))? == begins {
            starts.push(start);
        }
    }
    Ok(starts)
}
