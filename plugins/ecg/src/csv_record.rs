//! Records as CSV files: a header line with names, a line a sample in time, a column a signal.
//!
//! Commas, semicolons and tabs are understood, quotation marks round a cell, and a column of times (`time`, `t`, `seconds`; `ms`
//! anywhere in its name makes it milliseconds) or of counts (`sample`, `index`, no name). Columns are millivolts unless their
//! names end in `(uV)` or `(V)`. Empty cells and `nan` are gaps. Files are read line by line: however long they are, only the
//! wanted stretch is in memory.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use medcoss_sdk::Error;

use crate::leads::canonical;
use crate::record_info::RecordInfo;

/// Longest line in bytes.
const LONGEST_LINE: u64 = 1 << 16;
/// Sampling rates that a column of times may give, in Hz.
const RATES_HZ: Range<f64> = 1.0..1e6;

/// A CSV file whose header line was read.
#[derive(Debug)]
pub(crate) struct CsvRecord {
    pub(crate) path: PathBuf,
    pub(crate) info: RecordInfo,
    delimiter: char,
    /// Column and factor to millivolts of each signal.
    columns: Vec<(usize, f32)>,
    /// Seconds from the first time to the last, where there are times.
    duration: Option<f64>,
}

/// What a column holds, by its name.
enum Column {
    /// Times, with the factor to seconds.
    Time(f64),
    /// Numbers of lines.
    Count,
    /// A signal, with the factor to millivolts.
    Signal(f32),
}

impl CsvRecord {
    /// Reads the header line and goes through the file once: how many lines, and from when to when.
    ///
    /// # Errors
    /// A file that cannot be read, is no CSV file of numbers, or whose times make no sampling rate.
    pub(crate) fn open(path: &Path, sampling_rate_hz: f64) -> Result<Self, Error> {
        let mut lines = Lines::open(path)?;
        let header = match lines.next()? {
            Some(header) => header.trim_start_matches('\u{feff}').to_string(),
            None => {
                return Err(Error::corrupt("the file is empty; a header line with the names of leads was expected"));
            }
        };
        let delimiter = [';', '\t'].into_iter().find(|&mark| header.contains(mark)).unwrap_or(',');
        let (mut columns, mut signals, mut time) = (Vec::new(), Vec::new(), None);
        for (at, name) in cells(&header, delimiter).enumerate() {
            match column(name) {
                Column::Time(factor) if time.is_none() => time = Some((at, factor)),
                Column::Time(_) | Column::Count => {}
                Column::Signal(factor) => {
                    columns.push((at, factor));
                    signals.push(name.to_string());
                }
            }
        }
        if columns.is_empty() || signals.iter().all(|name| name.parse::<f32>().is_ok()) {
            return Err(Error::corrupt(format!(
                "the first line has no names of leads: {:?}\nhint: write one such as I,II,V1 above the numbers",
                header.chars().take(60).collect::<String>()
            )));
        }

        let (mut n_times, mut first, mut last) = (0, String::new(), String::new());
        while let Some(line) = lines.next()? {
            if n_times == 0 {
                first.push_str(line);
            }
            last.clear();
            last.push_str(line);
            n_times += 1;
        }
        let mut info = RecordInfo { sampling_rate_hz, n_times, signals };
        let mut duration = None;
        if let Some((column, factor)) = time
            && n_times > 1
        {
            let at = |line: &str| seconds(line, delimiter, column, factor);
            let passed = at(&last)? - at(&first)?;
            duration = Some(passed);
            info.sampling_rate_hz = (n_times - 1) as f64 / passed;
            if !RATES_HZ.contains(&info.sampling_rate_hz) {
                return Err(Error::corrupt(format!(
                    "its times run from {} s to {} s in {n_times} lines: {} samples a second",
                    at(&first)?,
                    at(&last)?,
                    info.sampling_rate_hz
                )));
            }
        }
        Ok(Self { path: path.to_owned(), info, delimiter, columns, duration })
    }

    /// Millivolts of some signals at some times, `[signals, times]`, with NaN where there is none.
    pub(crate) fn read(&self, signals: &[usize], times: Range<usize>) -> Result<Vec<Vec<f32>>, Error> {
        let mut lines = Lines::open(&self.path)?;
        let wanted: Vec<_> = signals.iter().map(|&signal| self.columns[signal]).collect();
        let mut read = vec![Vec::with_capacity(times.len()); signals.len()];
        lines.next()?;
        for time in 0..times.end {
            let Some(line) = lines.next()? else {
                return Err(Error::corrupt(format!("the file ends after {time} lines of numbers")));
            };
            if time < times.start {
                continue;
            }
            let cells: Vec<_> = cells(line, self.delimiter).collect();
            for (values, &(column, factor)) in read.iter_mut().zip(&wanted) {
                let cell = cells.get(column).copied();
                let value = cell.and_then(number).ok_or_else(|| {
                    let found = cell.map_or("not there".into(), |cell| format!("{:?}", shortened(cell)));
                    Error::corrupt(format!("line {}, column {} is {found}, not a number", time + 2, column + 1))
                })?;
                values.push(value * factor);
            }
        }
        Ok(read)
    }

