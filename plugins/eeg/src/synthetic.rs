//! Synthetic electroencephalograms: rhythms of several frequencies in every channel, and an alpha rhythm of 8 to 12 Hz
//! at the back of the head, strong with closed eyes and weak with open ones, which is the label. Made for
//! demonstrations and tests, not for realism.
//!
//! Written in turn as EDF, as EDF+ with annotations, other signals, millivolts and missing channels, as EDF+ with a
//! gap, and as BDF.

use std::f32::consts::TAU;
use std::path::{Path, PathBuf};

use medcoss_sdk::rand::RngExt;
use medcoss_sdk::{Error, SampleRng, Synthesised, sample_rng, saved_samples, serde_json};

use crate::edf::{self, Layout, Signal, Width};
use crate::electrodes::{TEN_TWENTY, place};

/// Data records of a second each, and samples that they hold at the demonstration's settings.
const N_RECORDS: u64 = 6;
const SAMPLES_A_FILE: usize = 2;
/// Record before which the discontinuous recording has a gap, and the length of the gap.
const GAP_RECORD: u64 = 4;
const GAP_SECONDS: u64 = 3;
/// Bytes of annotations in a record.
const ANNOTATION_BYTES: u64 = 64;
/// Channels that the recordings with gaps in their montage lack.
const MISSING: [&str; 3] = ["Fz", "T8", "O2"];
/// A CSV table, under a name that is not taken for a recording's.
const TABLE: &str = "labels.csv";

/// Scale of a signal: unit, physical and digital ends.
const MICROVOLTS: [&str; 5] = ["uV", "-3276.8", "3276.7", "-32768", "32767"];
const MILLIVOLTS: [&str; 5] = ["mV", "-3.2768", "3.2767", "-32768", "32767"];
const BDF_MICROVOLTS: [&str; 5] = ["uV", "-262144", "262143", "-8388608", "8388607"];
const PERCENT: [&str; 5] = ["%", "0", "100", "0", "1000"];

/// Writes recordings for `n_samples` samples, and a table of labels and patients.
pub(crate) fn write(folder: &Path, n_samples: usize, seed: u64) -> Result<Synthesised, Error> {
    let mut table = String::from("file,eyes,patient\n");
    for index in 0..n_samples.div_ceil(SAMPLES_A_FILE).max(1) {
        let mut rng = sample_rng(seed.wrapping_add((index as u64) << 32));
        // By turns in a period that shares no factor with the four formats.
        let is_closed = index % 3 == 1;
        let name = format!("eeg_{index:04}.{}", if index % 4 == 3 { "bdf" } else { "edf" });
        recording(&folder.join(&name), index % 4, &Brain::draw(&mut rng, is_closed))?;
        table.push_str(&format!("{name},{},p{:02}\n", if is_closed { "closed" } else { "open" }, index / 2));
    }
    saved_samples::write(&folder.join(TABLE), table.as_bytes())?;
    let options = serde_json::json!({
        "sampling_rate_hz": 100,
        "seconds": 2.0,
        "patch_size": 50,
        "band_hz": [0.5, 40.0],
        "labels": { "file": TABLE, "key_column": "file", "label_column": "eyes", "group_column": "patient" },
    });
    Ok(Synthesised { data: vec![PathBuf::from(".")], options })
}

