//! Files of several frames, such as ultrasound clips and tomograms of the eye: frames for display, one at a time.
//!
//! Frames stay in the order of the file. A clip whose file states no window spans the same range of grey in all of its
//! frames, so that it does not flicker.

use std::path::Path;

use dicom_dictionary_std::tags;
use medcoss_sdk::Error;
use medcoss_sdk::image::{Image, Region};

use super::attributes::{count, exactly, items, number, text};
use super::colour::Palette;
use super::decode::{number as stored_number, stored_samples};
use super::display::{Display, Presentation};
use super::frames::Frames;
use super::functional_groups::functional_group;
use super::modality_lut::ModalityLut;
use super::object::Object;
use super::pixels::{Photometric, Pixels};

/// Longest plausible time from a frame to the next, in seconds.
const MAX_FRAME_SECONDS: f64 = 10.0;
/// Region Spatial Format (0018,6012) of a region that shows tissue in two dimensions.
const TWO_DIMENSIONAL: u64 = 1;

/// An opened file.
pub struct MultiFrame {
    object: Object,
    pixels: Pixels,
    frames: Frames,
    palette: Option<Palette>,
}

impl MultiFrame {
    /// Opens a file and locates its frames. A file of one frame is one of several as well.
    ///
    /// # Errors
    /// A file that is missing, damaged, of another format or an unsupported kind, or without an acquired image.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut object = Object::open_image(path)?;
        let pixels = Pixels::of(&object)?;
        let frames = Frames::find(&mut object, &pixels)?;
        let palette = (pixels.photometric == Photometric::Palette).then(|| Palette::of(&object)).transpose()?;
        Ok(Self { object, pixels, frames, palette })
    }

    /// Number of frames.
    pub fn n_frames(&self) -> usize {
        self.pixels.n_frames
    }

    /// Rows and columns of a frame.
    pub fn size(&self) -> [usize; 2] {
        [self.pixels.rows, self.pixels.columns]
    }

    /// Whether frames are in colour.
    pub fn is_colour(&self) -> bool {
        !self.pixels.is_grey()
    }

    /// Modality (0008,0060), where it is stated.
    pub fn modality(&self) -> Option<String> {
        text(&self.object.header, tags::MODALITY)
    }

    /// Seconds from a frame to the next: Frame Time (0018,1063), or else Cine Rate (0018,0040). `None` where neither is
    /// stated or plausible.
    pub fn frame_seconds(&self) -> Option<f64> {
        let header = &self.object.header;
        let time = number(header, tags::FRAME_TIME).map(|milliseconds| milliseconds / 1000.0);
        let rate = number(header, tags::CINE_RATE).map(|a_second| 1.0 / a_second);
        [time, rate].into_iter().flatten().find(|seconds| *seconds > 0.0 && *seconds <= MAX_FRAME_SECONDS)
    }

    /// Distances in millimetres of neighbouring frames, rows and columns, where all are stated.
    pub fn spacing_mm(&self) -> Option<[f64; 3]> {
        let measures = functional_group(&self.object.header, 0, tags::PIXEL_MEASURES_SEQUENCE);
        let [rows, columns] = exactly::<2>(measures, tags::PIXEL_SPACING)?;
        let positive = |tag| number(measures, tag).filter(|&mm| mm > 0.0);
        let step = positive(tags::SPACING_BETWEEN_SLICES).or_else(|| positive(tags::SLICE_THICKNESS))?;
        (rows > 0.0 && columns > 0.0).then_some([step, rows, columns])
    }

    /// The part of the frames that shows tissue: the largest region of two dimensions in the Sequence of Ultrasound
    /// Regions (0018,6011), or the largest of any kind where none is. `None` without regions in the frame.
    pub fn ultrasound_region(&self) -> Option<Region> {
        let [rows, columns] = self.size();
        let region = |item| {
            let at = |tag, size: usize| count(item, tag).map(|at| (at as usize).min(size - 1));
            let [left, right] =
                [at(tags::REGION_LOCATION_MIN_X0, columns)?, at(tags::REGION_LOCATION_MAX_X1, columns)?];
            let [top, bottom] = [at(tags::REGION_LOCATION_MIN_Y0, rows)?, at(tags::REGION_LOCATION_MAX_Y1, rows)?];
            let is_flat = count(item, tags::REGION_SPATIAL_FORMAT) == Some(TWO_DIMENSIONAL);
            let region =
                Region { left, top, width: (right + 1).checked_sub(left)?, height: (bottom + 1).checked_sub(top)? };
            (region.width > 1 && region.height > 1).then_some((is_flat, region.width * region.height, region))
        };
        let regions = items(&self.object.header, tags::SEQUENCE_OF_ULTRASOUND_REGIONS).iter().filter_map(region);
        // Of equal ones the first.
        let larger = |best: (bool, usize, Region), other: (bool, usize, Region)| {
            if (other.0, other.1) > (best.0, best.1) { other } else { best }
        };
        regions.reduce(larger).map(|(.., region)| region)
    }

    /// Whether the file states that its pixels show text (Burned In Annotation).
    pub fn states_burned_in_annotation(&self) -> bool {
        text(&self.object.header, tags::BURNED_IN_ANNOTATION).as_deref() == Some("YES")
    }

    /// A frame as it is displayed: grey or RGB in `[0, 1]`. Grey values are mapped by the file's VOI LUT or first
    /// window; without either, unsigned values that are not rescaled span all that their bits hold, and others their
    /// frame.
    ///
    /// # Errors
    /// Damaged pixels, a frame that the file does not have.
    pub fn read(&mut self, frame: usize) -> Result<Image, Error> {
        let Self { object, pixels, frames, palette } = self;
        let [rows, columns] = [pixels.rows, pixels.columns];
        if frame >= pixels.n_frames {
            let (path, n) = (object.path.display(), pixels.n_frames);
            return Err(Error::bad_request(format!("{path} has {n} frames; number {frame} is none of them")));
        }
        let samples = stored_samples(object, pixels, frames, frame)?;
        let most = ((1_u64 << pixels.bits_stored) - 1) as f32;
        let unit = |sample: i32| (stored_number(sample, pixels) as f32 / most).clamp(0.0, 1.0);
        if let Some(palette) = palette {
            let values = samples.into_iter().flat_map(|sample| palette.colour(sample)).collect();
            return Image::new([rows, columns, 3], values);
        }
        if !pixels.is_grey() {
            return Image::new([rows, columns, 3], samples.into_iter().map(unit).collect());
        }
        let (modality, display) = (ModalityLut::of(object, frame)?, Display::of(object, frame)?);
        let is_plain = !pixels.signed && modality == ModalityLut::Linear([1.0, 0.0]);
        let mut values = match display {
            Display::Range if is_plain => samples.into_iter().map(unit).collect(),
            _ => {
                let mut values = modality.values(samples, pixels);
                display.apply(&mut values, None);
                values
            }
        };
        Presentation::of(object, pixels)?.apply(&mut values);
        Image::new([rows, columns, 1], values)
    }
}

