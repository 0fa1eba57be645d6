//! Settings of the plugin, and what they mean in samples.

use medcoss_sdk::labels::LabelTable;
use medcoss_sdk::{Axis, Continuous, Coordinate, Error, Geometry, choices, mask, options};

use crate::electrodes::{TEN_TWENTY, canonical, place};

/// Shortest stride in seconds.
const SHORTEST_STRIDE: f64 = 0.01;
/// Most channels of a sample.
const MAX_CHANNELS: usize = 256;
/// Lowest frequency of a filter in Hz.
const LOWEST_HZ: f64 = 0.01;

choices! {
    /// What happens to a recording that lacks channels.
    pub enum MissingChannels {
        /// It is an invalid sample.
        Refuse,
        /// Tokens of the missing channels do not exist, if `min_channels_ratio` of the channels are there.
        Mark,
    }
}

choices! {
    /// What channels are measured against.
    pub enum Reference {
        /// What they were recorded against.
        Recorded,
        /// The mean of the sample's channels at each time.
        Average,
    }
}

choices! {
    /// The deviation that channels are divided by, after their means are subtracted.
    pub enum Normalise {
        /// Each channel by its own deviation.
        Channel,
        /// All channels by one deviation, so that their proportions stay.
        Window,
        /// By a tenth of a millivolt, whatever the deviation.
        None,
    }
}

choices! {
    /// Which tokens are masked in training.
    pub enum Masking {
        /// Any.
        Random,
        /// The same times in all channels. Harder: neighbouring electrodes record nearly the same.
        Times,
    }
}

options! {
    /// Settings of the plugin. The defaults are rate, token, band and masked share of LaBraM (Jiang et al., ICLR 2024, arXiv 2405.18765).
    pub struct Options {
        /// Channels of a sample in their order, 1 to 256: electrodes (`Fp1`), or differences (`Fp1-F7`), as they were
        /// recorded or from two electrodes. Former names (`T3`), upper case and the reference of the recording make no
        /// difference.
        pub channels: Vec<String> = TEN_TWENTY.map(String::from).to_vec(),
        /// Recordings that lack channels: `mark` (their tokens do not exist) or `refuse` (invalid samples).
        pub missing_channels: MissingChannels = MissingChannels::Mark,
        /// Least fraction of the channels that a recording must have where missing ones are marked, above 0 and up to 1.
        pub min_channels_ratio: f64 = 0.5 => LeftOpen(0.0, 1.0),
        /// What channels are measured against: `recorded`, or `average`, the mean of the sample's channels.
        pub reference: Reference = Reference::Recorded,
        /// Sampling rate in Hz that recordings are resampled to, 20 to 2000.
        pub sampling_rate_hz: usize = 200 => 20..=2000,
        /// Length of a sample in seconds, up to 600.
        pub seconds: f64 = 10.0 => LeftOpen(0.0, 600.0),
        /// Seconds from the beginning of a sample of a recording to that of the next, 0.01 and more. The default is
        /// `seconds`, without overlap.
        pub stride_seconds: Option<f64> = None => SHORTEST_STRIDE..,
        /// Samples begin at the annotations with this text, instead of one after another.
        pub window_annotation: Option<String> = None,
        /// Samples in time that a token holds, at `sampling_rate_hz`; `seconds` is a whole number of tokens.
        pub patch_size: usize = 200 => 1..,
        /// Lower and upper end in Hz of the band that is kept, 0.01 Hz and more, below half of the sampling rate:
        /// second-order Butterworth filters, forwards and backwards.
        pub band_hz: Option<[f64; 2]> = Some([0.1, 75.0]) => LOWEST_HZ..,
        /// Frequency of the mains in Hz, 50 or 60, that is filtered out.
        pub notch_hz: Option<f64> = None,
        /// Normalisation of channels to mean 0 and deviation 1: `channel` (by the deviation of each channel), `window` (by
        /// one deviation of all channels) or `none` (mean 0, in units of 100 microvolts).
        pub normalise: Normalise = Normalise::Window,
        /// Largest absolute value after normalisation, 1 to 1000; what is beyond is clipped.
        pub clip: f32 = 20.0 => 1.0..=1000.0,
        /// Samples none of whose channels varies by this many microvolts, 0 and more, are skipped in training: there is
        /// nothing to learn.
        pub flat_uv: f64 = 0.5 => 0.0..,
        /// Fraction of the tokens that are masked in training, above 0 and below 1.
        pub mask_ratio: f64 = 0.5 => Open(0.0, 1.0),
        /// Which tokens are masked: `random`, or `times`, the same times in all channels.
        pub masking: Masking = Masking::Random,
        /// Largest time shift of a training sample, forwards or backwards, as a fraction of the stride, 0 to 1. Samples
        /// stay within the recording.
        pub time_shift: f64 = 0.5 => 0.0..=1.0,
        /// Largest relative change of amplitude in training, 0 to below 1: all channels of a sample are scaled by one
        /// random factor.
        pub amplitude_scaling: f32 = 0.1 => 0.0..1.0,
        /// Probability, from 0 to below 1, that a channel of a training sample is left out: its tokens do not exist.
        pub channel_dropout: f64 = 0.0 => 0.0..1.0,
        /// Table with a label for each file, and more: the column of the patient, `group_column`, makes the samples of one
        /// patient a group; without it those of one file are. Only evaluation looks at labels and groups.
        pub labels: Option<LabelTable> = None,
        /// Whether the label of a sample is the text of the annotation whose duration covers most of it, and at least half.
        /// The table of labels counts before annotations.
        pub annotation_labels: bool = false,
    }
}

