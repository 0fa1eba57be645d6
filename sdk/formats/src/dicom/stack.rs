//! Stack of planes: their order in a volume, the distances between them, and notes on irregularities.
//!
//! This module knows no files: each plane comes with the number of its file.

use super::image_plane::{Plane, dot};
use crate::file_axes::{FileAxes, ToRas, to_ras};
use crate::orientation::Orientation;

/// Planes nearer than this, in millimetres, have the same position.
pub(super) const SAME_PLACE_MM: f64 = 1e-3;
/// Relative deviation from the usual distance that is not reported.
const EVEN: f64 = 0.05;
/// Plausible distances in millimetres.
const PLAUSIBLE_MM: std::ops::RangeInclusive<f64> = 1e-3..=1e2;

pub(crate) const NO_ORIENTATION: &str =
    "do not state their orientation; their slices are assumed to be axial, seen from below";
const NO_POSITION: &str = "do not state where their slices lie; these are taken in the order of their numbers";
const NO_SPACING: &str = "do not state a plausible voxel spacing; 1 mm is assumed";
pub(crate) const SEVERAL: &str = "have several slices at the same place; the first of each, by number, is used";
const GAPS: &str = "lack slices; the others are treated as contiguous";
const UNEVEN: &str = "have slices at uneven distances; the usual distance is assumed for all";
const SHIFTED: &str = "have slices that are shifted against each other, as by a tilted gantry; this is not corrected";

/// A plane and the number of its file.
pub(crate) type Numbered = (usize, Plane);

/// Pixels of a plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlaneSource {
    /// Number of the file.
    pub(crate) file: usize,
    /// Index of the frame in the file.
    pub(crate) frame: usize,
    /// First row and column of the plane in the frame of a mosaic; `None` where the plane is the frame.
    pub(crate) tile: Option<[usize; 2]>,
}

/// Planes in order, with the axes of a stored array: columns, rows, planes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stack {
    /// File, frame and tile of each plane.
    pub(crate) planes: Vec<PlaneSource>,
    /// Columns, rows, planes.
    pub(crate) file_size: [usize; 3],
    pub(crate) orientation: Orientation,
    /// Where the planes lie, where it is stated: by column, row and plane.
    to_ras_mm: Option<ToRas>,
    states_spacing: bool,
    /// `[depth, rows, columns]` of the volume.
    pub(crate) spacing_mm: [f32; 3],
    /// Notes for the user, each the end of a sentence that begins with "scans".
    pub(crate) notes: Vec<&'static str>,
}

