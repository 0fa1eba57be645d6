//! The metrics of a run as event files for TensorBoard.
//!
//! The crates that write such files are unmaintained and panic on a full disk. So the three messages of TensorFlow's
//! `event.proto` and `summary.proto` are declared here for `prost`, as far as scalars need them. A TFRecord is its
//! length, a checksum of the length, the message, and a checksum of the message.

use std::path::{Path, PathBuf};

use anyhow::Result;
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::run::write_atomically;
use prost::Message;

use super::history::RunHistory;

/// Name of the event file. TensorBoard recognises it by `tfevents`. The name is always the same, so that the file is
/// replaced.
const NAME: &str = "events.out.tfevents.0000000000.medcoss";

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// Writes the event file of a run into a subfolder of `folder`, and returns the file's path.
///
/// # Errors
/// A folder or file that cannot be written.
pub fn write(run: &RunHistory, folder: &Path) -> Result<PathBuf> {
    let own = folder.join(run.name.replace('/', "-"));
    let confined = ConfinedPath::create_root(&own)?.join(NAME);
    let path = own.join(NAME);
    let mut file = Vec::new();
    for event in events(run) {
        push_record(&event.encode_to_vec(), &mut file);
    }
    write_atomically(&confined, &file)?;
    Ok(path)
}

/// Events of a run. Steps are batches since the start of the run; times are seconds of training, since a run records no
/// others.
fn events(run: &RunHistory) -> Vec<Event> {
    let mut events = vec![Event { wall_time: 0.0, step: 0, file_version: Some("brain.Event:2".into()), summary: None }];
    events.extend(scores(run, 0, 0.0, 0));
    let (mut steps_before, mut seconds) = (0u64, 0.0);
    for stage in &run.stages {
        for line in &stage.epochs {
            let mut values: Vec<(String, f64)> =
                line.scalars.iter().map(|(name, value)| (name.clone(), *value)).collect();
            for (field, map) in &line.maps {
                values.extend(map.iter().map(|(key, value)| (format!("{field}/{key}"), *value)));
            }
            // An interrupted epoch has several times.
            for time in stage.times.iter().filter(|time| time.epoch == line.epoch) {
                seconds += time.seconds;
                if time.seconds > 0.0 {
                    values.push(("samples_per_second".into(), time.n_samples as f64 / time.seconds));
                }
                values.extend(time.peak_rss_bytes.map(|bytes| ("peak_rss_bytes".into(), bytes as f64)));
                values.extend(time.waited_seconds.map(|seconds| ("waited_seconds".into(), seconds)));
            }
            events.push(event(seconds, steps_before.saturating_add(line.step), values));
        }
        steps_before = steps_before.saturating_add(stage.epochs.last().map_or(0, |line| line.step));
        events.extend(scores(run, stage.number, seconds, steps_before));
    }
    events
}

/// The scores after a stage as an event at its last batch; those of the initial model come before the first batch.
fn scores(run: &RunHistory, stage: usize, seconds: f64, step: u64) -> Option<Event> {
    let all = run.evaluations.iter().filter_map(|(name, scores)| Some((name, scores.as_ref().ok()?)));
    let values: Vec<(String, f64)> = all
        .flat_map(|(name, scores)| scores.scores.iter().map(move |score| (name, score)))
        .filter(|(_, score)| score.stage == stage)
        .map(|(name, score)| (format!("evaluation/{name}/{}/{}", score.task, score.metric), score.value))
        .collect();
    (!values.is_empty()).then(|| event(seconds, step, values))
}

fn event(wall_time: f64, step: u64, values: Vec<(String, f64)>) -> Event {
    let value = |(tag, value): (String, f64)| Value { tag, simple_value: Some(value as f32) };
    let summary = Summary { value: values.into_iter().map(value).collect() };
    Event { wall_time, step: step as i64, file_version: None, summary: Some(summary) }
}

fn push_record(message: &[u8], file: &mut Vec<u8>) {
    let length = (message.len() as u64).to_le_bytes();
    file.extend(length);
    file.extend(masked_checksum(&length).to_le_bytes());
    file.extend(message);
    file.extend(masked_checksum(message).to_le_bytes());
}

/// The masked CRC-32C of the TFRecord format, rotated and shifted, since data may hold CRC values themselves.
fn masked_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_those_that_tensorflow_writes() {
        let first = Event { wall_time: 0.0, step: 0, file_version: Some("brain.Event:2".into()), summary: None };
        let mut file = Vec::new();
        push_record(&first.encode_to_vec(), &mut file);
        // Field 3, 13 bytes; length and checksums by python's tensorboard.
        assert_eq!(&file[..8], [15, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&file[12..27], b"\x1a\x0dbrain.Event:2");
        let scalar = event(1.5, 7, vec![("loss".into(), 0.25)]).encode_to_vec();
        // 1: double 1.5; 2: varint 7; 5: message { 1: message { 1: "loss", 2: float 0.25 } }.
        let expected = b"\x09\0\0\0\0\0\0\xf8\x3f\x10\x07\x2a\x0d\x0a\x0b\x0a\x04loss\x15\0\0\x80\x3e";
        assert_eq!(scalar, expected);
        // The check value of CRC-32C over "123456789" is e3069283.
        assert_eq!(masked_checksum(b"123456789"), 0xe306_9283u32.rotate_right(15).wrapping_add(0xa282_ead8));
    }
}
