//! Files of a series: their planes from headers, and the pixels of a plane.

use std::hash::{DefaultHasher, Hasher};

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use medcoss_sdk::{Error, FoundFile};

use super::attributes::{have_decimal_comma, text};
use super::decode::stored_samples;
use super::frames::Frames;
use super::image_kind::reason_to_leave_out;
use super::image_plane::Plane;
use super::modality_lut::ModalityLut;
use super::mosaic::{self, is_mosaic};
use super::object::Object;
use super::padding::Padding;
use super::pixels::Pixels;
use super::scan_rules::ScanRules;
use super::stack::{Numbered, PlaneSource};

/// Largest number of planes in a file.
const MAX_PLANES: usize = 1 << 16;

/// Elements of numbers whose decimal commas are reported.
const DECIMALS: &[Tag] = &[
    tags::RESCALE_SLOPE,
    tags::RESCALE_INTERCEPT,
    tags::PIXEL_SPACING,
    tags::IMAGE_POSITION_PATIENT,
    tags::IMAGE_ORIENTATION_PATIENT,
    tags::SLICE_THICKNESS,
];

/// Contents of a file in a folder.
pub(super) enum Contents {
    /// A part of a scan.
    Planes(ScanFile),
    /// Left out, with the reason.
    LeftOut(String),
}

/// A file of a scan.
pub(super) struct ScanFile {
    /// UID of its series; empty where it states none.
    pub(super) series: String,
    pub(super) planes: Vec<Plane>,
    /// Whether the planes are the tiles of one image.
    pub(super) is_mosaic: bool,
    /// Whether numbers have commas.
    pub(super) has_decimal_comma: bool,
    /// Whether padding becomes the value outside of the scan, and would be another one otherwise.
    pub(super) is_padded: bool,
}

/// Reads what a file states.
///
/// # Errors
/// A file that is damaged or of an unsupported kind.
pub(super) fn contents(file: &FoundFile, rules: &ScanRules, is_named: bool) -> Result<Contents, Error> {
    let mut object = Object::open_image(&file.path)?;
    let modality = text(&object.header, tags::MODALITY).unwrap_or_default();
    if !["", "OT", rules.modality].contains(&modality.as_str()) && !is_named {
        return Ok(Contents::LeftOut(format!("DICOM of modality {modality}")));
    }
    if let Some(reason) = reason_to_leave_out(&object, rules).filter(|_| !is_named) {
        return Ok(Contents::LeftOut(reason.to_owned()));
    }
    let path = file.path.display();
    let pixels = Pixels::of(&object)?;
    if pixels.n_frames > MAX_PLANES {
        let n = pixels.n_frames;
        return Err(Error::unsupported(format!("{path} states {n} frames; volumes have at most {MAX_PLANES} slices")));
    }
    if !pixels.is_grey() {
        return match is_named {
            true => Err(Error::unsupported(format!("{path} is an image in colour; a scan is grey"))),
            false => Ok(Contents::LeftOut(String::from("DICOM in colour"))),
        };
    }
    let is_mosaic = is_mosaic(&object);
    let planes = if is_mosaic { mosaic::planes(&mut object, &pixels)? } else { Plane::all(&object, &pixels) };
    let padding = Padding::of(&object, &pixels);
    let is_padded = match padding {
        Some(padding) => padding.differs(&ModalityLut::of(&object, 0)?, rules.outside),
        None => false,
    };
    Ok(Contents::Planes(ScanFile {
        series: text(&object.header, tags::SERIES_INSTANCE_UID).unwrap_or_default(),
        planes,
        is_mosaic,
        has_decimal_comma: have_decimal_comma(&object.header, DECIMALS),
        is_padded,
    }))
}

/// A file whose planes are being read.
pub(super) struct Opened {
    object: Object,
    pixels: Pixels,
    frames: Frames,
    padding: Option<Padding>,
    /// Values of the frame of a mosaic, whose tiles are asked for one after another.
    mosaic: Option<(usize, Vec<f32>)>,
}

impl Opened {
    pub(super) fn open(file: &FoundFile) -> Result<Self, Error> {
        let mut object = Object::open_image(&file.path)?;
        let pixels = Pixels::of(&object)?;
        let frames = Frames::find(&mut object, &pixels)?;
        let padding = Padding::of(&object, &pixels);
        Ok(Self { object, pixels, frames, padding, mosaic: None })
    }

    /// Values of a plane of `size` rows and columns; padding has the value `outside`.
    pub(super) fn plane(
        &mut self,
        file: &FoundFile,
        size: [usize; 2],
        source: PlaneSource,
        outside: f32,
    ) -> Result<Vec<f32>, Error> {
        let changed = || Error::corrupt(format!("{} has changed since the data were opened", file.id));
        let whole = [self.pixels.rows, self.pixels.columns];
        if self.pixels.n_samples != 1 || source.frame >= self.pixels.n_frames {
            return Err(changed());
        }
        let Some(corner) = source.tile else {
            return if whole == size { self.frame(source.frame, outside) } else { Err(changed()) };
        };
        if (0..2).any(|axis| corner[axis] + size[axis] > whole[axis]) {
            return Err(changed());
        }
        let values = match self.mosaic.take() {
            Some((frame, values)) if frame == source.frame => values,
            _ => self.frame(source.frame, outside)?,
        };
        let plane = mosaic::cut(&values, whole[1], corner, size);
        self.mosaic = Some((source.frame, values));
        Ok(plane)
    }

    fn frame(&mut self, frame: usize, outside: f32) -> Result<Vec<f32>, Error> {
        let Self { object, pixels, frames, padding, .. } = self;
        let samples = stored_samples(object, pixels, frames, frame)?;
        let lut = ModalityLut::of(object, frame)?;
        let Some(padding) = padding else { return Ok(lut.values(samples, pixels)) };
        let is_padding: Vec<bool> = samples.iter().map(|&sample| padding.contains(sample)).collect();
        let mut values = lut.values(samples, pixels);
        values.iter_mut().zip(is_padding).filter(|(_, is_padding)| *is_padding).for_each(|(value, _)| *value = outside);
        Ok(values)
    }
}

/// Digests of the pixels of planes, however they are compressed.
pub(super) struct Digests<'a> {
    files: &'a [FoundFile],
    /// The file of the last plane: planes of one file follow one another.
    opened: Option<(usize, Opened)>,
}

impl<'a> Digests<'a> {
    pub(super) fn of(files: &'a [FoundFile]) -> Self {
        Self { files, opened: None }
    }

    /// The digest of a plane's pixels; `None` where they cannot be read.
    pub(super) fn digest(&mut self, (number, plane): &Numbered) -> Option<u64> {
        let file = self.files.get(*number)?;
        let mut opened = match self.opened.take() {
            Some((other, opened)) if other == *number => opened,
            _ => Opened::open(file).ok()?,
        };
        let source = PlaneSource { file: *number, frame: plane.frame, tile: plane.tile };
        let values = opened.plane(file, plane.size, source, 0.0).ok()?;
        self.opened = Some((*number, opened));
        let mut hasher = DefaultHasher::new();
        values.iter().for_each(|value| hasher.write_u32(value.to_bits()));
        Some(hasher.finish())
    }
}
