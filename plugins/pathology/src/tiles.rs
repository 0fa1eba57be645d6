//! The tiles of a dataset: files that are tiles, and tiles of slides that show tissue.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use image::{ImageBuffer, ImageFormat, Rgb};
use medcoss_formats::deidentify::Deidentifier;
use medcoss_formats::dicom::{self, Candidate};
use medcoss_formats::image_file::{self, DecodedImage};
use medcoss_formats::image_survey::notice_used_bits;
use medcoss_formats::label_image;
use medcoss_formats::slide::{Slide, Unread};
use medcoss_formats::tiff_file::MAX_PIXELS;
use medcoss_formats::tiff_slide::TiffSlide;
use medcoss_sdk::affine::Affine;
use medcoss_sdk::image::{Image, Resizable};
use medcoss_sdk::label_map::{LabelMap, check_fits};
use medcoss_sdk::{
    Account, Error, FileGrid, Found, FoundFile, Inclusion, SampleRecord, find_files_by_content, log, saved_samples,
};

use crate::grid::Grid;
use crate::options::Options;
use crate::slide_formats::{self, REMEDY};
use crate::tissue::tiles_with_tissue;

/// File formats that are read, for display.
#[cfg(not(feature = "openslide"))]
pub const FILE_FORMATS: &[&str] = &["PNG", "JPEG", "TIFF", "BMP", "DICOM", SLIDES];
#[cfg(feature = "openslide")]
pub const FILE_FORMATS: &[&str] =
    &["PNG", "JPEG", "TIFF", "BMP", "DICOM", SLIDES, "by OpenSlide: Hamamatsu NDPI and VMS, MIRAX, Ventana BIF"];
const SLIDES: &str = "whole slides: Aperio SVS, Leica SCN, OME-TIFF, tiled TIFF, DICOM";

/// Slides that are kept open between samples. A slide's table of tiles can take megabytes to read anew.
const MAX_OPEN_SLIDES: usize = 32;
/// Slides that are surveyed at once; each takes up to 60 MiB.
const MAX_SURVEYS: usize = 4;

/// Millions of pixels decoded for one tile from which on the log warns that it will be slow.
const SLOW_MILLION: usize = 16;

/// The files of the entries, each a tile or a slide. Of the files of a DICOM slide the one with its full level stands for
/// all; DICOM files in folders that hold no image of tissue and slides in formats that are not read are left out.
///
/// # Errors
/// Those of [`find_files_by_content`].
pub fn find(base: &Path, entries: &[PathBuf]) -> Result<Found, Error> {
    let inclusion = |path: &Path, name: &str| match slide_formats::unread(name) {
        _ if image_file::has_known_extension(name) || slide_formats::is_slide(name) => Inclusion::Included,
        Some(format) => {
            let remedy = slide_formats::remedy(name);
            Inclusion::Excluded(format!("a slide in {format}, which is not read ({remedy})").into())
        }
        None => dicom::slide::inclusion(path, name),
    };
    let mut found = find_files_by_content(base, entries, inclusion, &FILE_FORMATS.join(", "))?;
    let (slides, mut others): (Vec<_>, Vec<_>) =
        found.files.into_iter().partition(|file| dicom::slide::is_slide(&file.path));
    // Further levels of a slide are read with its first.
    let (slides, photographs) = dicom::slide::one_a_slide(slides);
    for file in photographs {
        found.account.leave_out(file.id, "DICOM of the label or an overview of a slide");
    }
    others.extend(slides);
    others.sort_by(|a, b| a.id.cmp(&b.id));
    found.files = others;
    Ok(found)
}

/// All samples of a dataset.
pub struct Tiles {
    files: Vec<FoundFile>,
    /// The grid of each slide; `None` for a file that is not a slide or cannot be read.
    grids: Vec<Option<Grid>>,
    samples: Vec<Place>,
    /// Bits that tiles in files of more than 8 use; `None`: those that each uses.
    bit_depth: Option<u32>,
    /// Slides that no thread reads at the moment, with the index of their file; the one used last is last.
    idle: Mutex<Vec<(usize, Slide)>>,
}

/// The place of a sample. A large slide has many, so this is small.
struct Place {
    /// Index into the files.
    file: usize,
    extent: Extent,
}

enum Extent {
    /// The whole file is the tile.
    Whole,
    /// A tile of a slide: its column and row.
    Tile([u32; 2]),
    /// A slide that could not be surveyed; loading the sample says why.
    Unreadable(Box<Error>),
}

