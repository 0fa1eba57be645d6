//! Orientation: maps the axes of a file to the axes of a [`Volume`](medcoss_sdk::volume::Volume): depth from inferior
//! to superior, rows from anterior to posterior, columns from the patient's right to left.
//!
//! Axes are only permuted and flipped: an oblique scan keeps its own grid, named after the nearest axes of the body.
//! The module knows no file format; callers state the steps of the three file axes in a right, anterior, superior
//! frame.

/// Body axis (0 right, 1 anterior, 2 superior) of depth, rows and columns, and whether each runs along it or against
/// it.
const CANONICAL: [(usize, f64); 3] = [(2, 1.0), (1, -1.0), (0, -1.0)];
/// The axes of a file that are depth, rows and columns in stored order.
#[cfg(feature = "nifti")]
pub(crate) const STORED_ORDER: [usize; 3] = [2, 0, 1];
const PERMUTATIONS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// Mapping from the axes of a file to depth, rows and columns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Orientation {
    /// The file axis that becomes depth, rows and columns.
    pub(crate) axis: [usize; 3],
    /// Whether that axis is flipped.
    pub(crate) flipped: [bool; 3],
    /// Length of a step along that axis, in the unit of the input.
    pub(crate) spacing: [f64; 3],
}

impl Orientation {
    /// The orientation nearest to the steps of the file axes in (right, anterior, superior). `None` when the steps span
    /// no volume.
    pub(crate) fn nearest(steps: [[f64; 3]; 3]) -> Option<Self> {
        let lengths = steps.map(|[x, y, z]| (x * x + y * y + z * z).sqrt());
        if !lengths.iter().all(|length| length.is_normal()) {
            return None;
        }
        let unit = [0, 1, 2].map(|axis| steps[axis].map(|part| part / lengths[axis]));
        if determinant(unit).abs() < 1e-4 {
            return None;
        }
        // `body[axis]` is the body axis that file axis `axis` is taken for.
        let alignment = |body: &[usize; 3]| (0..3).map(|axis| unit[axis][body[axis]].abs()).sum::<f64>();
        let body = PERMUTATIONS.iter().copied().reduce(|best, next| {
            // On a tie the earlier one stays, so that rounding of a 45 degree scan decides nothing.
            if alignment(&next) > alignment(&best) + 1e-9 { next } else { best }
        })?;
        let axis = CANONICAL.map(|(wanted, _)| body.iter().position(|&body| body == wanted).unwrap_or(wanted));
        let along = [0, 1, 2].map(|i| unit[axis[i]][CANONICAL[i].0] * CANONICAL[i].1);
        Some(Self { axis, flipped: along.map(|along| along < 0.0), spacing: axis.map(|axis| lengths[axis]) })
    }

    /// The orientation of a file that states no directions: its axes are right, anterior, superior, with these steps.
    #[cfg(feature = "nifti")]
    pub(crate) fn unstated([x, y, z]: [f64; 3]) -> Self {
        Self { axis: [2, 1, 0], flipped: [false, true, true], spacing: [z, y, x] }
    }

    /// The orientation in stored order, whatever the directions: the third axis of the file becomes depth, the first
    /// rows, the second columns.
    #[cfg(feature = "volume")]
    pub(crate) fn in_stored_order(self) -> Self {
        self.in_order(STORED_ORDER)
    }

    /// These axes of the file as depth, rows and columns, whatever their directions; none is flipped.
    #[cfg(feature = "nifti")]
    pub(crate) fn in_order(self, axis: [usize; 3]) -> Self {
        let mut by_file_axis = [0.0; 3];
        for (axis, spacing) in self.axis.into_iter().zip(self.spacing) {
            by_file_axis[axis] = spacing;
        }
        Self { axis, flipped: [false; 3], spacing: axis.map(|axis| by_file_axis[axis]) }
    }

    /// `[depth, rows, columns]` of a file with axes of these sizes.
    pub(crate) fn size(&self, file_size: [usize; 3]) -> [usize; 3] {
        self.axis.map(|axis| file_size[axis])
    }

    /// Index of the file's first voxel in `[depth, rows, columns]`, and the stride of each file axis.
    pub(crate) fn strides(&self, file_size: [usize; 3]) -> (usize, [isize; 3]) {
        let [_, rows, columns] = self.size(file_size);
        let canonical = [rows * columns, columns, 1];
        let (mut first, mut strides) = (0, [0; 3]);
        for ((axis, flipped), step) in self.axis.into_iter().zip(self.flipped).zip(canonical) {
            // Volumes are limited far below `isize::MAX`.
            strides[axis] = step as isize;
            if flipped {
                first += (file_size[axis] - 1) * step;
                strides[axis] = -strides[axis];
            }
        }
        (first, strides)
    }
}

