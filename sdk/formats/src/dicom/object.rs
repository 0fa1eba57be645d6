//! One DICOM file: its header is interpreted, its pixels are located and stay in the file.
//!
//! Files with and without preamble and file meta information are opened. Both give a data set, a transfer syntax and
//! the location of the pixels. Opening reads the header alone, so that folders of thousands of slices can be listed.
//! [`super::pixels`] describes the pixels, and [`super::frames`] locates the frames.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use dicom_object::{DicomCollectorOptions, InMemDicomObject, file::ReadPreamble};
use flate2::read::DeflateDecoder;
use medcoss_sdk::Error;

use super::attributes::{count, text};
use super::buffered_file::BufferedFile;
use super::elements::{ByteSource, Encoding};
use super::file_meta::Meta;
use super::scanner::{self, PixelPlace};
use super::sop_class;
use super::transfer_syntax::{Coding, EXPLICIT_BIG_ENDIAN, Syntax};

/// Largest tag: nothing comes after it.
pub(super) const EVERYTHING: Tag = Tag(0xffff, 0xffff);
/// Largest inflated data set in bytes.
const MAX_INFLATED_BYTES: u64 = 1 << 28;

/// An opened DICOM file.
pub(crate) struct Object {
    /// Path of the file.
    pub(crate) path: PathBuf,
    /// Elements of the file, without pixels, private and very large elements.
    pub(crate) header: InMemDicomObject,
    /// SOP Class UID (0008,0016) of the object.
    pub(crate) sop_class: String,
    /// Byte order of the elements.
    pub(crate) encoding: Encoding,
    /// Compression of the pixel data.
    pub(crate) coding: Coding,
    /// Whether 8-bit pixels are stored in big-endian words, so that each two bytes are swapped.
    pub(crate) swaps_bytes: bool,
    /// Location of the pixel data.
    pub(crate) pixels: PixelPlace,
    /// Bytes in which `pixels` is a position: the file, or its inflated content. `end` is their length.
    pub(crate) source: Box<dyn ByteSource>,
    pub(crate) end: u64,
}

impl Object {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// A file that is missing, damaged, not DICOM, of an unsupported transfer syntax, or without pixels.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let shown = path.display();
        let Start { meta, syntax, mut source, span } = Start::read(path)?;
        let scanned = scanner::scan(&mut *source, syntax.encoding, span, EVERYTHING).map_err(|error| {
            // A file without pixels is refused in any case, and its SOP class is the better reason.
            let kind = sop_class::without_image(&meta.sop_class);
            kind.map_or_else(|| explain(path, &error), |kind| no_image(path, kind))
        })?;
        let header = interpret(path, &scanned.elements, syntax.encoding)?;
        let sop_class = text(&header, tags::SOP_CLASS_UID).unwrap_or(meta.sop_class);
        let Some(pixels) = scanned.pixels else {
            return Err(match sop_class::without_image(&sop_class) {
                Some(kind) => no_image(path, kind),
                None if sop_class.is_empty() && !meta.has_magic => Error::corrupt(format!("{shown} is no DICOM file")),
                None => Error::corrupt(format!("{shown} has no pixel data")),
            });
        };
        let Syntax { encoding, coding, .. } = syntax;
        let is_small = count(&header, tags::BITS_ALLOCATED).is_some_and(|bits| bits <= 8);
        let swaps_bytes = encoding.big_endian && pixels.words && is_small;
        let [_, end] = span;
        Ok(Self { path: path.to_owned(), header, sop_class, encoding, coding, swaps_bytes, pixels, source, end })
    }

    /// The elements of a file up to `last`. Elements after it, which can be megabytes, are not read.
    ///
    /// # Errors
    /// Those of [`Object::open`], but for pixels.
    pub(crate) fn peek(path: &Path, last: Tag) -> Result<InMemDicomObject, Error> {
        let Start { syntax, mut source, span, .. } = Start::read(path)?;
        let scanned =
            scanner::scan(&mut *source, syntax.encoding, span, last).map_err(|error| explain(path, &error))?;
        interpret(path, &scanned.elements, syntax.encoding)
    }

    /// The value of a private element of a file, by the creator of its block. `tag` has the element's number within the
    /// block. `None` where it is absent or cannot be read: private elements are never needed to read a file.
    pub(crate) fn private_value(path: &Path, creator: &str, tag: Tag) -> Option<Vec<u8>> {
        let Start { syntax, mut source, span, .. } = Start::read(path).ok()?;
        scanner::private_value(&mut *source, syntax.encoding, span, creator, tag).ok()?
    }

    /// Opens a file that must hold an acquired image: no mask, no dose, no computed image.
    ///
    /// # Errors
    /// Those of [`Object::open`], an object of another kind.
    pub(crate) fn open_image(path: &Path) -> Result<Self, Error> {
        let object = Self::open(path)?;
        match sop_class::without_image(&object.sop_class) {
            Some(kind) => Err(no_image(path, kind)),
            None => Ok(object),
        }
    }
}

