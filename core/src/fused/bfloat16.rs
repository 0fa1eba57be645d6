//! Matrix products with operands in bfloat16: rounded while they are packed, multiplied exactly, summed in float32.

#[cfg(target_arch = "x86_64")]
mod blocks;
#[cfg(target_arch = "x86_64")]
mod kernel;
#[cfg(target_arch = "x86_64")]
mod packing;

#[cfg(target_arch = "x86_64")]
pub(super) use blocks::{halves, on_this_thread};

/// Whether this processor multiplies in bfloat16 (AVX-512 BF16).
pub(super) fn is_supported() -> bool {
    #[cfg(target_arch = "x86_64")]
    let is_supported = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    let is_supported = false;
    is_supported
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) use absent::{halves, on_this_thread};

/// What is never called where no processor is supported.
#[cfg(not(target_arch = "x86_64"))]
mod absent {
    use super::super::matrix::Task;

    pub fn halves(_: Task<'_>, _: usize) -> (Task<'_>, Task<'_>) {
        unreachable!("a processor that does not multiply in bfloat16");
    }

    /// # Safety
    /// None.
    pub unsafe fn on_this_thread(_: Task<'_>) {
        unreachable!("a processor that does not multiply in bfloat16");
    }
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;

    use super::*;
    use crate::fused::matrix::{Matrix, Start};
    use crate::fused::products::multiply;
    use crate::precision::Precision;

    /// Numbers of threads for which results must be the same.
    const THREADS: [usize; 4] = [1, 2, 3, 8];

