//! TIFF images, region by region: strips and tiles, classic and BigTIFF, any compression that the `tiff` crate knows
//! (JPEG, LZW, Deflate, PackBits, fax of group 4).
//!
//! Only the strips or tiles that a region touches are decoded, one at a time: memory follows the region, not the file.
//! `tiff_colour` lists the supported kinds of pixels, and [`crate::slide`] finds the pages that belong together. The
//! orientation tag is ignored.

use std::io::{ErrorKind, Seek, SeekFrom};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use medcoss_sdk::Error;
use medcoss_sdk::image::{Image, Region};
use tiff::decoder::ifd::Value;
use tiff::decoder::{ChunkType, Decoder};
use tiff::tags::Tag;
use tiff::{TiffError, TiffResult};

use crate::tiff_colour;
use crate::tiff_jpeg::stated_size;
use crate::tiff_patch::PatchedFile;
use crate::tiff_pixels::{Chunk, Colour, PixelKind};

/// Largest region that is read at once, in pixels: 8192 x 8192. Guards against decompression bombs.
pub const MAX_PIXELS: usize = 1 << 26;
/// Largest single strip or tile, decoded, in bytes.
const MAX_CHUNK_BYTES: usize = 1 << 28;

/// Side in pixels of a tile that is allowed whatever the size of its page.
const LARGEST_SMALL_TILE: usize = 4096;

/// Compression tag of strips and tiles in JPEG.
const JPEG: u64 = 7;

/// An open TIFF file, positioned on one of its pages.
pub struct TiffFile {
    path: PathBuf,
    decoder: Decoder<PatchedFile>,
    directory: u64,
    page: Page,
    /// The palette of the current page, once the page has been read.
    palette: Option<Vec<[f32; 3]>>,
    /// The strips or tiles of the current page, once the page has been read.
    pieces: Option<Pieces>,
}

/// Locations of the strips or tiles of a page.
struct Pieces {
    in_jpeg: bool,
    /// Offset and length of each; empty where they are not needed.
    places: Vec<(u64, u64)>,
}

/// A page (an image file directory) of a TIFF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Whether the page is cut into tiles; otherwise into strips.
    pub tiled: bool,
    /// Columns and rows of a tile or strip, which is decoded at once.
    pub chunk: [usize; 2],
}

