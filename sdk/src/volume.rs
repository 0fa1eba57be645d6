//! Volumes as arrays: a scan with its voxel spacing, resampling of a sub-volume, flipping.
//!
//! Files are read elsewhere; tokens are made in [`crate::volume_transform`].
//!
//! Axes are always `[depth, rows, columns]`, depth slowest. A scan of a body runs from inferior to superior, anterior
//! to posterior, the patient's right to left: a slice looks as radiologists see it, spine below, the patient's right on
//! the left.

use std::borrow::Cow;
use std::ops::Range;

use crate::Error;

/// A scan.
#[derive(Debug, Clone, PartialEq)]
pub struct Volume {
    size: [usize; 3],
    spacing_mm: [f32; 3],
    voxels: Vec<f32>,
}

/// Where the output positions of one axis lie on the input: output `i` at the voxel coordinate `first + i * step`.
/// Voxel `j` is centred on `j` and reaches from `j - 0.5` to `j + 0.5`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    n: usize,
    first: f64,
    step: f64,
}

/// A resampled sub-volume, which may extend beyond the volume.
#[derive(Debug, Clone, PartialEq)]
pub struct SubVolume {
    /// Values where the sub-volume lies inside the volume, `[depth, rows, columns]` of that region.
    pub values: Vec<f32>,
    size: [usize; 3],
    inside: [Range<usize>; 3],
}

impl Volume {
    /// A volume from `voxels` `[depth, rows, columns]` with the distance of neighbours along each axis.
    ///
    /// # Errors
    /// No voxels, voxels that do not have this size, spacing that is not positive.
    pub fn new(size: [usize; 3], spacing_mm: [f32; 3], voxels: Vec<f32>) -> Result<Self, Error> {
        let [depth, rows, columns] = size;
        let expected = depth.checked_mul(rows).and_then(|n| n.checked_mul(columns));
        if voxels.is_empty() || expected != Some(voxels.len()) {
            let found = voxels.len();
            return Err(Error::bad_request(format!("{found} values are no volume of {depth}x{rows}x{columns}")));
        }
        if !spacing_mm.iter().all(|&mm| mm.is_finite() && mm > 0.0) {
            return Err(Error::bad_request(format!("voxel spacing {spacing_mm:?} mm is not positive")));
        }
        Ok(Self { size, spacing_mm, voxels })
    }

    /// `[depth, rows, columns]`.
    pub fn size(&self) -> [usize; 3] {
        self.size
    }

    /// Distance of neighbouring voxels in millimetres, in the order of the axes.
    pub fn spacing_mm(&self) -> [f32; 3] {
        self.spacing_mm
    }

    /// `[depth, rows, columns]`.
    pub fn voxels(&self) -> &[f32] {
        &self.voxels
    }

    /// The voxels, without size and spacing.
    pub fn into_voxels(self) -> Vec<f32> {
        self.voxels
    }

    /// A sub-volume at the positions of three samplings. Trilinear; along an axis whose step is above 1 the
    /// linear kernel is widened by the step, so that every voxel counts (Pillow's `BILINEAR`, torch's `trilinear` with
    /// antialiasing and without `align_corners`). Kernels are cut off at the border and brought to a sum of 1.
    /// Positions that fall on voxel centres with steps of 1 give the voxels unchanged.
    ///
    /// # Errors
    /// Samplings without any position inside the volume.
    pub fn resampled(&self, samplings: [Sampling; 3]) -> Result<SubVolume, Error> {
        let plane = self.size[1] * self.size[2];
        let slab = |slices: Range<usize>| Ok(&self.voxels[slices.start * plane..slices.end * plane]);
        SubVolume::resample(self.size, samplings, self.size[0], slab)
    }
}

impl SubVolume {
    /// The same as [`Volume::resampled`], to the bit, of a volume of `size` that is not in memory. `read` gives the voxels
    /// of some slices; it is asked for at most `most` at once, from first to last, and for none that do not count.
    ///
    /// # Errors
    /// Samplings without any position inside the volume, those of `read`, slices that do not have this size.
    pub fn from_slabs(
        size: [usize; 3],
        samplings: [Sampling; 3],
        most: usize,
        read: impl FnMut(Range<usize>) -> Result<Vec<f32>, Error>,
    ) -> Result<Self, Error> {
        Self::resample(size, samplings, most.max(1), read)
    }

