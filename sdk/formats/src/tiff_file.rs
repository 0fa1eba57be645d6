//! TIFF pictures, region by region: strips and tiles, grey, grey with alpha, RGB, RGBA and YCbCr, 8 and 16 bit, any
//! compression that the `tiff` crate knows (JPEG, LZW, Deflate, PackBits).
//!
//! Only the strips or tiles that a region touches are decoded, one at a time: memory follows the region, not the file.
//! Which pages belong together is the business of [`crate::slide`]. Palettes, CMYK, floats and JPEG 2000 are refused,
//! and the orientation tag is left alone.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};

use medcoss_sdk::Error;
use medcoss_sdk::image::{Image, Region};
use tiff::decoder::{ChunkType, Decoder};
use tiff::tags::{PlanarConfiguration, SampleFormat, Tag};
use tiff::{ColorType, TiffError};

use crate::tiff_pixels::{Alpha, Chunk, Colour, PixelKind};

/// Largest region that is read at once, in pixels: 8192 x 8192. Guards against decompression bombs.
pub const MAX_PIXELS: usize = 1 << 26;
/// Largest single strip or tile, decoded, in bytes.
const MAX_CHUNK_BYTES: usize = 1 << 28;

/// An open TIFF file, positioned on one of its pages.
pub struct TiffFile {
    path: PathBuf,
    decoder: Decoder<BufReader<File>>,
    number: usize,
    page: Page,
}

/// A page (an image file directory) of a TIFF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Whether it is cut into tiles, not strips.
    pub tiled: bool,
}

