//! Recordings and their windows: which stretches of which files are samples.

use std::path::{Path, PathBuf};

use medcoss_sdk::labels::FileFacts;
use medcoss_sdk::{Account, Error, Found, FoundFile, SampleRecord, code, find_files, log};

use crate::edf::{Annotation, EdfFile, Segment, Timeline};
use crate::montage;
use crate::options::Options;

/// File formats that are read, for display.
pub(crate) const FILE_FORMATS: &[&str] = &["EDF and EDF+ (.edf)", "BDF and BDF+ (.bdf)"];

/// Most samples of a file.
const MAX_WINDOWS: usize = 1 << 22;
/// Slowest signal that can be a channel, in Hz.
const SLOWEST_HZ: f64 = 1.0;
/// Part of a sample that may lie behind the end, in seconds: ends are sums of rounded numbers.
const TOLERANCE_SECONDS: f64 = 1e-6;
/// Fraction of a sample that an annotation covers at least to be its label.
const COVERED: f64 = 0.5;

/// A file.
#[derive(Debug)]
pub(crate) struct Recording {
    pub file: FoundFile,
    /// What the table of labels says of it.
    pub facts: FileFacts,
    /// Of annotations those with a duration, where they are labels. `Err`: the file counts as one sample, which cannot
    /// be loaded.
    pub timeline: Result<Timeline, Error>,
}

/// A sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window {
    pub recording: u32,
    /// Number of the segment in its recording.
    pub segment: u32,
    /// Seconds from the beginning of the segment.
    pub start: f64,
}

/// All recordings, and their windows in the order of files and times.
#[derive(Debug)]
pub(crate) struct Recordings {
    pub recordings: Vec<Recording>,
    pub windows: Vec<Window>,
    pub account: Account,
}

