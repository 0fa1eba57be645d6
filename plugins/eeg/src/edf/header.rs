//! The header of an EDF, EDF+, BDF or BDF+ file: 256 bytes for the recording and 256 for each signal, in ASCII.
//!
//! Patient, recording, dates and times are not looked at. Every size is compared with the file's length before memory
//! is claimed.

use std::io::Read;

use medcoss_sdk::Error;

use super::Width;

/// Bytes of the fixed part, and of each signal.
const PART: u64 = 256;
/// Most signals of a file.
const MAX_SIGNALS: u64 = 4096;
/// Longest data record in seconds.
const MAX_RECORD_SECONDS: f64 = 1e6;

/// Whether records follow one another without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Continuity {
    /// EDF, BDF, EDF+C, BDF+C.
    Continuous,
    /// EDF+D, BDF+D: each record says when it begins.
    Discontinuous,
}

/// What is used of a header.
#[derive(Debug)]
pub(crate) struct Header {
    pub width: Width,
    pub continuity: Continuity,
    pub n_records: u64,
    pub record_seconds: f64,
    /// The duration of a record as it is written.
    pub record_seconds_text: String,
    pub signals: Vec<SignalHeader>,
    /// Bytes of a record.
    record_bytes: u64,
}

/// A signal.
#[derive(Debug)]
pub(crate) struct SignalHeader {
    pub label: String,
    /// Whether it holds texts.
    pub is_annotation: bool,
    /// Whether it is an electric potential, whose unit is known.
    pub is_potential: bool,
    /// Samples in a record.
    pub n_samples: u64,
    /// First byte in a record.
    pub offset: u64,
    /// Microvolts a digital step, and at digital 0; of a potential.
    pub gain: f64,
    pub offset_uv: f64,
    /// Unit, physical minimum and maximum, digital minimum and maximum, as they are written.
    pub scale: [String; 5],
}

impl Header {
    /// Reads the header of a file of `n_bytes`.
    ///
    /// # Errors
    /// A file of another kind, a damaged header, fewer records than the header says.
    pub(crate) fn read(file: &mut impl Read, n_bytes: u64) -> Result<Self, Error> {
        let failed = |error: std::io::Error| Error::unreadable("its header cannot be read").caused_by(&error);
        if n_bytes < PART {
            return Err(Error::corrupt(format!(
                "it has {n_bytes} bytes; the header of an EDF file has {PART} and more"
            )));
        }
        let mut fixed = [0; PART as usize];
        file.read_exact(&mut fixed).map_err(failed)?;
        let width = match &fixed[..8] {
            b"0       " => Width::Sixteen,
            b"\xffBIOSEMI" => Width::TwentyFour,
            _ => return Err(Error::corrupt("it does not begin as an EDF or BDF file does")),
        };
        let reserved = text(&fixed[192..236]);
        let continuity = match reserved.get(3..5) {
            Some("+D") => Continuity::Discontinuous,
            _ => Continuity::Continuous,
        };
        let n_signals = match number(&fixed[252..256]) {
            Some(n) if (1..=MAX_SIGNALS as i64).contains(&n) => n as u64,
            _ => {
                let found = text(&fixed[252..256]);
                return Err(Error::corrupt(format!("it states {found:?} signals; 1 to {MAX_SIGNALS} are read")));
            }
        };
        let header_bytes = PART * (n_signals + 1);
        let stated = text(&fixed[184..192]);
        if stated.parse() != Ok(header_bytes) {
            return Err(Error::corrupt(format!(
                "it states a header of {stated:?} bytes, and {n_signals} signals, whose header has {header_bytes}"
            )));
        }
        if n_bytes < header_bytes {
            return Err(Error::corrupt(format!(
                "it is cut off: of {header_bytes} bytes of header {n_bytes} are there"
            )));
        }
        let mut fields = vec![0; (header_bytes - PART) as usize];
        file.read_exact(&mut fields).map_err(failed)?;
        let record_seconds_text = text(&fixed[244..252]);
        let record_seconds = record_seconds_text.parse().unwrap_or(f64::NAN);
        let mut signals = Vec::new();
        let mut record_bytes = 0;
        for number in 0..n_signals as usize {
            let signal = SignalHeader::parse(&fields, number, n_signals as usize, record_bytes)?;
            record_bytes += signal.n_samples * width.bytes();
            signals.push(signal);
        }
        let only_annotations = signals.iter().all(|signal| signal.is_annotation);
        let is_duration = record_seconds > 0.0 && record_seconds <= MAX_RECORD_SECONDS;
        if !(is_duration || only_annotations && record_seconds == 0.0) {
            return Err(Error::corrupt(format!(
                "it states data records of {record_seconds_text:?} s; above 0 and up to {MAX_RECORD_SECONDS} s are read"
            )));
        }
        let n_records = n_records(&fixed[236..244], n_bytes - header_bytes, record_bytes)?;
        let mut header =
            Self { width, continuity, n_records, record_seconds, record_seconds_text, signals, record_bytes };
        // What follows the header is in order of records; only now is their place known.
        header.signals.iter_mut().for_each(|signal| signal.offset += header_bytes);
        Ok(header)
    }