impl Options {
    /// Checks what the ranges of single options cannot say.
    ///
    /// # Errors
    /// The first setting that is out of range, by its name.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refused = |text: String| Err(Error::bad_request(text));
        if self.channels.is_empty() || self.channels.len() > MAX_CHANNELS {
            return refused(format!("channels has {} entries; it must have 1 to {MAX_CHANNELS}", self.channels.len()));
        }
        let named = self.canonical_channels();
        if let Some(at) = (0..named.len()).find(|&at| named[at].is_empty() || named[..at].contains(&named[at])) {
            let found = &self.channels[at];
            return refused(format!("channels has {found:?} as entry {}, empty or for the second time", at + 1));
        }
        if self.reference == Reference::Average && named.iter().any(|name| name.contains('-')) {
            return refused(
                "reference is average, but channels has differences, which have no common reference".into(),
            );
        }
        // Without the option the stride is `seconds`, which may be shorter.
        if self.stride() < SHORTEST_STRIDE {
            return refused(format!("stride_seconds is {}; it must be {SHORTEST_STRIDE} or more", self.stride()));
        }
        let n = self.seconds * self.sampling_rate_hz as f64;
        let is_whole = n.round() >= 1.0 && (n - n.round()).abs() < 1e-6;
        if !is_whole || !self.n_times().is_multiple_of(self.patch_size) {
            return refused(format!(
                "patch_size is {}, but {} s at {} Hz are {n} samples in time, no multiple of it\nhint: with seconds = {} they are",
                self.patch_size,
                self.seconds,
                self.sampling_rate_hz,
                self.nearest_seconds()
            ));
        }
        let half = self.sampling_rate_hz as f64 / 2.0;
        if let Some([low, high]) = self.band_hz.filter(|[low, high]| !(*low >= LOWEST_HZ && low < high && *high < half))
        {
            return refused(format!(
                "band_hz is [{low}, {high}]; it must be two frequencies from {LOWEST_HZ} Hz to below {half} Hz, half of sampling_rate_hz, \
                 the lower first"
            ));
        }
        if let Some(hz) = self.notch_hz.filter(|hz| ![50.0, 60.0].contains(hz)) {
            return refused(format!("notch_hz is {hz}; it must be 50 or 60"));
        }
        if self.n_masked() == self.channels.len() * self.n_patches() {
            let ratio = self.mask_ratio;
            return refused(format!("mask_ratio {ratio} leaves no token visible\nhint: lower it, or raise seconds"));
        }
        Ok(())
    }

    /// A grid of channels and times: a token is `patch_size` samples in time of one channel. Coordinates are there
    /// where all channels are electrodes of the 10-10 system.
    pub(crate) fn geometry(&self) -> Geometry {
        let channels = self.canonical_channels();
        let axis = |name: &str| Coordinate { name: name.into(), unit: None, range: [-1.0, 1.0] };
        let is_placed = channels.iter().all(|channel| place(channel).is_some());
        Geometry::Continuous(Continuous {
            grid: vec![channels.len(), self.n_patches()],
            d_token: self.patch_size,
            n_masked: self.n_masked(),
            patch: vec![1, self.patch_size],
            axes: vec![
                Axis::of_places("channel", channels),
                Axis::measured("time", self.patch_size as f64 / self.sampling_rate_hz as f64, "s"),
            ],
            validity: self.missing_channels == MissingChannels::Mark || self.channel_dropout > 0.0,
            coordinates: if is_placed { ["x", "y", "z"].map(axis).to_vec() } else { Vec::new() },
            ..Continuous::default()
        })
    }

    /// The channels by the names by which they are compared.
    pub(crate) fn canonical_channels(&self) -> Vec<String> {
        self.channels.iter().map(|name| canonical(name)).collect()
    }

    /// Channels that a recording must have.
    pub(crate) fn min_channels(&self) -> usize {
        let n = self.channels.len();
        match self.missing_channels {
            MissingChannels::Refuse => n,
            MissingChannels::Mark => ((n as f64 * self.min_channels_ratio).ceil() as usize).clamp(1, n),
        }
    }

    /// Seconds from a sample to the next.
    pub(crate) fn stride(&self) -> f64 {
        self.stride_seconds.unwrap_or(self.seconds)
    }

    /// Samples in time of one channel.
    pub(crate) fn n_times(&self) -> usize {
        (self.seconds * self.sampling_rate_hz as f64).round() as usize
    }

    /// Tokens of one channel.
    pub(crate) fn n_patches(&self) -> usize {
        self.n_times() / self.patch_size
    }

    /// Largest shift of a training sample, in samples in time.
    pub(crate) fn max_shift(&self) -> i64 {
        (self.time_shift * self.stride() * self.sampling_rate_hz as f64) as i64
    }

    /// Masked tokens of one channel, with masked times.
    pub(crate) fn n_masked_times(&self) -> usize {
        mask::n_masked(self.n_patches(), self.mask_ratio)
    }

    pub(crate) fn n_masked(&self) -> usize {
        match self.masking {
            Masking::Random => mask::n_masked(self.channels.len() * self.n_patches(), self.mask_ratio),
            Masking::Times => self.channels.len() * self.n_masked_times(),
        }
    }

    /// The length nearest to `seconds` that is a whole number of tokens.
    fn nearest_seconds(&self) -> f64 {
        let token = self.patch_size.max(1) as f64 / self.sampling_rate_hz as f64;
        (self.seconds / token).round().max(1.0) * token
    }
}
