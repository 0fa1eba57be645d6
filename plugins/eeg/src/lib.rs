//! Electroencephalograms: windows of recordings, channels as rows of a grid, cut into tokens along time; a token family
//! of its own, `eeg`.
//!
//! A token is a stretch of one channel, as in LaBraM (Jiang et al., *Large Brain Model for Learning Generic
//! Representations with Tremendous EEG Data in BCI*, ICLR 2024, arXiv 2405.18765), whose rate, length of a token, band
//! and share of masked tokens are the defaults. The axis of channels names its places, and coordinates say where
//! electrodes lie on the head, so that another montage finds its positions. A channel that a recording lacks is tokens
//! that do not exist.
//!
//! EDF, EDF+, BDF and BDF+ are read (`edf`), discontinuous recordings in their segments. `electrodes` knows names and
//! places, `montage` which signals make up a channel, `recordings` which stretches are samples, `stretch` reads,
//! filters and resamples one, `signal` normalises and augments, `rendering` draws traces, `saved` writes windows as
//! files of their own, and `synthetic` makes the samples for demonstration and tests. Signals that are no potentials (a
//! pulse, a temperature) are passed over; artefacts are not looked for. Files that hold nothing but annotations, such
//! as hypnograms beside their recordings, are left out: give their stages as a table of labels.

#![forbid(unsafe_code)]

mod edf;
mod electrodes;
mod montage;
mod options;
mod recordings;
mod rendering;
mod saved;
mod signal;
mod stretch;
mod synthetic;

use std::path::Path;

use medcoss_sdk::rand::RngExt;
use medcoss_sdk::serde_json::{Value, json};
use medcoss_sdk::{
    Account, Dataset, Error, Fingerprint, Geometry, Modality, OpenRequest, Patches, Rendering, Sample, SampleRecord,
    SampleRng, Synthesised, Tokens, View, export_plugin, mask, saved_samples,
};

use edf::{EdfFile, Segment};
use electrodes::{DOUBLE_BANANA, TEN_TWENTY, place};
pub use options::{Masking, MissingChannels, Normalise, Options, Reference};
use recordings::{Recording, Recordings, Window};

/// The EEG plugin.
pub struct Eeg;

export_plugin!(eeg, Eeg);

impl Modality for Eeg {
    const ID: &'static str = "eeg";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "electroencephalograms, a window of a recording a sample";
    const FAMILY: &'static str = "eeg";
    const FILE_FORMATS: &'static [&'static str] = recordings::FILE_FORMATS;
    const RENDERS: Option<Rendering> = Some(Rendering::Png);
    const SAVES_SAMPLES: bool = true;
    const RENAMED_OPTIONS: &'static [(&'static str, &'static str)] = &[("group_column", "labels.group_column")];

    type Options = Options;
    type Dataset = Windows;

    fn option_presets() -> Vec<(&'static str, Value)> {
        // LaBraM, section 3.3 and appendix: 200 Hz, 0.1 to 75 Hz, the mains out, tokens of a second in units of 100
        // microvolts, half of them masked.
        let labram = json!({
            "sampling_rate_hz": 200,
            "patch_size": 200,
            "band_hz": [0.1, 75.0],
            "notch_hz": 50.0,
            "normalise": "none",
            "mask_ratio": 0.5,
        });
        let double_banana = json!({ "channels": DOUBLE_BANANA, "reference": "recorded" });
        vec![("labram", labram), ("double-banana", double_banana), ("10-20", json!({ "channels": TEN_TWENTY }))]
    }

    fn geometry(options: &Options) -> Result<Geometry, Error> {
        options.check()?;
        Ok(options.geometry())
    }

    fn open(request: OpenRequest<Options>) -> Result<Windows, Error> {
        let options = request.options;
        options.check()?;
        let recordings = Recordings::open(&request.base, &request.data, &options)?;
        let places = options.canonical_channels().iter().filter_map(|channel| place(channel)).collect();
        Ok(Windows { options, recordings, places })
    }

    fn synthesise(folder: &Path, n_samples: usize, seed: u64) -> Result<Synthesised, Error> {
        synthetic::write(folder, n_samples, seed)
    }
}

/// Dataset of opened recordings: one window is one sample.
pub struct Windows {
    options: Options,
    recordings: Recordings,
    /// Places of the channels, `[x, y, z]` each, where all have one.
    places: Vec<[f64; 3]>,
}