    fn resample<'a, Voxels: Into<Cow<'a, [f32]>>>(
        size: [usize; 3],
        samplings: [Sampling; 3],
        most: usize,
        mut read: impl FnMut(Range<usize>) -> Result<Voxels, Error>,
    ) -> Result<Self, Error> {
        let axes = [0, 1, 2];
        let inside = axes.map(|axis| samplings[axis].inside(size[axis]));
        let [n_slices, n_rows, n_columns] = size;
        if inside.iter().any(Range::is_empty) {
            return Err(Error::bad_request(format!(
                "samples that are {samplings:?} miss a volume of {n_slices}x{n_rows}x{n_columns}"
            )));
        }
        let [mut depth, rows, columns] =
            axes.map(|axis| Kernels::new(samplings[axis], inside[axis].clone(), size[axis]));

        // Slices that no kernel touches need not be looked at; they are most of a long scan. Along columns and rows
        // every slice is by itself: how many come at once makes no difference.
        let slab = depth.reach();
        depth.shift(slab.start);
        let mut slices = Cow::Borrowed(&[][..]);
        for start in slab.clone().step_by(most) {
            let wanted = start..(start + most).min(slab.end);
            let n_expected = wanted.len() * n_rows * n_columns;
            let voxels = read(wanted)?.into();
            if voxels.len() != n_expected {
                let found = voxels.len();
                return Err(Error::bad_request(format!("{found} values instead of {n_expected} make up some slices")));
            }
            let some = rows.apply(columns.apply(voxels, 1), inside[2].len());
            if slices.is_empty() {
                slices = some;
            } else {
                slices.to_mut().extend_from_slice(&some);
            }
        }
        let values = depth.apply(slices, inside[1].len() * inside[2].len()).into_owned();
        Ok(Self { values, size: samplings.map(|sampling| sampling.n), inside })
    }

    /// `[depth, rows, columns]`, including what lies outside of the volume.
    pub fn size(&self) -> [usize; 3] {
        self.size
    }

    /// All voxels, with `outside` where the sub-volume extends beyond the volume.
    pub fn padded(self, outside: f32) -> Vec<f32> {
        let [depth, rows, columns] = self.size;
        if self.values.len() == depth * rows * columns {
            return self.values;
        }
        let [z, y, x] = self.inside;
        let mut whole = vec![outside; depth * rows * columns];
        for (run, values) in self.values.chunks_exact(x.len()).enumerate() {
            let (slice, row) = (z.start + run / y.len(), y.start + run % y.len());
            whole[(slice * rows + row) * columns..][x.clone()].copy_from_slice(values);
        }
        whole
    }
}

impl Sampling {
    /// Stretches or shrinks the whole axis of `n_in` voxels to `n`; borders fall on borders.
    pub fn stretched(n_in: usize, n: usize) -> Self {
        let step = n_in as f64 / n as f64;
        Self { n, first: (step - 1.0) / 2.0, step }
    }

    /// `n` positions with distance `step`, their middle on the middle of an axis of `n_in` voxels.
    pub fn centred(n_in: usize, n: usize, step: f64) -> Self {
        let middle = (n_in as f64 - 1.0) / 2.0;
        Self { n, first: middle - step * (n as f64 - 1.0) / 2.0, step }
    }

    /// Every voxel from `first` on, which may lie before the axis.
    pub fn voxels(first: isize, n: usize) -> Self {
        Self { n, first: first as f64, step: 1.0 }
    }

    /// Number of positions.
    pub fn n(&self) -> usize {
        self.n
    }

    /// `n` of these positions from `start` on; both may lie outside, where the positions continue.
    pub fn window(&self, start: isize, n: usize) -> Self {
        Self { n, first: self.first + self.step * start as f64, step: self.step }
    }

    /// The same positions on an axis with `by` more voxels before it, or, where that is negative, fewer.
    pub fn shifted(&self, by: f64) -> Self {
        Self { first: self.first + by, ..*self }
    }

