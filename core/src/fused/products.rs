//! Matrix products of the kernels: in float32 by the library that Burn's backend uses, in bfloat16 by kernels of our own.

use std::mem::MaybeUninit;

use gemm::{Parallelism, gemm};

use super::bfloat16;
use super::matrix::{Matrix, Output, Start, Task};
use crate::precision::Precision;

/// Minimum number of multiplications of a product that is divided among threads.
const SERIAL: usize = 192 * 192 * 192;
/// Columns of a panel, which the library multiplies together: four of the widest vectors.
const PANEL: usize = 64;
/// Rows that the library multiplies together.
const ROWS: usize = 6;
/// Minimum number of columns of a thread's block: each thread reads the whole left matrix.
const MIN_COLUMNS: usize = 128;
/// Blocks of twice as many columns are cut again where the rows of the left matrix are contiguous: a cut then costs
/// nothing, and the part of the right matrix that a thread works on stays in its cache.
const WIDE: usize = 256;

impl Task<'_> {
    /// Cuts the task in two for `threads`, or where the block is wide: between columns where both halves are whole
    /// panels of the library, otherwise between rows. `None` if no cut pays.
    fn halves(self, threads: usize) -> Option<(Self, Self)> {
        let columns = self.b.columns;
        if self.is_bfloat16 {
            return (threads > 1 && self.n_multiplications() >= SERIAL).then(|| bfloat16::halves(self, threads));
        }
        if threads > 1 && self.n_multiplications() >= SERIAL {
            if columns >= 2 * MIN_COLUMNS && columns.is_multiple_of(2 * PANEL) {
                return Some(self.split_columns(columns / 2));
            }
            let at = (self.a.rows / 2).next_multiple_of(ROWS).min(self.a.rows);
            // A row alone is multiplied by another kernel of the library, which adds in another order: bits would depend on the number of threads.
            if self.a.rows - at != 1 {
                return Some(self.split_rows(at));
            }
        }
        let is_wide = columns >= 2 * WIDE && self.a.column_stride == 1;
        is_wide.then(|| self.split_columns((columns / 2).next_multiple_of(PANEL)))
    }

    /// # Safety
    /// As for [`multiply`].
    unsafe fn run(self, threads: usize) {
        // SAFETY: the halves are within the output, and have no value in common.
        unsafe {
            match self.halves(threads) {
                None => self.on_this_thread(),
                Some((first, second)) => {
                    let (here, there) = (threads.div_ceil(2), (threads / 2).max(1));
                    rayon::join(move || first.run(here), move || second.run(there));
                }
            }
        }
    }

    /// # Safety
    /// As for [`multiply`].
    unsafe fn on_this_thread(self) {
        if self.is_bfloat16 {
            // SAFETY: `multiply` has checked the processor; the rest is promised by the caller.
            return unsafe { bfloat16::on_this_thread(self) };
        }
        let (m, n, k) = (self.a.rows, self.b.columns, self.a.columns);
        let add = match self.start {
            Start::Zero => false,
            Start::Rows(row) => {
                // SAFETY: the output has m such rows of n values.
                (0..m).for_each(|at| unsafe {
                    self.out.values.add(at * self.out.stride).copy_from_nonoverlapping(row.as_ptr(), n);
                });
                true
            }
        };
        // SAFETY: `Matrix::new` has checked the operands, and the caller promises the output.
        unsafe {
            gemm(
                m,
                n,
                k,
                self.out.values,
                1,
                self.out.stride as isize,
                add,
                self.a.values.as_ptr(),
                self.a.column_stride as isize,
                self.a.row_stride as isize,
                self.b.values.as_ptr(),
                self.b.column_stride as isize,
                self.b.row_stride as isize,
                1.0,
                self.scale,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    }
}

/// Writes `start + scale * a * b` to `out`, whose rows are `stride` values apart. Each thread computes whole blocks of
/// it: in the library's own division, threads would wait for each other after each part of the depth.
///
/// In bfloat16 the operands are rounded, to the nearest number, ties to even; sums and the output are float32. Where the processor has no
/// instructions for it, rounded copies are multiplied in float32, which takes longer than a product in float32.
///
/// # Safety
/// `out` must be valid for writes of `a.rows` such rows of `b.columns` values, which no other code uses meanwhile.
///
/// # Panics
/// When `a` does not have as many columns as `b` has rows, or the row to start from as many values as `b` has columns.
pub unsafe fn multiply(
    out: *mut f32,
    stride: usize,
    start: Start<'_>,
    a: Matrix<'_>,
    b: Matrix<'_>,
    scale: f32,
    precision: Precision,
) {
    assert_eq!(a.columns, b.rows, "matrices that do not fit");
    if let Start::Rows(row) = start {
        assert_eq!(row.len(), b.columns, "a row that does not fit");
    }
    let is_bfloat16 = precision == Precision::Bfloat16 && bfloat16::is_supported();
    let task = Task { out: Output { values: out, stride }, start, a, b, scale, is_bfloat16 };
    let threads = rayon::current_num_threads();
    if precision == Precision::Bfloat16 && !is_bfloat16 {
        let (of_a, of_b) = (a.rounded(), b.rounded());
        // SAFETY: promised by the caller.
        return unsafe { Task { a: a.with_values(&of_a), b: b.with_values(&of_b), ..task }.run(threads) };
    }
    // SAFETY: promised by the caller.
    unsafe { task.run(threads) }
}

/// The matrix product `start + a * b`, row-major.
pub fn product(start: Start<'_>, a: Matrix<'_>, b: Matrix<'_>, precision: Precision) -> Vec<f32> {
    let write = |out: &mut [MaybeUninit<f32>]| {
        // SAFETY: the output has exactly these rows and columns.
        unsafe { multiply(out.as_mut_ptr().cast(), b.columns, start, a, b, 1.0, precision) }
    };
    // SAFETY: a product writes every value, also where there is nothing to sum: then it writes the start.
    unsafe { super::vector::written(a.rows * b.columns, write) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small whole numbers, so that sums of products are exact in any order.
    fn whole_numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|at| ((at * 37 + seed * 11) % 13) as f32 - 6.0).collect()
    }

    fn by_definition(start: &[f32], a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
        let at = |matrix: Matrix<'_>, row: usize, column: usize| {
            matrix.values[row * matrix.row_stride + column * matrix.column_stride]
        };
        let value = |row: usize, column: usize| {
            start[column] + (0..a.columns).map(|k| at(a, row, k) * at(b, k, column)).sum::<f32>()
        };
        (0..a.rows).flat_map(|row| (0..b.columns).map(move |column| value(row, column))).collect()
    }

    /// Sizes at which products are cut between columns, between rows, again for the cache, with a remainder, and not at
    /// all; each operand plain and transposed.
    #[test]
    fn blocks_together_are_the_whole_product_for_any_number_of_threads() {
        for (m, k, n) in
            [(90, 80, 1152), (301, 90, 256), (1000, 40, 200), (7, 1200, 1000), (5, 3, 700), (1, 9000, 1000), (0, 4, 8)]
        {
            let (left, right, row) = (whole_numbers(m * k, 1), whole_numbers(k * n, 2), whole_numbers(n, 3));
            for (a, b) in [
                (Matrix::dense(&left, k), Matrix::dense(&right, n)),
                (Matrix::dense(&left, k), Matrix::new(&right, n, k, k).transposed()),
                (Matrix::new(&left, k, m, m).transposed(), Matrix::dense(&right, n)),
            ] {
                for threads in [1, 2, 3, 8] {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    let what = format!("{m}x{n} of {k}, {threads} threads");
                    let (zero, rows) = pool.install(|| {
                        (
                            product(Start::Zero, a, b, Precision::Float32),
                            product(Start::Rows(&row), a, b, Precision::Float32),
                        )
                    });
                    assert!(zero == by_definition(&vec![0.0; n], a, b), "{what}");
                    assert!(rows == by_definition(&row, a, b), "{what}, added to a row");
                }
            }
        }
    }

    #[test]
    fn values_between_the_rows_of_an_output_stay() {
        let (left, right) = (whole_numbers(400 * 300, 1), whole_numbers(300 * 256, 2));
        let (a, b) = (Matrix::dense(&left, 300), Matrix::dense(&right, 256));
        let mut out = vec![0.5; 400 * 260];
        // SAFETY: 400 rows of 256 values, 260 apart.
        unsafe { multiply(out.as_mut_ptr(), 260, Start::Zero, a, b, 2.0, Precision::Float32) };
        let expected = by_definition(&[0.0; 256], a, b);
        for (found, expected) in out.chunks(260).zip(expected.chunks(256)) {
            assert!(found[..256].iter().zip(expected).all(|(found, expected)| *found == 2.0 * expected));
            assert_eq!(found[256..], [0.5; 4]);
        }
    }
}
