//! Writes EDF and BDF files without patient, dates and devices: for samples that are made and for copies of stretches.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use medcoss_sdk::Error;

/// How a sample is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    /// EDF: 16 bits.
    Sixteen,
    /// BDF: 24 bits.
    TwentyFour,
}

impl Width {
    /// Bytes of a sample.
    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::Sixteen => 2,
            Self::TwentyFour => 3,
        }
    }

    /// Label of signals that hold texts.
    pub(crate) fn annotations(self) -> &'static str {
        match self {
            Self::Sixteen => "EDF Annotations",
            Self::TwentyFour => "BDF Annotations",
        }
    }
}

/// A file to be written.
#[derive(Debug)]
pub(crate) struct Layout<'a> {
    pub width: Width,
    /// What stands in the reserved field: `EDF+C`, `EDF+D`, nothing.
    pub kind: &'a str,
    pub n_records: u64,
    pub record_seconds: &'a str,
    pub signals: Vec<Signal<'a>>,
}

/// A signal to be written.
#[derive(Debug, Clone)]
pub(crate) struct Signal<'a> {
    pub label: String,
    /// Unit, physical minimum and maximum, digital minimum and maximum; up to 8 letters each.
    pub scale: [&'a str; 5],
    /// Samples in a record.
    pub n_samples: u64,
}

impl Signal<'_> {
    /// The signal of annotations, with room for so many bytes in a record.
    pub(crate) fn annotations(width: Width, n_bytes: u64) -> Self {
        let scale = match width {
            Width::Sixteen => ["", "-1", "1", "-32768", "32767"],
            Width::TwentyFour => ["", "-1", "1", "-8388608", "8388607"],
        };
        Self { label: width.annotations().into(), scale, n_samples: n_bytes.div_ceil(width.bytes()) }
    }
}

/// Writes a file. `content` gives the bytes of a signal in a record; what is missing of them is zero.
///
/// # Errors
/// Those of `content`, a file that cannot be written.
pub(crate) fn write(
    path: &Path,
    layout: &Layout<'_>,
    mut content: impl FnMut(usize, u64) -> Result<Vec<u8>, Error>,
) -> Result<(), Error> {
    let failed =
        |error: std::io::Error| Error::unreadable(format!("{} cannot be written", path.display())).caused_by(&error);
    let mut file = BufWriter::new(File::create_new(path).map_err(failed)?);
    file.write_all(&header(layout)).map_err(failed)?;
    for record in 0..layout.n_records {
        for (number, signal) in layout.signals.iter().enumerate() {
            let mut bytes = content(number, record)?;
            bytes.resize((signal.n_samples * layout.width.bytes()) as usize, 0);
            file.write_all(&bytes).map_err(failed)?;
        }
    }
    file.flush().map_err(failed)
}

fn header(layout: &Layout<'_>) -> Vec<u8> {
    let Layout { width, kind, n_records, record_seconds, signals } = layout;
    let mut bytes = match width {
        Width::Sixteen => b"0       ".to_vec(),
        Width::TwentyFour => b"\xffBIOSEMI".to_vec(),
    };
    let mut put = |text: &str, length: usize| {
        let letters = text.bytes().map(|byte| if byte.is_ascii_graphic() { byte } else { b' ' });
        bytes.extend(letters.chain(std::iter::repeat(b' ')).take(length));
    };
    // What EDF+ has for an unknown patient and recording; the first day that the format knows.
    put("X X X X", 80);
    put("Startdate X X X X", 80);
    put("01.01.85", 8);
    put("00.00.00", 8);
    put(&(256 * (signals.len() + 1)).to_string(), 8);
    put(kind, 44);
    put(&n_records.to_string(), 8);
    put(record_seconds, 8);
    put(&signals.len().to_string(), 4);
    signals.iter().for_each(|signal| put(&signal.label, 16));
    signals.iter().for_each(|_| put("", 80));
    for (field, text) in [0, 1, 2, 3, 4].into_iter().flat_map(|field| signals.iter().map(move |signal| (field, signal)))
    {
        put(text.scale[field], 8);
    }
    signals.iter().for_each(|_| put("", 80));
    signals.iter().for_each(|signal| put(&signal.n_samples.to_string(), 8));
    signals.iter().for_each(|_| put("", 32));
    bytes
}
