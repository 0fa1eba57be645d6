//! Normalisation and augmentation of the channels of a sample.

use medcoss_sdk::rand::RngExt;
use medcoss_sdk::{SampleRng, intensity};

use crate::options::{Normalise, Options};
use crate::stretch::Stretch;

/// Microvolts that become 1 where nothing else normalises.
const UNIT_UV: f64 = 100.0;

/// Largest difference of two values of one channel, in microvolts.
pub(crate) fn largest_variation(stretch: &mut Stretch, n_times: usize) -> f64 {
    let variation = |channel: &[f32]| {
        let (low, high) = channel.iter().fold((f32::MAX, f32::MIN), |(low, high), &v| (low.min(v), high.max(v)));
        f64::from(high) - f64::from(low)
    };
    stretch.channels(n_times).map(|(channel, _)| variation(channel)).fold(0.0, f64::max)
}

/// Takes the mean off each channel, divides as the options say, and clips. Flat channels become 0.
pub(crate) fn normalise(stretch: &mut Stretch, options: &Options) {
    let n_times = options.n_times();
    let mut sum_of_squares = 0.0;
    let mut n_values = 0;
    for (channel, _) in stretch.channels(n_times) {
        if options.normalise == Normalise::Channel {
            intensity::standardise(channel);
            continue;
        }
        let mean = channel.iter().map(|&value| f64::from(value)).sum::<f64>() / n_times as f64;
        for value in channel {
            let centred = f64::from(*value) - mean;
            sum_of_squares += centred * centred;
            n_values += 1;
            *value = centred as f32;
        }
    }
    let divisor = match options.normalise {
        Normalise::Channel => 1.0,
        Normalise::None => UNIT_UV,
        // What varies by rounding alone is flat.
        Normalise::Window => (sum_of_squares / n_values.max(1) as f64).sqrt().max(1e-6),
    };
    for (channel, _) in stretch.channels(n_times) {
        for value in channel {
            *value = ((f64::from(*value) / divisor) as f32).clamp(-options.clip, options.clip);
        }
    }
}

/// Scales all channels by one random factor and leaves some out. One at least stays.
pub(crate) fn augment(stretch: &mut Stretch, options: &Options, rng: &mut SampleRng) {
    let gain = 1.0 + options.amplitude_scaling * rng.random_range(-1.0..=1.0_f32);
    let n_times = options.n_times();
    // Drawn for every channel, so that what is drawn after it does not depend on what is there.
    let dropped: Vec<bool> = stretch.is_there.iter().map(|_| rng.random_bool(options.channel_dropout)).collect();
    let stays = |number: usize| !dropped[number];
    let some_stay = stretch.channels(n_times).any(|(_, number)| stays(number));
    let first = stretch.channels(n_times).map(|(_, number)| number).next();
    let mut left_out = Vec::new();
    for (channel, number) in stretch.channels(n_times) {
        let stays = stays(number) || !some_stay && first == Some(number);
        channel.iter_mut().for_each(|value| *value = if stays { *value * gain } else { 0.0 });
        left_out.extend((!stays).then_some(number));
    }
    left_out.into_iter().for_each(|number| stretch.is_there[number] = false);
}

#[cfg(test)]
mod tests {
    use super::*;
    use medcoss_sdk::sample_rng;

    fn options(normalise: Normalise) -> Options {
        let (sampling_rate_hz, seconds, patch_size) = (20, 0.1, 1);
        Options { normalise, sampling_rate_hz, seconds, patch_size, clip: 5.0, ..Options::default() }
    }

    /// Two channels with one that is missing between them, of two times.
    fn stretch() -> Stretch {
        Stretch { values: vec![100.0, 300.0, 0.0, 0.0, -1000.0, 1000.0], is_there: vec![true, false, true] }
    }

    #[test]
    fn proportions_of_channels_stay_where_they_should() {
        let normalised = |how| {
            let mut stretch = stretch();
            normalise(&mut stretch, &options(how));
            stretch.values
        };
        assert_eq!(normalised(Normalise::Channel), [-1.0, 1.0, 0.0, 0.0, -1.0, 1.0]);
        // 1000 microvolts are ten units, of which five are left.
        assert_eq!(normalised(Normalise::None), [-1.0, 1.0, 0.0, 0.0, -5.0, 5.0]);
        // Mean of squares without the missing channel: (1e4 + 1e4 + 1e6 + 1e6) / 4.
        let deviation = 505_000.0_f32.sqrt();
        let expected = [-100.0, 100.0, 0.0, 0.0, -1000.0, 1000.0].map(|value| value / deviation);
        assert!(normalised(Normalise::Window).iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6));
        assert_eq!(largest_variation(&mut stretch(), 2), 2000.0);
    }

    #[test]
    fn augmentation_scales_all_alike_and_leaves_one_channel_at_least() {
        let mut n_left = [0; 3];
        for seed in 0..300 {
            let mut stretch = stretch();
            let options = Options { amplitude_scaling: 0.2, channel_dropout: 0.4, ..options(Normalise::None) };
            augment(&mut stretch, &options, &mut sample_rng(seed));
            let gains: Vec<f32> =
                stretch.channels(2).map(|(channel, number)| channel[1] / [300.0, 1.0, 1000.0][number]).collect();
            assert!(gains.iter().all(|gain| (gain - gains[0]).abs() < 1e-6 && (0.8..=1.2).contains(gain)), "{gains:?}");
            n_left[gains.len()] += 1;
            for (channel, there) in stretch.values.chunks(2).zip(&stretch.is_there) {
                assert!(*there || channel == [0.0, 0.0]);
            }
        }
        // Both stay with 0.6 * 0.6.
        assert!(n_left[0] == 0 && (80..140).contains(&n_left[2]), "{n_left:?}");
    }
}
