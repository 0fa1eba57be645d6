//! Operands rounded to bfloat16, in the order in which the kernel reads them.

use std::arch::x86_64::*;

use super::super::matrix::Matrix;

/// Numbers of a vector.
pub const LANES: usize = 16;

/// Rounds `matrix` and writes it to `panels`, in panels of `WIDTH` rows. A panel is the pairs of values of two
/// consecutive columns: first the first pair of each row, then the second pair of each row, and so on. The last pair is
/// filled up with a zero where the number of columns is odd, and rows beyond the last are zero.
///
/// # Safety
/// `panels` must be valid for writes of `rows.next_multiple_of(WIDTH) * columns.div_ceil(2)` pairs, and the processor
/// must have the features.
///
/// # Panics
/// When neither rows nor columns of the matrix are contiguous.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub unsafe fn pack<const WIDTH: usize>(matrix: Matrix<'_>, panels: *mut u32) {
    assert!(matrix.row_stride == 1 || matrix.column_stride == 1, "a matrix without contiguous values");
    // SAFETY: promised by the caller.
    unsafe {
        if matrix.column_stride == 1 {
            pack_rows::<WIDTH>(matrix, panels);
        } else {
            pack_columns::<WIDTH>(matrix, panels);
        }
    }
}

/// The first `n` lanes, or all if there are not as many.
fn first(n: usize) -> __mmask16 {
    if n >= LANES { !0 } else { (1 << n) - 1 }
}

/// Packs a matrix whose rows are contiguous: squares of 16 rows and 16 pairs are transposed.
///
/// # Safety
/// As for [`pack`].
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn pack_rows<const WIDTH: usize>(matrix: Matrix<'_>, panels: *mut u32) {
    let (rows, columns, stride) = (matrix.rows, matrix.columns, matrix.row_stride);
    let n_pairs = columns.div_ceil(2);
    for panel in (0..rows).step_by(WIDTH) {
        for group in (0..WIDTH).step_by(LANES) {
            let n_rows = rows.saturating_sub(panel + group).min(LANES).min(WIDTH - group);
            let is_written = first(WIDTH - group);
            for pair in (0..n_pairs).step_by(LANES) {
                let mut square = [_mm512_setzero_si512(); LANES];
                let n_values = columns - 2 * pair;
                let is_low = first(n_values);
                let is_high = first(n_values.saturating_sub(LANES));
                for (at, row) in square.iter_mut().enumerate() {
                    if at < n_rows {
                        let place = (panel + group + at) * stride + 2 * pair;
                        let from = matrix.values.as_ptr().wrapping_add(place);
                        // SAFETY: lanes beyond the last column are not read, and `Matrix::new` has checked the others.
                        let (low, high) = unsafe {
                            (
                                _mm512_maskz_loadu_ps(is_low, from),
                                _mm512_maskz_loadu_ps(is_high, from.wrapping_add(LANES)),
                            )
                        };
                        *row = rounded(low, high);
                    }
                }
                let square = transposed(square);
                for (at, pairs) in square.into_iter().enumerate().take(n_pairs - pair) {
                    let place = panel * n_pairs + (pair + at) * WIDTH + group;
                    // SAFETY: within the panel, of which the caller promises `WIDTH` times as many pairs.
                    unsafe { _mm512_mask_storeu_epi32(panels.add(place).cast(), is_written, pairs) };
                }
            }
        }
    }
}

/// Packs a matrix whose columns are contiguous: values of two columns take turns.
///
/// # Safety
/// As for [`pack`].
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn pack_columns<const WIDTH: usize>(matrix: Matrix<'_>, panels: *mut u32) {
    let (rows, columns, stride) = (matrix.rows, matrix.columns, matrix.column_stride);
    let n_pairs = columns.div_ceil(2);
    let turns = taking_turns();
    for pair in 0..n_pairs {
        let has_second = 2 * pair + 1 < columns;
        let from = matrix.values.as_ptr().wrapping_add(2 * pair * stride);
        for panel in (0..rows).step_by(WIDTH) {
            for group in (0..WIDTH).step_by(LANES) {
                let n_rows = rows.saturating_sub(panel + group).min(WIDTH - group);
                let is_first = first(n_rows);
                let is_second = if has_second { is_first } else { 0 };
                let from = from.wrapping_add(panel + group);
                // SAFETY: lanes beyond the last row are not read, and `Matrix::new` has checked the others.
                let (one, other) = unsafe {
                    (_mm512_maskz_loadu_ps(is_first, from), _mm512_maskz_loadu_ps(is_second, from.wrapping_add(stride)))
                };
                let pairs = _mm512_permutexvar_epi16(turns, rounded(one, other));
                let place = panel * n_pairs + pair * WIDTH + group;
                // SAFETY: within the panel, of which the caller promises `WIDTH` times as many pairs.
                unsafe { _mm512_mask_storeu_epi32(panels.add(place).cast(), first(WIDTH - group), pairs) };
            }
        }
    }
}

/// Two vectors rounded to bfloat16, one after the other.
#[target_feature(enable = "avx512f,avx512bf16")]
fn rounded(low: __m512, high: __m512) -> __m512i {
    // SAFETY: both types are 64 bytes, of which all are valid.
    unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low)) }
}

/// The places of 16-bit numbers that take turns from the first and the second half of a vector.
#[target_feature(enable = "avx512f")]
fn taking_turns() -> __m512i {
    let places: [u16; 2 * LANES] = std::array::from_fn(|at| (at / 2 + at % 2 * LANES) as u16);
    // SAFETY: an array of 64 bytes.
    unsafe { _mm512_loadu_si512(places.as_ptr().cast()) }
}

/// A transposed square of 32-bit numbers.
#[target_feature(enable = "avx512f")]
fn transposed(rows: [__m512i; LANES]) -> [__m512i; LANES] {
    // Squares of four within the quarters of vectors: `squares[4 * i + j]` is column `j` of four rows from `4 * i` on.
    let mut squares = rows;
    for four in squares.as_chunks_mut::<4>().0 {
        let [a, b, c, d] = *four;
        let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
        let (ab_high, cd_high) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
        *four = [
            _mm512_unpacklo_epi64(ab, cd),
            _mm512_unpackhi_epi64(ab, cd),
            _mm512_unpacklo_epi64(ab_high, cd_high),
            _mm512_unpackhi_epi64(ab_high, cd_high),
        ];
    }
    // Quarters, transposed as a square of four.
    let mut columns = rows;
    for at in 0..4 {
        let [a, b, c, d] = [squares[at], squares[4 + at], squares[8 + at], squares[12 + at]];
        let (ab, cd) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0x88>(c, d));
        let (ab_odd, cd_odd) = (_mm512_shuffle_i32x4::<0xdd>(a, b), _mm512_shuffle_i32x4::<0xdd>(c, d));
        columns[at] = _mm512_shuffle_i32x4::<0x88>(ab, cd);
        columns[4 + at] = _mm512_shuffle_i32x4::<0x88>(ab_odd, cd_odd);
        columns[8 + at] = _mm512_shuffle_i32x4::<0xdd>(ab, cd);
        columns[12 + at] = _mm512_shuffle_i32x4::<0xdd>(ab_odd, cd_odd);
    }
    columns
}
