//! Matrix products of the kernels, by the same library as the backend's.

use gemm::{Parallelism, gemm};

/// Products of fewer multiplications run on one thread.
const SERIAL: usize = 192 * 192 * 192;

/// A matrix within a slice.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    /// From a row to the next.
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// `[rows, columns]`, row-major, the first value of a row `stride` values after that of the row before.
    ///
    /// # Panics
    /// When the slice is too short for it.
    pub fn new(values: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(
            rows == 0 || columns == 0 || (rows - 1) * stride + columns <= values.len(),
            "a matrix outside of its slice"
        );
        Self { values, rows, columns, row_stride: stride, column_stride: 1 }
    }

    /// Without gaps.
    pub fn dense(values: &'a [f32], columns: usize) -> Self {
        Self::new(values, values.len() / columns.max(1), columns, columns)
    }

    /// Rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// Writes `scale * a * b` to `out`, whose rows are `stride` values apart; with `add` to what is there.
///
/// # Safety
/// `out` must be valid for writes of `a.rows` such rows of `b.columns` values, which nobody else uses meanwhile; with `add` they must hold
/// values.
///
/// # Panics
/// When `a` has not as many columns as `b` rows.
pub unsafe fn multiply(out: *mut f32, stride: usize, add: bool, a: Matrix<'_>, b: Matrix<'_>, scale: f32) {
    assert_eq!(a.columns, b.rows, "matrices that do not fit");
    let (m, n, k) = (a.rows, b.columns, a.columns);
    let parallelism = if m * n * k < SERIAL { Parallelism::None } else { Parallelism::Rayon(0) };
    // SAFETY: `Matrix::new` has checked the operands, and the caller promises the output.
    unsafe {
        gemm(
            m,
            n,
            k,
            out,
            1,
            stride as isize,
            add,
            a.values.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// `a * b`, row-major.
pub fn product(a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
    let write = |out: &mut [std::mem::MaybeUninit<f32>]| {
        // SAFETY: the output has exactly these rows and columns.
        unsafe { multiply(out.as_mut_ptr().cast(), b.columns, false, a, b, 1.0) }
    };
    // SAFETY: a product writes every value, zeros where there is nothing to add up.
    unsafe { super::vector::written(a.rows * b.columns, write) }
}