/// Writes a recording of one of four kinds.
fn recording(path: &Path, kind: usize, brain: &Brain) -> Result<(), Error> {
    let (width, reserved) = match kind {
        0 => (Width::Sixteen, ""),
        1 => (Width::Sixteen, "EDF+C"),
        2 => (Width::Sixteen, "EDF+D"),
        _ => (Width::TwentyFour, "24BIT"),
    };
    let rate: u64 = [200, 256, 128, 256][kind];
    let channels: Vec<&str> = TEN_TWENTY.into_iter().filter(|name| kind != 1 || !MISSING.contains(name)).collect();
    let (scale, steps_a_uv) = match kind {
        1 => (MILLIVOLTS, 10_000.0 / 1000.0),
        3 => (BDF_MICROVOLTS, 32.0),
        _ => (MICROVOLTS, 10.0),
    };
    let label = |name: &&str| match kind {
        0 => format!("EEG {name}-REF"),
        1 => name.to_string(),
        2 => format!("EEG {}-LE", name.to_uppercase()),
        _ => name.to_string(),
    };
    let mut signals: Vec<Signal<'_>> =
        channels.iter().map(|name| Signal { label: label(name), scale, n_samples: rate }).collect();
    if kind == 1 {
        signals.push(Signal { label: "SaO2".into(), scale: PERCENT, n_samples: 1 });
    }
    if kind == 1 || kind == 2 {
        signals.push(Signal::annotations(width, ANNOTATION_BYTES));
    }
    let layout = Layout { width, kind: reserved, n_records: N_RECORDS, record_seconds: "1", signals };
    edf::write(path, &layout, |number, record| {
        let begin = if kind == 2 && record >= GAP_RECORD { record + GAP_SECONDS } else { record };
        if let Some(name) = channels.get(number) {
            let at = |sample: u64| brain.microvolts(name, number, begin as f32 + sample as f32 / rate as f32);
            let stored = (0..rate).map(|sample| (at(sample) * steps_a_uv).round() as i32);
            return Ok(stored.flat_map(|stored| stored.to_le_bytes()[..width.bytes() as usize].to_vec()).collect());
        }
        if number > channels.len() || kind == 2 {
            let state = if brain.is_closed { "eyes closed" } else { "eyes open" };
            let text = if record == 0 { format!("+0\x1510\x14{state}\x14\0") } else { String::new() };
            return Ok(format!("+{begin}\x14\x14\0{text}").into_bytes());
        }
        Ok(970_u16.to_le_bytes().to_vec())
    })
}

/// What one recording shows.
struct Brain {
    is_closed: bool,
    /// Frequency in Hz, height in microvolts, phase, and how fast the phase turns across the head.
    rhythms: Vec<[f32; 4]>,
    alpha_hz: f32,
    alpha_uv: f32,
    /// Of each channel: an offset in microvolts and a phase.
    channels: Vec<[f32; 2]>,
}

impl Brain {
    fn draw(rng: &mut SampleRng, is_closed: bool) -> Self {
        let rhythm = |at: usize, rng: &mut SampleRng| {
            // Heights fall with the frequency, as those of brains do.
            let hz = 1.3_f32.powi(at as i32) * rng.random_range(0.9..1.1);
            [hz, 20.0 / hz.sqrt() * rng.random_range(0.5..1.0), rng.random(), rng.random_range(-0.5..0.5)]
        };
        Self {
            is_closed,
            rhythms: (0..14).map(|at| rhythm(at, rng)).collect(),
            alpha_hz: rng.random_range(8.0..12.0),
            alpha_uv: if is_closed { rng.random_range(30.0..50.0) } else { rng.random_range(2.0..6.0) },
            channels: (0..TEN_TWENTY.len()).map(|_| [rng.random_range(-40.0..40.0), rng.random()]).collect(),
        }
    }

    fn microvolts(&self, name: &str, number: usize, seconds: f32) -> f32 {
        let [x, y, _] = place(name).unwrap_or_default().map(|value| value as f32);
        let [offset, phase] = self.channels[number % self.channels.len()];
        let wave = |hz: f32, phase: f32| (TAU * (hz * seconds + phase)).sin();
        let rhythms = self.rhythms.iter().map(|&[hz, uv, begin, turn]| uv * wave(hz, begin + turn * (x + y)));
        let own = 3.0 * wave(21.0 + 9.0 * phase, phase);
        let at_the_back = (0.5 - 0.5 * y).powi(2);
        offset + rhythms.sum::<f32>() + own + self.alpha_uv * at_the_back * wave(self.alpha_hz, 0.2 * x)
    }
}
