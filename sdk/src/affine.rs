//! Affine maps between the places of a sample and those of its file, for [`crate::Patches::affine`].
//!
//! Places are counted by borders: voxel `j` covers `j` to `j + 1`, and its centre is at `j + 1/2`. Rows are the axes of the file, in its
//! own index order; see [`crate::abi::extra::AFFINES`].

use crate::image::Region;
use crate::volume::Sampling;

/// Maps a place `x` to `matrix * x + offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine<const N: usize> {
    matrix: [[f64; N]; N],
    offset: [f64; N],
}

impl<const N: usize> Affine<N> {
    /// Stretches and moves each axis by itself: `x` becomes `scale * x + offset`.
    pub fn of_axes(scale: [f64; N], offset: [f64; N]) -> Self {
        let mut matrix = [[0.0; N]; N];
        for (axis, row) in matrix.iter_mut().enumerate() {
            row[axis] = scale[axis];
        }
        Self { matrix, offset }
    }

    /// Leaves every place where it is.
    pub fn identity() -> Self {
        Self::of_axes([1.0; N], [0.0; N])
    }

    /// From the positions of samplings, one an axis, to the voxels that were sampled.
    pub fn of_samplings(samplings: [Sampling; N]) -> Self {
        // A sampling counts by centres: output `i`, which covers `i` to `i + 1`, is at the voxel coordinate `first + step * i`.
        Self::of_axes(
            samplings.map(|sampling| sampling.step()),
            samplings.map(|sampling| sampling.first() - sampling.step() / 2.0 + 0.5),
        )
    }

    /// From the axes of a volume to those of its file: axis `a` of the volume is axis `axis[a]` of the file, which has `size` voxels and
    /// runs backwards where `flipped[a]` is set. `axis` has each axis once.
    pub fn of_orientation(axis: [usize; N], flipped: [bool; N], size: [usize; N]) -> Self {
        let (mut matrix, mut offset) = ([[0.0; N]; N], [0.0; N]);
        for (from, (to, is_flipped)) in axis.into_iter().zip(flipped).enumerate() {
            matrix[to][from] = if is_flipped { -1.0 } else { 1.0 };
            offset[to] = if is_flipped { size[to] as f64 } else { 0.0 };
        }
        Self { matrix, offset }
    }

    /// This map, and then the next.
    pub fn then(&self, next: &Self) -> Self {
        let mut matrix = [[0.0; N]; N];
        for (row, to) in matrix.iter_mut().enumerate() {
            for (column, value) in to.iter_mut().enumerate() {
                *value = (0..N).map(|inner| next.matrix[row][inner] * self.matrix[inner][column]).sum();
            }
        }
        Self { matrix, offset: next.applied(self.offset) }
    }

    /// The map of a sample that is flipped along an axis of so many voxels.
    pub fn flipped(mut self, axis: usize, length: usize) -> Self {
        for (row, offset) in self.matrix.iter_mut().zip(&mut self.offset) {
            *offset += row[axis] * length as f64;
            row[axis] = -row[axis];
        }
        self
    }

    /// Where a place lies.
    pub fn applied(&self, place: [f64; N]) -> [f64; N] {
        std::array::from_fn(|row| {
            self.offset[row] + self.matrix[row].iter().zip(place).map(|(value, place)| value * place).sum::<f64>()
        })
    }

    /// Writes the map of a sample's voxels as the map of its tokens, of so many voxels along each axis, into the buffer for it; nothing
    /// into a buffer that this call does not want.
    pub fn write(&self, patch: [usize; N], buffer: &mut [f32]) {
        for ((to, row), offset) in buffer.chunks_exact_mut(N + 1).zip(&self.matrix).zip(self.offset) {
            for ((to, value), side) in to.iter_mut().zip(row).zip(patch) {
                *to = (value * side as f64) as f32;
            }
            to[N] = offset as f32;
        }
    }
}

impl Affine<2> {
    /// The map of a stack of such planes, the first of which is slice `first` of the file: slices, then rows and columns.
    pub fn within_slices(&self, first: usize) -> Affine<3> {
        let ([[a, b], [c, d]], [row, column]) = (self.matrix, self.offset);
        Affine { matrix: [[1.0, 0.0, 0.0], [0.0, a, b], [0.0, c, d]], offset: [first as f64, row, column] }
    }

    /// From an image of `width` x `height` pixels to the pixels of the region that was resized to it. Axes are rows and columns.
    pub fn of_region(region: Region, width: usize, height: usize) -> Self {
        let Region { left, top, width: wide, height: high } = region;
        let scale = [high as f64 / height.max(1) as f64, wide as f64 / width.max(1) as f64];
        Self::of_axes(scale, [top as f64, left as f64])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the contract: 64 x 64 voxels about the centre of slices 16 to 31, with `i` to the left and `j` to anterior.
    #[test]
    fn the_example_of_the_contract_is_right() {
        let file = [100, 80, 60];
        let crop = [Sampling::voxels(16, 16), Sampling::centred(80, 64, 1.0), Sampling::centred(100, 64, 1.0)];
        let turned = Affine::of_orientation([2, 1, 0], [false, true, false], file);
        let affine = Affine::of_samplings(crop).then(&turned);
        let mut buffer = [0.0; 12];
        affine.write([16; 3], &mut buffer);
        assert_eq!(buffer, [0., 0., 16., 18., 0., -16., 0., 72., 16., 0., 0., 16.]);
        assert_eq!(affine.applied([3.5, 5.5, 7.5]), [25.5, 66.5, 19.5]);
        affine.write([16; 3], &mut []);
    }

    #[test]
    fn borders_of_a_stretched_axis_fall_on_borders() {
        let samplings = [Sampling::stretched(30, 7), Sampling::centred(9, 4, 2.5), Sampling::voxels(-2, 5)];
        let affine = Affine::of_samplings(samplings);
        let near = |found: [f64; 3], expected: [f64; 3]| found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(near(affine.applied([0.0; 3]), [0.0, -0.5, -2.0]), "{affine:?}");
        assert!(near(affine.applied([7.0, 4.0, 5.0]), [30.0, 9.5, 3.0]), "{affine:?}");
    }

    #[test]
    fn flips_exchange_the_ends_of_their_axis() {
        let region = Region { left: 4, top: 10, width: 20, height: 60 };
        let affine = Affine::of_region(region, 40, 30);
        let flipped = affine.flipped(1, 40);
        assert_eq!((affine.applied([0.0, 0.0]), affine.applied([30.0, 40.0])), ([10.0, 4.0], [70.0, 24.0]));
        assert_eq!((flipped.applied([0.0, 0.0]), flipped.applied([30.0, 40.0])), ([10.0, 24.0], [70.0, 4.0]));
        assert_eq!(flipped.flipped(1, 40), affine);
        assert_eq!(Affine::identity().then(&flipped), flipped);
    }
}
