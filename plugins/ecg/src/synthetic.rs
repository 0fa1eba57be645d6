//! Synthetic electrocardiograms: every beat a sum of five bells over its phase, P, Q, R, S and T.
//!
//! Angles and widths are those of McSharry et al., *A dynamical model for generating synthetic electrocardiogram signals*, IEEE
//! Transactions on Biomedical Engineering 50 (2003), table 1; instead of integrating the model's equations, its bells are
//! summed, which is their solution but for the pull back to the baseline. Heights differ by lead and are ours. Half of the
//! records have ventricular ectopic beats: early, wide, without P, with T the other way, and a pause behind. Made for
//! demonstrations and tests, not for realism.

use std::f32::consts::{PI, TAU};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use medcoss_sdk::rand::RngExt;
use medcoss_sdk::{Error, SampleRng, Synthesised, sample_rng, saved_samples, serde_json};

use crate::leads::LIMB;
use crate::wfdb::{self, Format};

/// Length of a record in seconds: a little more than a sample of the demonstration.
const SECONDS: f32 = 5.0;
/// A CSV table, under a name that is not taken for a record's.
const TABLE: &str = "labels.txt";

/// Angle in radians and width of P, Q, R, S and T.
const BELLS: [[f32; 2]; 5] = [[-PI / 3.0, 0.25], [-PI / 12.0, 0.1], [0.0, 0.1], [PI / 12.0, 0.1], [PI / 2.0, 0.4]];
/// Heights in millivolts of P, Q, R, S and T in the leads that are measured; the other four follow from I and II.
const MEASURED: [(&str, [f32; 5]); 8] = [
    ("I", [0.08, -0.05, 0.6, -0.1, 0.2]),
    ("II", [0.12, -0.08, 1.0, -0.15, 0.3]),
    ("V1", [0.06, 0.0, 0.2, -0.9, -0.05]),
    ("V2", [0.07, 0.0, 0.4, -1.2, 0.35]),
    ("V3", [0.07, -0.02, 0.7, -0.8, 0.4]),
    ("V4", [0.08, -0.05, 1.2, -0.5, 0.4]),
    ("V5", [0.08, -0.1, 1.2, -0.25, 0.35]),
    ("V6", [0.08, -0.1, 0.9, -0.1, 0.25]),
];

/// Writes `n_samples` records, in turn as CSV and as WFDB of 16 and of 12 bits, and a table of labels.
pub(crate) fn write(folder: &Path, n_samples: usize, seed: u64) -> Result<Synthesised, Error> {
    let mut table = String::from("file,rhythm\n");
    for index in 0..n_samples {
        let mut rng = sample_rng(seed.wrapping_add((index as u64) << 32));
        // By turns in a period that shares no factor with the three formats.
        let heart = Heart::draw(&mut rng, index % 2 == 1);
        let stem = format!("ecg_{index:04}");
        let name = match index % 3 {
            0 => {
                let name = format!("{stem}.csv");
                saved_samples::write(&folder.join(&name), csv(&heart.leads(100, &mut rng), 100).as_bytes())?;
                name
            }
            kind => {
                let (format, gain) = if kind == 1 { (Format::Sixteen, 1000) } else { (Format::Twelve, 200) };
                wfdb::write(folder, &stem, format, [250, gain], &heart.leads(250, &mut rng))?;
                format!("{stem}.hea")
            }
        };
        table.push_str(&format!("{name},{}\n", if heart.is_ectopic() { "ectopic" } else { "normal" }));
    }
    saved_samples::write(&folder.join(TABLE), table.as_bytes())?;
    let options = serde_json::json!({
        "sampling_rate_hz": 100,
        "seconds": 4.0,
        "patch_size": 50,
        "labels": { "file": TABLE, "key_column": "file", "label_column": "rhythm" },
    });
    Ok(Synthesised { data: vec![PathBuf::from(".")], options })
}

