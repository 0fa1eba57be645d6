//! Windows as files of their own: EDF+ or BDF+ with the data records around a window, and an annotation where it begins.
//!
//! A copy has the stored values and the scale of the signals that make up the channels, under the names of electrodes.
//! It has no patient, no date, no device and no annotation of the recording.

use std::path::{Path, PathBuf};

use medcoss_sdk::{Error, saved_samples};

use crate::edf::{self, EdfFile, Layout, Segment, Signal, Width};
use crate::electrodes::canonical;
use crate::montage;
use crate::options::Options;
use crate::stretch::margin_seconds;

/// The annotation where a window begins.
const WINDOW: &str = "window";
/// Bytes of annotations in a data record.
const ANNOTATION_BYTES: u64 = 120;

/// Options with which copies are opened: their only window is annotated, and the shift remains that of the recording's
/// stride.
pub(crate) fn options(options: &Options) -> Options {
    Options {
        window_annotation: Some(WINDOW.into()),
        stride_seconds: Some(options.stride()),
        labels: None,
        annotation_labels: false,
        ..options.clone()
    }
}

/// Writes the window that begins `start` seconds after its segment, and gives the name of the file.
///
/// # Errors
/// A recording that cannot be read, a file that cannot be written.
pub(crate) fn write(
    edf: &EdfFile,
    segment: &Segment,
    start: f64,
    options: &Options,
    position: usize,
    folder: &Path,
) -> Result<PathBuf, Error> {
    let header = &edf.header;
    let used = montage::used(&montage::mixtures(&options.canonical_channels(), header));
    let slowest_hz = used.iter().map(|&signal| header.rate_hz(signal)).fold(f64::MAX, f64::min);
    let margin = margin_seconds(options, slowest_hz);
    let record = |seconds: f64| seconds / header.record_seconds;
    let first = (record(start - margin).floor().max(0.0) as u64).min(segment.n_records - 1);
    let end = (record(start + options.seconds + margin).ceil() as u64).clamp(first + 1, segment.n_records);

    let signal = |&signal: &usize| {
        let own = &header.signals[signal];
        Signal {
            label: canonical(&own.label),
            scale: own.scale.each_ref().map(String::as_str),
            n_samples: own.n_samples,
        }
    };
    let mut signals: Vec<Signal<'_>> = used.iter().map(signal).collect();
    // Units beyond ASCII, which the format does not allow, are microvolts.
    signals.iter_mut().filter(|signal| !signal.scale[0].is_ascii()).for_each(|signal| signal.scale[0] = "uV");
    signals.push(Signal::annotations(header.width, ANNOTATION_BYTES));
    let (kind, extension) = match header.width {
        Width::Sixteen => ("EDF+C", ".edf"),
        Width::TwentyFour => ("BDF+C", ".bdf"),
    };
    let record_seconds = &header.record_seconds_text;
    let layout = Layout { width: header.width, kind, n_records: end - first, record_seconds, signals };
    let name = saved_samples::name(position, extension);
    let begin = start - first as f64 * header.record_seconds;
    edf::write(&folder.join(&name), &layout, |number, record| match used.get(number) {
        Some(&signal) => edf.stored(signal, segment.first_record + first + record),
        None => {
            let mut lists = format!("+{:.9}\x14\x14\0", record as f64 * header.record_seconds);
            if record == 0 {
                lists.push_str(&format!("+{begin:.9}\x15{:.9}\x14{WINDOW}\x14\0", options.seconds));
            }
            Ok(lists.into_bytes())
        }
    })?;
    Ok(name.into())
}
