//! From the probabilities of a file's samples to the voxels of the file.
//!
//! Each voxel of the file is looked up in every sample that covers it, by the inverse of the sample's affine map, between the centres of the sample's
//! voxels along lines. Where samples overlap, as with a stride below the size, each counts by how near the voxel is to its middle (a Gaussian, as in
//! nnU-Net and MONAI). The file is worked through in slabs, so that its probabilities are never in memory as a whole.

use anyhow::{Result, bail};
use half::f16;
use medcoss_core::decoders::TokenGrid;
use medcoss_core::downstream::ImportanceMap;
use rayon::prelude::*;

/// Probabilities of one sample, and where it lies in its file.
pub(super) struct Placed {
    /// `[voxels, values]` in the order of `[depth, height, width]`, in 16 bits: a file may have many samples.
    values: Vec<f16>,
    /// From indices of the file, of voxels' centres, to indices of the sample.
    to_sample: [[f64; 4]; 3],
}

impl Placed {
    /// A sample with probabilities `values`; `affine` maps tokens along the grid's axes to voxels of the file, of `n_axes` axes.
    ///
    /// # Errors
    /// An affine that cannot be inverted.
    pub fn new(values: &[f32], affine: &[f32], grid: &TokenGrid, n_axes: usize) -> Result<Self> {
        let mut forward = [[0.0; 4]; 3];
        let first = 3 - n_axes;
        for (axis, row) in forward.iter_mut().enumerate().take(first) {
            row[axis] = 1.0;
        }
        for (row, values) in affine.chunks_exact(n_axes + 1).enumerate() {
            for (column, value) in values[..n_axes].iter().enumerate() {
                // From tokens to voxels of the sample.
                let patch = grid.patch[first + column] as f64;
                forward[first + row][first + column] = f64::from(*value) / patch;
            }
            forward[first + row][3] = f64::from(values[n_axes]);
        }
        let Some(mut to_sample) = inverse(forward) else { bail!("its place in the file cannot be inverted") };
        // Places are counted by borders, indices by centres: half a voxel is added before and taken away after.
        for row in &mut to_sample {
            row[3] += 0.5 * (row[0] + row[1] + row[2]) - 0.5;
        }
        Ok(Self { values: values.iter().map(|value| f16::from_f32(*value)).collect(), to_sample })
    }
}

/// The inverse of an affine map.
fn inverse(map: [[f64; 4]; 3]) -> Option<[[f64; 4]; 3]> {
    let m = |row: usize, column: usize| map[row][column];
    let minor = |a: usize, b: usize, c: usize, d: usize| m(a, c) * m(b, d) - m(a, d) * m(b, c);
    let determinant = m(0, 0) * minor(1, 2, 1, 2) - m(0, 1) * minor(1, 2, 0, 2) + m(0, 2) * minor(1, 2, 0, 1);
    if !determinant.is_finite() || determinant == 0.0 {
        return None;
    }
    let square = [
        [minor(1, 2, 1, 2), -minor(0, 2, 1, 2), minor(0, 1, 1, 2)],
        [-minor(1, 2, 0, 2), minor(0, 2, 0, 2), -minor(0, 1, 0, 2)],
        [minor(1, 2, 0, 1), -minor(0, 2, 0, 1), minor(0, 1, 0, 1)],
    ];
    let mut inverse = [[0.0; 4]; 3];
    for (row, values) in inverse.iter_mut().zip(square) {
        for (value, found) in row.iter_mut().zip(values) {
            *value = found / determinant;
        }
        row[3] = -(0..3).map(|at| row[at] * map[at][3]).sum::<f64>();
    }
    Some(inverse)
}

/// Classes of the voxels of a file.
pub(super) struct Classified {
    /// Of each voxel, in the file's index order with the last axis fastest, the classes as a sum of powers of two.
    pub classes: Vec<u16>,
    /// Number of voxels that no sample covers; they are background.
    pub n_uncovered: u64,
}