    /// Writes some signals into a folder: the names of their leads, and their numbers. Times count from the first.
    pub(crate) fn copy(&self, signals: &[usize], folder: &Path) -> Result<&'static str, Error> {
        const NAME: &str = "record.csv";
        let path = folder.join(NAME);
        let failed = |error: std::io::Error| {
            Error::unreadable(format!("{} cannot be written", path.display())).caused_by(&error)
        };
        let mut out = BufWriter::new(File::create_new(&path).map_err(failed)?);
        let columns: Vec<_> = signals.iter().map(|&signal| self.columns[signal]).collect();
        let name = |(&signal, &(_, factor)): (&usize, &(usize, f32))| {
            let unit = if factor == 1e-3 {
                "(uV)"
            } else if factor == 1e3 {
                "(V)"
            } else {
                "(mV)"
            };
            format!("{} {unit}", canonical(&self.info.signals[signal]))
        };
        let mut line: Vec<String> = signals.iter().zip(&columns).map(name).collect();
        line.extend(self.duration.map(|_| "time".into()));
        writeln!(out, "{}", line.join(",")).map_err(failed)?;
        let mut lines = Lines::open(&self.path)?;
        lines.next()?;
        let mut time = 0;
        while let Some(found) = lines.next()? {
            let cells: Vec<_> = cells(found, self.delimiter).collect();
            // What is no number stays none.
            let value = |&(column, _): &(usize, f32)| match cells.get(column).copied().map(number) {
                Some(Some(value)) if value.is_nan() => String::from("nan"),
                Some(Some(value)) => value.to_string(),
                Some(None) | None => String::from("?"),
            };
            let mut line: Vec<String> = columns.iter().map(value).collect();
            let last = self.info.n_times.saturating_sub(1);
            line.extend(self.duration.map(|duration| match time {
                _ if time == last => duration.to_string(),
                time => (duration * time as f64 / last.max(1) as f64).to_string(),
            }));
            writeln!(out, "{}", line.join(",")).map_err(failed)?;
            time += 1;
        }
        out.flush().map_err(failed)?;
        Ok(NAME)
    }
}

fn column(name: &str) -> Column {
    let lower = name.to_lowercase();
    let word = lower.split(['(', '[', '_', ' ']).next().unwrap_or_default();
    match word {
        "time" | "t" | "seconds" | "sec" | "ms" | "milliseconds" | "elapsed" => {
            Column::Time(if lower.contains("ms") || word == "milliseconds" { 1e-3 } else { 1.0 })
        }
        "" | "sample" | "samples" | "index" | "frame" | "unnamed:" => Column::Count,
        _ if ["(uv)", "(µv)", "[uv]", "[µv]"].iter().any(|unit| lower.ends_with(unit)) => Column::Signal(1e-3),
        _ if lower.ends_with("(v)") || lower.ends_with("[v]") => Column::Signal(1e3),
        _ => Column::Signal(1.0),
    }
}

/// The time of a line.
fn seconds(line: &str, delimiter: char, column: usize, factor: f64) -> Result<f64, Error> {
    let cell = cells(line, delimiter).nth(column).unwrap_or_default();
    let time = cell.parse().ok().filter(|time: &f64| time.is_finite());
    time.map(|time| time * factor).ok_or_else(|| Error::corrupt(format!("{:?} is no time", shortened(cell))))
}

fn cells(line: &str, delimiter: char) -> impl Iterator<Item = &str> {
    line.split(delimiter).map(|cell| cell.trim().trim_matches('"').trim())
}

/// A cell's value: NaN for a gap, `None` for what is no number.
fn number(cell: &str) -> Option<f32> {
    if cell.is_empty() || cell.eq_ignore_ascii_case("nan") {
        return Some(f32::NAN);
    }
    cell.parse().ok().filter(|value: &f32| value.is_finite())
}

fn shortened(cell: &str) -> String {
    cell.chars().take(24).collect()
}

