//! Intensities: scaling of a range, percentiles, standardisation. In place, on values in any order.

/// Clips to `[lowest, highest]` and scales this range linearly to `[-1, 1]`. `lowest` is below `highest`.
pub fn scale_range(values: &mut [f32], [lowest, highest]: [f32; 2]) {
    let (centre, half) = ((lowest + highest) / 2.0, (highest - lowest) / 2.0);
    for value in values {
        *value = ((*value - centre) / half).clamp(-1.0, 1.0);
    }
}

/// Scales a range linearly to `[-1, 1]` and clips nothing. `lowest` is below `highest`.
pub fn scale(values: &mut [f32], [lowest, highest]: [f32; 2]) {
    let (centre, half) = ((lowest + highest) / 2.0, (highest - lowest) / 2.0);
    for value in values {
        *value = (*value - centre) / half;
    }
}

/// Clips to `[lowest, highest]`.
pub fn clip(values: &mut [f32], [lowest, highest]: [f32; 2]) {
    for value in values {
        *value = value.max(lowest).min(highest);
    }
}

/// Two percentiles, in 0 to 100, interpolated linearly between the neighbouring values (numpy's default). `None`
/// without values.
pub fn percentiles(values: &[f32], percents: [f64; 2]) -> Option<[f32; 2]> {
    let last = values.len().checked_sub(1)?;
    let mut ordered = values.to_vec();
    Some(percents.map(|percent| {
        let at = (percent / 100.0).clamp(0.0, 1.0) * last as f64;
        let (_, &mut below, rest) = ordered.select_nth_unstable_by(at as usize, f32::total_cmp);
        let above = rest.iter().copied().min_by(f32::total_cmp).unwrap_or(below);
        (f64::from(below) + at.fract() * (f64::from(above) - f64::from(below))) as f32
    }))
}

/// Brings values to mean 0 and variance 1. Values that are all alike up to rounding become 0.
pub fn standardise(values: &mut [f32]) {
    let n = values.len() as f64;
    let add = |sum: f64, more: f64| sum + more;
    let mean = in_lanes(values, 0.0, |sum, value| sum + f64::from(value), add) / n;
    let variance = in_lanes(values, 0.0, |sum, value| sum + (f64::from(value) - mean).powi(2), add) / n;
    let deviation = variance.sqrt();
    let largest = in_lanes(values, 0.0, |largest: f32, value| largest.max(value.abs()), f32::max);
    // Interpolating a constant leaves differences in the last bit of an f32; they are no content to be blown up.
    let alike = deviation <= 1e-6 * f64::from(largest);
    for value in values {
        *value = if alike { 0.0 } else { ((f64::from(*value) - mean) / deviation) as f32 };
    }
}

/// The smallest value; 0 without values.
pub fn minimum(values: &[f32]) -> f32 {
    values.first().map_or(0.0, |&first| in_lanes(values, first, f32::min, f32::min))
}

/// A fold in eight lanes, of which each has every eighth value, so that no value waits for the one before it. The lanes, which
/// all begin with `start`, and the rest are put together at the end, always in the same order.
fn in_lanes<T: Copy>(values: &[f32], start: T, fold: impl Fn(T, f32) -> T, join: impl Fn(T, T) -> T) -> T {
    let (rounds, rest) = values.as_chunks::<8>();
    let mut lanes = [start; 8];
    for round in rounds {
        for (lane, &value) in lanes.iter_mut().zip(round) {
            *lane = fold(*lane, value);
        }
    }
    let rest = rest.iter().fold(start, |so_far, &value| fold(so_far, value));
    lanes.into_iter().fold(rest, join)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hounsfield_window_divides_by_1024() {
        let mut values = [-3024.0, -1024.0, -512.0, 0.0, 256.0, 1024.0, 3071.0];
        scale_range(&mut values, [-1024.0, 1024.0]);
        assert_eq!(values, [-1.0, -1.0, -0.5, 0.0, 0.25, 1.0, 1.0]);
        let mut values = [-2048.0, 0.0, 512.0, 3072.0];
        scale(&mut values, [-1024.0, 1024.0]);
        assert_eq!(values, [-2.0, 0.0, 0.5, 3.0]);
        let mut values = [-200.0, -160.0, 40.0, 240.0, 900.0];
        scale_range(&mut values, [-160.0, 240.0]);
        assert_eq!(values, [-1.0, -1.0, 0.0, 1.0, 1.0]);
    }

    #[test]
    fn percentiles_are_those_of_numpy() {
        // numpy.percentile([7, 1, 5, 3, 11], [30, 95]) = [3.4, 10.2]
        let [low, high] = percentiles(&[7.0, 1.0, 5.0, 3.0, 11.0], [30.0, 95.0]).unwrap();
        assert!((low - 3.4).abs() < 1e-6 && (high - 10.2).abs() < 1e-5, "{low} {high}");
        assert_eq!(percentiles(&[7.0, 1.0, 5.0], [0.0, 100.0]), Some([1.0, 7.0]));
        assert_eq!(percentiles(&[4.0], [0.2, 99.8]), Some([4.0, 4.0]));
        assert_eq!(percentiles(&[], [0.2, 99.8]), None);
    }

    #[test]
    fn standardised_values_have_mean_0_and_variance_1() {
        let mut values: Vec<f32> = (0..101).map(|v| 1000.0 + (v * v % 37) as f32).collect();
        standardise(&mut values);
        let mean = values.iter().sum::<f32>() / 101.0;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 101.0;
        assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4, "{mean} {variance}");
    }

    #[test]
    fn a_constant_becomes_zeros_even_with_rounding_in_it() {
        for mut values in [vec![0.0; 5], vec![0.1, 0.1 + f32::EPSILON / 8.0, 0.1], vec![-800.0; 3]] {
            standardise(&mut values);
            assert!(values.iter().all(|&value| value == 0.0), "{values:?}");
        }
        standardise(&mut []);
    }

    #[test]
    fn clipping_keeps_what_is_between() {
        let mut values = [-2.0, 0.5, 9.0];
        clip(&mut values, [0.0, 1.0]);
        assert_eq!(values, [0.0, 0.5, 1.0]);
        assert_eq!(minimum(&[3.0, -2.0, 5.0]), -2.0);
        let many: Vec<f32> = (0..37).map(|value| (value * 11 % 37) as f32 - 4.0).collect();
        assert_eq!((minimum(&many), minimum(&[]), minimum(&many[..1])), (-4.0, 0.0, -4.0));
    }
}