    /// Voxel coordinate of the first position, see [`Sampling`].
    pub fn first(&self) -> f64 {
        self.first
    }

    /// Distance of neighbouring positions in voxels.
    pub fn step(&self) -> f64 {
        self.step
    }

    /// The voxel of an axis of `n_in` that each position falls on; `None` outside.
    pub fn nearest(&self, n_in: usize) -> Vec<Option<usize>> {
        let inside = self.inside(n_in);
        // Half way between two voxels it is the later one.
        let voxel = |i: usize| (self.first + self.step * i as f64 + 0.5).floor().clamp(0.0, n_in as f64 - 1.0) as usize;
        (0..self.n).map(|i| inside.contains(&i).then(|| voxel(i))).collect()
    }

    /// Which positions fall on voxels of an axis of `n_in`.
    fn inside(&self, n_in: usize) -> Range<usize> {
        // Borders that meet up to rounding count as inside.
        let (low, high) = (-0.5 - 1e-6, n_in as f64 - 0.5 + 1e-6);
        let is_inside = |i: &usize| (low..=high).contains(&(self.first + self.step * *i as f64));
        let start = (0..self.n).find(is_inside).unwrap_or(self.n);
        let n = (start..self.n).take_while(is_inside).count();
        start..start + n
    }
}

/// Weights of the input voxels for each output position of one axis.
struct Kernels {
    n_in: usize,
    /// First voxel and weights, a position each.
    kernels: Vec<(usize, Vec<f32>)>,
    /// Whether positions fall on voxels that follow one another, so that there is nothing to weigh.
    is_window: bool,
}

impl Kernels {
    fn new(sampling: Sampling, inside: Range<usize>, n_in: usize) -> Self {
        let reach = sampling.step.max(1.0);
        let kernel = |i: usize| {
            let centre = sampling.first + sampling.step * i as f64;
            let weight = |j: usize| (1.0 - (j as f64 - centre).abs() / reach).max(0.0);
            let last = ((centre + reach).floor().max(0.0) as usize).min(n_in - 1);
            let mut start = ((centre - reach).ceil().max(0.0) as usize).min(last);
            let mut weights: Vec<f64> = (start..=last).map(weight).collect();
            while weights.len() > 1 && weights.last() == Some(&0.0) {
                weights.pop();
            }
            let zeros = weights.iter().take_while(|&&weight| weight == 0.0).count().min(weights.len() - 1);
            weights.drain(..zeros);
            start += zeros;
            let sum: f64 = weights.iter().sum();
            (start, weights.iter().map(|weight| (weight / sum) as f32).collect())
        };
        let kernels: Vec<(usize, Vec<f32>)> = inside.map(kernel).collect();
        let first = kernels.first().map_or(0, |(first, _)| *first);
        let is_window =
            kernels.iter().enumerate().all(|(i, (start, weights))| *start == first + i && *weights == [1.0]);
        Self { n_in, kernels, is_window }
    }

    /// The voxels with a weight in any kernel.
    fn reach(&self) -> Range<usize> {
        let start = self.kernels.iter().map(|(start, _)| *start).min().unwrap_or(0);
        let end = self.kernels.iter().map(|(start, weights)| start + weights.len()).max().unwrap_or(0);
        start..end
    }

    /// For an input that begins at voxel `offset` and ends where the kernels do.
    fn shift(&mut self, offset: usize) {
        self.n_in = self.reach().end - offset;
        for (start, _) in &mut self.kernels {
            *start -= offset;
        }
    }

