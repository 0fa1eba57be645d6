//! Leads as on paper: see [`Traces`]. Up and down, a thick line is 0.5 mV, or 2.5 deviations of normalised leads.

use medcoss_sdk::Error;
use medcoss_sdk::signal::Traces;

use crate::options::{Normalise, Options};

/// A PNG of `values` `[leads, times]`; `hidden` `[leads, tokens of a lead]`.
///
/// # Errors
/// Values that do not have this size.
pub(crate) fn waveforms(values: &[f32], hidden: Option<&[bool]>, options: &Options) -> Result<Vec<u8>, Error> {
    let traces = Traces {
        n_channels: options.leads.len(),
        n_times: options.n_times(),
        sampling_rate_hz: options.sampling_rate_hz as f64,
        patch_size: options.patch_size,
        boxes_a_unit: if options.normalise == Normalise::None { 10.0 } else { 2.0 },
    };
    traces.png(values, hidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(file: &[u8]) -> (usize, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        (frame.width as usize, pixels)
    }

    #[test]
    fn traces_are_where_their_values_say() {
        // Five leads in two columns of three rows, 1 s at 75 Hz: a pixel a sample. Lead 1 is 0.5 mV, lead 4 is -1 mV.
        let leads = ["I", "II", "V1", "V2", "V3"].map(String::from).to_vec();
        let options = Options {
            leads,
            sampling_rate_hz: 75,
            seconds: 1.0,
            patch_size: 15,
            normalise: Normalise::None,
            ..Options::default()
        };
        let mut values = vec![0.0; 5 * 75];
        values[75..150].fill(0.5);
        values[300..].fill(-1.0);
        let (width, pixels) = decoded(&waveforms(&values, None, &options).unwrap());
        assert_eq!((width, pixels.len()), (150, 150 * 225 * 3));
        let dark = |x: usize, y: usize| pixels[(y * 150 + x) * 3] < 30;
        // The middle of a lead is 37.5 pixels down; half a millivolt is five boxes of three pixels.
        for x in [0, 40, 74] {
            assert!(dark(x, 38) && dark(x, 75 + 23) && !dark(x, 75 + 38));
            assert!(dark(75 + x, 38) && dark(75 + x, 75 + 68) && !dark(75 + x, 75 + 38));
        }
        assert!((150..225).all(|y| !dark(100, y)), "there is no sixth lead");
        assert!(waveforms(&values[1..], None, &options).is_err());
    }

    #[test]
    fn values_beyond_the_paper_stay_in_their_row() {
        let leads = ["I", "II"].map(String::from).to_vec();
        let options = Options { leads, sampling_rate_hz: 75, seconds: 1.0, patch_size: 15, ..Options::default() };
        let mut values = vec![1e30; 150];
        values[75..].fill(f32::NEG_INFINITY);
        let (width, pixels) = decoded(&waveforms(&values, None, &options).unwrap());
        let dark: Vec<_> = (0..150).filter(|y| pixels[(y * width + 10) * 3] < 30).collect();
        assert_eq!(dark, [0, 149]);
    }
}
