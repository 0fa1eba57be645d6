//! Resampling along one axis by an interpolating cubic spline, after a Gaussian where the axis shrinks. Equals
//! `skimage.transform.resize` of order 3 with the border mode `reflect` and anti-aliasing, which is
//! `scipy.ndimage.zoom` with `grid_mode` and the border `mirror`.
//!
//! Output `i` of `m` lies at the input position `(i + 0.5) * n / m - 0.5`. Beyond the border the axis is mirrored about the centre of
//! its last voxel. No kept crate has this spline with its prefilter and border. Each axis is computed in double precision; between
//! axes values are `f32`.

/// Pole of the prefilter of the cubic spline, `sqrt(3) - 2`.
const POLE: f64 = -0.267_949_192_431_122_7;
/// Number of powers of the pole that exceed rounding.
const N_POWERS: usize = 40;
/// Reach of the Gaussian in standard deviations.
const TRUNCATE: f64 = 4.0;
/// Number of lines that are computed at once.
const LINES: usize = 16;

/// Resamples one axis of `values` `shape` to `m` voxels.
pub(crate) fn resample_axis(values: &[f32], shape: [usize; 3], axis: usize, m: usize) -> Vec<f32> {
    let n = shape[axis];
    let inner: usize = shape[axis + 1..].iter().product();
    let outer: usize = shape[..axis].iter().product();
    let (gaussian, taps) = (gaussian(n, m), taps(n, m));
    let mut resampled = vec![0.0; outer * m * inner];
    // The lines of a chunk lie side by side: `[n, LINES]`.
    let mut lines = vec![[0.0; LINES]; n];
    let mut smoothed = lines.clone();
    let n_lines = outer * inner;
    for first in (0..n_lines).step_by(LINES) {
        let count = LINES.min(n_lines - first);
        let start = |line: usize, length: usize| (line / inner) * length * inner + line % inner;
        for lane in 0..count {
            let from = start(first + lane, n);
            for (i, line) in lines.iter_mut().enumerate() {
                line[lane] = f64::from(values[from + i * inner]);
            }
        }
        if let Some(weights) = &gaussian {
            smooth(&lines, weights, &mut smoothed);
            std::mem::swap(&mut lines, &mut smoothed);
        }
        prefilter(&mut lines);
        for (i, (places, weights)) in taps.iter().enumerate() {
            let mut sums = [0.0; LINES];
            for (&place, weight) in places.iter().zip(weights) {
                for (sum, value) in sums.iter_mut().zip(&lines[place]) {
                    *sum += weight * value;
                }
            }
            for (lane, sum) in sums.iter().enumerate().take(count) {
                resampled[start(first + lane, m) + i * inner] = *sum as f32;
            }
        }
    }
    resampled
}

/// The index in `0..n` that mirrors an index beyond the border.
fn mirrored(place: isize, n: usize) -> usize {
    if n == 1 {
        return 0;
    }
    let period = 2 * (n - 1);
    // An axis is far shorter than `isize::MAX`.
    let place = place.rem_euclid(period as isize) as usize;
    place.min(period - place)
}

/// Weights of the Gaussian from its centre outwards, where the axis shrinks: the standard deviation is half of what one output voxel
/// has more than one input voxel.
fn gaussian(n: usize, m: usize) -> Option<Vec<f64>> {
    let sigma = (n as f64 / m as f64 - 1.0) / 2.0;
    if sigma <= 1e-15 {
        return None;
    }
    let radius = (TRUNCATE * sigma + 0.5) as usize;
    let half: Vec<f64> = (0..=radius).map(|x| (-0.5 / (sigma * sigma) * (x * x) as f64).exp()).collect();
    let sum = half[0] + 2.0 * half[1..].iter().sum::<f64>();
    Some(half.into_iter().map(|weight| weight / sum).collect())
}

