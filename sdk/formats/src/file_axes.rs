//! Axes of a volume's file: which of them are depth, rows and columns, and how the file states that they lie in the body.
//!
//! Axes are in the file's own index order: `(i, j, k)` of NIfTI, MetaImage, NRRD and FreeSurfer, the array's of NumPy,
//! `(slice, row, column)` of DICOM series. Samples and predictions are related to files by them alone.

use medcoss_sdk::FileGrid;
use medcoss_sdk::affine::Affine;

/// Rows that map `[index, 1]` of a file to millimetres to the right, anterior and superior.
pub(crate) type ToRas = [[f64; 4]; 3];

/// The axes of a file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FileAxes {
    /// Voxels along each axis.
    pub size: [usize; 3],
    /// The axis that is depth, rows and columns of the volume.
    pub axis: [usize; 3],
    /// Whether that axis is flipped.
    pub flipped: [bool; 3],
    /// Rows that map `[index, 1]` to millimetres to the right, anterior and superior. `None`: not stated.
    pub to_ras_mm: Option<[[f64; 4]; 3]>,
    /// Distance of neighbours along each axis in millimetres. `None`: not stated.
    pub spacing_mm: Option<[f64; 3]>,
}

impl FileAxes {
    /// From the places of the volume to those of its file.
    pub fn affine(&self) -> Affine<3> {
        Affine::of_orientation(self.axis, self.flipped, self.size)
    }

    /// The grid of the file.
    pub fn grid(&self) -> FileGrid {
        FileGrid {
            shape: self.size.to_vec(),
            to_ras_mm: self.to_ras_mm.filter(can_be_inverted),
            spacing_mm: self.spacing_mm.map(Vec::from),
        }
    }

    /// The same axes in another index order: `order` names the axes by their present numbers.
    pub(crate) fn reordered(self, order: [usize; 3]) -> Self {
        let number = |axis: usize| order.iter().position(|&old| old == axis).unwrap_or(axis);
        Self {
            size: order.map(|old| self.size[old]),
            axis: self.axis.map(number),
            flipped: self.flipped,
            to_ras_mm: self.to_ras_mm.map(|rows| {
                rows.map(|row| {
                    let [a, b, c] = order.map(|old| row[old]);
                    [a, b, c, row[3]]
                })
            }),
            spacing_mm: self.spacing_mm.map(|spacing| order.map(|old| spacing[old])),
        }
    }
}

/// Rows from the step of each axis and the place of the first voxel's centre, both to the right, anterior and superior.
pub(crate) fn to_ras(steps: [[f64; 3]; 3], first: [f64; 3]) -> ToRas {
    [0, 1, 2].map(|part| [steps[0][part], steps[1][part], steps[2][part], first[part]])
}

/// Whether the steps span a volume, beyond what rounding makes of a plane.
fn can_be_inverted(rows: &ToRas) -> bool {
    let step = |axis: usize| rows.map(|row| row[axis]);
    let lengths = [0, 1, 2].map(|axis| step(axis).iter().map(|part| part * part).sum::<f64>().sqrt());
    let is_finite = rows.iter().flatten().all(|value| value.is_finite()) && lengths.iter().all(|mm| mm.is_normal());
    if !is_finite {
        return false;
    }
    let [a, b, c] = [0, 1, 2].map(|axis| step(axis).map(|part| part / lengths[axis]));
    let volume =
        a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0]);
    volume.abs() > 1e-6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_index_order_changes_no_place() {
        let axes = FileAxes {
            size: [5, 7, 9],
            axis: [1, 2, 0],
            flipped: [true, false, true],
            to_ras_mm: Some(to_ras([[0.5, 0.1, 0.0], [0.0, 0.0, -2.0], [0.0, 3.0, 0.0]], [10.0, 20.0, 30.0])),
            spacing_mm: Some([0.51, 2.0, 3.0]),
        };
        let other = axes.reordered([2, 0, 1]);
        assert_eq!(other.size, [9, 5, 7]);
        assert_eq!(other.spacing_mm, Some([3.0, 0.51, 2.0]));
        let [i, j, k] = axes.affine().applied([1.0, 2.0, 3.0]);
        assert_eq!((other.affine().applied([1.0, 2.0, 3.0]), [i, j, k]), ([k, i, j], [2.0, 6.0, 2.0]));
        let mm = |rows: ToRas, index: [f64; 3]| {
            rows.map(|row| row[3] + (0..3).map(|axis| row[axis] * index[axis]).sum::<f64>())
        };
        assert_eq!(mm(other.to_ras_mm.unwrap(), [k, i, j]), mm(axes.to_ras_mm.unwrap(), [i, j, k]));
        assert!(axes.grid().to_ras_mm.is_some());
    }

    #[test]
    fn steps_that_span_no_volume_are_not_stated() {
        let flat = to_ras([[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 1.0]], [0.0; 3]);
        let infinite = to_ras([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [f64::INFINITY, 0.0, 0.0]);
        let (axis, flipped) = ([0, 1, 2], [false; 3]);
        for rows in [flat, infinite] {
            let axes = FileAxes { size: [2; 3], axis, flipped, to_ras_mm: Some(rows), spacing_mm: None };
            assert_eq!(axes.grid(), FileGrid::of_shape([2; 3]));
        }
    }
}
