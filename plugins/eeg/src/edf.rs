//! EDF and EDF+ files (16 bits), and BDF and BDF+ files (24 bits): a header, then data records of all signals.
//!
//! After Kemp et al. 1992, *A simple format for exchange of digitized polygraphic recordings*, and Kemp and Olivan
//! 2003, *European data format 'plus'*. A discontinuous recording (EDF+D) is read as segments, each of records that
//! follow one another without a gap. The signal "EDF Annotations" holds texts, and is no signal for readers. Only the
//! stretches that are asked for are read.

mod annotations;
mod header;
mod write;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use medcoss_sdk::Error;

pub(crate) use annotations::Annotation;
use annotations::{Records, unreadable};
pub(crate) use header::{Continuity, Header};
pub(crate) use write::{Layout, Signal, Width, write};

/// Values that are read at once, at most.
const MAX_VALUES: u64 = 1 << 24;
/// Largest gap between two records of one segment in seconds: clocks are written in decimal digits.
const NO_GAP_SECONDS: f64 = 1e-3;

/// A file whose header was read.
#[derive(Debug)]
pub(crate) struct EdfFile {
    path: PathBuf,
    file: File,
    pub(crate) header: Header,
}

/// Records that follow one another without a gap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Segment {
    /// Seconds from the beginning of the recording to the first sample.
    pub onset: f64,
    pub first_record: u64,
    pub n_records: u64,
}

/// What the annotation signal of a file says.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    /// At least one, in the order of the records.
    pub segments: Vec<Segment>,
    /// In the order of their onsets, which count as those of segments do.
    pub annotations: Vec<Annotation>,
}

impl EdfFile {
    /// Reads the header, and compares it with the file's length.
    ///
    /// # Errors
    /// A file that is missing, damaged, cut off or of another kind.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let mut file = File::open(path).map_err(|error| unreadable(path, &error))?;
        let n_bytes = file.metadata().map_err(|error| unreadable(path, &error))?.len();
        let header = Header::read(&mut file, n_bytes)?;
        Ok(Self { path: path.to_owned(), file, header })
    }

    /// Segments and annotations. Annotations are read where they are asked for, or where they say when records begin
    /// (EDF+D).
    ///
    /// # Errors
    /// A file that cannot be read, an annotation signal that is damaged, records that run backwards.
    pub(crate) fn timeline(&self, with_annotations: bool) -> Result<Timeline, Error> {
        let Header { n_records, record_seconds, continuity, .. } = self.header;
        let whole = Segment { onset: 0.0, first_record: 0, n_records };
        let has_annotations = self.header.signals.iter().any(|signal| signal.is_annotation);
        let is_discontinuous = continuity == Continuity::Discontinuous;
        if !has_annotations || !(is_discontinuous || with_annotations) {
            if is_discontinuous {
                return Err(Error::corrupt(
                    "it is EDF+D and has no annotation signal, which says when its records begin",
                ));
            }
            return Ok(Timeline { segments: vec![whole], annotations: Vec::new() });
        }
        let Records { onsets, mut annotations } = annotations::read(&self.path, &self.header)?;
        let begin = onsets.first().copied().flatten().unwrap_or(0.0);
        let mut segments = vec![whole];
        if is_discontinuous {
            segments.clear();
            for (record, onset) in (0_u64..).zip(&onsets) {
                let Some(onset) = onset.map(|onset| onset - begin) else {
                    return Err(Error::corrupt(format!(
                        "it is EDF+D and does not say when its record {record} begins"
                    )));
                };
                let end = |segment: &Segment| segment.onset + segment.n_records as f64 * record_seconds;
                match segments.last_mut() {
                    Some(last) if onset < end(last) - NO_GAP_SECONDS => {
                        return Err(Error::corrupt(format!(
                            "its record {record} begins at {onset} s, before the end of the record before it"
                        )));
                    }
                    Some(last) if onset <= end(last) + NO_GAP_SECONDS => last.n_records += 1,
                    _ => segments.push(Segment { onset, first_record: record, n_records: 1 }),
                }
            }
        }
        annotations.iter_mut().for_each(|annotation| annotation.onset -= begin);
        annotations.sort_by(|a, b| a.onset.total_cmp(&b.onset));
        Ok(Timeline { segments, annotations })
    }

    /// Microvolts of some samples of a signal, counted from the first record.
    ///
    /// # Errors
    /// A file that has become shorter, more than [`MAX_VALUES`] values. The samples are those of the header's records.
    pub(crate) fn read(&self, signal: usize, samples: Range<u64>) -> Result<Vec<f64>, Error> {
        let header = &self.header;
        let own = &header.signals[signal];
        let n_values = samples.end.saturating_sub(samples.start);
        if n_values > MAX_VALUES {
            return Err(Error::unsupported(format!(
                "{n_values} samples of signal {:?} do not fit into memory; {MAX_VALUES} are the most",
                own.label
            )));
        }
        let width = header.width.bytes();
        let mut file = &self.file;
        let (mut values, mut bytes) = (Vec::with_capacity(n_values as usize), Vec::new());
        let mut at = samples.start;
        while at < samples.end {
            let (record, within) = (at / own.n_samples, at % own.n_samples);
            let n = (own.n_samples - within).min(samples.end - at);
            let start = header.record_start(record) + own.offset + within * width;
            bytes.resize((n * width) as usize, 0);
            file.seek(SeekFrom::Start(start))
                .and_then(|_| file.read_exact(&mut bytes))
                .map_err(|error| unreadable(&self.path, &error))?;
            let digital = bytes.chunks_exact(width as usize).map(digital);
            values.extend(digital.map(|digital| f64::from(digital) * own.gain + own.offset_uv));
            at += n;
        }
        Ok(values)
    }

    /// The bytes of a signal in a record.
    ///
    /// # Errors
    /// A file that has become shorter.
    pub(crate) fn stored(&self, signal: usize, record: u64) -> Result<Vec<u8>, Error> {
        annotations::bytes_of(&mut &self.file, &self.path, &self.header, signal, record)
    }
}

/// A sample in two's complement, low byte first.
fn digital(bytes: &[u8]) -> i32 {
    let unused = 32 - 8 * bytes.len() as u32;
    let bits = bytes.iter().rev().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte));
    (bits << unused) as i32 >> unused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_in_twos_complement_low_byte_first() {
        assert_eq!([[0x34, 0x12], [0xff, 0xff], [0x00, 0x80]].map(|bytes| digital(&bytes)), [0x1234, -1, -32768]);
        assert_eq!([[0x56, 0x34, 0x12], [0, 0, 0x80]].map(|bytes| digital(&bytes)), [0x0012_3456, -8_388_608]);
    }
}