impl Recordings {
    /// Lists the files of the entries and their windows. Only headers are read, and the annotation signals where they
    /// count. Files that hold nothing but annotations are left out.
    ///
    /// # Errors
    /// Data missing, no file but damaged ones; the first error then is the reason.
    pub(crate) fn open(base: &Path, entries: &[PathBuf], options: &Options) -> Result<Self, Error> {
        let accepts = |name: &str| name.ends_with(".edf") || name.ends_with(".bdf") || name.ends_with(".rec");
        let Found { files, mut account } = find_files(base, entries, accepts, &FILE_FORMATS.join(", "))?;
        let facts = FileFacts::of_files(options.labels.as_ref(), base, &files)?;
        let (mut recordings, mut all_windows, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for (file, facts) in files.into_iter().zip(facts) {
            let number = recordings.len() as u32;
            let timeline = match listed(&file, number, options) {
                Ok(None) => {
                    account.leave_out(file.id.as_str(), "EDF with annotations alone");
                    continue;
                }
                Ok(Some((timeline, windows))) => {
                    all_windows.extend(windows);
                    Ok(timeline)
                }
                Err(error) => {
                    errors.push(error.clone().in_context(&file.id));
                    all_windows.push(Window { recording: number, segment: 0, start: 0.0 });
                    Err(error)
                }
            };
            recordings.push(Recording { file, facts, timeline });
        }
        let (n_bad, n) = (errors.len(), recordings.len());
        match errors.into_iter().next() {
            // What other options could read is an invalid sample.
            Some(first) if n_bad == n && first.code() != code::UNSUPPORTED => return Err(first),
            Some(first) => log::warn(&format!("{n_bad} of {n} recordings cannot be read; the first: {first}")),
            None if n == 0 => return Err(Error::unreadable("no file holds signals; all hold annotations alone")),
            None => {}
        }
        Ok(Self { recordings, windows: all_windows, account })
    }

    /// Record of a sample: a window of a file, `#s=` and the seconds from the file's beginning.
    pub(crate) fn record(&self, index: usize, options: &Options) -> SampleRecord {
        let window = self.windows[index];
        let Recording { file, facts, timeline } = &self.recordings[window.recording as usize];
        let record = match timeline {
            Ok(timeline) => {
                let begin = timeline.segments[window.segment as usize].onset + window.start;
                let said = label_of(&timeline.annotations, begin, options.seconds);
                file.record_of_part(format!("s={}", seconds(begin))).labelled(said)
            }
            Err(_) => file.record(),
        };
        let mut record = record.in_group(file.id.as_str());
        facts.annotate(&mut record);
        record
    }
}

/// Seconds as they stand in ids: four digits and more, and milliseconds where there are any.
fn seconds(seconds: f64) -> String {
    let milliseconds = (seconds * 1000.0).round().max(0.0) as u64;
    match milliseconds % 1000 {
        0 => format!("{:04}", milliseconds / 1000),
        rest => format!("{:04}.{rest:03}", milliseconds / 1000),
    }
}

/// Timeline and windows of a file; `None` where it holds nothing but annotations.
fn listed(file: &FoundFile, number: u32, options: &Options) -> Result<Option<(Timeline, Vec<Window>)>, Error> {
    let edf = EdfFile::open(&file.path)?;
    if edf.header.has_only_annotations() {
        return Ok(None);
    }
    let channels = options.canonical_channels();
    let mixtures = montage::mixtures(&channels, &edf.header);
    montage::check(&channels, &mixtures, options.min_channels(), &edf.header)?;
    for signal in montage::used(&mixtures) {
        let rate = edf.header.rate_hz(signal);
        if rate < SLOWEST_HZ {
            let label = &edf.header.signals[signal].label;
            return Err(Error::unsupported(format!(
                "its signal {label:?} has {rate} samples a second, too few to be a channel"
            )));
        }
    }
    let wants_annotations = options.annotation_labels || options.window_annotation.is_some();
    let mut timeline = edf.timeline(wants_annotations)?;
    let duration = |segment: &Segment| segment.n_records as f64 * edf.header.record_seconds;
    let mut windows = Vec::new();
    for (at, segment) in (0_u32..).zip(&timeline.segments) {
        let last = duration(segment) - options.seconds + TOLERANCE_SECONDS;
        let window = |start| Window { recording: number, segment: at, start };
        match &options.window_annotation {
            Some(text) => {
                let starts = timeline.annotations.iter().filter(|annotation| annotation.text == *text);
                let starts = starts.map(|annotation| annotation.onset - segment.onset);
                windows.extend(starts.filter(|start| (0.0..=last).contains(start)).map(window));
            }
            None if last < 0.0 => {}
            None => {
                // Counted, since a sum of strides would drift.
                let n = (last / options.stride()) as usize + 1;
                if n > MAX_WINDOWS {
                    return Err(Error::unsupported(format!(
                        "it has {n} samples; at most {MAX_WINDOWS} of a file are read"
                    )));
                }
                windows.extend((0..n).map(|number| window(number as f64 * options.stride())));
            }
        }
    }
    if options.window_annotation.is_some() {
        // Two annotations at one time are one sample.
        windows.dedup_by_key(|window| (window.segment, seconds(window.start)));
    }
    let longest = timeline.segments.iter().map(duration).fold(0.0, f64::max);
    match (&options.window_annotation, windows.is_empty()) {
        (_, false) => {}
        (Some(text), true) => {
            return Err(Error::unsupported(format!(
                "no annotation {text:?} is followed by {} s of signal\nhint: see the option window_annotation",
                options.seconds
            )));
        }
        (None, true) => {
            return Err(Error::unsupported(format!(
                "its longest stretch without a gap has {longest:.3} s, but a sample has {} s\nhint: lower the option seconds",
                options.seconds
            )));
        }
    }
    timeline.annotations.retain(|annotation| options.annotation_labels && annotation.duration > 0.0);
    Ok(Some((timeline, windows)))
}

/// The text of the annotation that covers most of a window, and at least half. Of annotations that cover the same part
/// the first counts.
fn label_of(annotations: &[Annotation], begin: f64, seconds: f64) -> Option<String> {
    let covered = |annotation: &Annotation| {
        let end = (annotation.onset + annotation.duration).min(begin + seconds);
        end - annotation.onset.max(begin)
    };
    let behind = annotations.partition_point(|annotation| annotation.onset < begin + seconds);
    let mut best: Option<(&Annotation, f64)> = None;
    for annotation in &annotations[..behind] {
        let covered = covered(annotation);
        if covered >= COVERED * seconds && best.is_none_or(|(_, most)| covered > most) {
            best = Some((annotation, covered));
        }
    }
    best.map(|(annotation, _)| annotation.text.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotation_that_covers_most_is_the_label() {
        let annotation = |onset, duration, text: &str| Annotation { onset, duration, text: text.into() };
        let annotations = [annotation(0.0, 12.0, "rest"), annotation(8.0, 2.5, "blink"), annotation(12.0, 8.0, "task")];
        let label = |begin| label_of(&annotations, begin, 4.0);
        assert_eq!(label(0.0).as_deref(), Some("rest"));
        assert_eq!(label(8.0).as_deref(), Some("rest"));
        assert_eq!(label(10.5).as_deref(), Some("task"));
        assert_eq!(label(17.9).as_deref(), Some("task"));
        assert_eq!(label(18.1), None);
    }

    #[test]
    fn ids_have_seconds_and_milliseconds_where_there_are_any() {
        assert_eq!([0.0, 30.0, 12345.0, 2.5, 0.012].map(seconds), ["0000", "0030", "12345", "0002.500", "0000.012"]);
    }
}
