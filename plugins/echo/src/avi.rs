//! AVI files of motion JPEG: where the frames lie, how long one is shown, and copies without anything else.
//!
//! A small part of RIFF: the headers of streams, and the chunks of the first video stream in order, in the first RIFF
//! list and in those that follow it in files of more than a gigabyte (OpenDML). Sound, indices and information are
//! passed over. Every size is compared with what the list that it is in has left, and no frame is read before it is
//! asked for. Other codecs than motion JPEG are refused with the command that converts them.

mod write;

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use medcoss_formats::image_file::decode_jpeg;
use medcoss_sdk::Error;
use medcoss_sdk::image::{Image, Resizable};

pub(crate) use write::write;

/// Most frames of a clip, bytes of a frame, and pixels of a frame.
const MAX_FRAMES: usize = 1 << 20;
const MAX_FRAME_BYTES: u64 = 1 << 26;
const MAX_PIXELS: u64 = 1 << 24;
/// Largest header of a stream in bytes.
const MAX_HEADER_BYTES: u64 = 1 << 16;
/// Longest plausible time from a frame to the next in seconds.
const MAX_FRAME_SECONDS: f64 = 10.0;
/// Codecs that are motion JPEG.
const CODECS: [[u8; 4]; 5] = [*b"MJPG", *b"mjpg", *b"JPEG", *b"jpeg", *b"dmb1"];
/// What makes a decoder take the tables that motion JPEG leaves out: an APP0 segment that begins with `AVI1`.
const AVI_SEGMENT: [u8; 18] = [0xff, 0xe0, 0, 16, b'A', b'V', b'I', b'1', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// An opened file.
#[derive(Debug)]
pub(crate) struct Avi {
    path: PathBuf,
    /// Width and height of a frame.
    pub size: [usize; 2],
    /// Seconds from a frame to the next, where the file says.
    pub frame_seconds: Option<f64>,
    /// First byte and length of each frame; a frame of no bytes is shown as the one before it.
    frames: Vec<(u64, u64)>,
}

/// What the header of the video stream says.
struct VideoStream {
    number: usize,
    size: [usize; 2],
    frame_seconds: Option<f64>,
}

impl Avi {
    /// Finds the frames of a file.
    ///
    /// # Errors
    /// A file that is missing, damaged, cut off or of another kind, without video, of another codec.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let failed = |error: std::io::Error| unreadable(path, &error);
        let file = File::open(path).map_err(failed)?;
        let n_bytes = file.metadata().map_err(failed)?.len();
        if n_bytes < 12 {
            return Err(Error::corrupt(format!("it has {n_bytes} bytes, too few for an AVI file")));
        }
        let mut chunks = Chunks { file: BufReader::new(file), path };
        let mut stream = None;
        let mut n_streams = 0;
        let mut frames = Vec::new();
        let mut at = 0;
        while n_bytes - at >= 8 {
            let riff = chunks.list(at, n_bytes)?;
            match (&riff.name, &riff.kind, at) {
                (b"RIFF", b"AVI ", 0) => {}
                (b"RIFF", b"AVIX", 1..) => {}
                (_, _, 0) => return Err(Error::corrupt("it does not begin as an AVI file does")),
                // What follows the lists of a file is no part of it.
                _ => break,
            }
            for part in chunks.all(riff.start + 4, riff.end)? {
                if part.name != *b"LIST" {
                    continue;
                }
                let part = chunks.list(part.start - 8, riff.end)?;
                match &part.kind {
                    b"hdrl" => {
                        for list in
                            chunks.all(part.start + 4, part.end)?.into_iter().filter(|list| list.name == *b"LIST")
                        {
                            let list = chunks.list(list.start - 8, part.end)?;
                            if list.kind == *b"strl" {
                                let found = chunks.stream(&list, n_streams)?;
                                stream = stream.or(found);
                                n_streams += 1;
                            }
                        }
                    }
                    b"movi" => {
                        let Some(VideoStream { number, .. }) = stream else { return Err(no_video()) };
                        chunks.add_frames(&part, number, &mut frames, 0)?;
                    }
                    _ => {}
                }
            }
            at = riff.end + (riff.end & 1);
            if at >= n_bytes {
                break;
            }
        }
        let Some(VideoStream { size, frame_seconds, .. }) = stream else { return Err(no_video()) };
        if frames.is_empty() {
            return Err(Error::corrupt("it holds no frame"));
        }
        Ok(Self { path: path.to_owned(), size, frame_seconds, frames })
    }

    /// Number of frames.
    pub(crate) fn n_frames(&self) -> usize {
        self.frames.len()
    }

    /// The JPEG of a frame.
    ///
    /// # Errors
    /// A file that has become shorter, a frame that is no JPEG, a first frame without content.
    pub(crate) fn jpeg(&self, frame: usize) -> Result<Vec<u8>, Error> {
        let shown = self.frames[..=frame].iter().rev().find(|(_, length)| *length > 0);
        let Some(&(start, length)) = shown else {
            return Err(Error::corrupt(format!("frame {frame} has no content, and there is none before it")));
        };
        if length > MAX_FRAME_BYTES {
            return Err(Error::unsupported(format!(
                "frame {frame} has {length} bytes; at most {MAX_FRAME_BYTES} are read"
            )));
        }
        let mut content = vec![0; length as usize];
        File::open(&self.path)
            .and_then(|mut file| {
                file.seek(SeekFrom::Start(start))?;
                file.read_exact(&mut content)
            })
            .map_err(|error| unreadable(&self.path, &error))?;
        if !content.starts_with(&[0xff, 0xd8]) {
            return Err(Error::corrupt(format!("frame {frame} is no JPEG")));
        }
        if !has_tables(&content) {
            content.splice(2..2, AVI_SEGMENT);
        }
        Ok(content)
    }

    /// A frame as grey or RGB in `[0, 1]`.
    ///
    /// # Errors
    /// Those of [`Avi::jpeg`], a frame that is damaged or of another size than the header says.
    pub(crate) fn read(&self, frame: usize, grey: bool) -> Result<Image, Error> {
        let image = decode_jpeg(&self.path, self.jpeg(frame)?, grey)?;
        let found = [image.width(), image.height()];
        if found != self.size {
            let ([width, height], [wide, high]) = (self.size, found);
            return Err(Error::corrupt(format!(
                "frame {frame} is {wide}x{high}, and the header says {width}x{height}"
            )));
        }
        Ok(image.into_image())
    }
}

