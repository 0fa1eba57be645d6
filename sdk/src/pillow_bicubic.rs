//! Pillow's bicubic resampling of whole images of 8 bits, to the bit: columns first, then rows, with bytes between the two.
//!
//! The kernel is cubic with a = -0.5, widened where the image shrinks. Weights are whole numbers of 22 bits, as in Pillow's
//! `Resample.c`. [`crate::image`] resamples regions with a library of its own rounding, within two levels of this.

/// `PRECISION_BITS` of Pillow: 32, less 8 of the values and 2 for overshoots.
const PRECISION_BITS: u32 = 32 - 8 - 2;
/// Half a level, which makes the shift round.
const HALF: i32 = 1 << (PRECISION_BITS - 1);
/// Reach of the kernel on either side, in pixels of the coarser grid.
const SUPPORT: f64 = 2.0;

/// Resamples `pixels` `[height, width, channels]` of one or three channels to `[to_height, to_width, channels]`. All sides are at least 1.
pub(crate) fn resize(
    pixels: &[u8],
    [height, width, channels]: [usize; 3],
    [to_height, to_width]: [usize; 2],
) -> Vec<u8> {
    let mut columns = Vec::with_capacity(height * to_width * channels);
    let kernels = kernels(width, to_width);
    for row in pixels.chunks_exact(width * channels) {
        match channels {
            1 => resize_row::<1>(row, &kernels, &mut columns),
            _ => resize_row::<3>(row, &kernels, &mut columns),
        }
    }
    let row_bytes = to_width * channels;
    let mut rows = Vec::with_capacity(to_height * row_bytes);
    let mut sums = vec![0; row_bytes];
    for (first, weights) in self::kernels(height, to_height) {
        sums.fill(HALF);
        for (weight, row) in weights.iter().zip(columns[first * row_bytes..].chunks_exact(row_bytes)) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += weight * i32::from(value);
            }
        }
        rows.extend(sums.iter().map(|&sum| clipped(sum)));
    }
    rows
}

/// Appends the output pixels of a row of `N` channels.
fn resize_row<const N: usize>(row: &[u8], kernels: &[(usize, Vec<i32>)], columns: &mut Vec<u8>) {
    let (pixels, _) = row.as_chunks::<N>();
    for (first, weights) in kernels {
        let mut sums = [HALF; N];
        for (weight, pixel) in weights.iter().zip(&pixels[*first..]) {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                *sum += weight * i32::from(value);
            }
        }
        columns.extend(sums.map(clipped));
    }
}

/// First pixel and weights of each output pixel, for `n` pixels that become `m`.
fn kernels(n: usize, m: usize) -> Vec<(usize, Vec<i32>)> {
    let scale = n as f64 / m as f64;
    let widened = scale.max(1.0);
    let support = SUPPORT * widened;
    let kernel = |at: usize| {
        let centre = (at as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(n);
        let weight = |pixel: usize| cubic((pixel as f64 - centre + 0.5) * (1.0 / widened));
        let weights: Vec<f64> = (first..end).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let whole = |weight: &f64| {
            let scaled = weight / sum * f64::from(1 << PRECISION_BITS);
            // Half away from zero, by a cut towards zero.
            (scaled + 0.5_f64.copysign(scaled)) as i32
        };
        (first, weights.iter().map(whole).collect())
    };
    (0..m).map(kernel).collect()
}

/// Cubic convolution with a = -0.5.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn clipped(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_its_own_size_an_image_is_unchanged() {
        let pixels: Vec<u8> = (0..7 * 9 * 3).map(|value| (value * 193 % 256) as u8).collect();
        assert_eq!(resize(&pixels, [7, 9, 3], [7, 9]), pixels);
    }

    #[test]
    fn weights_sum_to_one_and_a_flat_image_stays_flat() {
        for (n, m) in [(9, 5), (5, 9), (1, 4), (300, 48)] {
            for (first, weights) in kernels(n, m) {
                let sum: i32 = weights.iter().sum();
                assert!((sum - (1 << PRECISION_BITS)).abs() <= weights.len() as i32 && first + weights.len() <= n);
            }
        }
        assert!(resize(&[200; 63], [7, 9, 1], [13, 4]).iter().all(|&value| value == 200));
    }
}
