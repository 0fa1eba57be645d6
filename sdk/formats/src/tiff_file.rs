//! TIFF images, region by region: strips and tiles, classic and BigTIFF, any compression that the `tiff` crate knows
//! (JPEG, LZW, Deflate, PackBits, fax of group 4), and JPEG 2000.
//!
//! Only the strips or tiles that a region touches are decoded, one at a time: memory follows the region, not the file. Pages are
//! turned as their orientation tag says. `tiff_colour` lists the supported kinds of pixels, `tiff_chunk` decodes those that the
//! crate does not, and [`crate::slide`] finds the pages that belong together.

use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use medcoss_sdk::Error;
use medcoss_sdk::image::{Image, Region};
use tiff::decoder::ifd::Value;
use tiff::decoder::{ChunkType, Decoder};
use tiff::tags::Tag;
use tiff::{TiffError, TiffResult};

use crate::decode_failure::Failure;
use crate::tiff_chunk::{self, Planes};
use crate::tiff_colour;
use crate::tiff_jpeg::stated_size;
use crate::tiff_orientation::TiffOrientation;
use crate::tiff_patch::PatchedFile;
use crate::tiff_pixels::{Chunk, ChunkDecoder, Colour, PixelKind};

/// Largest region that is read at once, in pixels: 8192 x 8192. Guards against decompression bombs.
pub const MAX_PIXELS: usize = 1 << 26;
/// Largest single strip or tile, decoded, in bytes.
pub(crate) const MAX_CHUNK_BYTES: usize = 1 << 28;

/// Side in pixels of a tile that is allowed whatever the size of its page.
const LARGEST_SMALL_TILE: usize = 4096;

/// Compression tag of strips and tiles in JPEG.
const JPEG: u64 = 7;
/// Value of FillOrder where the lowest bit of a byte is the first.
const LOWEST_BIT_FIRST: u64 = 2;

/// An open TIFF file, positioned on one of its pages.
pub struct TiffFile {
    path: PathBuf,
    decoder: Decoder<PatchedFile>,
    directory: u64,
    /// The current page as it is stored, and how it is turned for display.
    page: Page,
    orientation: TiffOrientation,
    /// The palette of the current page, once the page has been read.
    palette: Option<Vec<[f32; 3]>>,
    /// The strips or tiles of the current page, once the page has been read.
    pieces: Option<Pieces>,
}

/// Locations of the strips or tiles of a page.
struct Pieces {
    in_jpeg: bool,
    /// Offset and length of each.
    places: Vec<(u64, u64)>,
}

