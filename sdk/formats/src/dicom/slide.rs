//! Whole slides in DICOM: a series of files, each a level of the same image, cut into frames.
//!
//! A region is read by decoding the frames that it touches, one after another, at their positions in the file; the file
//! is never in memory as a whole. Frames cover the image in rows (TILED_FULL) or state their positions (TILED_SPARSE).
//! Pixels without a frame are white, as the glass is. Only the first focal plane and optical path are read. Label and
//! overview images are not levels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use medcoss_sdk::image::{Image, Region};
use medcoss_sdk::{Error, FoundFile, Inclusion};

use super::attributes::{count, exactly, items, number as stated_number, text};
use super::decode::{number, stored_samples};
use super::file_meta;
use super::frames::Frames;
use super::functional_groups::functional_group;
use super::object::Object;
use super::pixels::{Photometric, Pixels};
use super::{Candidate, candidate, of_modality};
use crate::slide_level::Level;

/// Largest region in pixels that is read at once.
const MAX_PIXELS: usize = 1 << 26;
/// Relative tolerance for sides of pixels and proportions of images.
const ALIKE: f64 = 0.05;

/// An open slide.
pub struct DicomSlide {
    levels: Vec<Level>,
    files: Vec<Tiled>,
}

/// One file of a slide: a level, cut into frames.
struct Tiled {
    object: Object,
    pixels: Pixels,
    frames: Frames,
    /// Left column, upper row and number of each frame.
    places: Vec<(usize, usize, usize)>,
    width: usize,
    height: usize,
    mpp: Option<f64>,
}

/// Whether a file states that it is a DICOM whole slide or a part of one.
pub fn is_slide(path: &Path) -> bool {
    let stated = file_meta::sniff(path).ok().flatten();
    stated.is_some_and(|meta| meta.sop_class == uids::VL_WHOLE_SLIDE_MICROSCOPY_IMAGE_STORAGE)
}

/// Modality (0008,0060) of microscopy and of photography, and of images that no other names.
const MODALITIES: [&str; 4] = ["SM", "GM", "XC", "OT"];

/// Whether a dataset of tissue uses a file of a folder: images of microscopy, by their modality, and files that state none. A file whose
/// header cannot be read is used, so that reading it reports why.
pub fn inclusion(path: &Path, lower_case_name: &str) -> Inclusion {
    match candidate(path, lower_case_name) {
        Candidate::Image => {
            match Object::peek(path, tags::MODALITY).ok().and_then(|header| text(&header, tags::MODALITY)) {
                Some(modality) if !MODALITIES.contains(&modality.as_str()) => of_modality(&modality),
                _ => Inclusion::Included,
            }
        }
        other => other.inclusion(),
    }
}

/// Selects the files to open among whole slides: of each series in a folder the largest image. Files that cannot be
/// read stay, so that opening them reports why. Also gives the files that are no levels of a slide, but its label or an overview.
pub fn one_a_slide(files: Vec<FoundFile>) -> (Vec<FoundFile>, Vec<FoundFile>) {
    let mut largest: BTreeMap<(String, String), (u64, FoundFile)> = BTreeMap::new();
    let (mut chosen, mut photographs) = (Vec::new(), Vec::new());
    for file in files {
        let Ok(header) = Object::peek(&file.path, tags::TOTAL_PIXEL_MATRIX_ROWS) else {
            chosen.push(file);
            continue;
        };
        if !is_level(&header) {
            photographs.push(file);
            continue;
        }
        let folder = file.id.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let series = text(&header, tags::SERIES_INSTANCE_UID).unwrap_or_else(|| file.id.clone());
        let width = count(&header, tags::TOTAL_PIXEL_MATRIX_COLUMNS).unwrap_or_default();
        match largest.get(&(folder.clone(), series.clone())) {
            Some((found, _)) if *found >= width => {}
            _ => drop(largest.insert((folder, series), (width, file))),
        }
    }
    chosen.extend(largest.into_values().map(|(_, file)| file));
    chosen.sort_by(|a, b| a.id.cmp(&b.id));
    (chosen, photographs)
}

/// Whether a header is that of a level: its Image Type is neither label nor overview.
fn is_level(header: &InMemDicomObject) -> bool {
    let flavours = header.get(tags::IMAGE_TYPE).and_then(|element| element.to_multi_str().ok());
    let flavour = flavours.as_deref().and_then(|values| values.get(2)).map(|value| value.trim());
    !matches!(flavour, Some("LABEL" | "OVERVIEW"))
}

