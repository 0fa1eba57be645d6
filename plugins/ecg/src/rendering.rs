//! Leads as on paper: black traces on a pink grid, in two columns when there are four leads or more, top to bottom and then left
//! to right. Where a token is hidden the paper is grey, and there is no trace.
//!
//! A thin line is 0.04 s, a thick one 0.2 s, as in print. Up and down, a thick line is 0.5 mV, or 2.5 deviations of normalised
//! leads. No names: the order is that of the option `leads`.

use std::collections::BTreeSet;

use medcoss_sdk::{Error, encode_png};

use crate::options::{Normalise, Options};

/// Pixels of a small box, which is 0.04 s wide.
const BOX: usize = 3;
/// Small boxes from a thick line to the next.
const THICK: usize = 5;
/// Height of a lead in small boxes: 2.5 mV or 12.5 deviations.
const BOXES_A_LEAD: usize = 25;
/// Widest column in pixels; longer samples are drawn closer.
const WIDEST: f32 = 2000.0;
const WHITE: [f32; 3] = [1.0, 0.98, 0.97];
const THIN_LINE: [f32; 3] = [1.0, 0.88, 0.86];
const THICK_LINE: [f32; 3] = [0.96, 0.70, 0.68];
const INK: [f32; 3] = [0.05, 0.05, 0.1];
/// What remains of the paper's light where a token is hidden.
const SHADE: f32 = 0.75;

/// A PNG of `values` `[leads, times]`; `hidden` `[leads, tokens of a lead]`.
///
/// # Errors
/// Values that do not have this size.
pub(crate) fn waveforms(values: &[f32], hidden: Option<&[bool]>, options: &Options) -> Result<Vec<u8>, Error> {
    let (n_leads, n_times) = (options.leads.len(), options.n_times());
    if values.len() != n_leads * n_times {
        let found = values.len();
        return Err(Error::bad_request(format!("{found} values are no {n_leads} leads of {n_times} samples in time")));
    }
    let n_columns = if n_leads < 4 { 1 } else { 2 };
    let n_rows = n_leads.div_ceil(n_columns);
    let a_second = BOX as f32 / 0.04;
    let pixels_a_time = (a_second / options.sampling_rate_hz as f32).min(WIDEST / n_times as f32);
    let column_width = ((n_times as f32 * pixels_a_time).ceil() as usize).max(1);
    let lead_height = BOXES_A_LEAD * BOX;
    let (width, height) = (n_columns * column_width, n_rows * lead_height);
    let boxes_a_unit = if options.normalise == Normalise::None { 10.0 } else { 2.0 };

    let mut paper = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let line = |every: usize| x % every == 0 || y % every == 0;
            let colour = if line(BOX * THICK) { THICK_LINE } else { [WHITE, THIN_LINE][usize::from(line(BOX))] };
            paper.extend(colour);
        }
    }
    let mut shaded: BTreeSet<(usize, usize)> = BTreeSet::new();
    for (lead, values) in values.chunks_exact(n_times).enumerate() {
        let (left, top) = (lead / n_rows * column_width, lead % n_rows * lead_height);
        let place = |value: f32| {
            let down = lead_height as f32 / 2.0 - value * boxes_a_unit * BOX as f32;
            down.clamp(0.0, (lead_height - 1) as f32).round() as usize
        };
        let is_hidden =
            |time: usize| hidden.is_some_and(|hidden| hidden[lead * options.n_patches() + time / options.patch_size]);
        let mut last = place(values[0]);
        for (time, &value) in values.iter().enumerate() {
            // A step up or down is a vertical line where it ends.
            let (x, y) = (((time as f32 * pixels_a_time) as usize).min(column_width - 1), place(value));
            if is_hidden(time) {
                let end = (((time + 1) as f32 * pixels_a_time) as usize).min(column_width);
                shaded.extend((x..end).map(|x| (left + x, top)));
                last = y;
                continue;
            }
            for y in y.min(last)..=y.max(last) {
                let at = ((top + y) * width + left + x) * 3;
                paper[at..at + 3].copy_from_slice(&INK);
            }
            last = y;
        }
    }
    for (x, top) in shaded {
        for y in top..top + lead_height {
            let at = (y * width + x) * 3;
            paper[at..at + 3].iter_mut().for_each(|light| *light *= SHADE);
        }
    }
    encode_png(&paper, width, height, 3)
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