/// A page (an image file directory) of a TIFF file, as it is displayed.
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
        let (decoder, (page, orientation), directory) = guarded(path, || {
            let mut decoder = Decoder::new(file)?;
            let page = page(&mut decoder)?;
            let directory = decoder.ifd_pointer().map_or(0, |pointer| pointer.0);
            Ok((decoder, page, directory))
        })?;
        Ok(Self { path: path.to_owned(), decoder, directory, page, orientation, palette: None, pieces: None })
    }

    /// Path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The current page.
    pub fn page(&self) -> Page {
        let [width, height] = self.orientation.sides([self.page.width, self.page.height]);
        Page { width, height, chunk: self.orientation.sides(self.page.chunk), ..self.page }
    }

    /// Whether the orientation tag turns the page.
    pub(crate) fn is_turned(&self) -> bool {
        !self.orientation.is_upright()
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
        // Of a page that is invalid nothing is known.
        (self.palette, self.pieces, self.directory) = (None, None, 0);
        (self.page, self.orientation) = self.ask(|decoder| {
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

    /// A tag of the page with a fraction or a floating point number; `None` where it is missing or of another type.
    pub fn fraction(&mut self, tag: Tag) -> Option<f64> {
        match self.ask(|decoder| decoder.find_tag(tag)).ok()?? {
            Value::Rational(above, below) => Some(f64::from(above) / f64::from(below)),
            Value::List(values) => match values.as_slice() {
                [Value::Rational(above, below)] => Some(f64::from(*above) / f64::from(*below)),
                _ => None,
            },
            Value::Float(value) => Some(value.into()),
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
        let Page { width, height, .. } = self.page();
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
        self.check_region(region)?;
        let stored = self.orientation.stored(region, [self.page.width, self.page.height]);
        let image = self.read_stored(stored, left_out)?;
        self.orientation.displayed(image)
    }

    /// Reads a region of the page as it is stored.
    fn read_stored(&mut self, region: Region, left_out: f32) -> Result<Image, Error> {
        let (columns, rows) = (region.left..region.left + region.width, region.top..region.top + region.height);
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

    fn check_region(&self, region: Region) -> Result<(), Error> {
        let Page { width, height, .. } = self.page();
        let fits = |start: usize, length: usize, most: usize| {
            length > 0 && start.checked_add(length).is_some_and(|end| end <= most)
        };
        if !(fits(region.left, region.width, width) && fits(region.top, region.height, height)) {
            let path = self.path.display();
            return Err(Error::bad_request(format!("{region:?} is not inside the {width}x{height} pixels of {path}")));
        }
        check_size(&self.path, region.width, region.height)
    }

    pub(crate) fn pixel_kind(&mut self) -> Result<PixelKind, Error> {
        if let Some(palette) = &self.palette {
            let bits = palette.len().ilog2() as usize;
            // The page is presented as grey, and was checked before.
            let kind = self.ask(tiff_colour::pixel_kind)?.map_err(|what| self.unsupported(&what))?;
            return Ok(PixelKind { colour: Colour::Palette, bits, planar: false, ..kind });
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
        let Planes { planes, row_stride } = match kind.decoder {
            ChunkDecoder::Crate => self.read_by_crate(index, n_chunks, kind)?,
            ChunkDecoder::Jpeg2000 | ChunkDecoder::Packed => self.read_here(index, n_chunks, kind)?,
        };
        if let Some(what) = planes.iter().find_map(|plane| kind.out_of_range(plane)) {
            return Err(self.unsupported(what));
        }
        // Components of JPEG 2000 come one by one.
        let planar = kind.planar || kind.decoder == ChunkDecoder::Jpeg2000;
        let palette = self.palette.as_deref().unwrap_or_default();
        Ok(Chunk { planes, kind: PixelKind { planar, ..kind }, row_stride, palette })
    }

    fn read_by_crate(&mut self, index: usize, n_chunks: usize, kind: PixelKind) -> Result<Planes, Error> {
        // Planes are read one by one: the decoder's own reading of several planes fails for tiles at the lower edge.
        let n_planes = if kind.planar { kind.colour.n_samples() } else { 1 };
        let mut planes = Vec::with_capacity(n_planes);
        let mut row_stride = 0;
        for plane in 0..n_planes {
            let number = u32::try_from(index + plane * n_chunks).map_err(|error| explain(&self.path, &error.into()))?;
            let layout = self.ask(|decoder| decoder.image_chunk_buffer_layout(number))?;
            self.check_chunk_bytes(layout.len.saturating_mul(n_planes))?;
            self.check_jpeg(number as usize)?;
            let mut data = vec![0; layout.len];
            self.ask(|decoder| decoder.read_chunk_bytes(number, &mut data))?;
            row_stride = layout.row_stride.map_or(0, usize::from);
            planes.push(data);
        }
        Ok(Planes { planes, row_stride })
    }

    /// Decodes a strip or tile that the `tiff` crate does not decode.
    fn read_here(&mut self, index: usize, n_chunks: usize, kind: PixelKind) -> Result<Planes, Error> {
        let Page { width, height, tiled, chunk: [chunk_width, chunk_height] } = self.page;
        let n_across = width.div_ceil(chunk_width);
        let (column, row) = (index % n_across, index / n_across);
        // What of the strip or tile lies within the page.
        let needed = [chunk_width.min(width - column * chunk_width), chunk_height.min(height - row * chunk_height)];
        let n_samples = kind.colour.n_samples();
        self.check_chunk_bytes((chunk_width * chunk_height).saturating_mul(4 * n_samples))?;
        let compression = self.number(Tag::Compression).unwrap_or(1);
        let n_planes = if kind.planar { n_samples } else { 1 };
        let mut decoded = Planes { planes: Vec::with_capacity(n_planes), row_stride: 0 };
        for plane in 0..n_planes {
            let bytes = self.stored_bytes(index + plane * n_chunks)?;
            let outcome = catch_unwind(AssertUnwindSafe(|| match kind.decoder {
                ChunkDecoder::Jpeg2000 => {
                    tiff_chunk::jpeg2000(&bytes, [chunk_width, chunk_height], needed, n_samples, kind.bits)
                }
                _ => {
                    let n_rows = if tiled { chunk_height } else { needed[1] };
                    let n_in_row = chunk_width * n_samples / n_planes;
                    tiff_chunk::packed(&bytes, compression, [n_in_row, n_rows], kind.bits, kind.inverted)
                }
            }));
            let path = self.path.display();
            let Planes { planes, row_stride } = match outcome {
                Ok(Ok(planes)) => planes,
                Ok(Err(Failure::Unsupported(what))) => return Err(self.unsupported(&what)),
                Ok(Err(Failure::Corrupt(what))) => return Err(Error::corrupt(format!("{path} is damaged: {what}"))),
                Err(_) => return Err(Error::corrupt(format!("{path} has a strip or tile that cannot be decoded"))),
            };
            decoded.planes.extend(planes);
            decoded.row_stride = row_stride;
        }
        Ok(decoded)
    }

    fn check_chunk_bytes(&self, n_bytes: usize) -> Result<(), Error> {
        if n_bytes > MAX_CHUNK_BYTES {
            let (found, most) = (n_bytes >> 20, MAX_CHUNK_BYTES >> 20);
            return Err(self.unsupported(&format!(
                "a strip or tile of {found} MiB, above the limit of {most} MiB\nhint: store it in smaller tiles"
            )));
        }
        Ok(())
    }

    /// The bytes of a strip or tile as the file holds them.
    fn stored_bytes(&mut self, number: usize) -> Result<Vec<u8>, Error> {
        let place = self.pieces()?.places.get(number).copied();
        let path = self.path.display().to_string();
        let (start, length) = place.ok_or_else(|| Error::corrupt(format!("{path} lacks strip or tile {number}")))?;
        if length > MAX_CHUNK_BYTES as u64 {
            let (found, most) = (length >> 20, MAX_CHUNK_BYTES >> 20);
            return Err(self.unsupported(&format!("a strip or tile of {found} MiB, above the limit of {most} MiB")));
        }
        self.ask(|decoder| {
            let file = decoder.inner();
            file.seek(SeekFrom::Start(start))?;
            let mut bytes = Vec::new();
            file.take(length).read_to_end(&mut bytes)?;
            Ok(bytes)
        })
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
                let is_reversed = !in_jpeg && self.number(Tag::FillOrder) == Some(LOWEST_BIT_FIRST);
                let tags = if self.page.tiled {
                    [Tag::TileOffsets, Tag::TileByteCounts]
                } else {
                    [Tag::StripOffsets, Tag::StripByteCounts]
                };
                let mut numbers = |tag| self.ask(|decoder| Ok(decoder.find_tag_unsigned_vec(tag)?.unwrap_or_default()));
                let places: Vec<(u64, u64)> = numbers(tags[0])?.into_iter().zip(numbers(tags[1])?).collect();
                if is_reversed {
                    let spans = places.clone();
                    self.ask(|decoder| {
                        decoder.inner().reverse_bits(spans);
                        Ok(())
                    })?;
                }
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

/// The page that the decoder is on, as it is stored, and how it is turned.
fn page(decoder: &mut Decoder<PatchedFile>) -> TiffResult<(Page, TiffOrientation)> {
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
    let orientation = TiffOrientation::of(decoder.find_tag_unsigned(Tag::Orientation).ok().flatten());
    Ok((Page { width: width as usize, height: height as usize, tiled, chunk }, orientation))
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