impl DicomSlide {
    /// Opens a slide by one of its files. The other files of the series lie in the same folder; those that cannot be
    /// read are skipped.
    ///
    /// # Errors
    /// A file that is missing, damaged, or no whole slide.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let named = Tiled::open(path)?;
        let series = text(&named.object.header, tags::SERIES_INSTANCE_UID);
        let mut files = vec![named];
        if let (Some(series), Some(folder)) = (series, path.parent()) {
            let failed = |error: std::io::Error| {
                Error::unreadable(format!("{} cannot be listed", folder.display())).caused_by(&error)
            };
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            for entry in std::fs::read_dir(folder).map_err(failed)? {
                let other = entry.map_err(failed)?.path();
                let belongs = || {
                    let header = Object::peek(&other, tags::SERIES_INSTANCE_UID).ok()?;
                    (text(&header, tags::SERIES_INSTANCE_UID)? == series && is_level(&header)).then_some(())
                };
                if other.file_name() != path.file_name() && is_slide(&other) && belongs().is_some() {
                    files.extend(Tiled::open(&other));
                }
            }
        }
        // The full level first; of equal ones the named file.
        files.sort_by_key(|file| std::cmp::Reverse(file.width));
        let (full_width, full_height) = (files[0].width, files[0].height);
        let mut widths = BTreeSet::new();
        files.retain(|file| {
            let (across, down) = (full_width as f64 / file.width as f64, full_height as f64 / file.height as f64);
            // Rounding to whole pixels changes the proportions of small levels.
            let tolerance = ALIKE + 1.0 / file.width as f64 + 1.0 / file.height as f64;
            (across / down - 1.0).abs() < tolerance && widths.insert(file.width)
        });
        let level = |(index, file): (usize, &Tiled)| Level {
            index,
            width: file.width,
            height: file.height,
            downsample: f64::midpoint(full_width as f64 / file.width as f64, full_height as f64 / file.height as f64),
            mpp: file.mpp,
            chunk: [file.pixels.columns, file.pixels.rows],
        };
        Ok(Self { levels: files.iter().enumerate().map(level).collect(), files })
    }

    /// Levels, the full one first, then by decreasing size.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// Whether the full level has further focal planes or optical paths, which are not read.
    pub fn has_further_planes(&self) -> bool {
        self.files.first().is_some_and(|file| file.pixels.n_frames > file.places.len())
    }

    /// Reads a region of a level, in pixels of that level.
    ///
    /// # Errors
    /// A region that is empty, too large or not inside the level, damaged frames.
    pub fn read_region(&mut self, level: Level, region: Region) -> Result<Image, Error> {
        let Some(file) = self.files.get_mut(level.index) else {
            return Err(Error::bad_request(format!("{level:?} is no level of the slide")));
        };
        file.read_region(region)
    }
}

