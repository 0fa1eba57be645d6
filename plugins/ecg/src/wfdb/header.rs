//! The header of a WFDB record: a line for the record, a line for each signal, comments.
//!
//! Of header(5): `name[/segments] signals [rate[/counter[(base)]] [samples [time [date]]]]`, then for each signal
//! `file format[xN][:skew][+offset] [gain[(baseline)][/units] [resolution [zero [initial [checksum [block [description]]]]]]]`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use medcoss_sdk::Error;

/// Largest header in bytes; those of 64 signals have about 5 000.
const LARGEST: u64 = 1 << 18;
/// Most signals of a record.
const MAX_SIGNALS: usize = 256;
/// Gain that stands for an uncalibrated one or for none, as header(5) has it.
const DEFAULT_GAIN: f64 = 200.0;
/// Sampling rate of a header without one.
const DEFAULT_RATE_HZ: f64 = 250.0;

/// How samples are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// 212: two samples of 12 bits in three bytes.
    Twelve,
    /// 16: 16 bits, low byte first.
    Sixteen,
}

impl Format {
    /// The number of the format.
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::Twelve => 212,
            Self::Sixteen => 16,
        }
    }

    /// The value of a sample that is missing.
    pub(crate) fn missing(self) -> i16 {
        match self {
            Self::Twelve => -2048,
            Self::Sixteen => -32768,
        }
    }
}

/// What is used of a header.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) sampling_rate_hz: f64,
    /// Samples of each signal, where the header says.
    pub(super) n_times: Option<u64>,
    pub(super) signals: Vec<SignalLine>,
    pub(super) comments: Vec<String>,
}

/// A signal.
#[derive(Debug)]
pub(super) struct SignalLine {
    pub(super) file: String,
    pub(super) format: Format,
    pub(super) offset: u64,
    /// Units of the converter a millivolt.
    pub(super) gain: f64,
    /// The converter's value at 0 mV.
    pub(super) baseline: f64,
    pub(super) description: String,
}

impl Header {
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let mut bytes = Vec::new();
        let failed =
            |error: std::io::Error| Error::unreadable(format!("{} cannot be read", path.display())).caused_by(&error);
        File::open(path).map_err(failed)?.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > LARGEST {
            return Err(Error::corrupt(format!(
                "its header has more than {LARGEST} bytes; a text of some lines was expected"
            )));
        }
        // Descriptions of old records may be in any encoding.
        Self::parse(&String::from_utf8_lossy(&bytes))
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let mut comments = Vec::new();
        let mut lines = Vec::new();
        for line in text.lines().map(str::trim) {
            match line.strip_prefix('#') {
                Some(comment) => comments.push(comment.trim().to_string()),
                None if line.is_empty() => {}
                None => lines.push(line),
            }
        }
        let Some((record, lines)) = lines.split_first() else {
            return Err(Error::corrupt(
                "its header is empty; a line with name, signals and sampling rate was expected",
            ));
        };
        let mut fields = record.split_ascii_whitespace();
        if fields.next().is_some_and(|name| name.contains('/')) {
            return Err(Error::unsupported(
                "it is a record of several segments\nhint: name the segments' own .hea files, or join them with xform",
            ));
        }
        let n_signals: usize = field(fields.next(), "number of signals", record)?;
        let rate = fields.next().map(|rate| rate.split(['/', '(']).next().unwrap_or_default());
        let sampling_rate_hz: f64 =
            if rate.is_some() { field(rate, "sampling rate", record)? } else { DEFAULT_RATE_HZ };
        if !(sampling_rate_hz > 0.0 && sampling_rate_hz.is_finite()) {
            return Err(Error::corrupt(format!("its sampling rate is {sampling_rate_hz} Hz")));
        }
        let n_times: Option<u64> = fields.next().map(|n| field(Some(n), "number of samples", record)).transpose()?;
        if n_signals == 0 || n_signals > MAX_SIGNALS || n_signals > lines.len() {
            return Err(Error::corrupt(format!(
                "its header has {} lines of signals and says {n_signals}; 1 to {MAX_SIGNALS} are read",
                lines.len()
            )));
        }
        let signals = lines[..n_signals].iter().enumerate().map(|(number, line)| SignalLine::parse(number, line));
        // 0 stands for not known.
        Ok(Self {
            sampling_rate_hz,
            n_times: n_times.filter(|&n| n > 0),
            signals: signals.collect::<Result<_, _>>()?,
            comments,
        })
    }
}

