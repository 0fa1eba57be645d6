//! Foreground of a scan: the rows and columns that hold values above a threshold. Some slices are looked at, evenly spaced, so that
//! a long scan is not read as a whole.

use std::ops::Range;

use medcoss_sdk::{Error, intensity};

/// Slices that are looked at.
const MAX_SLICES: usize = 32;
/// Values that a percentile is taken of, evenly spaced.
const MAX_VALUES: usize = 1 << 20;

/// What is foreground.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Foreground {
    /// Values above this one: of CT in Hounsfield units.
    Above(f32),
    /// Values above this percentile (0 to 100) of those that are looked at.
    AbovePercentile(f64),
}

/// The slices of a scan that are looked at.
pub(crate) fn slices(n_slices: usize) -> impl Iterator<Item = usize> {
    let n = n_slices.min(MAX_SLICES);
    // The middle of each of as many parts.
    (0..n).map(move |at| (2 * at + 1) * n_slices / (2 * n))
}

/// Rows and columns of the smallest box around the foreground of slices of `[rows, columns]`; whole planes where there is none.
///
/// # Errors
/// Those of `read`, which gives a slice.
pub(crate) fn find(
    n_slices: usize,
    [rows, columns]: [usize; 2],
    foreground: Foreground,
    mut read: impl FnMut(usize) -> Result<Vec<f32>, Error>,
) -> Result<[Range<usize>; 2], Error> {
    // The largest value of each row and column says whether it holds foreground, whatever the threshold.
    let (mut of_rows, mut of_columns) = (vec![f32::NEG_INFINITY; rows], vec![f32::NEG_INFINITY; columns]);
    let n_looked_at = n_slices.min(MAX_SLICES);
    let every = (n_looked_at * rows * columns).div_ceil(MAX_VALUES).max(1);
    let mut values = Vec::new();
    for slice in slices(n_slices) {
        let voxels = read(slice)?;
        for (row, most) in voxels.chunks_exact(columns).zip(&mut of_rows) {
            for (&value, of_column) in row.iter().zip(&mut of_columns) {
                *most = most.max(value);
                *of_column = of_column.max(value);
            }
        }
        if matches!(foreground, Foreground::AbovePercentile(_)) {
            values.extend(voxels.into_iter().step_by(every));
        }
    }
    let threshold = match foreground {
        Foreground::Above(threshold) => threshold,
        Foreground::AbovePercentile(percentile) => {
            intensity::percentiles(&values, [percentile; 2]).map_or(f32::NEG_INFINITY, |[threshold, _]| threshold)
        }
    };
    let hull = |most: &[f32]| {
        let first = most.iter().position(|&value| value > threshold)?;
        let last = most.iter().rposition(|&value| value > threshold)?;
        Some(first..last + 1)
    };
    Ok([hull(&of_rows).unwrap_or(0..rows), hull(&of_columns).unwrap_or(0..columns)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_evenly_spaced() {
        assert_eq!(slices(1).collect::<Vec<_>>(), [0]);
        assert_eq!(slices(5).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        let some: Vec<usize> = slices(320).collect();
        assert_eq!((some.len(), some[0], some[31]), (32, 5, 315));
    }

    #[test]
    fn the_box_holds_all_that_is_above_the_threshold() {
        let slice = |at: usize| {
            let mut voxels = vec![-1000.0; 9 * 12];
            voxels[(2 + at) * 12 + 4 + 2 * at] = 50.0;
            Ok(voxels)
        };
        let found = |foreground| find(3, [9, 12], foreground, slice).unwrap();
        assert_eq!(found(Foreground::Above(0.0)), [2..5, 4..9]);
        assert_eq!(found(Foreground::Above(50.0)), [0..9, 0..12]);
        assert_eq!(found(Foreground::AbovePercentile(90.0)), [2..5, 4..9]);
        let flat = find(3, [9, 12], Foreground::AbovePercentile(90.0), |_| Ok(vec![7.0; 9 * 12])).unwrap();
        assert_eq!(flat, [0..9, 0..12]);
    }
}