impl TiffFile {
    /// Opens a file on its first page.
    ///
    /// # Errors
    /// A file that is missing, not TIFF, or has an invalid first page.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file =
            PatchedFile::open(path).map_err(|error| Error::unreadable(cannot(path, "opened")).caused_by(&error))?;
        Self::on_first_page(path, file)
    }

    fn on_first_page(path: &Path, file: PatchedFile) -> Result<Self, Error> {
        let (decoder, page, directory) = guarded(path, || {
            let mut decoder = Decoder::new(file)?;
            let page = page(&mut decoder)?;
            let directory = decoder.ifd_pointer().map_or(0, |pointer| pointer.0);
            Ok((decoder, page, directory))
        })?;
        Ok(Self { path: path.to_owned(), decoder, directory, page, palette: None, pieces: None })
    }

    /// Path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The current page.
    pub fn page(&self) -> Page {
        self.page
    }

    /// Offset of the current page's directory, for [`TiffFile::go_to`].
    pub fn directory(&self) -> u64 {
        self.directory
    }

    /// Whether another page follows in the chain.
    pub fn has_next(&self) -> bool {
        self.decoder.more_images()
    }

    /// Moves to the next page of the chain.
    ///
    /// # Errors
    /// There is no next page, or it is invalid; a page after it can still be moved to.
    pub fn go_to_next(&mut self) -> Result<(), Error> {
        (self.palette, self.pieces) = (None, None);
        self.page = self.ask(|decoder| {
            decoder.next_image()?;
            page(decoder)
        })?;
        self.directory = self.decoder.ifd_pointer().map_or(0, |pointer| pointer.0);
        Ok(())
    }

    /// Moves to the page whose directory is at this offset, in the chain or a branch of it.
    ///
    /// # Errors
    /// There is no page, or it is invalid.
    pub fn go_to(&mut self, directory: u64) -> Result<(), Error> {
        if directory != self.directory {
            let file = PatchedFile::starting_at(&self.path, directory)
                .map_err(|error| explain(&self.path, &TiffError::IoError(error)))?;
            *self = Self::on_first_page(&self.path, file)?;
        }
        Ok(())
    }

    /// Offsets of the directories that branch off the page.
    pub fn branches(&mut self) -> Vec<u64> {
        // Offsets are stored as directory offsets or as whole numbers, of 32 or 64 bit.
        self.ask(|decoder| decoder.find_tag_unsigned_vec(Tag::SubIfd)).ok().flatten().unwrap_or_default()
    }

    /// A tag of the page with one whole number; `None` where it is missing or of another type.
    pub fn number(&mut self, tag: Tag) -> Option<u64> {
        self.ask(|decoder| decoder.find_tag_unsigned(tag)).ok().flatten()
    }

    /// A tag of the page with a fraction; `None` where it is missing or of another type.
    pub fn fraction(&mut self, tag: Tag) -> Option<f64> {
        match self.ask(|decoder| decoder.find_tag(tag)).ok()?? {
            Value::Rational(above, below) => Some(f64::from(above) / f64::from(below)),
            Value::List(values) => match values.as_slice() {
                [Value::Rational(above, below)] => Some(f64::from(*above) / f64::from(*below)),
                _ => None,
            },
            other => other.into_f64().ok(),
        }
    }

    /// A tag of the page with text; `None` where it is missing or of another type.
    pub fn text(&mut self, tag: Tag) -> Option<String> {
        self.ask(|decoder| decoder.get_tag_ascii_string(tag)).ok()
    }

    /// Reads the whole page.
    ///
    /// # Errors
    /// Those of [`TiffFile::read_region`].
    pub fn read_whole(&mut self) -> Result<Image, Error> {
        let Page { width, height, .. } = self.page;
        self.read_region(Region { left: 0, top: 0, width, height })
    }

    /// Reads a region of the page as grey or RGB; transparency is composited over white.
    ///
    /// # Errors
    /// A region that is not inside the page or larger than [`MAX_PIXELS`], damaged data, a kind of pixels that is not
    /// supported.
    pub fn read_region(&mut self, region: Region) -> Result<Image, Error> {
        // Scanners leave tiles without tissue out of the file. They are white, as the glass is.
        self.read_region_over(region, 1.0)
    }

    /// Reads a region as [`TiffFile::read_region`] does. Tiles that the file leaves out have the value `left_out`.
    pub(crate) fn read_region_over(&mut self, region: Region, left_out: f32) -> Result<Image, Error> {
        let (columns, rows) = self.ranges(region)?;
        let pixels = self.pixel_kind()?;
        let [chunk_width, chunk_height] = self.page.chunk;
        let n_across = self.page.width.div_ceil(chunk_width);
        let n_chunks = n_across * self.page.height.div_ceil(chunk_height);
        let n_channels = pixels.colour.n_channels();
        let mut out = vec![0.0; region.width * region.height * n_channels];

        for chunk_row in rows.start / chunk_height..=(rows.end - 1) / chunk_height {
            for chunk_column in columns.start / chunk_width..=(columns.end - 1) / chunk_width {
                let index = chunk_row * n_across + chunk_column;
                let chunk =
                    if self.is_left_out(index)? { None } else { Some(self.read_chunk(index, n_chunks, pixels)?) };
                let (left, top) = (chunk_column * chunk_width, chunk_row * chunk_height);
                for y in overlap(&rows, top, chunk_height) {
                    let columns_here = overlap(&columns, left, chunk_width);
                    let start = ((y - region.top) * region.width + columns_here.start - region.left) * n_channels;
                    let row = &mut out[start..start + columns_here.len() * n_channels];
                    match &chunk {
                        Some(chunk) => chunk.write_row(y - top, columns_here.start - left, row),
                        None => row.fill(left_out),
                    }
                }
            }
        }
        Image::new([region.height, region.width, n_channels], out)
    }

    /// Checked columns and rows of a region.
    fn ranges(&self, region: Region) -> Result<(Range<usize>, Range<usize>), Error> {
        let Page { width, height, .. } = self.page;
        let right = region.left.checked_add(region.width).filter(|&right| right <= width);
        let bottom = region.top.checked_add(region.height).filter(|&bottom| bottom <= height);
        let (Some(right), Some(bottom), true) = (right, bottom, region.width > 0 && region.height > 0) else {
            let path = self.path.display();
            return Err(Error::bad_request(format!("{region:?} is not inside the {width}x{height} pixels of {path}")));
        };
        check_size(&self.path, region.width, region.height)?;
        Ok((region.left..right, region.top..bottom))
    }

    pub(crate) fn pixel_kind(&mut self) -> Result<PixelKind, Error> {
        if let Some(palette) = &self.palette {
            let bits = palette.len().ilog2() as usize;
            return Ok(PixelKind { colour: Colour::Palette, bits, planar: false });
        }
        let kind = self.ask(tiff_colour::pixel_kind)?.map_err(|what| self.unsupported(&what))?;
        if kind.colour == Colour::Palette {
            let palette = self.ask(|decoder| tiff_colour::palette(decoder, kind.bits))?;
            let palette = palette.map_err(|what| Error::corrupt(format!("{} has {what}", self.path.display())))?;
            let file = PatchedFile::with_indices_as_grey(&self.path, self.directory)
                .map_err(|error| explain(&self.path, &TiffError::IoError(error)))?
                .ok_or_else(|| self.unsupported("a palette in an unusual form"))?;
            *self = Self { palette: Some(palette), ..Self::on_first_page(&self.path, file)? };
        }
        Ok(kind)
    }

    /// Decodes a strip or tile of the page, in all its planes. A plane has `n_chunks` of them.
    fn read_chunk(&mut self, index: usize, n_chunks: usize, kind: PixelKind) -> Result<Chunk<'_>, Error> {
        // Planes are read one by one: the decoder's own reading of several planes fails for tiles at the lower edge.
        let n_planes = if kind.planar { kind.colour.n_samples() } else { 1 };
        let mut planes = Vec::with_capacity(n_planes);
        let mut row_stride = 0;
        for plane in 0..n_planes {
            let number = u32::try_from(index + plane * n_chunks).map_err(|error| explain(&self.path, &error.into()))?;
            let layout = self.ask(|decoder| decoder.image_chunk_buffer_layout(number))?;
            if layout.len.saturating_mul(n_planes) > MAX_CHUNK_BYTES {
                let (found, most) = (layout.len.saturating_mul(n_planes) >> 20, MAX_CHUNK_BYTES >> 20);
                return Err(self.unsupported(&format!(
                    "a strip or tile of {found} MiB, above the limit of {most} MiB\nhint: store it in smaller tiles"
                )));
            }
            self.check_jpeg(number as usize)?;
            let mut data = vec![0; layout.len];
            self.ask(|decoder| decoder.read_chunk_bytes(number, &mut data))?;
            row_stride = layout.row_stride.map_or(0, usize::from);
            planes.push(data);
        }
        let palette = self.palette.as_deref().unwrap_or_default();
        Ok(Chunk { planes, kind, row_stride, palette })
    }

    /// Whether the file leaves a tile out: its offset and length are 0.
    fn is_left_out(&mut self, number: usize) -> Result<bool, Error> {
        let tiled = self.page.tiled;
        Ok(tiled && self.pieces()?.places.get(number) == Some(&(0, 0)))
    }

    /// Refuses a strip or tile whose JPEG is cut off, which the decoder would fill with grey, or states a much larger
    /// image, for which the decoder would allocate memory.
    fn check_jpeg(&mut self, number: usize) -> Result<(), Error> {
        let pieces = self.pieces()?;
        let Some(&(place, length)) = pieces.places.get(number).filter(|_| pieces.in_jpeg) else { return Ok(()) };
        let (found, stated) = self.ask(|decoder| {
            let file = decoder.inner();
            Ok((file.seek(SeekFrom::End(0))?, stated_size(file, place)?))
        })?;
        if place.saturating_add(length) > found {
            let path = self.path.display();
            return Err(Error::corrupt(format!("{path} ends at byte {found}, within the JPEG of a strip or tile")));
        }
        // Encoders pad blocks, by less than this.
        let most = self.page.chunk.map(|side| side + 64);
        match stated {
            Some([width, height]) if width > most[0] || height > most[1] => {
                let (path, [expected_width, expected_height]) = (self.path.display(), self.page.chunk);
                Err(Error::corrupt(format!(
                    "{path} has a JPEG of {width}x{height} pixels in a strip or tile of \
                     {expected_width}x{expected_height}"
                )))
            }
            _ => Ok(()),
        }
    }

    fn pieces(&mut self) -> Result<&Pieces, Error> {
        let pieces = match self.pieces.take() {
            Some(pieces) => pieces,
            None => {
                let in_jpeg = self.number(Tag::Compression) == Some(JPEG);
                let matters = in_jpeg || self.page.tiled;
                let tags = if self.page.tiled {
                    [Tag::TileOffsets, Tag::TileByteCounts]
                } else {
                    [Tag::StripOffsets, Tag::StripByteCounts]
                };
                let mut numbers = |tag| self.ask(|decoder| Ok(decoder.find_tag_unsigned_vec(tag)?.unwrap_or_default()));
                let places =
                    if matters { numbers(tags[0])?.into_iter().zip(numbers(tags[1])?).collect() } else { Vec::new() };
                Pieces { in_jpeg, places }
            }
        };
        Ok(self.pieces.insert(pieces))
    }

    /// Asks the decoder for a value.
    fn ask<T>(&mut self, question: impl FnOnce(&mut Decoder<PatchedFile>) -> TiffResult<T>) -> Result<T, Error> {
        guarded(&self.path, || question(&mut self.decoder))
    }

    pub(crate) fn unsupported(&self, what: &str) -> Error {
        Error::unsupported(format!("{} has {what}", self.path.display()))
    }
}

