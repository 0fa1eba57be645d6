//! WFDB records: a text header and the files that it names, 16-bit (format 16) or 12-bit numbers, two in three bytes (format 212).
//!
//! After header(5) and signal(5) of the WFDB Applications Guide (Moody, PhysioNet). Read are records of one segment, one sample
//! of each signal a frame, without skew. Annotations, multi-segment records and the other formats are not; each is refused by
//! its name. Checksums are not compared: they cover whole files, and only stretches are read.

mod header;
mod write;

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use medcoss_sdk::Error;

use crate::leads;
use crate::record_info::RecordInfo;
pub(crate) use header::Format;
use header::Header;
pub(crate) use write::write;

/// A record whose header was read and whose signal files were measured.
#[derive(Debug)]
pub(crate) struct WfdbRecord {
    path: PathBuf,
    pub(crate) info: RecordInfo,
    /// Comment lines of the header, without `#`.
    pub(crate) comments: Vec<String>,
    files: Vec<SignalFile>,
    /// For each signal: its file, its place in a frame there, and the gain and baseline that make it millivolts.
    signals: Vec<Signal>,
}

#[derive(Debug)]
struct SignalFile {
    path: PathBuf,
    format: Format,
    offset: u64,
    /// Signals in a frame.
    n_signals: usize,
}

#[derive(Debug, Clone, Copy)]
struct Signal {
    file: usize,
    place: usize,
    /// Units of the converter a millivolt.
    gain: f64,
    baseline: f64,
}

impl WfdbRecord {
    /// Reads the header, and looks how long its signal files are.
    ///
    /// # Errors
    /// A header that is damaged or asks for what is not read, a signal file that is missing or shorter than the header says.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let header = Header::read(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let (mut files, mut signals): (Vec<SignalFile>, Vec<Signal>) = (Vec::new(), Vec::new());
        for (number, line) in header.signals.iter().enumerate() {
            let path = folder.join(&line.file);
            let file = files.iter().position(|file| file.path == path).unwrap_or(files.len());
            if file == files.len() {
                files.push(SignalFile { path, format: line.format, offset: line.offset, n_signals: 0 });
            }
            let SignalFile { format, offset, n_signals, .. } = &mut files[file];
            if (*format, *offset) != (line.format, line.offset) {
                return Err(Error::corrupt(format!(
                    "signal {number} has another format or offset than the signals before it in {}",
                    line.file
                )));
            }
            signals.push(Signal { file, place: *n_signals, gain: line.gain, baseline: line.baseline });
            *n_signals += 1;
        }
        let mut n_times = header.n_times.unwrap_or(u64::MAX);
        for file in &files {
            let held = file.n_frames()?;
            if header.n_times.is_some_and(|claimed| claimed > held) {
                return Err(Error::corrupt(format!(
                    "{} holds {held} frames of {} signals; the header says {n_times}\nhint: copy the record again",
                    name(&file.path),
                    file.n_signals
                )));
            }
            n_times = n_times.min(held);
        }
        let n_times = usize::try_from(n_times).map_err(|_| Error::corrupt("the record has no signals"))?;
        let names = header.signals.into_iter().map(|line| line.description).collect();
        let info = RecordInfo { sampling_rate_hz: header.sampling_rate_hz, n_times, signals: names };
        Ok(Self { path: path.to_owned(), info, comments: header.comments, files, signals })
    }

    /// The header, and the signal files.
    pub(crate) fn files(&self) -> Vec<&Path> {
        std::iter::once(self.path.as_path()).chain(self.files.iter().map(|file| file.path.as_path())).collect()
    }

    /// Millivolts of some signals at some times, `[signals, times]`, with NaN for samples that are marked as missing.
    pub(crate) fn read(&self, signals: &[usize], times: Range<usize>) -> Result<Vec<Vec<f32>>, Error> {
        let mut read = vec![Vec::with_capacity(times.len()); signals.len()];
        for (number, file) in self.files.iter().enumerate() {
            let wanted: Vec<_> = signals.iter().map(|&signal| self.signals[signal]).enumerate().collect();
            let wanted: Vec<_> = wanted.into_iter().filter(|(_, signal)| signal.file == number).collect();
            if wanted.is_empty() {
                continue;
            }
            let mut samples = Samples::at(file, times.start)?;
            let mut frame = vec![0; file.n_signals];
            for _ in times.clone() {
                for sample in &mut frame {
                    *sample = samples.next()?;
                }
                for &(row, Signal { place, gain, baseline, .. }) in &wanted {
                    let stored = frame[place];
                    let missing = stored == file.format.missing();
                    let millivolts = (f64::from(stored) - baseline) / gain;
                    read[row].push(if missing { f32::NAN } else { millivolts as f32 });
                }
            }
        }
        Ok(read)
    }

    /// Writes the record into a folder: a header with the scale of all signals and the names of some, and the signal files from
    /// their first sample to the last that counts.
    pub(crate) fn copy(&self, named: &[usize], folder: &Path) -> Result<&'static str, Error> {
        const NAME: &str = "record.hea";
        let failed = |error: std::io::Error| {
            Error::unreadable(format!("{} cannot be copied to {}", self.path.display(), folder.display()))
                .caused_by(&error)
        };
        let RecordInfo { sampling_rate_hz, n_times, signals: names } = &self.info;
        let mut header = format!("record {} {sampling_rate_hz} {n_times}\n", self.signals.len());
        for (number, Signal { file, gain, baseline, .. }) in self.signals.iter().enumerate() {
            let code = self.files[*file].format.code();
            let lead = if named.contains(&number) { leads::canonical(&names[number]) } else { "unused".into() };
            // Resolution, zero, initial value, checksum and block are not read.
            header.push_str(&format!("record_{file}.dat {code} {gain}({baseline})/mV 0 0 0 0 0 {lead}\n"));
        }
        std::fs::write(folder.join(NAME), header).map_err(failed)?;
        for (number, file) in self.files.iter().enumerate() {
            let n_samples = *n_times as u64 * file.n_signals as u64;
            let n_bytes = match file.format {
                Format::Sixteen => 2 * n_samples,
                Format::Twelve => (3 * n_samples).div_ceil(2),
            };
            let mut source = File::open(&file.path).map_err(failed)?;
            source.seek(SeekFrom::Start(file.offset)).map_err(failed)?;
            let mut target = File::create_new(folder.join(format!("record_{number}.dat"))).map_err(failed)?;
            std::io::copy(&mut source.take(n_bytes), &mut target).map_err(failed)?;
        }
        Ok(NAME)
    }
}