/// Content of a file.
enum Content {
    /// A tile; whether further pages or frames follow it, which are not read.
    Tile {
        has_further_pages: bool,
        /// Whether it is an image file of more than 8 bits.
        is_deep: bool,
    },
    Slide(Surveyed),
    /// A slide that cannot be read, for this reason.
    LeftOut(String),
}

/// A slide, and its tiles with tissue.
struct Surveyed {
    grid: Grid,
    tiles: Vec<[u32; 2]>,
    states_mpp: bool,
    unread: Unread,
}

/// What is not in the samples as it is in the files.
#[derive(Default)]
struct Counts {
    n_files: usize,
    n_with_further_pages: usize,
    n_slides: usize,
    n_without_mpp: usize,
    n_with_further_planes: usize,
    n_with_further_areas: usize,
    n_tiles: usize,
    n_without_tissue: usize,
}

impl Counts {
    fn add(&mut self, content: &Result<Content, Error>) {
        self.n_files += 1;
        match content {
            Ok(Content::Tile { has_further_pages, .. }) => self.n_with_further_pages += usize::from(*has_further_pages),
            Ok(Content::Slide(slide)) => {
                let n_tiles = slide.grid.n_columns * slide.grid.n_rows;
                self.n_slides += 1;
                self.n_without_mpp += usize::from(!slide.states_mpp);
                self.n_with_further_planes += usize::from(slide.unread.planes);
                self.n_with_further_areas += usize::from(slide.unread.areas);
                self.n_tiles += n_tiles;
                self.n_without_tissue += n_tiles - slide.tiles.len();
            }
            Ok(Content::LeftOut(_)) | Err(_) => {}
        }
    }

    fn say(&self, account: &mut Account) {
        account.notice(
            self.n_with_further_pages,
            self.n_files,
            "files have several frames or pages, of which the first is read",
        );
        account.notice(
            self.n_without_mpp,
            self.n_slides,
            "slides do not state their microns per pixel; tiles are cut at full resolution",
        );
        account.notice(
            self.n_with_further_planes,
            self.n_slides,
            "slides have several channels or focal planes, of which the first is read",
        );
        account.notice(
            self.n_with_further_areas,
            self.n_slides,
            "slides have several scanned areas, of which the largest is read",
        );
        account.notice(
            self.n_without_tissue,
            self.n_tiles,
            "tiles of slides have less tissue than min_tissue_ratio and are not used",
        );
    }
}

