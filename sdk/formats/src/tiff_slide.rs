//! Slides in TIFF: Aperio SVS, Leica SCN, OME-TIFF, and others with a pyramid of smaller copies.
//!
//! The largest page is the full level, wherever it stands. Finds the pages that show the same image at lower resolution, in the chain of
//! pages and in the branches of the full one (SubIFDs, where OME-TIFF stores them). Label and overview photographs are excluded.

use std::path::Path;

use medcoss_sdk::Error;
use medcoss_sdk::image::{Image, Region};
use tiff::tags::Tag;

use crate::slide_level::Level;
use crate::slide_resolution::{self, microns_per_pixel};
use crate::slide_scn;
use crate::tiff_file::{MAX_CHUNK_BYTES, Page, TiffFile};

/// NewSubfileType of Aperio's overview photograph.
const SUBFILE_OVERVIEW: u64 = 9;
/// Tag of Hamamatsu's files with the magnification of the lens; negative ones are an overview and a map.
const SOURCE_LENS: Tag = Tag::Unknown(65421);
/// First words of descriptions of photographs of the glass.
const PHOTOGRAPHS: [&str; 3] = ["label", "macro", "overview"];

/// Largest number of pages of a slide, in the chain and in branches. Stacks of focal planes have some hundreds.
const MAX_PAGES: usize = 10_000;

/// An open slide in TIFF.
pub struct TiffSlide {
    file: TiffFile,
    levels: Vec<Level>,
    /// Offset of the directory of each level's page.
    directories: Vec<u64>,
    layout: SlideLayout,
}

/// How the pages of a slide in TIFF lie in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlideLayout {
    /// Whether the full level is cut into tiles; otherwise into strips.
    pub is_tiled: bool,
    /// Whether the full level is the first page.
    pub full_is_first: bool,
    /// Pages of the size of the full level beside it: channels or focal planes, which are not read.
    pub n_alike: usize,
    /// Areas of the glass that were scanned and are not read.
    pub n_further_areas: usize,
}

/// A page of the chain or of a branch, and the offset of its directory.
#[derive(Debug, Clone, Copy)]
struct Found {
    directory: u64,
    page: Page,
    /// Whether it is a photograph of the label or of the whole glass.
    is_associated: bool,
}

impl TiffSlide {
    /// Opens a slide and lists its levels.
    ///
    /// # Errors
    /// Those of [`TiffFile::open`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut file = TiffFile::open(path)?;
        let scn = slide_scn::areas(&file.text(Tag::ImageDescription).unwrap_or_default());
        // A page that cannot be parsed has a place in the chain, and no entry.
        let mut chain = vec![Some(found(&mut file))];
        while file.has_next() {
            if chain.len() == MAX_PAGES {
                return Err(too_many(&file));
            }
            chain.push(file.go_to_next().ok().map(|()| found(&mut file)));
        }
        let area = slide_scn::largest(&scn);
        let candidates: Vec<Found> = match area {
            Some(area) => area.pages.iter().filter_map(|&number| *chain.get(number)?).collect(),
            None => {
                let images: Vec<_> = chain.iter().flatten().filter(|found| !found.is_associated).copied().collect();
                if images.is_empty() { chain.iter().flatten().copied().collect() } else { images }
            }
        };
        let n_pixels = |found: &Found| found.page.width as u64 * found.page.height as u64;
        // Of equal ones the first.
        let larger = |best: Found, other: Found| if n_pixels(&other) > n_pixels(&best) { other } else { best };
        let first = chain[0].map(|found| found.directory);
        let full = candidates.iter().copied().reduce(larger).or(chain[0]).ok_or_else(|| too_many(&file))?;

        file.go_to(full.directory)?;
        let mpp = area.and_then(|area| area.mpp).filter(slide_resolution::is_plausible);
        let mpp = mpp.or_else(|| microns_per_pixel(&mut file));
        let branches = file.branches();
        if chain.len() + branches.len() > MAX_PAGES {
            return Err(too_many(&file));
        }
        let mut pages = vec![(1.0, full.directory, full.page)];
        pages.extend(candidates.iter().filter_map(|found| level(full.page, *found)));
        for branch in branches {
            if file.go_to(branch).is_ok() {
                let found = found(&mut file);
                pages.extend(level(full.page, found).filter(|_| !found.is_associated));
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
        file.go_to(full.directory)?;
        let sides = |page: Page| [page.width, page.height];
        let layout = SlideLayout {
            is_tiled: full.page.tiled,
            full_is_first: first == Some(full.directory),
            n_alike: candidates.iter().filter(|found| sides(found.page) == sides(full.page)).count().saturating_sub(1),
            n_further_areas: slide_scn::n_scans(&scn).saturating_sub(1),
        };
        Ok(Self { file, levels, directories, layout })
    }

    /// Levels, the full one first, then by decreasing size.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// How the pages lie in the file.
    pub fn layout(&self) -> SlideLayout {
        self.layout
    }

    /// Whether a strip or tile of a level is too large to be decoded at once.
    pub fn has_giant_pieces(level: Level) -> bool {
        let [width, height] = level.chunk;
        width.saturating_mul(height).saturating_mul(3) > MAX_CHUNK_BYTES
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

fn too_many(file: &TiffFile) -> Error {
    file.unsupported(&format!("more than {MAX_PAGES} pages, too many for a slide"))
}

/// The page that the file is on.
fn found(file: &mut TiffFile) -> Found {
    Found { directory: file.directory(), page: file.page(), is_associated: is_associated(file) }
}

/// Whether a page is a photograph of the label or of the whole glass.
fn is_associated(file: &mut TiffFile) -> bool {
    if file.number(Tag::NewSubfileType) == Some(SUBFILE_OVERVIEW)
        || file.fraction(SOURCE_LENS).is_some_and(|lens| lens < 0.0)
    {
        return true;
    }
    // Descriptions begin with the kind of image; in Aperio's files, their second line does.
    let description = file.text(Tag::ImageDescription).unwrap_or_default().to_lowercase();
    description.lines().take(2).any(|line| {
        let word = line.trim_start().split(|letter: char| !letter.is_alphanumeric()).next();
        word.is_some_and(|word| PHOTOGRAPHS.contains(&word))
    })
}

/// The page as a level, if it is smaller by the same factor along both axes: factor, offset of the directory, page.
fn level(full: Page, found: Found) -> Option<(f64, u64, Page)> {
    let page = found.page;
    let across = full.width as f64 / page.width as f64;
    let down = full.height as f64 / page.height as f64;
    // One percent, and the rounding of small levels to whole pixels.
    let tolerance = 0.01 + 1.0 / page.width as f64 + 1.0 / page.height as f64;
    let alike = (across / down - 1.0).abs() < tolerance;
    (alike && across > 1.0).then(|| (f64::midpoint(across, down), found.directory, page))
}