impl SignalLine {
    fn parse(number: usize, line: &str) -> Result<Self, Error> {
        let mut rest = line;
        let mut next = || {
            let (field, after) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
            rest = after.trim_start();
            (!field.is_empty()).then_some(field)
        };
        let file = next().unwrap_or_default().to_string();
        // A name that leads elsewhere would let a header have any file of the machine read.
        if file.contains(['/', '\\']) || matches!(file.as_str(), "." | ".." | "-" | "~") {
            return Err(Error::unsupported(format!(
                "signal {number} is in {file:?}; only files beside the header are read\nhint: put them there, and their plain names into the header"
            )));
        }
        let (format, offset) = format(number, next().unwrap_or_default())?;
        let (gain, given_baseline) = gain(number, next())?;
        let _resolution = next();
        let zero = next().map(|zero| field(Some(zero), "ADC zero", line)).transpose()?;
        let (_initial, _checksum, _block) = (next(), next(), next());
        let description = if rest.is_empty() { format!("signal {number}") } else { rest.to_string() };
        let baseline = given_baseline.or(zero).unwrap_or(0.0);
        Ok(Self { file, format, offset, gain, baseline, description })
    }
}

/// `format[xN][:skew][+offset]`.
fn format(number: usize, text: &str) -> Result<(Format, u64), Error> {
    let (text, offset) = text.split_once('+').unwrap_or((text, "0"));
    let (text, skew) = text.split_once(':').unwrap_or((text, "0"));
    let (name, a_frame) = text.split_once('x').unwrap_or((text, "1"));
    let format = match name {
        "16" => Format::Sixteen,
        "212" => Format::Twelve,
        other => {
            return Err(Error::unsupported(format!(
                "signal {number} has format {other:?}; formats 16 and 212 are read\nhint: convert it, as with xform -H or wfdb.wrsamp"
            )));
        }
    };
    if a_frame != "1" || skew != "0" {
        return Err(Error::unsupported(format!(
            "signal {number} has {a_frame} samples a frame and a skew of {skew}; 1 and 0 are read"
        )));
    }
    Ok((format, field(Some(offset), "byte offset", text)?))
}

/// `gain[(baseline)][/units]`: units of the converter a millivolt, and the baseline if it is there.
fn gain(number: usize, text: Option<&str>) -> Result<(f64, Option<f64>), Error> {
    let text = text.unwrap_or("0");
    let (numbers, units) = text.split_once('/').unwrap_or((text, "mV"));
    let (gain, baseline) = match numbers.split_once('(') {
        Some((gain, baseline)) => (gain, Some(field(Some(baseline.trim_end_matches(')')), "baseline", text)?)),
        None => (numbers, None),
    };
    let gain: f64 = field(Some(gain), "gain", text)?;
    let a_millivolt = match units.to_lowercase().as_str() {
        "mv" | "" => 1.0,
        "uv" | "µv" => 1e3,
        "v" => 1e-3,
        _ => {
            return Err(Error::unsupported(format!(
                "signal {number} is in {units:?}; mV, uV and V are read\nhint: leave signals that are no leads out of the record"
            )));
        }
    };
    let gain = if gain == 0.0 { DEFAULT_GAIN } else { gain * a_millivolt };
    Ok((gain, baseline))
}