impl Tiles {
    /// Lists the samples of files: looks at the head of each TIFF, and at a small level of each slide.
    ///
    /// # Errors
    /// No sample at all.
    pub fn list(files: Vec<FoundFile>, options: &Options, account: &mut Account) -> Result<Self, Error> {
        let (mut samples, mut grids, mut deep) = (Vec::new(), Vec::new(), Vec::new());
        let mut counts = Counts::default();
        for ((number, file), content) in files.iter().enumerate().zip(contents(&files, options)) {
            let place = |extent| Place { file: number, extent };
            counts.add(&content);
            let (grid, tiles) = match content {
                Ok(Content::Tile { is_deep, .. }) => {
                    deep.extend(is_deep.then_some(file));
                    (None, vec![Extent::Whole])
                }
                Ok(Content::LeftOut(reason)) => {
                    account.leave_out(file.id.as_str(), reason);
                    (None, Vec::new())
                }
                Ok(Content::Slide(Surveyed { grid, tiles, .. })) => {
                    if tiles.is_empty() {
                        account.leave_out(file.id.as_str(), "a slide without a tile of min_tissue_ratio");
                    }
                    let million = grid.pixels_a_tile() / 1_000_000;
                    if million >= SLOW_MILLION {
                        log::warn(&format!(
                            "{}: no level is near mpp, so that each tile decodes {million} million pixels\n\
                             hint: add smaller levels to the slide, or lower mpp",
                            file.id
                        ));
                    }
                    (Some(grid), tiles.into_iter().map(Extent::Tile).collect())
                }
                Err(error) => (None, vec![Extent::Unreadable(Box::new(error))]),
            };
            grids.push(grid);
            samples.extend(tiles.into_iter().map(place));
        }
        counts.say(account);
        if options.bit_depth.is_none() {
            notice_used_bits(&deep, account);
        }
        if samples.is_empty() {
            return Err(Error::bad_request(format!(
                "no tile of {} pixels in {} slides has a fraction of {} of tissue; left out: {}\n\
                 hint: lower tile_size, mpp or min_tissue_ratio",
                options.tile_size,
                files.len(),
                options.min_tissue_ratio,
                account.summary()
            )));
        }
        Ok(Self { files, grids, samples, bit_depth: options.bit_depth, idle: Mutex::default() })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Index of the file that a sample comes from.
    pub fn file_of(&self, index: usize) -> usize {
        self.samples[index].file
    }

    /// Record of a sample. The id of a tile of a slide is the file's with its upper left corner, and the tiles of a slide are one group.
    pub fn record(&self, index: usize) -> SampleRecord {
        let place = &self.samples[index];
        let file = &self.files[place.file];
        match &place.extent {
            Extent::Tile(tile) => {
                let [x, y] = self.grids[place.file].map(|grid| grid.corner(*tile)).unwrap_or_default();
                file.record_of_part(format_args!("x={x:04},y={y:04}")).in_group(file.id.as_str())
            }
            Extent::Whole | Extent::Unreadable(_) => file.record(),
        }
    }

    /// The tile, in grey or RGB.
    ///
    /// # Errors
    /// A file that is missing, damaged or of an unsupported kind.
    pub fn read(&self, index: usize) -> Result<DecodedImage, Error> {
        let Place { file, extent } = &self.samples[index];
        self.files[*file].check_unchanged()?;
        match extent {
            Extent::Whole => read_tile_file(&self.files[*file].path, self.bit_depth),
            Extent::Tile(tile) => self.read_tile(*file, *tile).map(DecodedImage::Floats),
            Extent::Unreadable(error) => Err(Error::clone(error)),
        }
    }

    /// From the pixels of a tile, as [`Tiles::read`] gives it, to those of its file: of a slide those of its full level.
    pub fn place(&self, index: usize) -> Affine<2> {
        let Place { file, extent } = &self.samples[index];
        match (extent, &self.grids[*file]) {
            (Extent::Tile(tile), Some(grid)) => grid.place(*tile),
            _ => Affine::identity(),
        }
    }

    /// Rows and columns of a sample's file, of a slide those of its full level, and their distance where it is stated.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn file_grid(&self, index: usize) -> Result<FileGrid, Error> {
        let Place { file, extent } = &self.samples[index];
        let path = &self.files[*file].path;
        self.files[*file].check_unchanged()?;
        match (extent, &self.grids[*file]) {
            (Extent::Tile(_), Some(grid)) => Ok(grid.file_grid()),
            (Extent::Unreadable(error), _) => Err(Error::clone(error)),
            _ => match dicom::candidate(path, &lower_case_name(path)) {
                Candidate::Other => image_file::displayed_size(path).map(FileGrid::of_shape),
                _ => dicom::image_grid(path),
            },
        }
    }

    /// The labels of a tile that is a file of its own, from its mask.
    ///
    /// # Errors
    /// A mask that cannot be read or has another size, a tile of a slide.
    pub fn labels(&self, index: usize, mask: &FoundFile) -> Result<LabelMap, Error> {
        let Place { file, extent } = &self.samples[index];
        let id = &self.files[*file].id;
        if !matches!(extent, Extent::Whole) {
            return Err(Error::unsupported(format!(
                "{id} is a slide; masks are read for tiles only\nhint: cut the slide and its mask into tiles of the same names"
            )));
        }
        let (image, labels) = (self.read(index)?, label_image::read_labels(mask)?);
        check_fits(&mask.id, labels.shape(), id, &[image.height(), image.width()])?;
        Ok(labels)
    }

    /// Writes a buffer sample into a folder: a de-identified copy of a file, or a tile of a slide as PNG of 16 bit.
    ///
    /// # Errors
    /// Those of [`Tiles::read`] and [`Deidentifier::copy`], a file that cannot be written.
    pub fn save(
        &self,
        index: usize,
        position: usize,
        folder: &Path,
        deidentifier: &mut Deidentifier,
    ) -> Result<PathBuf, Error> {
        let Place { file, extent } = &self.samples[index];
        if matches!(extent, Extent::Whole) {
            return deidentifier.copy(&self.files[*file], position, folder);
        }
        let tile = self.read(index)?.into_image().into_rgb();
        let (width, height) = (tile.width() as u32, tile.height() as u32);
        let words = tile.pixels().iter().map(|value| (value.clamp(0.0, 1.0) * 65535.0).round() as u16).collect();
        let name = saved_samples::name(position, ".png");
        let image = ImageBuffer::<Rgb<u16>, Vec<u16>>::from_raw(width, height, words)
            .ok_or_else(|| Error::bad_request(format!("a tile of {width}x{height} is no image")))?;
        let mut png = Cursor::new(Vec::new());
        image.write_to(&mut png, ImageFormat::Png).map_err(|error| {
            Error::unreadable(format!("{name} cannot be written to {}", folder.display())).caused_by(&error)
        })?;
        // A dark tile stays dark when it is opened again.
        let png = image_file::with_significant_bits(png.get_ref(), 3, 16);
        saved_samples::write(&folder.join(&name), &png)?;
        Ok(name.into())
    }

