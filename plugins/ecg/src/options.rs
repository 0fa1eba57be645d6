//! Settings of the plugin, and what they mean in samples.

use medcoss_sdk::labels::LabelTable;
use medcoss_sdk::{Axis, Continuous, Error, Geometry, choices, mask, options};

use crate::leads::MissingLeads;

/// The standard leads in the order of a printout.
const STANDARD: [&str; 12] = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"];
/// Most leads of a sample.
const MAX_LEADS: usize = 64;

choices! {
    /// The deviation that leads are divided by, after their means are subtracted.
    pub enum Normalise {
        /// Each lead by its own deviation.
        Lead,
        /// All leads by one deviation, so that their proportions stay.
        Record,
        /// By nothing: millivolts.
        None,
    }
}

choices! {
    /// Which tokens are masked in training.
    pub enum Masking {
        /// Any, as in ST-MEM.
        Random,
        /// The same times in all leads. Harder: the limb leads are sums of each other, so that a token of one can be computed
        /// from the same time in two others.
        Times,
    }
}

options! {
    /// Settings of the plugin. The defaults are lengths and ratio of ST-MEM's published configuration: patches of 75 at 250 Hz, nine seconds, three quarters masked.
    pub struct Options {
        /// Leads of a sample in their order, up to 64; names are case-insensitive. Those of I, II, III, aVR, aVL and aVF that a record lacks are
        /// computed from two others.
        pub leads: Vec<String> = STANDARD.map(String::from).to_vec(),
        /// Records that lack leads: `refuse` (invalid samples) or `mark` (their tokens do not exist).
        pub missing_leads: MissingLeads = MissingLeads::Refuse,
        /// Sampling rate in Hz that records are resampled to, 20 to 2000.
        pub sampling_rate_hz: usize = 250 => 20..=2000,
        /// Length of a sample in seconds, up to 600: a random crop of the record in training, else its centre.
        pub seconds: f64 = 9.0 => LeftOpen(0.0, 600.0),
        /// Samples in time that a token holds, at `sampling_rate_hz`; `seconds` is a whole number of tokens.
        pub patch_size: usize = 75 => 1..,
        /// Sampling rate in Hz of CSV files without a column of times.
        pub csv_sampling_rate_hz: f64 = 500.0 => Above(0.0),
        /// Normalisation of leads to mean 0 and deviation 1: `lead` (by the deviation of each lead), `record` (by one deviation of all leads)
        /// or `none` (mean 0, in millivolts).
        pub normalise: Normalise = Normalise::Lead,
        /// Fraction of the tokens that are masked in training, above 0 and below 1.
        pub mask_ratio: f64 = 0.75 => Open(0.0, 1.0),
        /// Which tokens are masked: `random`, or `times`, the same times in all leads.
        pub masking: Masking = Masking::Random,
        /// Largest relative change of amplitude in training, 0 to below 1: all leads of a sample are scaled by one random factor.
        pub amplitude_scaling: f32 = 0.1 => 0.0..1.0,
        /// Largest baseline wander that is added in training, 0 to 10, in deviations of a lead (millivolts without normalisation): a sine of
        /// 0.05 to 0.4 Hz, different in each lead.
        pub baseline_wander: f32 = 0.1 => 0.0..=10.0,
        /// Probability, from 0 to below 1, that a lead of a training sample is set to zero, as by a loose electrode.
        pub lead_dropout: f64 = 0.0 => 0.0..1.0,
        /// Table with a label for each record, and more: the column of the patient, `group_column`, makes the records of one patient a group. Only
        /// evaluation looks at labels and groups.
        pub labels: Option<LabelTable> = None,
        /// Key of the label in comments of a WFDB header, such as `Dx` for `# Dx: 426783006`. Used for records that the table does not name.
        pub label_comment: Option<String> = None,
    }
}

impl Options {
    /// Checks what the ranges of single options cannot say.
    ///
    /// # Errors
    /// The first setting that is out of range, by its name.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refused = |text: String| Err(Error::bad_request(text));
        if self.leads.is_empty() || self.leads.len() > MAX_LEADS {
            return refused(format!("leads has {} entries; it must have 1 to {MAX_LEADS}", self.leads.len()));
        }
        let named: Vec<_> = self.leads.iter().map(|lead| crate::leads::canonical(lead)).collect();
        if let Some(at) = (0..named.len()).find(|&at| named[at].is_empty() || named[..at].contains(&named[at])) {
            return refused(format!(
                "leads has {:?} as entry {}, empty or for the second time",
                self.leads[at],
                at + 1
            ));
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
        if self.n_masked() == self.leads.len() * self.n_patches() {
            return refused(format!(
                "mask_ratio {} leaves no token visible\nhint: lower it, or raise seconds",
                self.mask_ratio
            ));
        }
        Ok(())
    }

    /// A grid of leads and times: a token is `patch_size` samples in time of one lead.
    pub(crate) fn geometry(&self) -> Geometry {
        let grid = vec![self.leads.len(), self.n_patches()];
        Geometry::Continuous(Continuous {
            grid,
            d_token: self.patch_size,
            n_masked: self.n_masked(),
            patch: vec![1, self.patch_size],
            axes: vec![
                Axis::of_places("lead", self.leads.iter().map(|lead| crate::leads::canonical(lead))),
                Axis::measured("time", self.patch_size as f64 / self.sampling_rate_hz as f64, "s"),
            ],
            validity: self.missing_leads == MissingLeads::Mark,
            ..Continuous::default()
        })
    }

    /// Samples in time of one lead.
    pub(crate) fn n_times(&self) -> usize {
        (self.seconds * self.sampling_rate_hz as f64).round() as usize
    }

    /// Tokens of one lead.
    pub(crate) fn n_patches(&self) -> usize {
        self.n_times() / self.patch_size
    }

    /// Masked tokens of one lead, with masked times.
    pub(crate) fn n_masked_times(&self) -> usize {
        mask::n_masked(self.n_patches(), self.mask_ratio)
    }

    pub(crate) fn n_masked(&self) -> usize {
        match self.masking {
            Masking::Random => mask::n_masked(self.leads.len() * self.n_patches(), self.mask_ratio),
            Masking::Times => self.leads.len() * self.n_masked_times(),
        }
    }

    /// The length nearest to `seconds` that is a whole number of tokens.
    fn nearest_seconds(&self) -> f64 {
        let token = self.patch_size.max(1) as f64 / self.sampling_rate_hz as f64;
        (self.seconds / token).round().max(1.0) * token
    }
}
