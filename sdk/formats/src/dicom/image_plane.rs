//! Image planes: the frames of DICOM objects with their position and orientation in the patient.
//!
//! Directions and positions are DICOM's: millimetres to the patient's left, posterior and superior.

use std::sync::Arc;

use dicom_dictionary_std::tags;

use super::attributes::{exactly, items, number};
use super::functional_groups::functional_group;
use super::modality_lut::rescale_problem;
use super::object::Object;
use super::pixels::Pixels;
use super::scan_elements::Marks;

/// One frame of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plane {
    /// Index of the frame in the file.
    pub(crate) frame: usize,
    /// Rows and columns.
    pub(crate) size: [usize; 2],
    /// Unit vectors along which column and row indices increase: Image Orientation (Patient) (0020,0037).
    pub(crate) directions: Option<[[f64; 3]; 2]>,
    /// Image Position (Patient) (0020,0032) of the first pixel.
    pub(crate) position: Option<[f64; 3]>,
    /// Slice Location (0020,1041), along an axis of the manufacturer's choice.
    pub(crate) location: Option<f64>,
    /// Instance Number (0020,0013); 0 where it is not stated.
    pub(crate) number: f64,
    /// Distance between rows, and between columns, in millimetres.
    pub(crate) spacing_mm: Option<[f64; 2]>,
    /// Elements that tell scans apart.
    pub(crate) marks: Arc<Marks>,
    /// What keeps the rescale from giving values with a unit, such as Hounsfield units.
    pub(crate) rescale_problem: Option<&'static str>,
    /// First row and column in the frame, where the plane is a tile of a mosaic.
    pub(crate) tile: Option<[usize; 2]>,
    /// Distance between planes in millimetres, or their thickness where the distance is not stated.
    pub(crate) step_mm: Option<f64>,
}

impl Plane {
    /// The planes of a file, in the order of its frames.
    pub(crate) fn all(object: &Object, pixels: &Pixels) -> Vec<Self> {
        let has_groups = !items(&object.header, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).is_empty();
        let mut planes: Vec<Self> = Vec::with_capacity(pixels.n_frames);
        for frame in 0..pixels.n_frames {
            // Frames share what is equal, so that many cost little memory.
            let before = planes.last().map(|plane| plane.marks.clone());
            let marks = match before {
                Some(before) if !has_groups => before,
                before => {
                    let marks = Marks::of(&object.header, frame);
                    before.filter(|before| *before == marks).unwrap_or(marks)
                }
            };
            planes.push(Self::of(object, pixels, frame, marks));
        }
        planes
    }

    fn of(object: &Object, pixels: &Pixels, frame: usize, marks: Arc<Marks>) -> Self {
        let header = &object.header;
        let measures = functional_group(header, frame, tags::PIXEL_MEASURES_SEQUENCE);
        let oriented = functional_group(header, frame, tags::PLANE_ORIENTATION_SEQUENCE);
        let positioned = functional_group(header, frame, tags::PLANE_POSITION_SEQUENCE);
        // A position that is stated once for many frames is that of the first frame only.
        let has_own = pixels.n_frames == 1
            || items(header, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE)
                .get(frame)
                .is_some_and(|groups| !items(groups, tags::PLANE_POSITION_SEQUENCE).is_empty());
        let directions = exactly::<6>(oriented, tags::IMAGE_ORIENTATION_PATIENT).and_then(|[a, b, c, d, e, f]| {
            let (columns, rows) = (unit([a, b, c])?, unit([d, e, f])?);
            // Perpendicular, within the precision of the file.
            (dot(columns, rows).abs() < 0.05).then_some([columns, rows])
        });
        let spacing = exactly::<2>(measures, tags::PIXEL_SPACING)
            .or_else(|| exactly::<2>(header, tags::IMAGER_PIXEL_SPACING))
            .filter(|spacing| spacing.iter().all(|&mm| mm > 0.0));
        let positive = |tag| number(measures, tag).map(f64::abs).filter(|&mm| mm > 0.0);
        Self {
            frame,
            size: [pixels.rows, pixels.columns],
            directions,
            position: exactly::<3>(positioned, tags::IMAGE_POSITION_PATIENT).filter(|_| has_own),
            location: number(header, tags::SLICE_LOCATION).filter(|_| pixels.n_frames == 1),
            number: number(header, tags::INSTANCE_NUMBER).unwrap_or_default(),
            spacing_mm: spacing,
            marks,
            rescale_problem: rescale_problem(object, frame),
            tile: None,
            step_mm: positive(tags::SPACING_BETWEEN_SLICES).or_else(|| positive(tags::SLICE_THICKNESS)),
        }
    }

    /// Unit vector perpendicular to the plane.
    pub(crate) fn normal(&self) -> [f64; 3] {
        let [[a, b, c], [d, e, f]] = self.directions_or_axial();
        [b * f - c * e, c * d - a * f, a * e - b * d]
    }

    /// Directions of columns and rows; those of an axial plane where they are not stated.
    pub(crate) fn directions_or_axial(&self) -> [[f64; 3]; 2] {
        self.directions.unwrap_or([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    }
}

pub(crate) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn unit(vector: [f64; 3]) -> Option<[f64; 3]> {
    let length = dot(vector, vector).sqrt();
    (0.9..1.1).contains(&length).then(|| vector.map(|part| part / length))
}