#[cfg(test)]
mod tests {
    use dicom_core::value::DataSetSequence;
    use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
    use dicom_dictionary_std::uids;
    use dicom_object::{FileMetaTableBuilder, InMemDicomObject};

    use super::*;
    use crate::dicom::write_multi_frame::{Kind, MultiFrameFile, WrittenFrames};

    /// Two frames of 2 x 3 pixels, with a change.
    fn opened(change: impl FnOnce(&mut InMemDicomObject)) -> MultiFrame {
        let frames = [vec![0, 51, 102, 153, 204, 255], vec![10; 6]];
        let file = MultiFrameFile {
            kind: Kind::Ultrasound { frame_time_ms: 40.0, region: None },
            series: "2.25.1",
            size: [2, 3],
            channels: 1,
            frames: WrittenFrames::Native(&frames),
        };
        let mut object = file.data_set();
        change(&mut object);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.dcm");
        let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
        object.with_meta(meta).unwrap().write_to_file(&path).unwrap();
        MultiFrame::open(&path).unwrap()
    }

    fn text(tag: Tag, vr: VR, value: &str) -> DataElement<InMemDicomObject> {
        DataElement::new(tag, vr, PrimitiveValue::from(value))
    }

    #[test]
    fn frames_span_one_range_of_grey_or_a_window() {
        let near = |image: Image, expected: [f32; 6]| {
            let close = image.pixels().iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
            assert!(close, "{:?}", image.pixels());
        };
        let mut plain = opened(|_| {});
        assert_eq!((plain.n_frames(), plain.size(), plain.modality().as_deref()), (2, [2, 3], Some("US")));
        near(plain.read(0).unwrap(), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        near(plain.read(1).unwrap(), [10.0 / 255.0; 6]);
        assert!(plain.read(2).is_err());
        let mut windowed = opened(|object| {
            object.put(text(tags::WINDOW_CENTER, VR::DS, "102"));
            object.put(text(tags::WINDOW_WIDTH, VR::DS, "204"));
            object.put(text(tags::VOILUT_FUNCTION, VR::CS, "LINEAR_EXACT"));
        });
        near(windowed.read(0).unwrap(), [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]);
    }

    #[test]
    fn the_time_of_a_frame_is_stated_in_milliseconds_or_as_a_rate() {
        assert_eq!(opened(|_| {}).frame_seconds(), Some(0.04));
        let rate = |time: &str, rate: &str| {
            opened(|object| {
                object.put(text(tags::FRAME_TIME, VR::DS, time));
                object.put(text(tags::CINE_RATE, VR::IS, rate));
            })
            .frame_seconds()
        };
        assert_eq!((rate("0", "25"), rate("", "50"), rate("-1", "0")), (Some(0.04), Some(0.02), None));
    }

    #[test]
    fn the_largest_region_of_two_dimensions_shows_tissue() {
        let region = |format: u16, [left, top, right, bottom]: [u32; 4]| {
            let place = |tag, value: u32| DataElement::new(tag, VR::UL, PrimitiveValue::from(value));
            InMemDicomObject::from_element_iter([
                DataElement::new(tags::REGION_SPATIAL_FORMAT, VR::US, PrimitiveValue::from(format)),
                place(tags::REGION_LOCATION_MIN_X0, left),
                place(tags::REGION_LOCATION_MIN_Y0, top),
                place(tags::REGION_LOCATION_MAX_X1, right),
                place(tags::REGION_LOCATION_MAX_Y1, bottom),
            ])
        };
        let found = |regions: Vec<InMemDicomObject>| {
            let regions = DataSetSequence::from(regions);
            opened(|object| {
                object.put(DataElement::new(tags::SEQUENCE_OF_ULTRASOUND_REGIONS, VR::SQ, regions));
            })
            .ultrasound_region()
        };
        // A trace of the whole frame is no tissue; edges beyond the frame are its own.
        let two = found(vec![region(3, [0, 0, 2, 1]), region(1, [1, 0, 4_000_000_000, 7])]);
        assert_eq!(two, Some(Region { left: 1, top: 0, width: 2, height: 2 }));
        assert_eq!(found(vec![region(3, [0, 0, 2, 1])]), Some(Region { left: 0, top: 0, width: 3, height: 2 }));
        assert_eq!(found(vec![region(1, [2, 0, 1, 1])]), None);
        assert_eq!(found(Vec::new()), None);
    }
}