/// A number of a line.
fn field<T: std::str::FromStr + PartialOrd + Default>(text: Option<&str>, what: &str, line: &str) -> Result<T, Error> {
    text.and_then(|text| text.parse().ok()).ok_or_else(|| {
        let line: String = line.chars().take(80).collect();
        Error::corrupt(format!("its header has {what} {:?} in {line:?}", text.unwrap_or("nowhere")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use medcoss_sdk::code;

    fn refused(text: &str, code: i32, expected: &str) {
        let error = Header::parse(text).unwrap_err();
        assert_eq!(error.code(), code, "{text:?}: {error}");
        assert!(error.message().contains(expected), "{text:?}: {error}");
    }

    #[test]
    fn headers_of_published_databases_are_understood() {
        // MIT-BIH 100, PTB-XL 00001_lr and PhysioNet Challenge A0001, abridged.
        let mitdb = "# a comment before\n100 2 360 650000 0:0:0 0/0/0\r\n\
            100.dat 212 200 11 1024 995 -22131 0 MLII\r\n100.dat 212 200 11 1024 1011 20052 0 V5\r\n# 69 M 1085 1629 x1\r\n";
        let header = Header::parse(mitdb).unwrap();
        assert_eq!((header.sampling_rate_hz, header.n_times), (360.0, Some(650_000)));
        let SignalLine { format, gain, baseline, description, .. } = &header.signals[1];
        assert_eq!((*format, *gain, *baseline, description.as_str()), (Format::Twelve, 200.0, 1024.0, "V5"));
        assert_eq!(header.comments, ["a comment before", "69 M 1085 1629 x1"]);

        let ptb = Header::parse("00001_lr 1 100 1000\n00001_lr.dat 16 1000.0(0)/mV 16 0 -119 1508 0 I\n").unwrap();
        assert_eq!((ptb.signals[0].format, ptb.signals[0].gain), (Format::Sixteen, 1000.0));
        let challenge = "A0001 1 500/500.00(0) 7500 05-Feb-2020 11:39:16\nA0001.mat 16+24 1000/mV 16 0 28 -1716 0 I\n#Dx: 59118001\n";
        let challenge = Header::parse(challenge).unwrap();
        assert_eq!((challenge.sampling_rate_hz, challenge.signals[0].offset), (500.0, 24));
        assert_eq!(challenge.comments, ["Dx: 59118001"]);
    }

    #[test]
    fn what_is_left_out_has_the_value_of_the_specification() {
        let header = Header::parse("r 2\nr.dat 16\nr.dat 16 0(7)/V 0 3\n").unwrap();
        assert_eq!((header.sampling_rate_hz, header.n_times), (250.0, None));
        let [one, two] = header.signals.as_slice() else { panic!("two signals") };
        assert_eq!((one.gain, one.baseline, one.description.as_str()), (200.0, 0.0, "signal 0"));
        assert_eq!((two.gain, two.baseline), (200.0, 7.0));
    }

    #[test]
    fn what_is_not_read_is_refused_by_its_name() {
        refused("r/3 2 360 100\n", code::UNSUPPORTED, "several segments");
        refused("r 1\nr.dat 80\n", code::UNSUPPORTED, "format \"80\"");
        refused("r 1\nr.dat 16x4\n", code::UNSUPPORTED, "4 samples a frame");
        refused("r 1\nr.dat 16:3\n", code::UNSUPPORTED, "skew of 3");
        refused("r 1\nr.dat 16 1/mmHg\n", code::UNSUPPORTED, "\"mmHg\"");
        for file in ["/etc/passwd", "../r.dat", "a\\b", "~", ".."] {
            refused(&format!("r 1\n{file} 16\n"), code::UNSUPPORTED, "beside the header");
        }
    }

    #[test]
    fn damaged_headers_are_errors() {
        for (text, expected) in [
            ("", "empty"),
            ("# only a comment\n", "empty"),
            ("r\n", "number of signals"),
            ("r many\n", "number of signals \"many\""),
            ("r -1\n", "number of signals"),
            ("r 0\n", "says 0"),
            ("r 12 500 5000\nr.dat 16\n", "1 lines of signals and says 12"),
            ("r 4000000000\nr.dat 16\n", "says 4000000000"),
            ("r 1 fast\nr.dat 16\n", "sampling rate \"fast\""),
            ("r 1 0\nr.dat 16\n", "sampling rate is 0"),
            ("r 1 1 -5\nr.dat 16\n", "number of samples"),
            ("r 1\nr.dat 16 ten\n", "gain \"ten\""),
            ("r 1\nr.dat 16 1(x)\n", "baseline"),
            ("r 1\nr.dat 16+-1\n", "byte offset"),
        ] {
            refused(text, code::CORRUPT, expected);
        }
    }
}
