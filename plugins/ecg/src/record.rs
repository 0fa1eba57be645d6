//! A record: its info, and a stretch of some of its signals.
//!
//! The place where the kind of a file decides who reads it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use medcoss_sdk::{Error, Found, FoundFile, Inclusion, find_files};

use crate::record_info::RecordInfo;
use crate::{csv_record, wfdb};

/// File formats that are read, for display.
pub(crate) const FILE_FORMATS: &[&str] =
    &["CSV (.csv), a column a lead, millivolts", "WFDB records (.hea with signals of format 16 or 212)"];

/// Memory that the samples of a record's stretch may take, in values.
const MAX_VALUES: usize = 1 << 24;

/// A record that can be read.
#[derive(Debug)]
pub(crate) enum Record {
    /// A CSV file.
    Csv(csv_record::CsvRecord),
    /// A header with its signal files.
    Wfdb(wfdb::WfdbRecord),
}

/// The records of the entries: CSV files and WFDB headers; and signal files of WFDB, which headers name.
///
/// # Errors
/// Those of [`find_files`].
pub(crate) fn find(base: &Path, entries: &[PathBuf], table: Option<&Path>) -> Result<(Found, Vec<FoundFile>), Error> {
    let accepts = |name: &str| name.ends_with(".csv") || name.ends_with(".hea") || is_signals(name);
    let mut found = find_files(base, entries, accepts, &FILE_FORMATS.join(", "))?;
    // A table of labels may lie among the records.
    let table = table.and_then(|table| base.join(table).canonicalize().ok());
    found.keep(|file| match table.is_some() && file.path.canonicalize().ok() == table {
        true => Inclusion::Excluded("the table of labels".into()),
        false => Inclusion::Included,
    });
    // A signal file that the user names is refused with the reason.
    let named: Vec<PathBuf> = entries.iter().map(|entry| base.join(entry)).collect();
    let of_a_header = |file: &FoundFile| is_signals(&file.id) && !named.contains(&file.path);
    let (signals, records) = found.files.into_iter().partition(of_a_header);
    found.files = records;
    if found.files.is_empty() {
        return Err(Error::unreadable(format!(
            "no records beside the table of labels (looked for {})",
            FILE_FORMATS.join(", ")
        )));
    }
    Ok((found, signals))
}

/// Whether a name is that of a signal file, which a header names.
fn is_signals(name: &str) -> bool {
    name.to_lowercase().ends_with(".dat")
}

impl Record {
    /// Looks at a record's header. `csv_sampling_rate_hz` is taken for CSV files without a column of times.
    ///
    /// # Errors
    /// A file that is missing, damaged or of another kind.
    pub(crate) fn open(path: &Path, csv_sampling_rate_hz: f64) -> Result<Self, Error> {
        let extension =
            path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default();
        match extension.as_str() {
            "hea" => Ok(Self::Wfdb(wfdb::WfdbRecord::open(path)?)),
            "csv" | "tsv" | "txt" => Ok(Self::Csv(csv_record::CsvRecord::open(path, csv_sampling_rate_hz)?)),
            _ => Err(Error::unsupported(format!(
                "a file that ends in {extension:?} is no record; records are .csv or .hea files\nhint: of a WFDB record, name the .hea file"
            ))),
        }
    }

    pub(crate) fn info(&self) -> &RecordInfo {
        match self {
            Self::Csv(record) => &record.info,
            Self::Wfdb(record) => &record.info,
        }
    }

    /// Millivolts of some signals at some times, `[signals, times]`. Samples that are missing in the file hold the last value
    /// before them; before the first there is its value, and a signal without any is 0.
    ///
    /// # Errors
    /// A file that is damaged there. Times and signals are those of the info.
    pub(crate) fn read(&self, signals: &[usize], times: Range<usize>) -> Result<Vec<Vec<f32>>, Error> {
        let n_values = signals.len().saturating_mul(times.len());
        if n_values > MAX_VALUES {
            let rate = self.info().sampling_rate_hz;
            return Err(Error::unsupported(format!(
                "{} signals of {} samples in time ({rate} Hz) do not fit into memory; {MAX_VALUES} values are the most",
                signals.len(),
                times.len()
            )));
        }
        let mut read = match self {
            Self::Csv(record) => record.read(signals, times)?,
            Self::Wfdb(record) => record.read(signals, times)?,
        };
        read.iter_mut().for_each(|signal| hold(signal));
        Ok(read)
    }

    /// Writes some signals of the record into a folder, to be read to the same values, and gives the name of the file to open.
    ///
    /// # Errors
    /// Files that cannot be read or written.
    pub(crate) fn copy(&self, signals: &[usize], folder: &Path) -> Result<&'static str, Error> {
        match self {
            Self::Csv(record) => record.copy(signals, folder),
            Self::Wfdb(record) => record.copy(signals, folder),
        }
    }

    /// The files that the record consists of, the one that names it first.
    pub(crate) fn files(&self) -> Vec<&Path> {
        match self {
            Self::Csv(record) => vec![&record.path],
            Self::Wfdb(record) => record.files(),
        }
    }
}

/// Fills gaps, which are NaN, with the value before them.
fn hold(signal: &mut [f32]) {
    let mut last = signal.iter().copied().find(|value| !value.is_nan()).unwrap_or(0.0);
    for value in signal {
        if value.is_nan() {
            *value = last;
        }
        last = *value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_hold_the_value_before_them() {
        let mut signal = [f32::NAN, 2.0, f32::NAN, f32::NAN, 5.0, f32::NAN];
        hold(&mut signal);
        assert_eq!(signal, [2.0, 2.0, 2.0, 2.0, 5.0, 5.0]);
        let mut nothing = [f32::NAN; 2];
        hold(&mut nothing);
        assert_eq!(nothing, [0.0; 2]);
    }
}