impl Windows {
    /// A window with its recording and its segment.
    fn window(&self, index: usize) -> Result<(&Recording, Segment, Window), Error> {
        let window = self.recordings.windows[index];
        let recording = &self.recordings.recordings[window.recording as usize];
        let timeline = recording.timeline.as_ref().map_err(Error::clone)?;
        recording.file.check_unchanged()?;
        Ok((recording, timeline.segments[window.segment as usize], window))
    }

    fn fill(&self, index: usize, view: View, rng: &mut SampleRng, patches: Patches<'_>) -> Result<(), Error> {
        let options = &self.options;
        let (recording, segment, window) = self.window(index)?;
        let edf = EdfFile::open(&recording.file.path)?;
        let mut start = window.start;
        if view == View::Training {
            start += self.shift(&edf, &segment, start, rng);
        }
        let mut stretch = stretch::read(&edf, &segment, start, options)?;
        let variation = signal::largest_variation(&mut stretch, options.n_times());
        signal::normalise(&mut stretch, options);
        if view == View::Training {
            signal::augment(&mut stretch, options, rng);
        }
        // Channels one after the other, cut along time: rows of tokens as they stand.
        patches.tokens.copy_from_slice(&stretch.values);
        let n_patches = options.n_patches();
        let exists: Vec<u8> =
            stretch.is_there.iter().flat_map(|&there| std::iter::repeat_n(u8::from(there), n_patches)).collect();
        if !patches.valid.is_empty() {
            patches.valid.copy_from_slice(&exists);
        }
        let tokens = patches.coordinates.chunks_exact_mut(3).zip(&exists).enumerate();
        for (token, (coordinates, _)) in tokens.filter(|(_, (_, exists))| **exists == 1) {
            coordinates.copy_from_slice(&self.places[token / n_patches].map(|value| value as f32));
        }
        if view == View::Training {
            match options.masking {
                Masking::Random => mask::random_valid(rng, options.n_masked(), &exists, patches.mask)?,
                Masking::Times => {
                    // A channel is a plane of one row.
                    let grid = [options.channels.len(), 1, n_patches];
                    mask::tube(rng, grid, options.n_masked_times(), patches.mask);
                }
            }
        }
        if variation < options.flat_uv {
            return Err(Error::skip(format!("no channel varies by {} microvolts", options.flat_uv)));
        }
        Ok(())
    }

    /// Seconds by which a training sample is shifted: whole samples in time, within its segment.
    fn shift(&self, edf: &EdfFile, segment: &Segment, start: f64, rng: &mut SampleRng) -> f64 {
        let rate_hz = self.options.sampling_rate_hz as f64;
        let spare = segment.n_records as f64 * edf.header.record_seconds - self.options.seconds - start;
        let most = self.options.max_shift();
        // Ends are sums of rounded numbers.
        let earliest = most.min((start * rate_hz + 1e-6) as i64);
        let latest = most.min((spare * rate_hz + 1e-6).max(0.0) as i64);
        rng.random_range(-earliest..=latest) as f64 / rate_hz
    }
}

impl Dataset for Windows {
    fn geometry(&self) -> Geometry {
        self.options.geometry()
    }

    fn len(&self) -> usize {
        self.recordings.windows.len()
    }

    fn record(&self, index: usize) -> SampleRecord {
        self.recordings.record(index, &self.options)
    }

    fn fingerprint(&self) -> Fingerprint {
        let mut fingerprint = Fingerprint::default();
        self.recordings.recordings.iter().for_each(|recording| fingerprint.add_file_ends(&recording.file));
        fingerprint
    }

    fn account(&self) -> Option<&Account> {
        Some(&self.recordings.account)
    }

    fn load(&self, index: usize, view: View, rng: &mut SampleRng, sample: Sample<'_>) -> Result<(), Error> {
        self.fill(index, view, rng, sample.patches()?)
    }

    /// Stretches of the recordings, with what shifts and filters need before and behind each window: the stored values
    /// of the signals that are used, and nothing else of the files.
    fn save_samples(&self, indices: &[usize], folder: &Path) -> Result<Synthesised, Error> {
        let copy = |(position, &index): (usize, &usize)| {
            let (recording, segment, window) = self.window(index)?;
            let edf = EdfFile::open(&recording.file.path)?;
            saved::write(&edf, &segment, window.start, &self.options, position, folder)
        };
        let copies = indices.iter().enumerate().map(copy).collect::<Result<_, Error>>()?;
        saved_samples::reopened_with(copies, &saved::options(&self.options))
    }

    fn render(&self, tokens: Tokens<'_>) -> Result<Vec<u8>, Error> {
        let (values, hidden) = tokens.partly_hidden()?;
        rendering::traces(values, hidden, &self.options)
    }
}
