//! Tiles of a product, whose sums stay in registers.

use std::arch::x86_64::*;

use super::packing::LANES;

/// Rows of a tile, whose sums stay in registers.
pub const ROWS: usize = 14;
/// Columns of a tile: two vectors.
pub const COLUMNS: usize = 32;

/// What the sums of a tile are added to.
#[derive(Debug, Clone, Copy)]
pub enum Begin {
    /// Zero: the output is not read.
    Zero,
    /// Values of one row.
    Row(*const f32),
    /// The output.
    Out,
}

/// A tile of an output.
#[derive(Debug, Clone, Copy)]
pub struct Tile {
    /// First value.
    pub out: *mut f32,
    /// Distance between rows, in values.
    pub stride: usize,
    /// At most [`ROWS`].
    pub rows: usize,
    /// At most [`COLUMNS`].
    pub columns: usize,
    /// What sums are added to.
    pub begin: Begin,
    /// Factor of the sums.
    pub scale: f32,
}

impl Tile {
    /// Adds products of `n_pairs` pairs of panels of [`ROWS`] and [`COLUMNS`] values, as `packing::pack` writes them.
    ///
    /// # Safety
    /// The panels must be valid for reads, the output for writes, and what the tile begins with for reads. The
    /// processor must have the features.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub unsafe fn compute(self, a: *const u32, b: *const u32, n_pairs: usize) {
        type Kernel = unsafe fn(Tile, *const u32, *const u32, usize);
        macro_rules! kernels {
            ($vectors:literal: $($rows:literal)*) => { [$(Tile::sums::<$rows, $vectors>),*] };
        }
        const NARROW: [Kernel; ROWS] = kernels!(1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14);
        const WIDE: [Kernel; ROWS] = kernels!(2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14);
        let kernel = if self.columns > LANES { WIDE[self.rows - 1] } else { NARROW[self.rows - 1] };
        // SAFETY: promised by the caller.
        unsafe { kernel(self, a, b, n_pairs) }
    }

    /// The kernel for `N` rows and `VECTORS` vectors of columns.
    ///
    /// # Safety
    /// As for [`Tile::compute`].
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn sums<const N: usize, const VECTORS: usize>(self, a: *const u32, b: *const u32, n_pairs: usize) {
        let mut sums = [[_mm512_setzero_ps(); VECTORS]; N];
        for row in 0..N {
            for vector in 0..VECTORS {
                let place = self.out.wrapping_add(row * self.stride + vector * LANES);
                _mm_prefetch::<_MM_HINT_T0>(place.cast());
            }
        }
        let (mut a, mut b) = (a, b);
        for _ in 0..n_pairs {
            let mut right = [_mm512_setzero_si512(); VECTORS];
            for (vector, right) in right.iter_mut().enumerate() {
                // SAFETY: within the panel.
                *right = unsafe { _mm512_loadu_si512(b.add(vector * LANES).cast()) };
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                // SAFETY: within the panel.
                let left = _mm512_set1_epi32(unsafe { *a.add(row) } as i32);
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = _mm512_dpbf16_ps(*sum, pairs(left), pairs(right));
                }
            }
            (a, b) = (a.wrapping_add(ROWS), b.wrapping_add(COLUMNS));
        }
        let scale = _mm512_set1_ps(self.scale);
        for vector in 0..VECTORS {
            let n = self.columns - vector * LANES;
            let is_within: __mmask16 = if n >= LANES { !0 } else { (1 << n) - 1 };
            let row = match self.begin {
                // SAFETY: lanes beyond the last column are not read.
                Begin::Row(row) => unsafe { _mm512_maskz_loadu_ps(is_within, row.wrapping_add(vector * LANES)) },
                Begin::Zero | Begin::Out => _mm512_setzero_ps(),
            };
            for (at, sums) in sums.iter().enumerate() {
                let out = self.out.wrapping_add(at * self.stride + vector * LANES);
                let begin = match self.begin {
                    // SAFETY: lanes beyond the last column are not read.
                    Begin::Out => unsafe { _mm512_maskz_loadu_ps(is_within, out) },
                    Begin::Zero | Begin::Row(_) => row,
                };
                let value = _mm512_fmadd_ps(sums[vector], scale, begin);
                // SAFETY: lanes beyond the last column are not written.
                unsafe { _mm512_mask_storeu_ps(out, is_within, value) };
            }
        }
    }
}

/// 32-bit numbers as pairs of bfloat16.
#[target_feature(enable = "avx512f")]
fn pairs(vector: __m512i) -> __m512bh {
    // SAFETY: both types are 64 bytes, of which all are valid.
    unsafe { std::mem::transmute::<__m512i, __m512bh>(vector) }
}