/// Writes the values of a file's row to voxels from `start` on, `step` apart; `step` is 1 or -1 where the row stays a
/// row.
///
/// # Panics
/// When a voxel of the row lies outside of `voxels`.
pub(crate) fn place(voxels: &mut [f32], start: usize, step: isize, values: impl ExactSizeIterator<Item = f32>) {
    let n = values.len();
    match step {
        1 => voxels[start..start + n].iter_mut().zip(values).for_each(|(voxel, value)| *voxel = value),
        -1 => {
            let row = &mut voxels[start + 1 - n..=start];
            row.iter_mut().rev().zip(values).for_each(|(voxel, value)| *voxel = value);
        }
        _ => {
            for (i, value) in values.enumerate() {
                voxels[start.wrapping_add_signed(i as isize * step)] = value;
            }
        }
    }
}

/// Replaces infinite and NaN voxels by the value outside of the scan; returns their number.
pub(crate) fn replace_not_finite(voxels: &mut [f32], outside: f32) -> usize {
    let mut n_replaced = 0;
    // They are rare: a block without any is only read.
    for block in voxels.chunks_mut(1024) {
        if block.iter().fold(true, |all, voxel| all & voxel.is_finite()) {
            continue;
        }
        for voxel in block.iter_mut().filter(|voxel| !voxel.is_finite()) {
            *voxel = outside;
            n_replaced += 1;
        }
    }
    n_replaced
}

fn determinant([a, b, c]: [[f64; 3]; 3]) -> f64 {
    a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canonical_file_is_left_as_it_is() {
        // First file axis to the left, second to posterior, third to superior: what DICOM calls LPS.
        let steps = [[-0.7, 0.0, 0.0], [0.0, -0.8, 0.0], [0.0, 0.0, 2.5]];
        let orientation = Orientation::nearest(steps).unwrap();
        assert_eq!(orientation.size([9, 7, 5]), [5, 7, 9]);
        assert_eq!(orientation.strides([9, 7, 5]), (0, [1, 9, 63]));
        assert_eq!(orientation.spacing, [2.5, 0.8, 0.7]);
    }

    #[test]
    fn the_stored_order_puts_the_third_axis_first_and_flips_nothing() {
        let steps = [[0.0, -0.7, 0.0], [0.0, 0.0, -0.8], [2.5, 0.0, 0.0]];
        let orientation = Orientation::nearest(steps).unwrap().in_stored_order();
        assert_eq!(orientation.size([9, 7, 5]), [5, 9, 7]);
        assert_eq!(orientation.strides([9, 7, 5]), (0, [7, 1, 63]));
        assert_eq!(orientation.spacing, [2.5, 0.7, 0.8]);
    }

    #[test]
    fn an_oblique_scan_is_named_after_the_nearest_axes() {
        // Sagittal slices tilted by 20 degrees: file axes run posterior, inferior, right.
        let (sin, cos) = 20_f64.to_radians().sin_cos();
        let steps = [[0.0, -cos, -sin], [0.0, sin, -cos], [3.0, 0.0, 0.0]];
        let orientation = Orientation::nearest(steps).unwrap();
        assert_eq!(orientation.axis, [1, 0, 2]);
        assert_eq!(orientation.flipped, [true, false, true]);
    }

    #[test]
    fn rows_are_written_forwards_backwards_and_with_gaps() {
        let values = [1.0, 2.0, 3.0];
        for (start, step, expected) in [
            (1, 1, [0., 1., 2., 3., 0., 0., 0.]),
            (4, -1, [0., 0., 3., 2., 1., 0., 0.]),
            (0, 3, [1., 0., 0., 2., 0., 0., 3.]),
            (6, -2, [0., 0., 3., 0., 2., 0., 1.]),
        ] {
            let mut voxels = [0.0; 7];
            place(&mut voxels, start, step, values.into_iter());
            assert_eq!(voxels, expected);
        }
    }

    #[test]
    fn infinite_and_nan_voxels_get_the_value_outside_and_are_counted() {
        let mut voxels: Vec<f32> = (0..3000).map(|value| value as f32).collect();
        let whole = voxels.clone();
        assert_eq!((replace_not_finite(&mut voxels, -7.0), &voxels), (0, &whole));
        (voxels[0], voxels[1023], voxels[2999]) = (f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
        assert_eq!(replace_not_finite(&mut voxels, -7.0), 3);
        assert_eq!([voxels[0], voxels[1], voxels[1023], voxels[2999]], [-7.0, 1.0, -7.0, -7.0]);
    }

    #[test]
    fn steps_that_span_no_volume_have_no_orientation() {
        assert_eq!(Orientation::nearest([[0.0; 3]; 3]), None);
        assert_eq!(Orientation::nearest([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), None);
        assert_eq!(Orientation::nearest([[f64::NAN, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), None);
        assert_eq!(Orientation::nearest([[f64::INFINITY, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), None);
    }
}