/// Calls the decoder, which has assertions that a damaged file can break. The decoder is used again after a panic: it
/// holds the file's position and parsed values, and both are set anew before use.
fn guarded<T>(path: &Path, call: impl FnOnce() -> TiffResult<T>) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(answer) => answer.map_err(|error| explain(path, &error)),
        Err(_) => Err(Error::corrupt(format!("{} is not a valid TIFF; its decoder failed", path.display()))),
    }
}

/// Refuses images above [`MAX_PIXELS`].
pub(crate) fn check_size(path: &Path, width: usize, height: usize) -> Result<(), Error> {
    if width.checked_mul(height).is_none_or(|n_pixels| n_pixels > MAX_PIXELS) {
        return Err(Error::unsupported(format!(
            "{} has {width}x{height} pixels, above the limit of {} million\n\
             hint: store images of this size as tiled TIFF; they are read by region where slides are",
            path.display(),
            MAX_PIXELS / 1_000_000
        )));
    }
    Ok(())
}

/// The part of `range` that lies within `start..start + length`.
fn overlap(range: &Range<usize>, start: usize, length: usize) -> Range<usize> {
    range.start.max(start)..range.end.min(start + length)
}

fn page(decoder: &mut Decoder<PatchedFile>) -> TiffResult<Page> {
    let (width, height) = decoder.dimensions()?;
    let tiled = decoder.get_chunk_type() == ChunkType::Tile;
    let (chunk_width, chunk_height) = decoder.chunk_dimensions();
    // The last strip may state more rows than the page has.
    let chunk = [chunk_width as usize, if tiled { chunk_height } else { chunk_height.min(height) } as usize];
    // Tiles reach beyond the page at two of its edges. A tile much longer than its page would state many pixels to
    // decode in a few bytes.
    let most = [width, height].map(|side| (side as usize).max(LARGEST_SMALL_TILE));
    if chunk[0] > most[0].saturating_mul(2) || chunk[1] > most[1].saturating_mul(2) {
        return Err(TiffError::LimitsExceeded);
    }
    Ok(Page { width: width as usize, height: height as usize, tiled, chunk })
}

fn cannot(path: &Path, what: &str) -> String {
    format!("{} cannot be {what}", path.display())
}

fn explain(path: &Path, error: &TiffError) -> Error {
    let explained = match error {
        TiffError::IoError(error) if error.kind() != ErrorKind::UnexpectedEof => {
            Error::unreadable(cannot(path, "read"))
        }
        TiffError::UnsupportedError(_) => {
            Error::unsupported(format!("{} is a TIFF of an unsupported kind", path.display()))
        }
        TiffError::LimitsExceeded | TiffError::IntSizeError => {
            Error::unsupported(format!("{} is larger than the decoder takes", path.display()))
        }
        _ => Error::corrupt(format!("{} is not a valid TIFF", path.display())),
    };
    explained.caused_by(error)
}
