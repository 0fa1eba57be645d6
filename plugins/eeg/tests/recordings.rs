//! Recordings that are written by hand, and what is loaded of them.

use std::path::{Path, PathBuf};

use medcoss_eeg::{Eeg, Windows};
use medcoss_sdk::serde_json::{Value, json};
use medcoss_sdk::{
    Continuous, Dataset, Error, Geometry, Modality, OpenRequest, Patches, Sample, View, sample_rng, serde_json,
};

pub fn open(base: &Path, data: &[&str], options: Value) -> Result<Windows, Error> {
    let data = data.iter().map(PathBuf::from).collect();
    let options = serde_json::from_value(options).map_err(|error| Error::bad_request(error.to_string()))?;
    Eeg::open(OpenRequest { base: base.to_owned(), data, options, assets: None })
}

pub fn shape(dataset: &Windows) -> Continuous {
    let Geometry::Continuous(own) = dataset.geometry() else { panic!("tokens are continuous") };
    own
}

/// Buffers of a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Filled {
    pub tokens: Vec<f32>,
    pub mask: Vec<u8>,
    pub valid: Vec<u8>,
    pub coordinates: Vec<f32>,
}

/// What a sample is, and what `load` says of it.
pub fn filled(dataset: &Windows, index: usize, view: View, seed: u64) -> (Filled, Result<(), Error>) {
    let Continuous { grid, d_token, coordinates, .. } = shape(dataset);
    let n: usize = grid.iter().product();
    let mut filled = Filled {
        tokens: vec![0.0; n * d_token],
        mask: vec![0; n],
        valid: vec![1; n],
        coordinates: vec![0.0; n * coordinates.len()],
    };
    let sample = Sample::Continuous(Patches {
        tokens: &mut filled.tokens,
        mask: &mut filled.mask,
        valid: &mut filled.valid,
        coordinates: &mut filled.coordinates,
        ..Patches::default()
    });
    let outcome = dataset.load(index, view, &mut sample_rng(seed), sample);
    (filled, outcome)
}

pub fn load(dataset: &Windows, index: usize, view: View, seed: u64) -> Result<Filled, Error> {
    let (filled, outcome) = filled(dataset, index, view, seed);
    outcome.map(|()| filled)
}

/// Why the first sample cannot be opened or loaded.
pub fn refused(base: &Path, data: &[&str], options: Value) -> Error {
    open(base, data, options).and_then(|dataset| load(&dataset, 0, View::Evaluation, 0)).unwrap_err()
}

pub fn synthetic(n: usize, seed: u64) -> (tempfile::TempDir, Windows, Value) {
    let folder = tempfile::tempdir().unwrap();
    let made = Eeg::synthesise(folder.path(), n, seed).unwrap();
    let dataset = open(folder.path(), &["."], made.options.clone()).unwrap();
    (folder, dataset, made.options)
}

pub fn ids(dataset: &Windows) -> Vec<String> {
    (0..dataset.len()).map(|index| dataset.record(index).id).collect()
}

/// A signal of a file that is written by hand: label, unit, physical and digital ends, and the samples of each record.
#[derive(Clone)]
pub struct Signal {
    pub label: &'static str,
    pub unit: &'static str,
    pub ends: [&'static str; 4],
    pub records: Vec<Vec<u8>>,
}

impl Signal {
    /// A signal of tenths of microvolts.
    pub fn of(label: &'static str, records: &[&[i16]]) -> Self {
        let records = records.iter().map(|samples| samples.iter().flat_map(|sample| sample.to_le_bytes()).collect());
        Self { label, unit: "uV", ends: ["-3276.8", "3276.7", "-32768", "32767"], records: records.collect() }
    }

    /// The annotation signal, of 40 bytes a record.
    pub fn annotations(records: &[&str]) -> Self {
        let bytes = |text: &&str| {
            let mut bytes = text.as_bytes().to_vec();
            bytes.resize(40, 0);
            bytes
        };
        let ends = ["-1", "1", "-32768", "32767"];
        Self { label: "EDF Annotations", unit: "", ends, records: records.iter().map(bytes).collect() }
    }
}

/// A file as the format describes it, with fields in the order of the format.
pub fn edf(reserved: &str, record_seconds: &str, signals: &[Signal]) -> Vec<u8> {
    let field = |text: &str, length: usize| format!("{text:length$}").into_bytes()[..length].to_vec();
    let n_records = signals[0].records.len();
    let mut bytes = field("0", 8);
    bytes.extend(field("7739120 F 16-AUG-1947 Quillfeather_Ada", 80));
    bytes.extend(field("Startdate 16-AUG-2001 X Quillfeather X", 80));
    bytes.extend(field("16.08.01", 8));
    bytes.extend(field("11.39.16", 8));
    bytes.extend(field(&(256 * (signals.len() + 1)).to_string(), 8));
    bytes.extend(field(reserved, 44));
    bytes.extend(field(&n_records.to_string(), 8));
    bytes.extend(field(record_seconds, 8));
    bytes.extend(field(&signals.len().to_string(), 4));
    signals.iter().for_each(|signal| bytes.extend(field(signal.label, 16)));
    signals.iter().for_each(|_| bytes.extend(field("Quillfeather's cap", 80)));
    signals.iter().for_each(|signal| bytes.extend(field(signal.unit, 8)));
    for end in 0..4 {
        signals.iter().for_each(|signal| bytes.extend(field(signal.ends[end], 8)));
    }
    signals.iter().for_each(|_| bytes.extend(field("HP:0.1Hz", 80)));
    signals.iter().for_each(|signal| bytes.extend(field(&(signal.records[0].len() / 2).to_string(), 8)));
    signals.iter().for_each(|_| bytes.extend(field("", 32)));
    for record in 0..n_records {
        signals.iter().for_each(|signal| bytes.extend(&signal.records[record]));
    }
    bytes
}

/// Options without any change of the values: 20 Hz, two seconds, microvolts in hundreds.
pub fn plain(channels: &[&str]) -> Value {
    json!({
        "channels": channels, "sampling_rate_hz": 20, "seconds": 1.0, "patch_size": 5, "band_hz": null,
        "normalise": "none", "clip": 1000.0, "flat_uv": 0.0,
    })
}

pub fn with(mut options: Value, more: Value) -> Value {
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    options
}

/// Samples of a record of 20 at 20 Hz, different in each record and signal.
pub fn ramp(record: usize, factor: i16) -> Vec<i16> {
    (0..20).map(|at| factor * (at * at % 17) + 100 * record as i16).collect()
}
