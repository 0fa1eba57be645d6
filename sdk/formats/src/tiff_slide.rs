//! Slides in TIFF: Aperio SVS, OME-TIFF, and others with a pyramid of smaller copies.
//!
//! Finds the pages that show the same image at lower resolution, in the chain of pages and in the branches of the first
//! (SubIFDs, where OME-TIFF stores them). Label and overview photographs are excluded.

use std::path::Path;

use medcoss_sdk::Error;
use medcoss_sdk::image::{Image, Region};
use tiff::tags::Tag;

use crate::slide_level::Level;
use crate::slide_resolution::microns_per_pixel;
use crate::tiff_file::{Page, TiffFile};

/// NewSubfileType of Aperio's overview photograph.
const SUBFILE_OVERVIEW: u64 = 9;

/// Largest number of pages of a slide, in the chain and in branches. Stacks of focal planes have some hundreds.
const MAX_PAGES: usize = 10_000;

/// An open slide in TIFF.
pub struct TiffSlide {
    file: TiffFile,
    levels: Vec<Level>,
    /// Offset of the directory of each level's page.
    directories: Vec<u64>,
}

impl TiffSlide {
    /// Opens a slide and lists its levels. The first page is the full level.
    ///
    /// # Errors
    /// Those of [`TiffFile::open`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut file = TiffFile::open(path)?;
        let full = file.page();
        let mpp = microns_per_pixel(&mut file);
        let mut pages = vec![(1.0, file.directory(), full)];
        let branches = file.branches();
        let mut n_pages = 1 + branches.len();
        while file.has_next() {
            n_pages += 1;
            if n_pages > MAX_PAGES {
                return Err(file.unsupported(&format!("more than {MAX_PAGES} pages, too many for a slide")));
            }
            // A page that cannot be parsed is not a level; it does not prevent reading the others.
            if file.go_to_next().is_ok() && !is_associated(&mut file) {
                pages.extend(level(full, &file));
            }
        }
        if n_pages > MAX_PAGES {
            return Err(file.unsupported(&format!("more than {MAX_PAGES} pages, too many for a slide")));
        }
        for branch in branches {
            if file.go_to(branch).is_ok() && !is_associated(&mut file) {
                pages.extend(level(full, &file));
            }
        }
        // A size that is in the chain and in a branch is one level.
        pages.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
        pages.dedup_by_key(|(.., page)| (page.width, page.height));
        let (mut levels, mut directories) = (Vec::new(), Vec::new());
        for (index, (downsample, directory, page)) in pages.into_iter().enumerate() {
            let Page { width, height, chunk, .. } = page;
            levels.push(Level { index, width, height, downsample, mpp: mpp.map(|mpp| mpp * downsample), chunk });
            directories.push(directory);
        }
        file.go_to(directories[0])?;
        Ok(Self { file, levels, directories })
    }

    /// Levels, the full one first, then by decreasing size.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// Reads a region of a level, in pixels of that level.
    ///
    /// # Errors
    /// Those of [`TiffFile::read_region`], a level that the slide does not have.
    pub fn read_region(&mut self, level: Level, region: Region) -> Result<Image, Error> {
        let Some(&directory) = self.directories.get(level.index) else {
            let (path, n) = (self.file.path().display(), self.levels.len());
            return Err(Error::bad_request(format!("{path} has {n} levels, and none of number {}", level.index)));
        };
        self.file.go_to(directory)?;
        self.file.read_region(region)
    }
}

/// Whether a page is a photograph of the label or of the whole glass.
fn is_associated(file: &mut TiffFile) -> bool {
    if file.number(Tag::NewSubfileType) == Some(SUBFILE_OVERVIEW) {
        return true;
    }
    // In Aperio's files the second line of the description begins with the kind of image.
    let description = file.text(Tag::ImageDescription).unwrap_or_default();
    description.lines().nth(1).is_some_and(|line| line.starts_with("label") || line.starts_with("macro"))
}

/// The page as a level, if it is smaller by the same factor along both axes: factor, offset of the directory, page.
fn level(full: Page, file: &TiffFile) -> Option<(f64, u64, Page)> {
    let page = file.page();
    let across = full.width as f64 / page.width as f64;
    let down = full.height as f64 / page.height as f64;
    // One percent, and the rounding of small levels to whole pixels.
    let tolerance = 0.01 + 1.0 / page.width as f64 + 1.0 / page.height as f64;
    let alike = (across / down - 1.0).abs() < tolerance;
    (alike && across > 1.0).then(|| ((across + down) / 2.0, file.directory(), page))
}