impl Stack {
    /// Orders planes of the same size and direction, of which no two have one position; `None` without planes.
    pub(crate) fn of(mut planes: Vec<Numbered>) -> Option<Self> {
        let mut notes = Vec::new();
        let first = planes.first()?.1.clone();
        if first.directions.is_none() {
            notes.push(NO_ORIENTATION);
        }
        let normal = first.normal();
        let place = |plane: &Plane| plane.position.map(|position| dot(position, normal));
        let mut step = first.step_mm;
        let by_number = |a: &Numbered, b: &Numbered| {
            a.1.number.total_cmp(&b.1.number).then((a.0, a.1.frame).cmp(&(b.0, b.1.frame)))
        };
        if planes.iter().all(|(_, plane)| plane.position.is_some()) {
            let key = |plane: &Plane| place(plane).unwrap_or_default();
            planes.sort_by(|a, b| key(&a.1).total_cmp(&key(&b.1)).then(by_number(a, b)));
            let (found, odd) = distances(&planes, normal);
            step = found.or(step);
            notes.extend(odd);
        } else if planes.len() > 1 {
            notes.push(NO_POSITION);
            let located = planes.iter().all(|(_, plane)| plane.location.is_some());
            let key = |plane: &Plane| plane.location.filter(|_| located).unwrap_or_default();
            planes.sort_by(|a, b| key(&a.1).total_cmp(&key(&b.1)).then(by_number(a, b)));
        }
        let [along_columns, along_rows] = first.directions_or_axial();
        let [rows, columns] = first.size;
        let spacing = first.spacing_mm.zip(step).map(|([down, across], step)| [across, down, step]);
        let stated = spacing.filter(|spacing| spacing.iter().all(|mm| PLAUSIBLE_MM.contains(mm)));
        let spacing = stated.unwrap_or_else(|| {
            notes.push(NO_SPACING);
            [1.0; 3]
        });
        // Steps are to the right and anterior, as [`Orientation`] expects.
        let towards = |[x, y, z]: [f64; 3], mm: f64| [-x * mm, -y * mm, z * mm];
        let steps = [towards(along_columns, spacing[0]), towards(along_rows, spacing[1]), towards(normal, spacing[2])];
        let orientation = Orientation::nearest(steps)?;
        let ends = first_and_last(&planes).filter(|_| stated.is_some() && first.directions.is_some());
        let to_ras_mm = ends.map(|[start, end]| {
            // From the first plane to the last in equal steps, which may lean against the normal (a tilted gantry).
            let n_steps = planes.len().saturating_sub(1) as f64;
            let between = [0, 1, 2].map(|part| (end[part] - start[part]) / n_steps);
            let across = if planes.len() > 1 { towards(between, 1.0) } else { steps[2] };
            to_ras([steps[0], steps[1], across], towards(start, 1.0))
        });
        Some(Self {
            to_ras_mm,
            states_spacing: stated.is_some(),
            planes: planes
                .iter()
                .map(|(file, plane)| PlaneSource { file: *file, frame: plane.frame, tile: plane.tile })
                .collect(),
            file_size: [columns, rows, planes.len()],
            orientation,
            spacing_mm: orientation.spacing.map(|mm| mm as f32),
            notes,
        })
    }

    /// The axes of the array `[slice, row, column]`.
    pub(crate) fn file_axes(&self) -> FileAxes {
        let Orientation { axis, flipped, .. } = self.orientation;
        let mut of_file_axis = [1.0; 3];
        axis.into_iter().zip(self.spacing_mm).for_each(|(axis, mm)| of_file_axis[axis] = f64::from(mm));
        let axes = FileAxes {
            size: self.file_size,
            axis,
            flipped,
            to_ras_mm: self.to_ras_mm,
            spacing_mm: self.states_spacing.then_some(of_file_axis),
        };
        axes.reordered([2, 1, 0])
    }
}

/// Positions of the first and the last plane.
fn first_and_last(planes: &[Numbered]) -> Option<[[f64; 3]; 2]> {
    Some([planes.first()?.1.position?, planes.last()?.1.position?])
}

/// The usual distance between neighbours, and notes on irregular distances.
fn distances(planes: &[Numbered], normal: [f64; 3]) -> (Option<f64>, Vec<&'static str>) {
    let positions: Vec<[f64; 3]> = planes.iter().filter_map(|(_, plane)| plane.position).collect();
    let between = |pair: &[[f64; 3]]| [0, 1, 2].map(|axis| pair[1][axis] - pair[0][axis]);
    let steps: Vec<[f64; 3]> = positions.windows(2).map(between).collect();
    let mut across: Vec<f64> = steps.iter().map(|&step| dot(step, normal)).collect();
    let mut odd = Vec::new();
    let is_shifted = |step: &[f64; 3]| {
        let across = dot(*step, normal);
        dot(*step, *step) - across * across > (EVEN * across).powi(2)
    };
    if steps.iter().any(is_shifted) {
        odd.push(SHIFTED);
    }
    across.sort_by(f64::total_cmp);
    let Some(&usual) = across.get(across.len() / 2) else { return (None, odd) };
    if across.last().is_some_and(|&largest| largest > 1.5 * usual) {
        odd.push(GAPS);
    } else if across.iter().any(|distance| (distance - usual).abs() > EVEN * usual) {
        odd.push(UNEVEN);
    }
    (Some(usual), odd)
}
