//! Squeezing of a block of voxels to another size as SimpleITK does it when only the spacing changes. The centres of
//! the first voxels coincide, so output `i` of `m` is read at `i * n / m`, by trilinear interpolation. Up to half a
//! voxel past the last centre the result is the last voxel's value, and 0 beyond. Whole numbers are rounded towards
//! zero, so that the last bit decides where a position falls on a voxel: positions and the order of axes are
//! SimpleITK's.

use std::ops::Range;

use medcoss_sdk::affine::Affine;

/// Rounding of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// To whole numbers, towards zero.
    Whole,
    /// None.
    Real,
}

/// Squeezes a part of `voxels`, which have `size`, to the size `to`.
pub(crate) fn squeeze(
    voxels: &[f32],
    size: [usize; 3],
    part: &[Range<usize>; 3],
    to: [usize; 3],
    stored: Stored,
) -> Vec<f32> {
    let [depth, columns] = [0, 2].map(|axis| places(part[axis].len(), to[axis], by_steps));
    let rows = places(part[1].len(), to[1], by_fractions);
    let mut squeezed = Vec::with_capacity(to.iter().product());
    let row_at = |slice: usize, row: usize| {
        let start = ((part[0].start + slice) * size[1] + part[1].start + row) * size[2];
        &voxels[start + part[2].start..start + part[2].end]
    };
    for slice in &depth {
        for row in &rows {
            let (Some((z, [z_first, z_next])), Some((y, [y_first, y_next]))) = (slice, row) else {
                squeezed.resize(squeezed.len() + to[2], 0.0);
                continue;
            };
            let lines = [(*z_first, *y_first), (*z_first, *y_next), (*z_next, *y_first), (*z_next, *y_next)];
            let lines = lines.map(|(slice, row)| row_at(slice, row));
            squeezed.extend(columns.iter().map(|column| {
                let Some((x, [first, next])) = column else { return 0.0 };
                // Interpolation is first along the file's first axis, the rows here, then along its second and third.
                let on_row = |slice: usize, column: usize| {
                    between(lines[2 * slice][column].into(), lines[2 * slice + 1][column].into(), *y)
                };
                let [near, far] = [0, 1].map(|slice| between(on_row(slice, *first), on_row(slice, *next), *x));
                let value = between(near, far, *z);
                match stored {
                    Stored::Whole => value.trunc() as f32,
                    Stored::Real => value as f32,
                }
            }));
        }
    }
    squeezed
}

/// From the voxels of a squeezed part to those of the volume that it is part of.
pub(crate) fn place(part: &[Range<usize>; 3], to: [usize; 3]) -> Affine<3> {
    let axes = [0, 1, 2];
    let scale = axes.map(|axis| part[axis].len() as f64 / to[axis] as f64);
    // The centres of the first voxels coincide, half a voxel behind the borders.
    Affine::of_axes(scale, axes.map(|axis| part[axis].start as f64 + 0.5 - scale[axis] / 2.0))
}

/// Linear interpolation. Exactly the first value where both are equal: rounding must not push whole numbers below it.
fn between(first: f64, next: f64, at: f64) -> f64 {
    first + (next - first) * at
}

/// Position of output `i` of `m` on an axis of `n`: `i` steps.
fn by_steps(i: usize, n: usize, m: usize) -> f64 {
    i as f64 * (n as f64 / m as f64)
}

/// The same position but for its last bit, as a fraction of the whole. SimpleITK computes positions along the file's
/// first axis so.
fn by_fractions(i: usize, n: usize, m: usize) -> f64 {
    i as f64 / m as f64 * (m as f64 * (n as f64 / m as f64))
}

/// For each of `m` outputs of an axis of `n`: the fraction of the way between two voxels, and their indices; `None`
/// beyond the axis.
fn places(n: usize, m: usize, position: fn(usize, usize, usize) -> f64) -> Vec<Option<(f64, [usize; 2])>> {
    let place = |i: usize| {
        let position = position(i, n, m);
        let first = position as usize;
        // Half a voxel past the last centre; both sides are exact where they are equal.
        let inside = 2 * i * n <= (2 * n - 1) * m;
        inside.then(|| (position - first as f64, [first.min(n - 1), (first + 1).min(n - 1)]))
    };
    (0..m).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_centres_coincide_and_values_beyond_the_last_are_zero() {
        let voxels = [10.0, 20.0];
        let whole = [0..1, 0..1, 0..2];
        let found = squeeze(&voxels, [1, 1, 2], &whole, [1, 1, 5], Stored::Real);
        // Positions 0, 0.4, 0.8, 1.2 and 1.6, of which the last is more than half a voxel past the last centre.
        let expected = [10.0, 14.0, 18.0, 20.0, 0.0];
        assert!(found.iter().zip(expected).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-5), "{found:?}");
        assert_eq!(squeeze(&[-7.0, -2.0], [1, 1, 2], &whole, [1, 1, 4], Stored::Whole), [-7.0, -4.0, -2.0, -2.0]);
    }

    #[test]
    fn at_its_own_size_a_part_is_cut_out() {
        let voxels: Vec<f32> = (0..60).map(|at| at as f32).collect();
        let part = squeeze(&voxels, [3, 4, 5], &[1..3, 1..3, 2..5], [2, 2, 3], Stored::Whole);
        assert_eq!(part, [27., 28., 29., 32., 33., 34., 47., 48., 49., 52., 53., 54.]);
    }
}