fn smooth(lines: &[[f64; LINES]], weights: &[f64], smoothed: &mut [[f64; LINES]]) {
    let n = lines.len();
    for (i, to) in smoothed.iter_mut().enumerate() {
        *to = lines[i].map(|value| value * weights[0]);
        for (distance, weight) in weights.iter().enumerate().skip(1) {
            let (i, distance) = (i as isize, distance as isize);
            let (before, after) = (&lines[mirrored(i - distance, n)], &lines[mirrored(i + distance, n)]);
            for (lane, sum) in to.iter_mut().enumerate() {
                *sum += weight * (before[lane] + after[lane]);
            }
        }
    }
}

/// Converts values to coefficients of the spline that goes through them.
fn prefilter(lines: &mut [[f64; LINES]]) {
    let n = lines.len();
    if n < 2 {
        return;
    }
    let gain = (1.0 - POLE) * (1.0 - 1.0 / POLE);
    lines.iter_mut().flatten().for_each(|value| *value *= gain);
    let whole = POLE.powi(i32::try_from(n - 1).unwrap_or(i32::MAX));
    let mut first = lines[0];
    for (lane, value) in first.iter_mut().enumerate() {
        *value += whole * lines[n - 1][lane];
        let mut power = POLE;
        for i in (1..n - 1).take(N_POWERS) {
            *value += power * (lines[i][lane] + whole * lines[n - 1 - i][lane]);
            power *= POLE;
        }
        *value /= 1.0 - whole * whole;
    }
    lines[0] = first;
    for i in 1..n {
        let before = lines[i - 1];
        lines[i].iter_mut().zip(before).for_each(|(value, before)| *value += POLE * before);
    }
    let before = lines[n - 2];
    let last = lines[n - 1].iter_mut().zip(before);
    last.for_each(|(value, before)| *value = (POLE * before + *value) * POLE / (POLE * POLE - 1.0));
    for i in (0..n - 1).rev() {
        let after = lines[i + 1];
        lines[i].iter_mut().zip(after).for_each(|(value, after)| *value = POLE * (after - *value));
    }
}

/// Four coefficients and their weights for each output voxel.
fn taps(n: usize, m: usize) -> Vec<([usize; 4], [f64; 4])> {
    let step = n as f64 / m as f64;
    let tap = |i: usize| {
        let position = (i as f64 + 0.5) * step - 0.5;
        let before = position.floor();
        let (t, first) = (position - before, before as isize - 1);
        let u = 1.0 - t;
        let weights = [
            u * u * u / 6.0,
            (t * t * (t - 2.0) * 3.0 + 4.0) / 6.0,
            (u * u * (u - 2.0) * 3.0 + 4.0) / 6.0,
            t * t * t / 6.0,
        ];
        ([0, 1, 2, 3].map(|tap| mirrored(first + tap, n)), weights)
    };
    (0..m).map(tap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spline_goes_through_the_voxels_it_is_made_of() {
        // Three times as many: every third position is a voxel's centre.
        let values: Vec<f32> = (0..3 * 7 * 5).map(|at| (at * 37 % 101) as f32).collect();
        for (axis, stride) in [(0, 35), (1, 5), (2, 1)] {
            let shape = [3, 7, 5];
            let n = shape[axis];
            let found = resample_axis(&values, shape, axis, 3 * n);
            let inner = stride;
            for line in 0..105 / n {
                let (outer, at) = (line / inner, line % inner);
                for i in 0..n {
                    let expected = values[outer * n * inner + i * inner + at];
                    let value = found[outer * 3 * n * inner + (3 * i + 1) * inner + at];
                    assert!((value - expected).abs() < 1e-4, "axis {axis}: {value} {expected}");
                }
            }
        }
    }

    #[test]
    fn a_constant_stays_and_borders_are_mirrored_about_the_last_centre() {
        for (n, m) in [(1, 4), (2, 5), (9, 4), (6, 6)] {
            let found = resample_axis(&vec![3.5; n], [1, 1, n], 2, m);
            assert!(found.iter().all(|value| (value - 3.5).abs() < 1e-6), "{n} to {m}: {found:?}");
        }
        assert_eq!([-3, -1, 0, 4, 5, 9].map(|place| mirrored(place, 5)), [3, 1, 0, 4, 3, 1]);
    }
}