impl SignalFile {
    /// Whole frames that the file holds.
    fn n_frames(&self) -> Result<u64, Error> {
        let metadata = std::fs::metadata(&self.path).ok().filter(std::fs::Metadata::is_file);
        let Some(metadata) = metadata else {
            return Err(Error::unreadable(format!(
                "its signal file {} is missing\nhint: keep .hea and .dat files in one folder, under the names that the header gives",
                name(&self.path)
            )));
        };
        let bytes = metadata.len().saturating_sub(self.offset);
        let n_samples = match self.format {
            Format::Sixteen => bytes / 2,
            Format::Twelve => (u128::from(bytes) * 2 / 3) as u64,
        };
        Ok(n_samples / self.n_signals as u64)
    }
}

/// The samples of a file, frame by frame.
struct Samples<'a> {
    file: &'a SignalFile,
    reader: BufReader<File>,
    /// The second of a pair of 12-bit samples.
    pending: Option<i16>,
}

impl<'a> Samples<'a> {
    /// From the first sample of a frame on.
    fn at(file: &'a SignalFile, frame: usize) -> Result<Self, Error> {
        let first = frame as u64 * file.n_signals as u64;
        let (start, inside_of_a_pair) = match file.format {
            Format::Sixteen => (2 * first, false),
            Format::Twelve => (first / 2 * 3, first % 2 == 1),
        };
        let failed = |error: std::io::Error| {
            Error::unreadable(format!("its signal file {} cannot be read", name(&file.path))).caused_by(&error)
        };
        let mut reader = BufReader::new(File::open(&file.path).map_err(failed)?);
        reader.seek(SeekFrom::Start(file.offset.saturating_add(start))).map_err(failed)?;
        let mut samples = Self { file, reader, pending: None };
        if inside_of_a_pair {
            samples.next()?;
        }
        Ok(samples)
    }

    fn next(&mut self) -> Result<i16, Error> {
        match (self.file.format, self.pending.take()) {
            (Format::Sixteen, _) => Ok(i16::from_le_bytes(self.bytes()?)),
            (Format::Twelve, Some(second)) => Ok(second),
            (Format::Twelve, None) => {
                // Low bytes of both samples at the ends, their high halves in the middle, the first one's in its low half.
                let [low, high] = self.bytes()?;
                let mut other_low = [0];
                // A file with an odd number of samples ends here.
                if self.reader.read(&mut other_low).unwrap_or(0) == 1 {
                    self.pending = Some(signed(u16::from(high >> 4) << 8 | u16::from(other_low[0])));
                }
                Ok(signed(u16::from(high & 0x0f) << 8 | u16::from(low)))
            }
        }
    }

    fn bytes(&mut self) -> Result<[u8; 2], Error> {
        let mut bytes = [0; 2];
        self.reader.read_exact(&mut bytes).map_err(|error| {
            Error::corrupt(format!("its signal file {} ends too early", name(&self.file.path))).caused_by(&error)
        })?;
        Ok(bytes)
    }
}