impl Tiled {
    fn open(path: &Path) -> Result<Self, Error> {
        let shown = path.display();
        let mut object = Object::open_image(path)?;
        if object.sop_class != uids::VL_WHOLE_SLIDE_MICROSCOPY_IMAGE_STORAGE {
            return Err(Error::unsupported(format!("{shown} is a DICOM file, but no whole slide")));
        }
        let pixels = Pixels::of(&object)?;
        if pixels.photometric == Photometric::Palette {
            return Err(Error::unsupported(format!("{shown} is a slide with a palette; grey and colour are read")));
        }
        let side = |tag, name: &str| {
            let found = count(&object.header, tag).filter(|&side| side > 0);
            found.map(|side| side as usize).ok_or_else(|| Error::corrupt(format!("{shown} does not state its {name}")))
        };
        let width = side(tags::TOTAL_PIXEL_MATRIX_COLUMNS, "width")?;
        let height = side(tags::TOTAL_PIXEL_MATRIX_ROWS, "height")?;
        let places = places(&object.header, &pixels, width, height).ok_or_else(|| {
            let (n, rows, columns) = (pixels.n_frames, pixels.rows, pixels.columns);
            Error::corrupt(format!("{shown} has {n} frames of {columns}x{rows}, too few for {width}x{height} pixels"))
        })?;
        let mpp = mpp(&object.header, width, height);
        let frames = Frames::find(&mut object, &pixels)?;
        // Positions of frames are most of a header, and are known now.
        object.header.remove_element(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
        Ok(Self { object, pixels, frames, places, width, height, mpp })
    }

    fn read_region(&mut self, region: Region) -> Result<Image, Error> {
        let Region { left, top, width, height } = region;
        let end = |start: usize, length: usize, side: usize| {
            start.checked_add(length).filter(|&end| length > 0 && end <= side)
        };
        let (Some(right), Some(bottom)) = (end(left, width, self.width), end(top, height, self.height)) else {
            let (path, width, height) = (self.object.path.display(), self.width, self.height);
            return Err(Error::bad_request(format!("{region:?} is not inside the {width}x{height} pixels of {path}")));
        };
        if width.saturating_mul(height) > MAX_PIXELS {
            let limit = MAX_PIXELS / 1_000_000;
            return Err(Error::bad_request(format!("{region:?} is above the limit of {limit} million pixels")));
        }
        let (columns, rows, n_channels) = (self.pixels.columns, self.pixels.rows, self.pixels.n_samples);
        let most = ((1_u64 << self.pixels.bits_stored) - 1) as f64;
        let mut out = vec![1.0; width * height * n_channels];
        let touches =
            |&(x, y, _): &(usize, usize, usize)| x < right && x + columns > left && y < bottom && y + rows > top;
        let touched: Vec<_> = self.places.iter().copied().filter(touches).collect();
        for (x, y, frame) in touched {
            let samples = stored_samples(&mut self.object, &self.pixels, &self.frames, frame)?;
            let (first_column, end_column) = (x.max(left), (x + columns).min(right));
            for row in y.max(top)..(y + rows).min(bottom) {
                let from = ((row - y) * columns + first_column - x) * n_channels;
                let to = ((row - top) * width + first_column - left) * n_channels;
                let n = (end_column - first_column) * n_channels;
                for (value, &sample) in out[to..to + n].iter_mut().zip(&samples[from..from + n]) {
                    *value = (number(sample, &self.pixels) / most).clamp(0.0, 1.0) as f32;
                }
            }
        }
        if self.pixels.photometric == Photometric::Monochrome1 {
            out.iter_mut().for_each(|value| *value = 1.0 - *value);
        }
        Image::new([height, width, n_channels], out)
    }
}

/// Left column, upper row and number of the frames of the first focal plane and optical path; `None` where there are
/// too few.
fn places(
    header: &InMemDicomObject,
    pixels: &Pixels,
    width: usize,
    height: usize,
) -> Option<Vec<(usize, usize, usize)>> {
    let own = items(header, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    let place = |(frame, groups): (usize, &InMemDicomObject)| {
        let stated = items(groups, tags::PLANE_POSITION_SLIDE_SEQUENCE).first()?;
        let from_one = |tag| count(stated, tag).and_then(|at| at.checked_sub(1)).map(|at| at as usize);
        let left = from_one(tags::COLUMN_POSITION_IN_TOTAL_IMAGE_PIXEL_MATRIX)?;
        Some((left, from_one(tags::ROW_POSITION_IN_TOTAL_IMAGE_PIXEL_MATRIX)?, frame))
    };
    let is_full = text(header, tags::DIMENSION_ORGANIZATION_TYPE).as_deref() == Some("TILED_FULL");
    let stated: Vec<_> = own.iter().enumerate().take(pixels.n_frames).filter_map(place).collect();
    if !is_full && !stated.is_empty() {
        let mut seen = BTreeSet::new();
        return Some(stated.into_iter().filter(|&(left, top, _)| seen.insert((left, top))).collect());
    }
    let (across, down) = (width.div_ceil(pixels.columns), height.div_ceil(pixels.rows));
    let n = across.checked_mul(down).filter(|&n| n <= pixels.n_frames)?;
    Some((0..n).map(|frame| (frame % across * pixels.columns, frame / across * pixels.rows, frame)).collect())
}

/// Microns per pixel: by the pixel spacing, else by the size of the imaged volume. Pixels are assumed to be about
/// square.
fn mpp(header: &InMemDicomObject, width: usize, height: usize) -> Option<f64> {
    let measures = functional_group(header, 0, tags::PIXEL_MEASURES_SEQUENCE);
    let stated = exactly::<2>(measures, tags::PIXEL_SPACING).or_else(|| {
        let side = |tag, n: usize| stated_number(header, tag).map(|mm| mm / n as f64);
        Some([side(tags::IMAGED_VOLUME_HEIGHT, height)?, side(tags::IMAGED_VOLUME_WIDTH, width)?])
    });
    let [down, across] = stated.filter(|sides| sides.iter().all(|&mm| mm > 0.0))?;
    ((across / down - 1.0).abs() < ALIKE).then_some(1e3 * f64::midpoint(across, down))
}
