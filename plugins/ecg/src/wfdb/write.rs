//! Writes WFDB records: for samples that are made, and to read back in tests.

use std::fmt::Write;
use std::path::Path;

use medcoss_sdk::{Error, saved_samples};

use super::Format;

/// Writes `<name>.hea` and `<name>.dat` of leads in millivolts, all of one length.
///
/// `gain` is in units of the converter a millivolt. What does not fit its bits is cut off; the value for missing samples does
/// not occur.
///
/// # Errors
/// Files that cannot be written.
pub(crate) fn write(
    folder: &Path,
    name: &str,
    format: Format,
    [sampling_rate_hz, gain]: [usize; 2],
    leads: &[(&str, Vec<f32>)],
) -> Result<(), Error> {
    let n_times = leads.first().map_or(0, |(_, values)| values.len());
    let (code, bits) = match format {
        Format::Twelve => (212, 12),
        Format::Sixteen => (16, 16),
    };
    let largest = f32::from(i16::MAX >> (16 - bits));
    let store = |value: f32| (value * gain as f32).round().clamp(-largest, largest) as i16;
    let samples: Vec<i16> =
        (0..n_times).flat_map(|time| leads.iter().map(move |(_, values)| store(values[time]))).collect();

    let mut header = format!("{name} {} {sampling_rate_hz} {n_times}\n", leads.len());
    for (at, (lead, _)) in leads.iter().enumerate() {
        let signal = samples.iter().skip(at).step_by(leads.len());
        let checksum = signal.clone().fold(0_i16, |sum, &sample| sum.wrapping_add(sample));
        let initial = signal.clone().next().copied().unwrap_or(0);
        // Writing into a string does not fail.
        let _ = writeln!(header, "{name}.dat {code} {gain}(0)/mV {bits} 0 {initial} {checksum} 0 {lead}");
    }
    saved_samples::write(&folder.join(format!("{name}.hea")), header.as_bytes())?;
    let bytes: Vec<u8> = match format {
        Format::Sixteen => samples.iter().flat_map(|sample| sample.to_le_bytes()).collect(),
        Format::Twelve => samples.chunks(2).flat_map(packed).collect(),
    };
    saved_samples::write(&folder.join(format!("{name}.dat")), &bytes)
}

/// One or two 12-bit samples in two or three bytes.
fn packed(pair: &[i16]) -> Vec<u8> {
    let [first, second] = [0, 1].map(|at| pair.get(at).map_or([0, 0], |sample| sample.to_le_bytes()));
    let mut bytes = vec![first[0], first[1] & 0x0f | second[1] << 4];
    if pair.len() == 2 {
        bytes.push(second[0]);
    }
    bytes
}