/// What one record shows.
struct Heart {
    beats: Vec<Beat>,
    /// Of all heights.
    size: f32,
    /// Breathing: height in millivolts, Hz, phase.
    wander: [f32; 3],
    noise_mv: f32,
}

struct Beat {
    /// When the R wave is, in seconds.
    at: f32,
    /// To the next one.
    seconds: f32,
    is_ectopic: bool,
}

impl Heart {
    fn draw(rng: &mut SampleRng, ectopic: bool) -> Self {
        // 50 to 110 beats a minute.
        let interval = 60.0 / rng.random_range(50.0..110.0_f32);
        let every = rng.random_range(2..=3);
        let mut beats: Vec<Beat> = Vec::new();
        let mut at = -interval * rng.random_range(1.0..2.0_f32);
        while at < SECONDS + interval {
            let number = beats.len();
            let follows = ectopic && number % every == every - 1;
            let is_ectopic = ectopic && number > 0 && number.is_multiple_of(every);
            let seconds = interval * rng.random_range(0.95..1.05) * if follows { 0.6 } else { 1.0 };
            // After an early beat the heart waits for the one that it would have had.
            let seconds = if is_ectopic { seconds * 1.4 } else { seconds };
            beats.push(Beat { at, seconds, is_ectopic });
            at += seconds;
        }
        let wander = [rng.random_range(0.02..0.12), rng.random_range(0.15..0.35), rng.random()];
        Self { beats, size: rng.random_range(0.7..1.3), wander, noise_mv: rng.random_range(0.005..0.03) }
    }

    fn is_ectopic(&self) -> bool {
        self.beats.iter().any(|beat| beat.is_ectopic)
    }

    /// The twelve leads at a sampling rate, in millivolts.
    fn leads(&self, sampling_rate_hz: usize, rng: &mut SampleRng) -> Vec<(&'static str, Vec<f32>)> {
        let n = (SECONDS * sampling_rate_hz as f32) as usize;
        let [height, hz, phase] = self.wander;
        let measured = MEASURED.map(|(_, heights)| {
            let at = |time: usize| {
                let seconds = time as f32 / sampling_rate_hz as f32;
                let wander = height * (TAU * (hz * seconds + phase)).sin();
                let noise = self.noise_mv * rng.random_range(-1.0..=1.0_f32);
                self.at(seconds, heights) + wander + noise
            };
            (0..n).map(at).collect::<Vec<_>>()
        });
        let limb = |factors: [f32; 2]| {
            let both = measured[0].iter().zip(&measured[1]);
            both.map(|(one, two)| factors[0] * one + factors[1] * two).collect()
        };
        let names = ["I", "II", "III", "aVR", "aVL", "aVF"];
        let limbs = names.into_iter().zip(LIMB).map(|(name, (_, factors))| (name, limb(factors)));
        let chest = MEASURED[2..].iter().zip(&measured[2..]).map(|((name, _), values)| (*name, values.clone()));
        limbs.chain(chest).collect()
    }

    /// Millivolts of a lead with these heights, without wander and noise.
    fn at(&self, seconds: f32, heights: [f32; 5]) -> f32 {
        let near = self.beats.iter().filter(|beat| (seconds - beat.at).abs() < 1.5);
        let beat = |beat: &Beat| {
            let angle = TAU * (seconds - beat.at) / beat.seconds;
            let bell = |[centre, width]: [f32; 2]| (-(angle - centre).powi(2) / (2.0 * width * width)).exp();
            if beat.is_ectopic {
                let [_, _, r, s, t] = heights;
                return 1.4 * (r + s) * bell([0.0, 0.35]) - 1.2 * t * bell([PI / 2.0, 0.45]);
            }
            heights.iter().zip(BELLS).map(|(height, place)| height * bell(place)).sum()
        };
        self.size * near.map(beat).sum::<f32>()
    }
}

