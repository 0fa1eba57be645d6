//! Whole slides of any supported file format: levels of one image, read by region.
//!
//! Another file format is another variant of [`Slide`]: it has levels, the full one first, and reads regions of them.
//! All variants share the choice of a level and the change of scale. Tissue is detected elsewhere.

use std::path::Path;

use medcoss_sdk::Error;
use medcoss_sdk::image::{Image, Region};

use crate::dicom;
use crate::dicom::slide::DicomSlide;
#[cfg(feature = "openslide")]
use crate::openslide_slide::OpenSlideSlide;
pub use crate::slide_level::Level;
use crate::tiff_slide::TiffSlide;

/// Number of pixels held at once when a region is read at a smaller scale: 48 MiB in colour.
const SCALED_PIXELS: usize = 1 << 22;
/// Factor by which a level may be coarser than requested: scanners state 0.2523 for 0.25.
const ALIKE: f64 = 1.01;

/// Extensions of slides that OpenSlide reads, in lower case.
const OPENSLIDE: [&str; 7] = [".ndpi", ".mrxs", ".bif", ".vms", ".vmu", ".svslide", ".czi"];

/// Whether the C library OpenSlide is built in, and reads a file of this lower-case name.
pub fn is_read_by_openslide(lower_case_name: &str) -> bool {
    cfg!(feature = "openslide") && is_known_to_openslide(lower_case_name)
}

/// Whether OpenSlide would read a file of this lower-case name, if it were built in.
pub fn is_known_to_openslide(lower_case_name: &str) -> bool {
    OPENSLIDE.iter().any(|extension| lower_case_name.ends_with(extension))
}

/// An open whole-slide image.
pub enum Slide {
    /// Aperio SVS, Leica SCN, OME-TIFF, and any other TIFF with a pyramid or a single level.
    Tiff(Box<TiffSlide>),
    /// A DICOM whole slide, with the other files of its series.
    Dicom(Box<DicomSlide>),
    /// A slide of a vendor's format, read by the C library OpenSlide.
    #[cfg(feature = "openslide")]
    OpenSlide(Box<OpenSlideSlide>),
}

/// What a slide holds beside the image that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread {
    /// Further channels or focal planes.
    pub planes: bool,
    /// Further areas of the glass.
    pub areas: bool,
}

impl Slide {
    /// Opens a slide and lists its levels.
    ///
    /// # Errors
    /// A file that is missing, damaged, or no slide.
    pub fn open(path: &Path) -> Result<Self, Error> {
        #[cfg(feature = "openslide")]
        if is_read_by_openslide(&path.to_string_lossy().to_lowercase()) {
            return OpenSlideSlide::open(path).map(|slide| Self::OpenSlide(Box::new(slide)));
        }
        match dicom::slide::is_slide(path) {
            true => DicomSlide::open(path).map(|slide| Self::Dicom(Box::new(slide))),
            false => TiffSlide::open(path).map(|slide| Self::Tiff(Box::new(slide))),
        }
    }

    /// Levels, the full one first, then by decreasing size.
    pub fn levels(&self) -> &[Level] {
        match self {
            Self::Tiff(slide) => slide.levels(),
            Self::Dicom(slide) => slide.levels(),
            #[cfg(feature = "openslide")]
            Self::OpenSlide(slide) => slide.levels(),
        }
    }

    /// Whether a strip or tile of a level is too large to be decoded.
    pub fn has_giant_pieces(&self, level: Level) -> bool {
        matches!(self, Self::Tiff(_)) && TiffSlide::has_giant_pieces(level)
    }

    /// What the file holds beside the image that is read.
    pub fn unread(&self) -> Unread {
        match self {
            Self::Tiff(slide) => {
                let layout = slide.layout();
                Unread { planes: layout.n_alike > 0, areas: layout.n_further_areas > 0 }
            }
            Self::Dicom(slide) => Unread { planes: slide.has_further_planes(), areas: false },
            #[cfg(feature = "openslide")]
            Self::OpenSlide(_) => Unread { planes: false, areas: false },
        }
    }

    /// The smallest level whose `downsample` is at most `most`.
    pub fn level_for(&self, most: f64) -> Level {
        let levels = self.levels();
        *levels.iter().rev().find(|level| level.downsample <= most).unwrap_or(&levels[0])
    }

    /// The smallest level with at most `mpp` microns per pixel; the full one where all have more, or state none.
    pub fn level_at(&self, mpp: f64) -> Level {
        let levels = self.levels();
        let fine = |level: &&Level| level.mpp.is_some_and(|found| found <= mpp * ALIKE);
        *levels.iter().rev().find(fine).unwrap_or(&levels[0])
    }

    /// Reads a region of a level, in pixels of that level.
    ///
    /// # Errors
    /// A region that is not inside the level or too large, damaged data, an unsupported kind of pixels.
    pub fn read_region(&mut self, level: Level, region: Region) -> Result<Image, Error> {
        match self {
            Self::Tiff(slide) => slide.read_region(level, region),
            Self::Dicom(slide) => slide.read_region(level, region),
            #[cfg(feature = "openslide")]
            Self::OpenSlide(slide) => slide.read_region(level, region),
        }
    }

    /// Reads a region of a level at another size. Memory follows the target: a much larger region is read in bands,
    /// whose pixels are first averaged in squares.
    ///
    /// # Errors
    /// Those of [`Slide::read_region`].
    pub fn read_scaled(&mut self, level: Level, region: Region, width: usize, height: usize) -> Result<Image, Error> {
        let enlarged = region.width <= width || region.height <= height;
        let most = if enlarged { 1 } else { (region.width / width).min(region.height / height) };
        let fits = |side: &usize| (region.width / side) * (region.height / side) <= SCALED_PIXELS;
        let side = (1..most).find(fits).unwrap_or(most);
        let image = if side == 1 { self.read_region(level, region)? } else { self.averaged(level, region, side)? };
        if (image.width(), image.height()) == (width, height) {
            return Ok(image);
        }
        let whole = Region { left: 0, top: 0, width: image.width(), height: image.height() };
        image.resized(whole, width, height)
    }

    /// Means of the squares of `side` pixels of a region. Incomplete squares at the right and lower edges are not used.
    fn averaged(&mut self, level: Level, region: Region, side: usize) -> Result<Image, Error> {
        let (width, height) = (region.width / side, region.height / side);
        // Bands of whole squares.
        let rows_at_once = (SCALED_PIXELS / (region.width * side)).max(1);
        let mut means = Vec::new();
        let mut n_channels = 1;
        for first in (0..height).step_by(rows_at_once) {
            let n_rows = rows_at_once.min(height - first);
            let band = Region { top: region.top + first * side, height: n_rows * side, ..region };
            let image = self.read_region(level, band)?;
            n_channels = image.channels();
            let stride = image.width() * n_channels;
            for rows in image.pixels().chunks_exact(stride * side) {
                let start = means.len();
                means.resize(start + width * n_channels, 0.0);
                for row in rows.chunks_exact(stride) {
                    for (square, mean) in
                        row.chunks_exact(side * n_channels).zip(means[start..].chunks_exact_mut(n_channels))
                    {
                        for pixel in square.chunks_exact(n_channels) {
                            mean.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += value);
                        }
                    }
                }
            }
        }
        let n = (side * side) as f32;
        means.iter_mut().for_each(|sum| *sum /= n);
        Image::new([height, width, n_channels], means)
    }
}