    /// Small whole numbers, which bfloat16 has, so that sums of products are exact in any order.
    fn whole_numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|at| ((at * 37 + seed * 11) % 13) as f32 - 6.0).collect()
    }

    /// Numbers in -1..1 with all their digits.
    fn fractions(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1664525).wrapping_add(1013904223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..n).map(|_| next()).collect()
    }

    /// A number rounded to bfloat16, by its bits.
    fn rounded(value: f32) -> f64 {
        let bits = value.to_bits();
        f64::from(f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000))
    }

    fn at(matrix: Matrix<'_>, row: usize, column: usize) -> f32 {
        matrix.values[row * matrix.row_stride + column * matrix.column_stride]
    }

    /// `values` as a matrix `[rows, columns]`, or the transposed matrix of one `[columns, rows]`, with gaps of NaN.
    fn with_gaps(values: &[f32], rows: usize, columns: usize, gap: usize, is_transposed: bool) -> Vec<f32> {
        let (outer, inner) = if is_transposed { (columns, rows) } else { (rows, columns) };
        let mut all = vec![f32::NAN; outer.saturating_sub(1) * (inner + gap) + inner];
        for row in 0..rows {
            for column in 0..columns {
                let (x, y) = if is_transposed { (column, row) } else { (row, column) };
                all[x * (inner + gap) + y] = values[row * columns + column];
            }
        }
        all
    }

    fn matrix(values: &[f32], rows: usize, columns: usize, gap: usize, is_transposed: bool) -> Matrix<'_> {
        if is_transposed {
            Matrix::new(values, columns, rows, rows + gap).transposed()
        } else {
            Matrix::new(values, rows, columns, columns + gap)
        }
    }

    /// Calls `check` for each of the four layouts, without and with gaps between rows.
    fn for_layouts(
        (left, right): (&[f32], &[f32]),
        (m, k, n): (usize, usize, usize),
        check: impl Fn(Matrix<'_>, Matrix<'_>, &str),
    ) {
        for layout in 0..8 {
            let (of_a, of_b, gap) = (layout & 1 != 0, layout & 2 != 0, if layout & 4 != 0 { 5 } else { 0 });
            let (left, right) = (with_gaps(left, m, k, gap, of_a), with_gaps(right, k, n, gap, of_b));
            let what = format!("{m}x{k}x{n}, transposed {of_a} {of_b}, gap {gap}");
            check(matrix(&left, m, k, gap, of_a), matrix(&right, k, n, gap, of_b), &what);
        }
    }

    fn product(start: Start<'_>, a: Matrix<'_>, b: Matrix<'_>, scale: f32) -> Vec<f32> {
        let write = |out: &mut [MaybeUninit<f32>]| {
            // SAFETY: the output has exactly these rows and columns.
            unsafe { multiply(out.as_mut_ptr().cast(), b.columns, start, a, b, scale, Precision::Bfloat16) }
        };
        // SAFETY: a product writes every value.
        unsafe { super::super::vector::written(a.rows * b.columns, write) }
    }

    fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
    }

    /// The product of rounded operands in double precision.
    fn by_definition(start: &[f32], a: Matrix<'_>, b: Matrix<'_>, scale: f32) -> Vec<f64> {
        let sum = |row, column| (0..a.columns).map(|k| rounded(at(a, row, k)) * rounded(at(b, k, column))).sum::<f64>();
        let value = |row, column| f64::from(start[column]) + f64::from(scale) * sum(row, column);
        (0..a.rows).flat_map(|row| (0..b.columns).map(move |column| value(row, column))).collect()
    }

    /// Sizes with and without remainders of tiles, vectors, pairs and blocks, and empty ones.
    #[test]
    fn products_of_whole_numbers_are_exact() {
        for (m, k, n) in [
            (0, 3, 5),
            (3, 0, 5),
            (5, 3, 0),
            (0, 0, 0),
            (1, 1, 1),
            (2, 2, 2),
            (13, 7, 17),
            (14, 32, 32),
            (15, 33, 33),
            (28, 31, 16),
            (29, 64, 31),
            (113, 37, 97),
            (127, 768, 48),
            (16, 769, 131),
            (5, 1601, 47),
            (31, 3, 2053),
            (300, 131, 211),
        ] {
            let (left, right, row) = (whole_numbers(m * k, 1), whole_numbers(k * n, 2), whole_numbers(n, 3));
            for_layouts((&left, &right), (m, k, n), |a, b, what| {
                let is_exact = |found: Vec<f32>, expected: Vec<f64>| {
                    found.len() == expected.len() && found.iter().zip(&expected).all(|(x, y)| f64::from(*x) == *y)
                };
                let zero = by_definition(&vec![0.0; n], a, b, 1.0);
                assert!(is_exact(product(Start::Zero, a, b, 1.0), zero), "{what}");
                let rows = by_definition(&row, a, b, 0.5);
                assert!(is_exact(product(Start::Rows(&row), a, b, 0.5), rows), "{what}, added to a row");
            });
        }
    }

    #[test]
    fn operands_are_rounded_and_sums_are_not() {
        for (m, k, n) in [(33, 50, 65), (90, 1000, 70), (30, 2311, 20)] {
            let (left, right, row) = (fractions(m * k, 1), fractions(k * n, 2), fractions(n, 3));
            for_layouts((&left, &right), (m, k, n), |a, b, what| {
                let found = product(Start::Rows(&row), a, b, 0.7);
                for (found, expected) in found.iter().zip(by_definition(&row, a, b, 0.7)) {
                    let error = (f64::from(*found) - expected).abs();
                    assert!(error < 1e-6 * k as f64, "{what}: {found} instead of {expected}");
                }
            });
        }
        let near_one = [1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, 1.0 + 1.01 / 256.0];
        let found = product(Start::Zero, Matrix::dense(&near_one, 1), Matrix::dense(&[1.0], 1), 1.0);
        assert_eq!(found, [1.0, 1.0 + 4.0 / 256.0, 1.0 + 2.0 / 256.0], "ties go to the even number");
    }

    #[test]
    fn bits_are_the_same_for_any_number_of_threads() {
        for (m, k, n) in [(400, 192, 577), (101, 2000, 96), (64, 768, 768), (1000, 40, 200), (7, 1200, 1000)] {
            let (left, right, row) = (fractions(m * k, 1), fractions(k * n, 2), fractions(n, 3));
            for_layouts((&left, &right), (m, k, n), |a, b, what| {
                let found = THREADS.map(|threads| on_threads(threads, || product(Start::Rows(&row), a, b, 0.7)));
                let bits = found.map(|found| found.into_iter().map(f32::to_bits).collect::<Vec<_>>());
                assert!(bits.iter().all(|found| *found == bits[0]), "{what}");
            });
        }
    }

    #[test]
    fn values_between_the_rows_of_an_output_stay() {
        for (m, k, n) in [(400, 300, 256), (29, 800, 47), (3, 0, 5)] {
            let (left, right) = (whole_numbers(m * k, 1), whole_numbers(k * n, 2));
            let (a, b) = (Matrix::new(&left, m, k, k), Matrix::new(&right, k, n, n));
            let expected = by_definition(&vec![0.0; n], a, b, 2.0);
            for threads in THREADS {
                // What the output holds before is not read.
                let mut out = vec![f32::NAN; m * (n + 4)];
                out.chunks_mut(n + 4).for_each(|row| row[n..].fill(0.5));
                let place = out.as_mut_ptr() as usize;
                // SAFETY: m rows of n values, 4 more apart.
                on_threads(threads, || unsafe {
                    multiply(place as *mut f32, n + 4, Start::Zero, a, b, 2.0, Precision::Bfloat16)
                });
                for (found, expected) in out.chunks(n + 4).zip(expected.chunks(n)) {
                    assert!(found[..n].iter().zip(expected).all(|(found, expected)| f64::from(*found) == *expected));
                    assert_eq!(found[n..], [0.5; 4]);
                }
            }
        }
    }

    #[test]
    fn numbers_that_are_not_finite_stay_in_their_row_and_column() {
        let (m, k, n) = (31, 45, 67);
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let (mut left, mut right) = (vec![1.0; m * k], vec![1.0; k * n]);
            // The last value along the depth, which has no other of its pair.
            left[20 * k + 44] = value;
            right[7 * n + 66] = value;
            for_layouts((&left, &right), (m, k, n), |a, b, what| {
                for (at, found) in product(Start::Zero, a, b, 1.0).into_iter().enumerate() {
                    let is_affected = at / n == 20 || at % n == 66;
                    let is_expected = if !is_affected {
                        found == k as f32
                    } else if value.is_nan() {
                        found.is_nan()
                    } else {
                        found == value
                    };
                    assert!(is_expected, "{what}: {found} at {at} for {value}");
                }
            });
        }
    }

    #[test]
    fn subnormal_numbers_count_as_zero() {
        if !is_supported() {
            return;
        }
        let one = |a: f32, b: f32| product(Start::Zero, Matrix::dense(&[a], 1), Matrix::dense(&[b], 1), 1.0)[0];
        assert_eq!(one(f32::MIN_POSITIVE, 1.0), f32::MIN_POSITIVE);
        assert_eq!(one(f32::MIN_POSITIVE / 2.0, 1e30), 0.0, "an operand");
        assert_eq!(one(f32::MIN_POSITIVE, 0.5), 0.0, "a product");
    }
}