/// Leads with a column of times.
fn csv(leads: &[(&str, Vec<f32>)], sampling_rate_hz: usize) -> String {
    let mut text = String::from("time_s");
    for (name, _) in leads {
        text.push(',');
        text.push_str(name);
    }
    for time in 0..leads.first().map_or(0, |(_, values)| values.len()) {
        // Writing into a string does not fail.
        let _ = write!(text, "\n{:.3}", time as f64 / sampling_rate_hz as f64);
        for (_, values) in leads {
            let _ = write!(text, ",{:.4}", values[time]);
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    #[test]
    fn a_record_reads_the_same_in_all_three_formats() {
        let folder = tempfile::tempdir().unwrap();
        let mut rng = sample_rng(4);
        let leads = Heart::draw(&mut rng, true).leads(125, &mut rng);
        std::fs::write(folder.path().join("csv.csv"), csv(&leads, 125)).unwrap();
        wfdb::write(folder.path(), "sixteen", Format::Sixteen, [125, 1000], &leads).unwrap();
        wfdb::write(folder.path(), "twelve", Format::Twelve, [125, 200], &leads).unwrap();
        // Half a unit of the last digit that is stored.
        for (name, tolerance) in [("csv.csv", 0.51e-4), ("sixteen.hea", 0.51e-3), ("twelve.hea", 0.251e-2)] {
            let record = Record::open(&folder.path().join(name), 1.0).unwrap();
            let info = record.info();
            assert!((info.sampling_rate_hz - 125.0).abs() < 1e-9 && info.n_times == 625, "{name}: {info:?}");
            let names: Vec<_> = leads.iter().map(|(name, _)| *name).collect();
            assert_eq!(info.signals, names);
            let read = record.read(&[11, 0, 3], 100..507).unwrap();
            for (found, lead) in read.iter().zip([11, 0, 3]) {
                let expected = &leads[lead].1[100..507];
                assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < tolerance), "{name}, lead {lead}");
            }
        }
    }

    #[test]
    fn beats_have_the_waves_of_the_model_and_einthovens_law_holds() {
        let beat = |is_ectopic| Beat { at: 2.0, seconds: 0.8, is_ectopic };
        let heart =
            |is_ectopic| Heart { beats: vec![beat(is_ectopic)], size: 1.0, wander: [0.0, 0.2, 0.0], noise_mv: 0.0 };
        let leads = heart(false).leads(1000, &mut sample_rng(0));
        let two = &leads[1].1;
        let highest = two.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
        assert_eq!(highest.0, 2000);
        // R's 1.0 mV with what Q and S, a twelfth of a half turn away at a width of 0.1, take off it.
        let beside = (-(PI / 12.0_f32).powi(2) / 0.02).exp();
        assert!((highest.1 - (1.0 - 0.23 * beside)).abs() < 0.01, "{}", highest.1);
        // T a quarter of the interval later, P a sixth of it earlier.
        assert!((two[2200] - 0.3).abs() < 0.01 && (two[2000 - 133] - 0.12).abs() < 0.01, "{} {}", two[2200], two[1867]);
        for (time, three) in leads[2].1.iter().enumerate() {
            assert!((three - (two[time] - leads[0].1[time])).abs() < 1e-6);
        }
        let ectopic = &heart(true).leads(1000, &mut sample_rng(0))[1].1;
        let wide = |lead: &[f32]| lead.iter().filter(|&&value| value > 0.5 * lead[2000]).count();
        assert!(wide(ectopic) > 3 * wide(two) && ectopic[2200] < 0.0, "{} {}", wide(ectopic), wide(two));
    }

    #[test]
    fn every_second_record_has_ectopic_beats() {
        for seed in 0..50 {
            assert!(Heart::draw(&mut sample_rng(seed), true).is_ectopic());
            assert!(!Heart::draw(&mut sample_rng(seed), false).is_ectopic());
        }
    }
}