fn no_video() -> Error {
    Error::unsupported("it has no video before its frames")
}

/// Whether a JPEG brings its Huffman tables along, before its first scan.
fn has_tables(content: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[0xff, marker, high, low]) = content.get(at..).and_then(<[u8]>::first_chunk) {
        match marker {
            0xc4 => return true,
            0xda => return false,
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])).max(2),
        }
    }
    // What is no JPEG is the decoder's to refuse.
    true
}

/// A chunk: its name, and its first byte and the byte after its last.
struct Chunk {
    name: [u8; 4],
    start: u64,
    end: u64,
}

/// A chunk of chunks, whose first four bytes say of what kind.
struct List {
    name: [u8; 4],
    kind: [u8; 4],
    start: u64,
    end: u64,
}

/// A reader of chunks.
struct Chunks<'a> {
    file: BufReader<File>,
    path: &'a Path,
}

impl Chunks<'_> {
    /// The chunk at a place of a list that ends at `end`.
    fn chunk(&mut self, at: u64, end: u64) -> Result<Chunk, Error> {
        let mut head = [0; 8];
        self.read(at, &mut head)?;
        let [a, b, c, d, length @ ..] = head;
        let (start, length) = (at + 8, u64::from(u32::from_le_bytes(length)));
        if length > end - start {
            return Err(Error::corrupt(format!(
                "it is cut off: the part at byte {at} has {length} bytes, of which {} are there",
                end - start
            )));
        }
        Ok(Chunk { name: [a, b, c, d], start, end: start + length })
    }

    fn list(&mut self, at: u64, end: u64) -> Result<List, Error> {
        let Chunk { name, start, end } = self.chunk(at, end)?;
        let mut kind = [0; 4];
        if end - start < 4 {
            return Err(Error::corrupt(format!("the list at byte {at} has no kind")));
        }
        self.read(start, &mut kind)?;
        Ok(List { name, kind, start, end })
    }

    /// The chunks from a place to the end of their list. Chunks begin at even places.
    fn all(&mut self, start: u64, end: u64) -> Result<Vec<Chunk>, Error> {
        let (mut found, mut at) = (Vec::new(), start);
        while end.saturating_sub(at) >= 8 {
            let chunk = self.chunk(at, end)?;
            at = chunk.end + (chunk.end & 1);
            found.push(chunk);
            if found.len() > MAX_FRAMES {
                return Err(Error::unsupported(format!("it has more than {MAX_FRAMES} parts")));
            }
        }
        Ok(found)
    }

    /// The header of a stream, where that is video.
    fn stream(&mut self, list: &List, number: usize) -> Result<Option<VideoStream>, Error> {
        let (mut header, mut format) = (Vec::new(), Vec::new());
        for chunk in self.all(list.start + 4, list.end)? {
            let place = match &chunk.name {
                b"strh" => &mut header,
                b"strf" => &mut format,
                _ => continue,
            };
            place.resize((chunk.end - chunk.start).min(MAX_HEADER_BYTES) as usize, 0);
            self.read(chunk.start, place)?;
        }
        if header.get(..4) != Some(b"vids") {
            return Ok(None);
        }
        let word = |bytes: &[u8], at: usize| {
            let word = bytes.get(at..).and_then(<[u8]>::first_chunk).copied();
            word.map(u32::from_le_bytes).ok_or_else(|| Error::corrupt("the header of its video is cut off"))
        };
        let codec = word(&format, 16)?.to_le_bytes();
        if !CODECS.contains(&codec) {
            let codec: String =
                codec.iter().map(|&byte| if byte.is_ascii_graphic() { char::from(byte) } else { '?' }).collect();
            return Err(Error::unsupported(format!(
                "its codec is {codec}; motion JPEG is read\nhint: convert it, with ffmpeg -i CLIP -c:v mjpeg -q:v 2 -an OUT.avi"
            )));
        }
        let (width, height) = (word(&format, 4)?, (word(&format, 8)? as i32).unsigned_abs());
        let n_pixels = u64::from(width) * u64::from(height);
        if n_pixels == 0 || n_pixels > MAX_PIXELS {
            return Err(Error::unsupported(format!(
                "its frames are {width}x{height}; up to {MAX_PIXELS} pixels are read"
            )));
        }
        let seconds = f64::from(word(&header, 20)?) / f64::from(word(&header, 24)?);
        let frame_seconds = (seconds > 0.0 && seconds <= MAX_FRAME_SECONDS).then_some(seconds);
        Ok(Some(VideoStream { number, size: [width as usize, height as usize], frame_seconds }))
    }

    /// Adds the frames of a stream: chunks of the names `00dc` and `00db`, where the digits are the stream's number.
    fn add_frames(
        &mut self,
        list: &List,
        number: usize,
        frames: &mut Vec<(u64, u64)>,
        depth: usize,
    ) -> Result<(), Error> {
        let digits = format!("{number:02}").into_bytes();
        for chunk in self.all(list.start + 4, list.end)? {
            if chunk.name == *b"LIST" && depth == 0 {
                // Groups of chunks that are read at once.
                let group = self.list(chunk.start - 8, list.end)?;
                self.add_frames(&group, number, frames, depth + 1)?;
            } else if chunk.name[..2] == digits && matches!(&chunk.name[2..], b"dc" | b"db") {
                frames.push((chunk.start, chunk.end - chunk.start));
            }
            if frames.len() > MAX_FRAMES {
                return Err(Error::unsupported(format!("it has more than {MAX_FRAMES} frames")));
            }
        }
        Ok(())
    }

    fn read(&mut self, at: u64, bytes: &mut [u8]) -> Result<(), Error> {
        let path = self.path;
        self.file
            .seek(SeekFrom::Start(at))
            .and_then(|_| self.file.read_exact(bytes))
            .map_err(|error| unreadable(path, &error))
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Error::corrupt(format!("{} is cut off", path.display())).caused_by(error),
        _ => Error::unreadable(format!("{} cannot be read", path.display())).caused_by(error),
    }
}