/// An opened file, before its data set is read.
pub(super) struct Start {
    pub(super) meta: Meta,
    pub(super) syntax: Syntax,
    pub(super) source: Box<dyn ByteSource>,
    /// First byte of the data set, and the byte after its last.
    pub(super) span: [u64; 2],
}

impl Start {
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let failed = |error: io::Error| explain(path, &error);
        let mut file = BufferedFile::new(File::open(path).map_err(failed)?);
        let file_bytes = file.len().map_err(failed)?;
        let meta = Meta::read(&mut file, file_bytes).map_err(failed)?;
        let syntax = syntax(path, &meta, &mut file, file_bytes)?;
        if !syntax.deflated {
            let span = [meta.end, file_bytes];
            return Ok(Self { meta, syntax, source: Box::new(file), span });
        }
        let inflated = inflate(&mut file, meta.end).map_err(failed)?;
        let span = [0, inflated.len() as u64];
        Ok(Self { meta, syntax, source: Box::new(Cursor::new(inflated)), span })
    }
}

/// The transfer syntax that the file states, corrected by the look of its first element.
fn syntax(path: &Path, meta: &Meta, file: &mut BufferedFile, file_bytes: u64) -> Result<Syntax, Error> {
    let shown = path.display();
    let guess = Meta::guess(file, meta.end, file_bytes).map_err(|error| explain(path, &error))?;
    let Some(uid) = &meta.transfer_syntax else {
        let encoding = guess.ok_or_else(|| match meta.has_magic {
            true => {
                Error::corrupt(format!("{shown} does not state its transfer syntax, and its elements do not show it"))
            }
            false => Error::corrupt(format!("{shown} is no DICOM file")),
        })?;
        return Ok(Syntax { encoding, deflated: false, coding: Coding::Native });
    };
    let mut syntax = Syntax::of(uid).map_err(|name| {
        Error::unsupported(format!(
            "{shown} is stored as {name}, which is not read\nhint: convert it to Explicit VR Little Endian, with dcmdjpeg, \
             gdcmconv or pydicom"
        ))
    })?;
    // Some writers state an explicit syntax and write elements without representations.
    if let (Some(Encoding { explicit: false, .. }), false) = (guess, syntax.deflated) {
        syntax.encoding = Encoding { explicit: false, big_endian: false };
    }
    Ok(syntax)
}

fn no_image(path: &Path, kind: &str) -> Error {
    Error::unsupported(format!("{} holds no image for training; its kind is {kind}", path.display()))
}

/// Inflates the bytes after the meta information of a deflated file.
fn inflate(file: &mut BufferedFile, start: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let mut inflated = Vec::new();
    let n = DeflateDecoder::new(file).take(MAX_INFLATED_BYTES + 1).read_to_end(&mut inflated)? as u64;
    if n > MAX_INFLATED_BYTES {
        let limit = MAX_INFLATED_BYTES >> 20;
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it inflates to more than {limit} MiB")));
    }
    Ok(inflated)
}

/// Parses the kept elements as a data set. Malformed elements are left out.
fn interpret(path: &Path, elements: &[Vec<u8>], encoding: Encoding) -> Result<InMemDicomObject, Error> {
    // Parsing all at once is faster, and nearly always possible.
    if let Some(header) = parsed(&elements.concat(), encoding) {
        return Ok(header);
    }
    let valid = elements.iter().filter_map(|element| parsed(element, encoding));
    let header = InMemDicomObject::from_element_iter(valid.flatten());
    if header.iter().next().is_none() {
        return Err(Error::corrupt(format!("{} has a damaged header", path.display())));
    }
    Ok(header)
}

fn parsed(bytes: &[u8], encoding: Encoding) -> Option<InMemDicomObject> {
    let uid = match encoding {
        Encoding { explicit: false, .. } => uids::IMPLICIT_VR_LITTLE_ENDIAN,
        Encoding { big_endian: false, .. } => uids::EXPLICIT_VR_LITTLE_ENDIAN,
        Encoding { .. } => EXPLICIT_BIG_ENDIAN,
    };
    // The bytes are untrusted. A panic of the parser would end the plugin's call without naming the file. The closure
    // shares no state that a panic could leave inconsistent.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut header = InMemDicomObject::new_empty();
        let options = DicomCollectorOptions::new().read_preamble(ReadPreamble::Never).expected_ts(uid);
        let mut collector = options.from_reader(BufReader::new(Cursor::new(bytes)));
        collector.read_dataset_to_end(&mut header).map(|()| header)
    }));
    outcome.ok()?.ok()
}

/// An I/O error with the file's name.
pub(crate) fn explain(path: &Path, error: &io::Error) -> Error {
    let path = path.display();
    let explained = match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Error::corrupt(format!("{path} is damaged")),
        io::ErrorKind::UnexpectedEof => Error::corrupt(format!("{path} is cut off")),
        _ => Error::unreadable(format!("{path} cannot be read")),
    };
    explained.caused_by(error)
}