impl TiffFile {
    /// Opens a file on its first page.
    ///
    /// # Errors
    /// A file that is missing, is no TIFF, or has a first page that makes no sense.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|error| Error::unreadable(cannot(path, "opened")).caused_by(&error))?;
        let mut decoder = Decoder::new(BufReader::new(file)).map_err(|error| explain(path, &error))?;
        let page = page(&mut decoder).map_err(|error| explain(path, &error))?;
        Ok(Self { path: path.to_owned(), decoder, number: 0, page })
    }

    /// The page it is positioned on.
    pub fn page(&self) -> Page {
        self.page
    }

    /// Whether another page follows.
    pub fn has_next(&self) -> bool {
        self.decoder.more_images()
    }

    /// Moves on to the following page.
    ///
    /// # Errors
    /// There is none, or it makes no sense; a page after it can still be moved to.
    pub fn go_to_next(&mut self) -> Result<(), Error> {
        self.number += 1;
        self.decoder.next_image().map_err(|error| explain(&self.path, &error))?;
        self.page = page(&mut self.decoder).map_err(|error| explain(&self.path, &error))?;
        Ok(())
    }

    /// Moves to a page by its number; the first is 0.
    ///
    /// # Errors
    /// There is none, or it makes no sense.
    pub fn go_to(&mut self, number: usize) -> Result<(), Error> {
        if number != self.number {
            self.decoder.seek_to_image(number).map_err(|error| explain(&self.path, &error))?;
            self.page = page(&mut self.decoder).map_err(|error| explain(&self.path, &error))?;
            self.number = number;
        }
        Ok(())
    }

    /// A tag of the page with one whole number; `None` where it is missing or of another kind.
    pub fn number(&mut self, tag: Tag) -> Option<u64> {
        self.decoder.find_tag_unsigned(tag).ok().flatten()
    }

    /// A tag of the page with text; `None` where it is missing or of another kind.
    pub fn text(&mut self, tag: Tag) -> Option<String> {
        self.decoder.get_tag_ascii_string(tag).ok()
    }

    /// The page as a whole.
    ///
    /// # Errors
    /// Those of [`TiffFile::read_region`].
    pub fn read_whole(&mut self) -> Result<Image, Error> {
        let Page { width, height, .. } = self.page;
        self.read_region(Region { left: 0, top: 0, width, height })
    }

    /// A region of the page, grey or RGB; transparency is laid over white.
    ///
    /// # Errors
    /// A region that is not inside the page or larger than [`MAX_PIXELS`], damaged data, a kind of pixels that is not
    /// supported.
    pub fn read_region(&mut self, region: Region) -> Result<Image, Error> {
        let (columns, rows) = self.ranges(region)?;
        let pixels = self.pixel_kind()?;
        let (chunk_width, chunk_height) = self.decoder.chunk_dimensions();
        let (chunk_width, chunk_height) = (chunk_width as usize, (chunk_height as usize).min(self.page.height));
        let n_across = self.page.width.div_ceil(chunk_width);
        let n_chunks = n_across * self.page.height.div_ceil(chunk_height);
        let n_channels = pixels.colour.n_channels();
        let mut out = vec![0.0; region.width * region.height * n_channels];

        for chunk_row in rows.start / chunk_height..=(rows.end - 1) / chunk_height {
            for chunk_column in columns.start / chunk_width..=(columns.end - 1) / chunk_width {
                let chunk = self.read_chunk(chunk_row * n_across + chunk_column, n_chunks, pixels)?;
                let (left, top) = (chunk_column * chunk_width, chunk_row * chunk_height);
                for y in overlap(&rows, top, chunk_height) {
                    let columns_here = overlap(&columns, left, chunk_width);
                    let start = ((y - region.top) * region.width + columns_here.start - region.left) * n_channels;
                    let row = &mut out[start..start + columns_here.len() * n_channels];
                    chunk.write_row(y - top, columns_here.start - left, row);
                }
            }
        }
        Image::new([region.height, region.width, n_channels], out)
    }

    /// Columns and rows of a region, after checking it.
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

    fn pixel_kind(&mut self) -> Result<PixelKind, Error> {
        let colour = self.decoder.colortype().map_err(|error| explain(&self.path, &error))?;
        let alpha = match self.decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples).ok().flatten().as_deref() {
            Some([1, ..]) => Alpha::Premultiplied,
            Some([0, ..]) => Alpha::None,
            _ => Alpha::Straight,
        };
        let (colour, bits) = match colour {
            ColorType::Gray(bits) => (Colour::Grey, bits),
            ColorType::GrayA(bits) => (Colour::GreyAlpha(alpha), bits),
            ColorType::Multiband { bit_depth, num_samples: 2 } => (Colour::GreyAlpha(alpha), bit_depth),
            ColorType::RGB(bits) => (Colour::Rgb, bits),
            ColorType::RGBA(bits) => (Colour::RgbAlpha(alpha), bits),
            ColorType::YCbCr(bits) => (Colour::YCbCr, bits),
            other => return Err(self.unsupported(&format!("pixels of kind {other:?}"))),
        };
        let formats = self.decoder.find_tag_unsigned_vec::<u16>(Tag::SampleFormat).ok().flatten().unwrap_or_default();
        if formats.iter().any(|&format| format != SampleFormat::Uint.to_u16()) {
            return Err(self.unsupported(&format!("{bits}-bit samples that are signed or floating point")));
        }
        if !matches!(bits, 8 | 16) {
            return Err(self.unsupported(&format!("{bits}-bit samples")));
        }
        let planar = self.number(Tag::PlanarConfiguration) == Some(u64::from(PlanarConfiguration::Planar.to_u16()));
        Ok(PixelKind { colour, bytes: usize::from(bits / 8), planar })
    }

    /// Decodes a strip or tile of the page, in all its planes. `n_chunks` of them make up a plane.
    fn read_chunk(&mut self, index: usize, n_chunks: usize, kind: PixelKind) -> Result<Chunk, Error> {
        // Plane by plane: the decoder's own reading of several planes trips over tiles at the lower edge.
        let n_planes = if kind.planar { kind.colour.n_samples() } else { 1 };
        let mut planes = Vec::with_capacity(n_planes);
        let mut row_stride = 0;
        for plane in 0..n_planes {
            let number = u32::try_from(index + plane * n_chunks).map_err(|error| explain(&self.path, &error.into()))?;
            let layout = self.decoder.image_chunk_buffer_layout(number).map_err(|error| explain(&self.path, &error))?;
            if layout.len > MAX_CHUNK_BYTES {
                let (found, most) = (layout.len >> 20, MAX_CHUNK_BYTES >> 20);
                return Err(self.unsupported(&format!("a strip or tile of {found} MiB, above the limit of {most} MiB")));
            }
            let mut data = vec![0; layout.len];
            self.decoder.read_chunk_bytes(number, &mut data).map_err(|error| explain(&self.path, &error))?;
            row_stride = layout.row_stride.map_or(0, usize::from);
            planes.push(data);
        }
        Ok(Chunk { planes, kind, row_stride })
    }

    fn unsupported(&self, what: &str) -> Error {
        Error::unsupported(format!(
            "{} has {what}; TIFF is read in grey, RGB and YCbCr with 8 or 16 bit",
            self.path.display()
        ))
    }
}

/// Refuses pictures above [`MAX_PIXELS`].
pub(crate) fn check_size(path: &Path, width: usize, height: usize) -> Result<(), Error> {
    if width.checked_mul(height).is_none_or(|n_pixels| n_pixels > MAX_PIXELS) {
        return Err(Error::unsupported(format!(
            "{} has {width}x{height} pixels, above the limit of {} million\n\
             hint: store pictures of this size as tiled TIFF; they are read by region where slides are",
            path.display(),
            MAX_PIXELS / 1_000_000
        )));
    }
    Ok(())
}

/// The part of `range` that lies in `length` places from `start` on.
fn overlap(range: &Range<usize>, start: usize, length: usize) -> Range<usize> {
    range.start.max(start)..range.end.min(start + length)
}

fn page(decoder: &mut Decoder<BufReader<File>>) -> Result<Page, TiffError> {
    let (width, height) = decoder.dimensions()?;
    let tiled = decoder.get_chunk_type() == ChunkType::Tile;
    Ok(Page { width: width as usize, height: height as usize, tiled })
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
        TiffError::LimitsExceeded => Error::unsupported(format!("{} needs too much memory", path.display())),
        _ => Error::corrupt(format!("{} is no sound TIFF", path.display())),
    };
    explained.caused_by(error)
}