    /// `[outer, n_in, inner]` to `[outer, kernels, inner]`.
    fn apply<'a>(&self, input: Cow<'a, [f32]>, inner: usize) -> Cow<'a, [f32]> {
        let n_out = self.kernels.len();
        if self.is_window && n_out == self.n_in {
            return input;
        }
        let mut output = Vec::with_capacity(input.len() / self.n_in * n_out);
        if self.is_window {
            let first = self.reach().start;
            for block in input.chunks_exact(self.n_in * inner) {
                output.extend_from_slice(&block[first * inner..][..n_out * inner]);
            }
            return output.into();
        }
        for block in input.chunks_exact(self.n_in * inner) {
            for (start, weights) in &self.kernels {
                if inner == 1 {
                    let voxels = &block[*start..*start + weights.len()];
                    output.push(voxels.iter().zip(weights).map(|(voxel, weight)| voxel * weight).sum());
                    continue;
                }
                let at = output.len();
                let mut runs = block[start * inner..].chunks_exact(inner).zip(weights);
                if let Some((run, weight)) = runs.next() {
                    output.extend(run.iter().map(|voxel| voxel * weight));
                }
                for (run, weight) in runs {
                    for (sum, voxel) in output[at..].iter_mut().zip(run) {
                        *sum += voxel * weight;
                    }
                }
            }
        }
        output.into()
    }
}