    /// Place of a record's bytes, from the first record on: [`SignalHeader::offset`] is from the beginning of the file.
    pub(crate) fn record_start(&self, record: u64) -> u64 {
        record * self.record_bytes
    }

    /// Samples of a signal a second.
    pub(crate) fn rate_hz(&self, signal: usize) -> f64 {
        self.signals[signal].n_samples as f64 / self.record_seconds
    }

    /// Whether there is nothing in the file but annotations, as in files of sleep stages.
    pub(crate) fn has_only_annotations(&self) -> bool {
        self.signals.iter().all(|signal| signal.is_annotation)
    }
}

/// Number of records: what the header states, or what the file holds where it does not know (-1, while recording).
fn n_records(field: &[u8], n_bytes: u64, record_bytes: u64) -> Result<u64, Error> {
    let held = n_bytes / record_bytes.max(1);
    match number(field) {
        Some(stated) if stated > 0 && stated as u64 <= held => Ok(stated as u64),
        Some(stated) if stated > 0 => Err(Error::corrupt(format!(
            "it is cut off: it states {stated} data records of {record_bytes} bytes, and holds {held}\nhint: copy the file again"
        ))),
        Some(-1) if held > 0 => Ok(held),
        _ => Err(Error::corrupt(format!("it states {:?} data records, and holds {held}", text(field)))),
    }
}

impl SignalHeader {
    /// The signal `number` of `n`, of the fields behind the fixed part: all labels, then all transducers, and so on.
    fn parse(fields: &[u8], number: usize, n: usize, offset: u64) -> Result<Self, Error> {
        // Begin and length of label, unit, physical minimum and maximum, digital minimum and maximum, samples in a
        // record; in bytes for one signal. Transducers (16 to 96) and filters (136 to 216) are not used.
        let [label, unit, physical_min, physical_max, digital_min, digital_max, n_samples] =
            [(0, 16), (96, 8), (104, 8), (112, 8), (120, 8), (128, 8), (216, 8)].map(|(begin, length)| {
                let start = begin * n + number * length;
                text(&fields[start..start + length])
            });
        let damaged = |what: &str, found: &str| {
            Error::corrupt(format!("its signal {number} ({}) has {found:?} as {what}", shown(&label)))
        };
        let is_annotation = label == "EDF Annotations" || label == "BDF Annotations";
        let n_samples = match n_samples.parse::<u64>() {
            Ok(n) if (1..=99_999_999).contains(&n) => n,
            _ => return Err(damaged("number of samples in a data record", &n_samples)),
        };
        let value = |what: &str, found: &str| {
            found.parse::<f64>().ok().filter(|value| value.is_finite()).ok_or_else(|| damaged(what, found))
        };
        // What is not read may have any scale.
        let potential = microvolts(&unit).filter(|_| !is_annotation);
        let [gain, offset_uv] = match potential {
            None => [1.0, 0.0],
            Some(factor) => {
                let [low, high] =
                    [value("physical minimum", &physical_min)?, value("physical maximum", &physical_max)?];
                let [lowest, highest] =
                    [value("digital minimum", &digital_min)?, value("digital maximum", &digital_max)?];
                if low == high || lowest >= highest {
                    return Err(Error::corrupt(format!(
                        "its signal {number} ({}) has no scale: {low} to {high} are digital {lowest} to {highest}",
                        shown(&label)
                    )));
                }
                let step = (high - low) / (highest - lowest);
                [step * factor, (low - lowest * step) * factor]
            }
        };
        Ok(Self {
            is_annotation,
            is_potential: potential.is_some(),
            n_samples,
            offset,
            gain,
            offset_uv,
            scale: [unit, physical_min, physical_max, digital_min, digital_max],
            label,
        })
    }
}

/// Microvolts in a unit; `None` for what is no electric potential. A blank is taken for microvolts, as many devices
/// write it.
fn microvolts(unit: &str) -> Option<f64> {
    match unit {
        "" | "uV" | "UV" | "µV" | "microV" => Some(1.0),
        "nV" => Some(1e-3),
        "mV" | "MV" => Some(1e3),
        "V" => Some(1e6),
        _ => None,
    }
}

/// A field without the blanks that fill it. Bytes beyond ASCII, which the format does not allow, are Latin-1, in which
/// devices write `µ`.
fn text(field: &[u8]) -> String {
    let text: String = field.iter().map(|&byte| char::from(byte)).collect();
    // `µ` in UTF-8, read as Latin-1.
    text.replace("Âµ", "µ")
        .replace("Î¼", "µ")
        .trim_matches(|letter: char| letter.is_whitespace() || letter == '\0')
        .to_owned()
}

fn number(field: &[u8]) -> Option<i64> {
    text(field).parse().ok()
}

/// A name of the file for a message.
fn shown(name: &str) -> String {
    name.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_brought_to_microvolts_and_a_temperature_is_none() {
        let units = ["uV", "mV", "V", "", "degC", "%"].map(microvolts);
        assert_eq!(units, [Some(1.0), Some(1e3), Some(1e6), Some(1.0), None, None]);
        assert_eq!(microvolts(&text(b"\xb5V     ")), Some(1.0));
        assert_eq!(microvolts(&text("µV    ".as_bytes())), Some(1.0));
    }
}