/// A 12-bit number in two's complement.
fn signed(bits: u16) -> i16 {
    (bits << 4) as i16 >> 4
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use medcoss_sdk::code;

    fn record(header: &str, files: &[(&str, &[u8])]) -> (tempfile::TempDir, Result<WfdbRecord, Error>) {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let path = folder.path().join("r.hea");
        std::fs::write(&path, header).unwrap();
        let record = WfdbRecord::open(&path);
        (folder, record)
    }

    #[test]
    fn format_16_is_little_endian_and_baseline_and_gain_make_millivolts() {
        // Two signals, three frames: 300 and -50; 1024 and a gap; -32767 and 32767.
        let numbers: [i16; 6] = [300, -50, 1024, -32768, -32767, 32767];
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let header = "r 2 360 3\nr.dat 16 200(1024)/mV 16 0 0 0 0 MLII\nr.dat 16 100/uV 16 -50 0 0 0 V 5\n# Dx: 42\n";
        let (_folder, record) = record(header, &[("r.dat", &bytes)]);
        let record = record.unwrap();
        let signals = ["MLII", "V 5"].map(String::from).to_vec();
        assert_eq!(record.info, RecordInfo { sampling_rate_hz: 360.0, n_times: 3, signals });
        assert_eq!(record.comments, ["Dx: 42"]);
        let read = record.read(&[0, 1], 0..3).unwrap();
        // (300 - 1024) / 200, (1024 - 1024) / 200, (-32767 - 1024) / 200. A gain of 100 a microvolt is 100000 a millivolt.
        assert_eq!(read[0], [-3.62, 0.0, -168.955]);
        assert_eq!((read[1][0], read[1][2]), (0.0, 0.32817));
        assert!(read[1][1].is_nan());
        assert_eq!(record.read(&[0], 1..2).unwrap(), [[0.0]]);
    }

    #[test]
    fn format_212_packs_two_samples_into_three_bytes() {
        // 0x123 = 291 and 0xfff = -1; 0x7ff = 2047 and 0x801 = -2047; 5 alone at the end, in two bytes.
        let bytes = [0x23, 0xf1, 0xff, 0xff, 0x87, 0x01, 0x05, 0x00];
        let header = "r 1 250\nr.dat 212 1\n";
        let (_folder, one) = record(header, &[("r.dat", &bytes)]);
        let one = one.unwrap();
        assert_eq!((one.info.n_times, one.info.sampling_rate_hz), (5, 250.0));
        assert_eq!(one.read(&[0], 0..5).unwrap(), [[291.0, -1.0, 2047.0, -2047.0, 5.0]]);
        // From the second of a pair on.
        assert_eq!(one.read(&[0], 1..4).unwrap(), [[-1.0, 2047.0, -2047.0]]);
        // Three signals a frame: frame 1 begins within a pair.
        let bytes = [0x01, 0x00, 0x02, 0x03, 0x00, 0x04, 0x05, 0x00, 0x06];
        let (_folder, three) = record("r 3 250\nr.dat 212 1\nr.dat 212 1\nr.dat 212 1\n", &[("r.dat", &bytes)]);
        assert_eq!(three.unwrap().read(&[2, 0], 1..2).unwrap(), [[6.0], [4.0]]);
    }

    #[test]
    fn signals_may_lie_in_several_files_behind_a_prologue() {
        let header = "r 3 100 2\na.dat 16+3 1\nb.dat 16 1\na.dat 16+3 1\n";
        let a = [9, 9, 9, 1, 0, 2, 0, 3, 0, 4, 0];
        let (folder, record) = record(header, &[("a.dat", &a), ("b.dat", &[7, 0, 8, 0])]);
        let record = record.unwrap();
        assert_eq!(record.read(&[0, 1, 2], 0..2).unwrap(), [[1.0, 3.0], [7.0, 8.0], [2.0, 4.0]]);
        let names = ["r.hea", "a.dat", "b.dat"].map(|name| folder.path().join(name));
        assert_eq!(record.files(), names);
    }

    #[test]
    fn files_that_are_missing_or_short_are_reported_before_anything_is_read() {
        let (_folder, missing) = record("r 1 100 2\nr.dat 16\n", &[]);
        assert_eq!(missing.unwrap_err().code(), code::UNREADABLE);
        for claimed in ["3", "99999999999", "18446744073709551615"] {
            let (_folder, short) = record(&format!("r 1 100 {claimed}\nr.dat 16\n"), &[("r.dat", &[0; 5])]);
            let error = short.unwrap_err();
            assert_eq!(error.code(), code::CORRUPT);
            assert!(error.message().contains("holds 2 frames") && error.message().contains(claimed), "{error}");
        }
        let (_folder, far) = record("r 1 100\nr.dat 16+18446744073709551615\n", &[("r.dat", &[0; 5])]);
        assert_eq!(far.unwrap().info.n_times, 0);
    }
}