/// Flips `voxels` of `size` along one axis (0 depth, 1 rows, 2 columns).
///
/// # Panics
/// When there is no such axis.
pub fn flip(voxels: &mut [f32], size: [usize; 3], axis: usize) {
    let inner: usize = size[axis + 1..].iter().product();
    if inner == 1 {
        voxels.chunks_exact_mut(size[axis]).for_each(<[f32]>::reverse);
        return;
    }
    for block in voxels.chunks_exact_mut(size[axis] * inner) {
        let (front, back) = block.split_at_mut(size[axis] / 2 * inner);
        for (near, far) in front.chunks_exact_mut(inner).zip(back.rchunks_exact_mut(inner)) {
            near.swap_with_slice(far);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: [usize; 3] = [5, 7, 9];

    fn numbered() -> Volume {
        let voxels = (0..SIZE.iter().product()).map(|v: usize| v as f32).collect();
        Volume::new(SIZE, [3.0, 2.0, 1.0], voxels).unwrap()
    }

    fn whole() -> [Sampling; 3] {
        SIZE.map(|n| Sampling::voxels(0, n))
    }

    #[test]
    fn whole_steps_copy_voxels_and_padding_surrounds_them() {
        let volume = numbered();
        let part = volume.resampled([Sampling::voxels(-1, 3), Sampling::voxels(5, 4), Sampling::voxels(0, 9)]).unwrap();
        let padded = part.padded(-7.0);
        for (at, &value) in padded.iter().enumerate() {
            let (z, y, x) = (at / 36, at / 9 % 4, at % 9);
            let expected = if z == 0 || y > 1 { -7.0 } else { ((z - 1) * 63 + (y + 5) * 9 + x) as f32 };
            assert_eq!(value, expected, "at {z} {y} {x}");
        }
    }

    #[test]
    fn enlarging_interpolates_and_holds_the_border() {
        // One row of 2 voxels to 4: positions -0.25, 0.25, 0.75, 1.25.
        let volume = Volume::new([1, 1, 2], [1.0; 3], vec![10.0, 20.0]).unwrap();
        let part =
            volume.resampled([Sampling::voxels(0, 1), Sampling::voxels(0, 1), Sampling::stretched(2, 4)]).unwrap();
        assert_eq!(part.values, [10.0, 12.5, 17.5, 20.0]);
    }

    #[test]
    fn shrinking_weighs_every_voxel_with_the_widened_triangle() {
        // 4 voxels to 2: centres 0.5 and 2.5, half-width 2. Weights of the first: 0.75, 0.75, 0.25 over 1.75.
        let volume = Volume::new([4, 1, 1], [1.0; 3], vec![7.0, 0.0, 14.0, 0.0]).unwrap();
        let part =
            volume.resampled([Sampling::stretched(4, 2), Sampling::voxels(0, 1), Sampling::voxels(0, 1)]).unwrap();
        let expected = [(0.75 * 7.0 + 0.25 * 14.0) / 1.75, (0.25 * 0.0 + 0.75 * 14.0) / 1.75];
        assert!(part.values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{:?}", part.values);
    }

    #[test]
    fn a_plane_stays_a_plane_along_every_axis() {
        let volume = numbered();
        for axis in 0..3 {
            for n in [2, 4, 13, 40] {
                let mut samplings = whole();
                samplings[axis] = Sampling::stretched(SIZE[axis], n);
                let part = volume.resampled(samplings).unwrap();
                let stride = [63.0, 9.0, 1.0][axis];
                let step = SIZE[axis] as f64 / n as f64;
                // Away from the border, where no kernel is cut off. A widened triangle is not quite symmetric about its
                // centre.
                let reach = step.max(1.0);
                let tolerance = if step > 1.0 { 0.1 * stride } else { 1e-3 };
                let line = part.values.chunks_exact([63, 9, 1][axis]).take(n).map(|run| f64::from(run[0]));
                for (i, value) in line.enumerate() {
                    let at = (i as f64 + 0.5) * step - 0.5;
                    if at - reach > -1.0 && at + reach < SIZE[axis] as f64 {
                        assert!((value - at * stride).abs() < tolerance, "axis {axis}, {n}, {i}: {value}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_window_equals_the_same_slices_of_the_whole() {
        let volume = numbered();
        let depth = Sampling::centred(5, 11, 0.5);
        let [_, rows, columns] = whole();
        let all = volume.resampled([depth, rows, columns]).unwrap().padded(-1.0);
        let some = volume.resampled([depth.window(4, 3), rows, columns]).unwrap().padded(-1.0);
        assert_eq!(some, all[4 * 63..7 * 63]);
    }

    #[test]
    fn a_part_of_slabs_is_the_part_of_the_whole_to_the_bit() {
        let volume = numbered();
        let samplings = [Sampling::centred(5, 7, 1.3), Sampling::stretched(7, 3), Sampling::centred(9, 13, 0.7)];
        let expected = volume.resampled(samplings).unwrap();
        for most in [0, 1, 2, 3, 5, 100] {
            let mut asked = Vec::new();
            let part = SubVolume::from_slabs(SIZE, samplings, most, |slices| {
                asked.push(slices.clone());
                Ok(volume.voxels()[slices.start * 63..slices.end * 63].to_vec())
            });
            assert_eq!(part.unwrap(), expected);
            assert!(asked.iter().all(|slices| slices.len() <= most.max(1)), "{asked:?}");
        }
        // Slices 2 and 3 alone count here.
        let [_, rows, columns] = whole();
        let samplings = [Sampling::voxels(2, 2), rows, columns];
        let part = SubVolume::from_slabs(SIZE, samplings, 9, |slices| {
            assert_eq!(slices, 2..4);
            Ok(volume.voxels()[126..252].to_vec())
        });
        assert_eq!(part.unwrap(), volume.resampled(samplings).unwrap());
        assert!(SubVolume::from_slabs(SIZE, samplings, 9, |_| Ok(vec![0.0; 125])).is_err());
        assert!(SubVolume::from_slabs(SIZE, samplings, 9, |_| Err(Error::corrupt("broken"))).is_err());
    }

    #[test]
    fn a_part_beside_the_volume_is_refused() {
        let [depth, rows, _] = whole();
        assert!(numbered().resampled([depth, rows, Sampling::voxels(9, 4)]).is_err());
        assert!(numbered().resampled([depth, rows, Sampling::centred(9, 2, 30.0)]).is_err());
    }

    #[test]
    fn flipping_moves_voxels_to_the_other_end_of_one_axis() {
        for axis in 0..3 {
            let mut voxels = numbered().voxels().to_vec();
            flip(&mut voxels, SIZE, axis);
            for (at, &value) in voxels.iter().enumerate() {
                let mut from = [at / 63, at / 9 % 7, at % 9];
                from[axis] = SIZE[axis] - 1 - from[axis];
                assert_eq!(value, (from[0] * 63 + from[1] * 9 + from[2]) as f32);
            }
        }
    }

    #[test]
    fn sizes_and_spacings_that_make_no_volume_are_refused() {
        assert!(Volume::new([2, 3, 4], [1.0; 3], vec![0.0; 23]).is_err());
        assert!(Volume::new([0, 3, 4], [1.0; 3], Vec::new()).is_err());
        assert!(Volume::new([usize::MAX, 3, 4], [1.0; 3], vec![0.0; 12]).is_err());
        assert!(Volume::new([1, 1, 1], [1.0, 0.0, 1.0], vec![0.0]).is_err());
    }
}