/// The lines of a file, of bounded length; empty ones are skipped.
struct Lines {
    reader: BufReader<File>,
    bytes: Vec<u8>,
    number: usize,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path)
            .map_err(|error| Error::unreadable(format!("{} cannot be read", path.display())).caused_by(&error))?;
        Ok(Self { reader: BufReader::new(file), bytes: Vec::new(), number: 0 })
    }

    fn next(&mut self) -> Result<Option<&str>, Error> {
        loop {
            self.bytes.clear();
            self.number += 1;
            let n = (&mut self.reader)
                .take(LONGEST_LINE)
                .read_until(b'\n', &mut self.bytes)
                .map_err(|error| Error::unreadable(format!("line {}", self.number)).caused_by(&error))?;
            if n == 0 {
                return Ok(None);
            }
            if n as u64 == LONGEST_LINE {
                return Err(Error::corrupt(format!(
                    "line {} is longer than {LONGEST_LINE} bytes; a line holds one sample in time",
                    self.number
                )));
            }
            if !self.bytes.trim_ascii().is_empty() {
                break;
            }
        }
        let number = self.number;
        match std::str::from_utf8(&self.bytes) {
            Ok(line) => Ok(Some(line.trim_end_matches(['\n', '\r']))),
            Err(_) => Err(Error::corrupt(format!("line {number} is no UTF-8 text"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use medcoss_sdk::code;

    fn record(text: impl AsRef<[u8]>) -> (tempfile::TempDir, Result<CsvRecord, Error>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, text).unwrap();
        let record = CsvRecord::open(&path, 360.0);
        (folder, record)
    }

    fn read(text: &str, signals: &[usize], times: Range<usize>) -> Result<Vec<Vec<f32>>, Error> {
        let (_folder, record) = record(text);
        record?.read(signals, times)
    }

    #[test]
    fn a_plain_file_is_read_column_by_column() {
        let text = "I,II,V1\n0.5,-1,2e-1\n1.5,-2,\n2.5,-3,nan\n";
        let (_folder, record) = record(text);
        let record = record.unwrap();
        let signals = ["I", "II", "V1"].map(String::from).to_vec();
        assert_eq!(record.info, RecordInfo { sampling_rate_hz: 360.0, n_times: 3, signals });
        assert_eq!(record.read(&[1, 0], 1..3).unwrap(), [[-2.0, -3.0], [1.5, 2.5]]);
        let gaps = &record.read(&[2], 0..3).unwrap()[0];
        assert!(gaps[0] == 0.2 && gaps[1].is_nan() && gaps[2].is_nan());
    }

    #[test]
    fn times_give_the_sampling_rate() {
        for text in [
            "time,I\n0.000,1\n0.004,2\n0.008,3\n",
            "\u{feff}\"Time (ms)\";\"I\"\r\n10;1\r\n14;2\r\n\r\n18;3\r\n",
            "\tt_ms\tI\n0\t-4\t1\n1\t0\t2\n2\t4\t3\n",
        ] {
            let (_folder, record) = record(text);
            let record = record.unwrap();
            assert!((record.info.sampling_rate_hz - 250.0).abs() < 1e-9, "{text:?}");
            assert_eq!(record.info.signals, ["I"]);
            assert_eq!(record.read(&[0], 0..3).unwrap(), [[1.0, 2.0, 3.0]]);
        }
    }

    #[test]
    fn units_in_names_count() {
        assert_eq!(read("I (uV),II (mV),V1 [V]\n500,0.5,0.002\n", &[0, 1, 2], 0..1).unwrap(), [[0.5], [0.5], [2.0]]);
    }

    #[test]
    fn what_is_damaged_is_named_by_line_and_column() {
        for (text, expected) in [
            ("", "empty"),
            ("\n\n", "empty"),
            ("0.5,1\n0.5,1\n", "no names of leads"),
            ("time,sample\n0,1\n", "no names of leads"),
            ("I,II\n1,2\n1,x\n", "line 3, column 2 is \"x\""),
            ("I,II\n1,2\n1\n", "line 3, column 2 is not there"),
            ("I,II\n1,inf\n1,1\n", "line 2, column 2"),
            ("time,I\n0,1\n0,2\n", "0 s to 0 s"),
            ("time,I\n1,1\n0,2\n", "samples a second"),
            ("time,I\nx,1\n0,2\n", "no time"),
            ("I,II\n1,2\n", "ends after 1 lines"),
        ] {
            let error = read(text, &[0, 1][..text.matches("II").count().min(1) + 1], 0..2).unwrap_err();
            assert_eq!(error.code(), code::CORRUPT, "{text:?}: {error}");
            assert!(error.message().contains(expected), "{text:?}: {error}");
        }
        let (_folder, binary) = record([b"I\n".as_slice(), &[0xff, 0xfe, b'\n']].concat());
        assert!(binary.unwrap_err().message().contains("line 2 is no UTF-8"));
    }

    #[test]
    fn a_line_without_an_end_is_not_read_into_memory() {
        let (_folder, long) = record(vec![b'I'; 1 << 20]);
        assert!(long.unwrap_err().message().contains("longer than 65536 bytes"));
    }
}
