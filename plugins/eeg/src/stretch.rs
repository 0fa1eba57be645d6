//! The values of a window: read, filtered, resampled, mixed to channels.

use medcoss_sdk::Error;
use medcoss_sdk::signal::{Kernel, Resampling, SecondOrder};

use crate::edf::{EdfFile, Segment};
use crate::montage::{self, Mixture};
use crate::options::{Options, Reference};

/// Longest stretch in seconds that is read before and behind a window, for filters to settle in.
const MAX_SETTLING_SECONDS: f64 = 10.0;

/// A stretch of channels.
pub(crate) struct Stretch {
    /// `[channels, times]` in microvolts; 0 where a channel is missing.
    pub values: Vec<f32>,
    /// Whether each channel is there.
    pub is_there: Vec<bool>,
}

/// Seconds that are read before and behind a window.
pub(crate) fn settling_seconds(options: &Options) -> f64 {
    let of_band = options.band_hz.map_or(0.0, |[low, _]| (1.0 / low).min(MAX_SETTLING_SECONDS));
    if options.notch_hz.is_some() { of_band.max(1.0) } else { of_band }
}

/// Seconds that a sample may need before and behind its window: for a shift, for filters, and for the kernel of resampling.
pub(crate) fn margin_seconds(options: &Options, slowest_hz: f64) -> f64 {
    let kernel = 10.0 / slowest_hz.min(options.sampling_rate_hz as f64);
    options.max_shift() as f64 / options.sampling_rate_hz as f64 + settling_seconds(options) + kernel
}

/// Reads the channels of a window that begins `start` seconds after its segment.
///
/// # Errors
/// A file that is damaged or has changed, values that are no finite numbers.
pub(crate) fn read(edf: &EdfFile, segment: &Segment, start: f64, options: &Options) -> Result<Stretch, Error> {
    let mixtures = montage::mixtures(&options.canonical_channels(), &edf.header);
    let used = montage::used(&mixtures);
    let mut resampled: Vec<Vec<f64>> = vec![Vec::new(); used.len()];
    // Signals of one rate are resampled together.
    let mut rates: Vec<u64> = used.iter().map(|&signal| edf.header.signals[signal].n_samples).collect();
    rates.sort_unstable();
    rates.dedup();
    for n_samples in rates {
        let rows: Vec<usize> =
            (0..used.len()).filter(|&row| edf.header.signals[used[row]].n_samples == n_samples).collect();
        let signals = rows.iter().map(|&row| used[row]).collect::<Vec<_>>();
        let group = of_one_rate(edf, segment, start, &signals, options)?;
        rows.into_iter().zip(group).for_each(|(row, values)| resampled[row] = values);
    }
    let mut stretch = mixed(&mixtures, &used, &resampled, options.n_times());
    if options.reference == Reference::Average {
        stretch.subtract_average(options.n_times());
    }
    if let Some(value) = stretch.values.iter().find(|value| !value.is_finite()) {
        return Err(Error::corrupt(format!("a value of the recording is {value} microvolts")));
    }
    Ok(stretch)
}

fn of_one_rate(
    edf: &EdfFile,
    segment: &Segment,
    start: f64,
    signals: &[usize],
    options: &Options,
) -> Result<Vec<Vec<f64>>, Error> {
    let Some(&one) = signals.first() else { return Ok(Vec::new()) };
    let rate_hz = edf.header.rate_hz(one);
    let n_samples = edf.header.signals[one].n_samples;
    let n_in = segment.n_records * n_samples;
    let step = rate_hz / options.sampling_rate_hz as f64;
    let places = Resampling { n: options.n_times(), first: start * rate_hz, step, kernel: Kernel::Hann };
    let settling = (settling_seconds(options) * rate_hz).round() as u64;
    let reach = places.reach(usize::try_from(n_in).unwrap_or(usize::MAX));
    let first = (reach.start as u64).saturating_sub(settling);
    let end = (reach.end as u64).saturating_add(settling).min(n_in);
    let begin = segment.first_record * n_samples;
    let filters = filters(options, rate_hz)?;
    let mut read = Vec::with_capacity(signals.len());
    for &signal in signals {
        let mut values = edf.read(signal, begin + first..begin + end)?;
        filters.iter().for_each(|filter| filter.apply(&mut values));
        read.push(values);
    }
    Ok(places.resample(&read, first as usize))
}

/// The filters of the options at a signal's sampling rate. What the signal cannot hold needs no filter.
fn filters(options: &Options, rate_hz: f64) -> Result<Vec<SecondOrder>, Error> {
    let mut filters = Vec::new();
    let fits = |hz: f64| hz < 0.49 * rate_hz;
    if let Some([low, high]) = options.band_hz {
        filters.extend(fits(low).then(|| SecondOrder::high_pass(low, rate_hz)).transpose()?);
        filters.extend(fits(high).then(|| SecondOrder::low_pass(high, rate_hz)).transpose()?);
    }
    filters.extend(options.notch_hz.filter(|&hz| fits(hz)).map(|hz| SecondOrder::notch(hz, rate_hz)).transpose()?);
    Ok(filters)
}

fn mixed(mixtures: &[Option<Mixture>], used: &[usize], resampled: &[Vec<f64>], n_times: usize) -> Stretch {
    let mut values = vec![0.0; mixtures.len() * n_times];
    for (channel, mixture) in values.chunks_exact_mut(n_times.max(1)).zip(mixtures) {
        for (signal, factor) in mixture.iter().flatten() {
            let row = used.partition_point(|used| used < signal);
            for (sum, value) in channel.iter_mut().zip(&resampled[row]) {
                *sum += (factor * value) as f32;
            }
        }
    }
    Stretch { values, is_there: mixtures.iter().map(Option::is_some).collect() }
}

impl Stretch {
    /// Takes the mean of the channels that are there off each of them, at each time.
    fn subtract_average(&mut self, n_times: usize) {
        let n = self.is_there.iter().filter(|there| **there).count().max(1);
        let mut mean = vec![0.0; n_times];
        for channel in self.values.chunks_exact(n_times.max(1)) {
            mean.iter_mut().zip(channel).for_each(|(sum, value)| *sum += f64::from(*value) / n as f64);
        }
        for (channel, _) in self.channels(n_times) {
            channel.iter_mut().zip(&mean).for_each(|(value, mean)| *value = (f64::from(*value) - mean) as f32);
        }
    }

    /// Channels that are there, with their numbers.
    pub(crate) fn channels(&mut self, n_times: usize) -> impl Iterator<Item = (&mut [f32], usize)> {
        let there = self.is_there.iter().enumerate();
        let channels = self.values.chunks_exact_mut(n_times.max(1)).zip(there);
        channels.filter(|(_, (_, there))| **there).map(|(channel, (number, _))| (channel, number))
    }
}
