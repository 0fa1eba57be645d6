//! Where samples come from: tiles are files, slides are cut into tiles at places with tissue.

use std::sync::{Mutex, PoisonError};

use medcoss_formats::image_file;
use medcoss_formats::slide::Slide;
use medcoss_formats::tiff_file::TiffFile;
use medcoss_sdk::image::{Image, Region};
use medcoss_sdk::{Error, FoundFile, log};

use crate::Options;
use crate::tissue::tiles_with_tissue;

/// The kinds that are read, for people.
pub const KINDS: &[&str] = &["PNG", "JPEG", "TIFF", "whole slides: Aperio SVS, tiled TIFF"];

/// Slides that are kept open between samples. A slide's table of tiles can take megabytes to read anew.
const MAX_OPEN_SLIDES: usize = 32;

/// Whether a file in a folder is taken, by its lower-case name.
pub fn has_known_name(lower_case_name: &str) -> bool {
    image_file::has_known_name(lower_case_name) || lower_case_name.ends_with(".svs")
}

/// All samples of a dataset.
pub struct Source {
    files: Vec<FoundFile>,
    samples: Vec<Place>,
    /// Slides that nobody reads at the moment, with the index of their file; the one used last is last.
    idle: Mutex<Vec<(usize, TiffFile)>>,
}

/// Where a sample is.
struct Place {
    /// Index into the files.
    file: usize,
    part: Part,
}

enum Part {
    /// The whole file is the tile.
    Whole,
    /// A tile of a slide.
    Tile(Region),
    /// A slide that could not be surveyed; loading the sample says why.
    Unreadable(Error),
}

impl Source {
    /// Lists the samples of files: looks at the head of each TIFF, and at a small level of each slide.
    ///
    /// # Errors
    /// No sample at all.
    pub fn list(files: Vec<FoundFile>, options: &Options) -> Result<Self, Error> {
        let mut samples = Vec::new();
        for (number, file) in files.iter().enumerate() {
            if !is_slide(file, options.slide_min_side) {
                samples.push(Place { file: number, part: Part::Whole });
                continue;
            }
            let survey = Slide::open(&file.path)
                .and_then(|mut slide| tiles_with_tissue(&mut slide, options.slide_tile, options.tissue_ratio));
            match survey {
                Ok(tiles) => {
                    if tiles.is_empty() {
                        log::warn(&format!("{}: no tile has enough tissue", file.id));
                    }
                    samples.extend(tiles.into_iter().map(|tile| Place { file: number, part: Part::Tile(tile) }));
                }
                Err(error) => samples.push(Place { file: number, part: Part::Unreadable(error) }),
            }
        }
        if samples.is_empty() {
            return Err(Error::bad_request(format!(
                "no tile of {} pixels in {} slides has {} of tissue\nhint: lower slide_tile or tissue_ratio",
                options.slide_tile,
                files.len(),
                options.tissue_ratio
            )));
        }
        Ok(Self { files, samples, idle: Mutex::default() })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Index of the file that a sample comes from.
    pub fn file_of(&self, index: usize) -> usize {
        self.samples[index].file
    }

    /// Id of a sample: the file's, with the upper left corner for tiles of slides.
    pub fn id(&self, index: usize) -> String {
        let Place { file, part } = &self.samples[index];
        let file = &self.files[*file].id;
        match part {
            Part::Tile(tile) => format!("{file}#x={:04},y={:04}", tile.left, tile.top),
            Part::Whole | Part::Unreadable(_) => file.clone(),
        }
    }

    /// The tile in RGB.
    ///
    /// # Errors
    /// A file that is missing, damaged or of an unsupported kind.
    pub fn read(&self, index: usize) -> Result<Image, Error> {
        let Place { file, part } = &self.samples[index];
        let picture = match part {
            Part::Whole => image_file::read_image(&self.files[*file].path)?,
            Part::Tile(tile) => self.read_tile(*file, *tile)?,
            Part::Unreadable(error) => return Err(error.clone()),
        };
        Ok(picture.into_rgb())
    }

    /// Reads with a slide of its own while other threads read with theirs.
    fn read_tile(&self, file: usize, tile: Region) -> Result<Image, Error> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = {
            let mut idle = idle();
            let found = idle.iter().rposition(|(owner, _)| *owner == file);
            found.map(|position| idle.remove(position).1)
        };
        let mut slide = match kept {
            Some(slide) => slide,
            None => TiffFile::open(&self.files[file].path)?,
        };
        let picture = slide.read_region(tile)?;
        let mut idle = idle();
        if idle.len() == MAX_OPEN_SLIDES {
            idle.remove(0);
        }
        idle.push((file, slide));
        Ok(picture)
    }
}

/// SVS files, and tiled TIFFs that are large, whatever they are called. What cannot be opened is none; loading it will
/// say why.
fn is_slide(file: &FoundFile, min_side: usize) -> bool {
    let name = file.id.to_lowercase();
    if [".png", ".jpg", ".jpeg"].iter().any(|ending| name.ends_with(ending)) {
        return false;
    }
    name.ends_with(".svs")
        || TiffFile::open(&file.path).is_ok_and(|tiff| {
            let page = tiff.page();
            page.tiled && page.width.min(page.height) >= min_side
        })
}
