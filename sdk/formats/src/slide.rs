//! Whole slides: Aperio SVS and other tiled TIFF with a pyramid of smaller copies.
//!
//! Finds the pages that show the same picture at lower resolution; label and overview photographs are not among them.
//! Pyramids that hide in sub-directories (OME-TIFF) are seen as their full level alone. What is tissue is not decided
//! here.

use std::path::Path;

use medcoss_sdk::Error;
use medcoss_sdk::image::{Image, Region};
use tiff::tags::Tag;

use crate::tiff_file::{Page, TiffFile};

/// Aperio marks its overview photograph with this kind of page.
const SUBFILE_OVERVIEW: u64 = 9;

/// An open slide.
pub struct Slide {
    file: TiffFile,
    levels: Vec<Level>,
}

/// One resolution of a slide.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Number of the page in the file.
    page: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Pixels of the full level to one of this, along each axis: 1 for the full level.
    pub downsample: f64,
}

impl Slide {
    /// Opens a slide and lists its levels. The first page is the full level.
    ///
    /// # Errors
    /// Those of [`TiffFile::open`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut file = TiffFile::open(path)?;
        let full = file.page();
        let mut levels = vec![Level { page: 0, width: full.width, height: full.height, downsample: 1.0 }];
        let mut page = 0;
        while file.has_next() {
            page += 1;
            // A page of a kind that cannot be parsed is none of the levels; it does not spoil the others.
            if file.go_to_next().is_ok() && !is_associated(&mut file) {
                levels.extend(level(full, page, file.page()));
            }
        }
        levels.sort_by(|a, b| a.downsample.total_cmp(&b.downsample));
        file.go_to(0)?;
        Ok(Self { file, levels })
    }

    /// Levels, the full one first, then ever smaller ones.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// The smallest level that shrinks no more than `most` times.
    pub fn level_for(&self, most: f64) -> Level {
        let fitting = self.levels.iter().rev().find(|level| level.downsample <= most);
        *fitting.unwrap_or(&self.levels[0])
    }

    /// A region of a level, in pixels of that level.
    ///
    /// # Errors
    /// Those of [`TiffFile::read_region`].
    pub fn read_region(&mut self, level: Level, region: Region) -> Result<Image, Error> {
        self.file.go_to(level.page)?;
        self.file.read_region(region)
    }
}

/// Whether a page is the photograph of the label or of the whole glass.
fn is_associated(file: &mut TiffFile) -> bool {
    if file.number(Tag::NewSubfileType) == Some(SUBFILE_OVERVIEW) {
        return true;
    }
    // Aperio: the second line of the description begins with what it is.
    let description = file.text(Tag::ImageDescription).unwrap_or_default();
    description.lines().nth(1).is_some_and(|line| line.starts_with("label") || line.starts_with("macro"))
}

/// A page as a level, if it is smaller in the same proportion along both axes.
fn level(full: Page, number: usize, page: Page) -> Option<Level> {
    let across = full.width as f64 / page.width as f64;
    let down = full.height as f64 / page.height as f64;
    // One part in a hundred, and what rounding to whole pixels does to small levels.
    let tolerance = 0.01 + 1.0 / page.width as f64 + 1.0 / page.height as f64;
    let alike = (across / down - 1.0).abs() < tolerance;
    (alike && across > 1.0).then(|| Level {
        page: number,
        width: page.width,
        height: page.height,
        downsample: (across + down) / 2.0,
    })
}