/// Classifies the voxels of a file of `shape` from its samples: by the most likely class, or where classes overlap by each with a probability above one half.
pub(super) fn classify(
    shape: [usize; 3],
    samples: &[Placed],
    grid: &TokenGrid,
    n_classes: usize,
    overlapping: bool,
) -> Result<Classified> {
    let n_values = n_classes + usize::from(!overlapping);
    let [_, rows, columns] = shape;
    let space = grid.space();
    let weights = match (samples.len() > 1, space) {
        (false, _) => None,
        (true, [1, rows, columns]) => {
            Some(ImportanceMap::gaussian(&[rows, columns], ImportanceMap::IMAGE_SIGMA_SCALE)?)
        }
        (true, volume) => Some(ImportanceMap::gaussian(&volume, ImportanceMap::VOLUME_SIGMA_SCALE)?),
    };
    let weights = weights.as_ref().map(ImportanceMap::values);
    let mut classes = vec![0u16; shape.iter().product()];
    let n_uncovered = classes
        .par_chunks_mut(columns.max(1))
        .enumerate()
        .map(|(line, classes)| {
            let (z, y) = (line / rows, line % rows);
            let mut sums = vec![0.0f32; columns * n_values];
            let mut total = vec![0.0f32; columns];
            for sample in samples {
                add_line(sample, [z as f64, y as f64], space, weights, n_values, &mut sums, &mut total);
            }
            let mut n_uncovered = 0u64;
            for ((class, sums), total) in classes.iter_mut().zip(sums.chunks_exact(n_values)).zip(&total) {
                if *total == 0.0 {
                    n_uncovered += 1;
                    continue;
                }
                *class = match overlapping {
                    true => (0..n_classes).map(|at| u16::from(sums[at] > 0.5 * total) << at).sum(),
                    false => {
                        let most = (1..n_values).fold(0, |best, at| if sums[at] > sums[best] { at } else { best });
                        most.checked_sub(1).map_or(0, |class| 1 << class)
                    }
                };
            }
            n_uncovered
        })
        .sum();
    Ok(Classified { classes, n_uncovered })
}

