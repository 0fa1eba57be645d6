//! Checks of the grids of files: the answer to `grids`.

use medcoss_abi::message::FileGrid;

use crate::sample::is_invertible;

/// Most voxels along an axis, and in a file.
const MAX_SIDE: usize = 1 << 24;
const MAX_VOXELS: usize = 1 << 40;

/// Checks the answer for so many samples of so many axes, 0 for a sequence of ids.
///
/// # Errors
/// What was found and what was expected.
pub fn check(n_axes: usize, grids: &[Option<FileGrid>], n_asked: usize) -> Result<(), String> {
    if grids.len() != n_asked {
        return Err(format!("it answers with {} grids for {n_asked} samples", grids.len()));
    }
    grids.iter().flatten().try_for_each(|grid| check_grid(n_axes, grid))
}

fn check_grid(n_axes: usize, FileGrid { shape, to_ras_mm, spacing_mm }: &FileGrid) -> Result<(), String> {
    let n_voxels = shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
    let is_in_range = shape.iter().all(|side| (1..=MAX_SIDE).contains(side))
        && n_voxels.is_some_and(|n_voxels| n_voxels <= MAX_VOXELS);
    if shape.len() != n_axes || n_axes == 0 || !is_in_range {
        return Err(format!(
            "a file has the grid {shape:?}; samples have {n_axes} axes, and a grid has as many, of 1 to {MAX_SIDE} voxels \
             each and up to {MAX_VOXELS} in all"
        ));
    }
    if let Some(rows) = to_ras_mm {
        let steps = rows.iter().map(|row| row[..3].to_vec()).collect();
        if n_axes != 3 || !rows.iter().flatten().all(|value| value.is_finite()) || !is_invertible(steps) {
            return Err(format!(
                "a file of the grid {shape:?} lies in the body by {rows:?}; three axes and finite numbers that can be \
                 inverted were expected"
            ));
        }
    }
    match spacing_mm {
        Some(spacing) if spacing.len() != n_axes || !spacing.iter().all(|mm| mm.is_finite() && *mm > 0.0) => {
            Err(format!("a file of the grid {shape:?} has a spacing of {spacing:?} mm; each must be positive"))
        }
        _ => Ok(()),
    }
}

/// Whether the box of a sample meets its file: `affine` is that of a sample of `grid` tokens, as
/// [`medcoss_abi::extra::AFFINES`] has it, and checked. Touching borders do not meet.
pub fn meets(affine: &[f32], grid: &[usize], shape: &[usize]) -> bool {
    affine.chunks_exact(grid.len() + 1).zip(shape).all(|(row, &side)| {
        let (scale, offset) = row.split_at(grid.len());
        let ends = scale.iter().zip(grid).map(|(&scale, &n)| f64::from(scale) * n as f64);
        let start = f64::from(offset[0]);
        let (least, most) = ends.fold((start, start), |(least, most), end| (least + end.min(0.0), most + end.max(0.0)));
        least < side as f64 && most > 0.0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(shape: &[usize]) -> FileGrid {
        FileGrid::of_shape(shape)
    }

    #[test]
    fn grids_have_as_many_axes_as_samples_and_a_size_in_range() {
        let to_ras_mm = Some([[0.0, 0.0, -2.0, 8.0], [0.5, 0.0, 0.0, 3.0], [0.0, 1.0, 0.0, -1.0]]);
        let whole = FileGrid { to_ras_mm, spacing_mm: Some(vec![0.5, 1.0, 2.0]), ..grid(&[7, 5, 3]) };
        assert_eq!(check(3, &[Some(whole.clone()), None], 2), Ok(()));
        assert_eq!(check(2, &[Some(grid(&[1 << 20, 1 << 20]))], 1), Ok(()));
        assert!(check(3, &[Some(whole.clone())], 2).unwrap_err().contains("1 grids for 2 samples"));
        let mut flat = whole.clone();
        flat.to_ras_mm = Some([[1.0, 2.0, 0.0, 8.0], [0.5, 1.0, 0.0, 3.0], [0.0, 0.0, 1.0, -1.0]]);
        let mut infinite = whole.clone();
        infinite.to_ras_mm = Some([[f64::INFINITY; 4]; 3]);
        let placed = FileGrid { to_ras_mm, ..grid(&[7, 5]) };
        let spaced = |spacing: &[f64]| FileGrid { spacing_mm: Some(spacing.to_vec()), ..grid(&[7, 5]) };
        for (n_axes, wrong, expected) in [
            (2, grid(&[7]), "samples have 2 axes"),
            (0, grid(&[]), "samples have 0 axes"),
            (2, grid(&[7, 0]), "the grid [7, 0]"),
            (2, grid(&[1, MAX_SIDE + 1]), "of 1 to 16777216"),
            (2, grid(&[1 << 21, 1 << 20]), "up to 1099511627776 in all"),
            (3, flat, "can be inverted"),
            (3, infinite, "finite numbers"),
            (2, placed, "three axes"),
            (2, spaced(&[1.0]), "a spacing of [1.0] mm"),
            (2, spaced(&[1.0, 0.0]), "each must be positive"),
        ] {
            let what = check(n_axes, &[None, Some(wrong)], 2).unwrap_err();
            assert!(what.contains(expected), "{what}");
        }
    }

    #[test]
    fn a_sample_that_lies_beside_its_file_is_noticed() {
        // Rows 1 to 13, columns 8 to 0.
        let affine = [4.0, 0.0, 1.0, 0.0, -2.0, 8.0];
        assert!(meets(&affine, &[3, 4], &[14, 8]));
        assert!(meets(&affine, &[3, 4], &[2, 1]), "a padded sample reaches beyond its file");
        assert!(!meets(&affine, &[3, 4], &[1, 8]), "it begins where the file ends");
        assert!(!meets(&[4.0, 0.0, 1.0, 0.0, -2.0, 0.0], &[3, 4], &[14, 8]));
    }
}
