//! Building blocks of the kernels: functions that vectorise, and parallel work on rows.
//!
//! Everything here is branch-free and inlined into a caller that was compiled for the CPU's widest vectors. Sums have a fixed order,
//! whatever the number of threads.

use std::mem::MaybeUninit;

/// Number of interleaved partial sums.
const LANES: usize = 16;
/// Minimum number of values of a task; fewer are not worth a thread.
const GRAIN: usize = 1 << 14;

/// Number of rows of a block of work: enough values for a task, and always the same for the same width.
pub fn rows_per_block(width: usize) -> usize {
    (GRAIN / width.max(1)).max(1)
}

/// Exponential function `e^x` with a relative error of about 1e-7 (Cody and Waite's reduction, the polynomial of Cephes). `x` is clamped to ±87, so
/// that the result is neither 0 nor infinite.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    /// Adding and subtracting this number rounds to an integer.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 87.0);
    let rounded = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = n.mul_add(-0.693_359_4, x);
    let r = n.mul_add(2.121_944_4e-4, r);
    let p = 1.987_569_1e-4_f32
        .mul_add(r, 1.398_199_9e-3)
        .mul_add(r, 8.333_452e-3)
        .mul_add(r, 4.166_579_6e-2)
        .mul_add(r, 1.666_666_5e-1)
        .mul_add(r, 0.5);
    let y = p.mul_add(r * r, r) + 1.0;
    // n is in the lowest bits of `rounded`; a conversion to an integer would not vectorise.
    y * f32::from_bits(rounded.to_bits().wrapping_add(127) << 23)
}

/// Error function with an absolute error of about 3e-7: a rational approximation on ±4 (as in Eigen), beyond which the function is ±1 in single
/// precision.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let s = x * x;
    let p = (-2.726_142_3e-10_f32)
        .mul_add(s, 2.770_681_4e-8)
        .mul_add(s, -2.101_024e-6)
        .mul_add(s, -5.692_506_5e-5)
        .mul_add(s, -7.349_906_5e-4)
        .mul_add(s, -2.954_6e-3)
        .mul_add(s, -1.609_603_3e-2);
    let q = (-1.456_607_2e-5_f32)
        .mul_add(s, -2.133_740_5e-4)
        .mul_add(s, -1.682_827e-3)
        .mul_add(s, -7.373_329e-3)
        .mul_add(s, -1.426_473_9e-2);
    x * p / q
}

/// Value of each slice at a position. `array::map` is not always inlined into code for wider vectors; a loop is.
#[inline(always)]
fn values_at<const N: usize>(slices: &[&[f32]; N], position: usize) -> [f32; N] {
    let mut values = [0.0; N];
    for (value, slice) in values.iter_mut().zip(slices) {
        *value = slice[position];
    }
    values
}

/// Sum of `of` over the values at each position of the slices, which have one length.
///
/// # Panics
/// When a slice is shorter than the first.
#[inline(always)]
pub fn sum<const N: usize>(slices: [&[f32]; N], of: impl Fn([f32; N]) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let n = slices[0].len();
    let whole = n - n % LANES;
    let mut at = 0;
    while at < whole {
        // Bounds are checked once per chunk: a check for each value would prevent vectorisation.
        let parts = slices.map(|slice| &slice[at..at + LANES]);
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += of(parts.map(|part| part[lane]));
        }
        at += LANES;
    }
    for (lane, sum) in lanes.iter_mut().enumerate().take(n - whole) {
        *sum += of(values_at(&slices, whole + lane));
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// Maximum of `values`.
#[inline(always)]
pub fn maximum(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut chunks = values.chunks_exact(LANES);
    for chunk in &mut chunks {
        for lane in 0..LANES {
            lanes[lane] = if chunk[lane] > lanes[lane] { chunk[lane] } else { lanes[lane] };
        }
    }
    chunks
        .remainder()
        .iter()
        .chain(&lanes)
        .fold(f32::NEG_INFINITY, |most, &value| if value > most { value } else { most })
}

/// Checks that `values` are whole rows of `width`. Kernels write row by row: a remainder would stay uninitialised.
///
/// # Panics
/// When they are not whole rows, or `width` is 0.
pub fn check_rows(values: &[f32], width: usize) {
    assert!(width > 0 && values.len().is_multiple_of(width), "{} values are no rows of {width}", values.len());
}

/// A vector of `n` values that `write` fills.
///
/// # Safety
/// `write` must have written every value when it returns.
pub unsafe fn written(n: usize, write: impl FnOnce(&mut [MaybeUninit<f32>])) -> Vec<f32> {
    let mut values = Vec::with_capacity(n);
    write(&mut values.spare_capacity_mut()[..n]);
    // SAFETY: the capacity is at least n, and the caller guarantees that all were written.
    unsafe { values.set_len(n) };
    values
}

/// Sum of vectors of one length, in their order.
pub fn added(parts: Vec<Vec<f32>>) -> Vec<f32> {
    let mut parts = parts.into_iter();
    let mut total = parts.next().unwrap_or_default();
    for part in parts {
        total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_that_of_the_library_to_a_few_units_in_the_last_place() {
        for at in -8600..8600 {
            let x = at as f32 * 0.01;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) - exact).abs() < 2.5e-7 * exact, "{x}: {} {exact}", exp(x));
        }
        assert!(exp(-1e30) > 0.0 && exp(-1e30) < 1e-37 && exp(0.0) == 1.0);
    }

    #[test]
    fn the_error_function_has_known_values_and_is_odd() {
        for (x, expected) in
            [(0.0, 0.0), (0.5, 0.520_499_9), (1.0, 0.842_700_8), (2.0, 0.995_322_3), (3.5, 0.999_999_3), (9.0, 1.0)]
        {
            assert!((erf(x) - expected).abs() < 3e-7 && erf(-x) == -erf(x), "{x}: {}", erf(x));
        }
    }

    #[test]
    fn sums_and_maxima_include_all_values() {
        for n in [0, 1, 15, 16, 17, 100] {
            let values: Vec<f32> = (0..n).map(|at| ((at * 37) % 101) as f32).collect();
            assert_eq!(sum([values.as_slice()], |[value]| value), values.iter().sum::<f32>());
            assert_eq!(maximum(&values), values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }
}
