//! Shapes of images (rows, columns) and volumes (depth, rows, columns).

use crate::{EvaluationError, Result};

/// Maximum number of voxels along an axis. The largest slides have less than a million.
const MAX_SIDE: usize = 1 << 24;

/// Checks that a shape has two or three axes of at least one voxel, and that its voxels can be counted. Returns three axes; those of an image follow
/// an axis of one voxel.
pub(super) fn three_axes(name: &str, shape: &[usize]) -> Result<[usize; 3]> {
    let three = match *shape {
        [rows, columns] => [1, rows, columns],
        [depth, rows, columns] => [depth, rows, columns],
        _ => return Err(wrong(name, shape, "two or three axes")),
    };
    if three.iter().any(|side| !(1..=MAX_SIDE).contains(side)) {
        return Err(wrong(name, shape, &format!("1 to {MAX_SIDE} voxels along each axis")));
    }
    // Sums and weights of every voxel take eight bytes.
    let n_bytes = three.iter().try_fold(8usize, |product, &side| product.checked_mul(side));
    match n_bytes {
        Some(n) if n <= isize::MAX as usize => Ok(three),
        _ => Err(wrong(name, shape, "fewer voxels than memory can have")),
    }
}

/// Checks that an array holds `n_channels` times the voxels of a shape, `[channels, space]`.
pub(super) fn check_length(name: &str, found: usize, n_channels: usize, shape: &[usize]) -> Result<()> {
    let expected = shape.iter().try_fold(n_channels, |product, &side| product.checked_mul(side));
    if expected == Some(found) {
        return Ok(());
    }
    let expected = format!("{n_channels} channels of the shape {shape:?}");
    Err(EvaluationError::array(name, format!("{found} values"), expected).into())
}

fn wrong(name: &str, shape: &[usize], expected: &str) -> crate::Error {
    EvaluationError::array(name, format!("the shape {shape:?}"), expected).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_that_are_no_image_and_no_volume_are_refused() {
        assert_eq!(three_axes("the mask", &[4, 5]).unwrap(), [1, 4, 5]);
        assert_eq!(three_axes("the mask", &[3, 4, 5]).unwrap(), [3, 4, 5]);
        for (shape, message) in [
            (&[4][..], "the mask has the shape [4], expected two or three axes"),
            (&[4, 0, 2], "the mask has the shape [4, 0, 2], expected 1 to 16777216 voxels along each axis"),
            (&[1 << 24, 1 << 24, 1 << 20], "expected fewer voxels than memory can have"),
        ] {
            let error = three_axes("the mask", shape).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        check_length("the tile", 40, 2, &[4, 5]).unwrap();
        let error = check_length("the tile", 41, 2, &[4, 5]).unwrap_err().to_string();
        assert_eq!(error, "the tile has 41 values, expected 2 channels of the shape [4, 5]");
        check_length("the tile", 0, usize::MAX, &[2, 4]).unwrap_err();
    }
}