/// Adds a sample to a line of the file, the voxels with the first two indices `at`.
fn add_line(
    sample: &Placed,
    at: [f64; 2],
    space: [usize; 3],
    weights: Option<&[f32]>,
    n_values: usize,
    sums: &mut [f32],
    total: &mut [f32],
) {
    let start = sample.to_sample.map(|row| row[0] * at[0] + row[1] * at[1] + row[3]);
    let step = sample.to_sample.map(|row| row[2]);
    // The part of the line within half a voxel of the sample's outer centres, which is its box.
    let (mut first, mut last) = (0.0f64, total.len() as f64 - 1.0);
    for axis in 0..3 {
        let (low, high) = (-0.5 - 1e-6, space[axis] as f64 - 0.5 + 1e-6);
        if step[axis].abs() < 1e-12 {
            if start[axis] < low || start[axis] > high {
                return;
            }
            continue;
        }
        let (a, b) = ((low - start[axis]) / step[axis], (high - start[axis]) / step[axis]);
        first = first.max(a.min(b));
        last = last.min(a.max(b));
    }
    if first > last {
        return;
    }
    let [_, height, width] = space;
    for x in first.ceil() as usize..=last.floor() as usize {
        let mut lower = [0usize; 3];
        let mut share = [0.0f32; 3];
        let mut nearest = 0;
        for axis in 0..3 {
            let place = (start[axis] + step[axis] * x as f64).clamp(0.0, space[axis] as f64 - 1.0);
            lower[axis] = (place as usize).min(space[axis].saturating_sub(2));
            share[axis] = (place - lower[axis] as f64) as f32;
            nearest = nearest * space[axis] + place.round() as usize;
        }
        let weight = weights.map_or(1.0, |weights| weights[nearest]);
        total[x] += weight;
        let own = &mut sums[x * n_values..][..n_values];
        for corner in 0..8usize {
            let mut of_corner = weight;
            let mut place = [0usize; 3];
            for axis in 0..3 {
                let upper = corner >> axis & 1;
                of_corner *= if upper == 1 { share[axis] } else { 1.0 - share[axis] };
                place[axis] = (lower[axis] + upper).min(space[axis] - 1);
            }
            if of_corner == 0.0 {
                continue;
            }
            let voxel = (place[0] * height + place[1]) * width + place[2];
            let values = &sample.values[voxel * n_values..][..n_values];
            own.iter_mut().zip(values).for_each(|(sum, value)| *sum += of_corner * value.to_f32());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> TokenGrid {
        TokenGrid { grid: [1, 2, 2], patch: [2, 2, 2], channels: 1 }
    }

    /// Probabilities of a sample with one class in some of its voxels.
    fn values(voxels: &[usize]) -> Vec<f32> {
        let grid = grid();
        (0..grid.n_voxels()).flat_map(|at| if voxels.contains(&at) { [0.1, 0.9] } else { [0.9, 0.1] }).collect()
    }

    #[test]
    fn a_flipped_and_shifted_sample_lies_where_its_voxels_came_from() {
        // Sample [2, 4, 4] in a file [4, 6, 5]: depth is the file's last axis reversed, rows its first shifted by... columns its second.
        // File index: first = row, second = column + 1, third = 3 - depth.
        let affine = [0., 2., 0., 0., 0., 0., 2., 1., -2., 0., 0., 4.];
        let voxel = |z: usize, y: usize, x: usize| (z * 4 + y) * 4 + x;
        let sample = Placed::new(&values(&[voxel(0, 1, 2), voxel(1, 3, 0)]), &affine, &grid(), 3).unwrap();
        let shape = [4, 6, 5];
        let found = classify(shape, &[sample], &grid(), 1, false).unwrap();
        let set: Vec<usize> = (0..found.classes.len()).filter(|at| found.classes[*at] != 0).collect();
        let at = |i: usize, j: usize, k: usize| (i * 6 + j) * 5 + k;
        assert_eq!(set, [at(1, 3, 3), at(3, 1, 2)]);
        assert_eq!(found.n_uncovered, (4 * 6 * 5 - 2 * 4 * 4) as u64);
    }

    #[test]
    fn an_image_has_two_axes_and_a_coarser_sample_covers_blocks_of_pixels() {
        let grid = TokenGrid { grid: [1, 2, 2], patch: [1, 1, 1], channels: 1 };
        // Each token covers 3 x 3 pixels.
        let affine = [3., 0., 0., 0., 3., 0.];
        let values = [0.9, 0.1, 0.1, 0.9, 0.9, 0.1, 0.9, 0.1];
        let sample = Placed::new(&values, &affine, &grid, 2).unwrap();
        let found = classify([1, 6, 6], &[sample], &grid, 1, false).unwrap();
        // Half way between centres both classes are as likely, and the background wins.
        let rows: Vec<Vec<u16>> = found.classes.chunks(6).map(<[u16]>::to_vec).collect();
        assert_eq!(rows[0], [0, 0, 0, 1, 1, 1]);
        assert_eq!(rows[5], [0; 6]);
        assert_eq!(found.n_uncovered, 0);
    }

    #[test]
    fn overlapping_samples_count_by_their_distance_from_the_middle() {
        let grid = TokenGrid { grid: [1, 1, 1], patch: [1, 1, 8], channels: 1 };
        let one = |p: f32, first: f32| {
            let values: Vec<f32> = (0..8).flat_map(|_| [1.0 - p, p]).collect();
            Placed::new(&values, &[1., 0., 0., 0., 0., 1., 0., 0., 0., 0., 8., first], &grid, 3).unwrap()
        };
        let found = classify([1, 1, 12], &[one(0.9, 0.0), one(0.1, 4.0)], &grid, 1, false).unwrap();
        assert_eq!(found.classes, [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]);
    }
}