    /// Reads with a slide of its own while other threads read with theirs.
    fn read_tile(&self, file: usize, tile: [u32; 2]) -> Result<Image, Error> {
        let Some(grid) = self.grids[file] else {
            return Err(Error::bad_request(format!("{} is not cut into tiles", self.files[file].id)));
        };
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = {
            let mut idle = idle();
            let found = idle.iter().rposition(|(owner, _)| *owner == file);
            found.map(|position| idle.remove(position).1)
        };
        let mut slide = match kept {
            Some(slide) => slide,
            None => Slide::open(&self.files[file].path)?,
        };
        let image = slide.read_scaled(grid.level, grid.region(tile), grid.tile, grid.tile)?;
        let mut idle = idle();
        if idle.len() == MAX_OPEN_SLIDES {
            idle.remove(0);
        }
        idle.push((file, slide));
        Ok(image)
    }
}

fn lower_case_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// A file that is a tile by itself.
fn read_tile_file(path: &Path, bit_depth: Option<u32>) -> Result<DecodedImage, Error> {
    match dicom::candidate(path, &lower_case_name(path)) {
        Candidate::Other => image_file::read_decoded_by_depth(path, bit_depth),
        _ => Ok(DecodedImage::Floats(dicom::read_image(path)?.image)),
    }
}

/// What the files hold, in their order. Slides are surveyed by several threads, each a slide at a time.
fn contents(files: &[FoundFile], options: &Options) -> Vec<Result<Content, Error>> {
    let n_threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_SURVEYS).min(files.len());
    let next = AtomicUsize::new(0);
    let found: Mutex<Vec<(usize, Result<Content, Error>)>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..n_threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(file) = files.get(number) else { break };
                    let content = content(file, options);
                    found.lock().unwrap_or_else(PoisonError::into_inner).push((number, content));
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().map(|(_, content)| content).collect()
}

fn content(file: &FoundFile, options: &Options) -> Result<Content, Error> {
    let name = file.id.to_lowercase();
    if let Some(format) = slide_formats::unread(&name) {
        return Err(Error::unsupported(format!(
            "{} is a slide in {format}, which is not read\nhint: {}",
            file.id,
            slide_formats::remedy(&name)
        )));
    }
    if !is_slide(file, options.slide_min_side) {
        let (has_further_pages, is_deep) = match image_file::head(&file.path) {
            Some(head) => (head.has_further_images, head.is_deep),
            None => (dicom::n_frames(&file.path) > 1, false),
        };
        return Ok(Content::Tile { has_further_pages, is_deep });
    }
    let mut slide = Slide::open(&file.path)?;
    let grid = Grid::new(&file.id, &slide, options.tile_size, options.mpp)?;
    if slide.has_giant_pieces(grid.level) {
        return Ok(Content::LeftOut(format!("a slide in one piece, too large to be decoded ({REMEDY})")));
    }
    let tiles = tiles_with_tissue(&mut slide, &grid, options.min_tissue_ratio)?;
    let (states_mpp, unread) = (slide.levels()[0].mpp.is_some(), slide.unread());
    Ok(Content::Slide(Surveyed { grid, tiles, states_mpp, unread }))
}

/// Files that are slides by their name, DICOM slides, tiled TIFFs that are large or do not begin with their largest page, and TIFFs that do
/// not fit into memory, whatever they are called. What cannot be opened is none; loading it will say why.
pub(crate) fn is_slide(file: &FoundFile, min_side: usize) -> bool {
    let name = file.id.to_lowercase();
    if [".png", ".jpg", ".jpeg", ".bmp"].iter().any(|extension| name.ends_with(extension)) {
        return false;
    }
    slide_formats::is_slide(&name)
        || dicom::slide::is_slide(&file.path)
        || TiffSlide::open(&file.path).is_ok_and(|slide| {
            let (full, layout) = (slide.levels()[0], slide.layout());
            let is_large = full.width.min(full.height) >= min_side;
            layout.is_tiled && (is_large || !layout.full_is_first) || full.width * full.height > MAX_PIXELS
        })
}
