//! Traces as on the paper of an electrocardiograph.

use std::collections::BTreeSet;

use crate::{Error, encode_png};

/// Pixels of a small box, which is 0.04 s wide.
const BOX: usize = 3;
/// Small boxes from a thick line to the next.
const THICK: usize = 5;
/// Height of a channel in small boxes.
const BOXES_A_CHANNEL: usize = 25;
/// Widest column in pixels; longer samples are drawn closer.
const WIDEST: f32 = 2000.0;
const WHITE: [f32; 3] = [1.0, 0.98, 0.97];
const THIN_LINE: [f32; 3] = [1.0, 0.88, 0.86];
const THICK_LINE: [f32; 3] = [0.96, 0.70, 0.68];
const INK: [f32; 3] = [0.05, 0.05, 0.1];
/// What remains of the paper's light where a token is hidden.
const SHADE: f32 = 0.75;

/// Signals as on paper: black traces on a pink grid, in two columns when there are four channels or more, top to bottom and then left
/// to right. Where a token is hidden the paper is grey, and there is no trace. No names: the order is that of the values.
///
/// A thin line is 0.04 s, a thick one 0.2 s, as in print; signals of which two thousand pixels hold less are drawn closer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Traces {
    /// Signals, at least one.
    pub n_channels: usize,
    /// Samples in time of each, at least one.
    pub n_times: usize,
    /// Samples a second.
    pub sampling_rate_hz: f64,
    /// Samples in time of a token.
    pub patch_size: usize,
    /// Small boxes that 1 is high; a channel is 25 high, with 0 in the middle. With 10, a thick line is half a unit.
    pub boxes_a_unit: f32,
}

impl Traces {
    /// A PNG of `values` `[n_channels, n_times]`; `hidden` `[n_channels, tokens of a channel]`.
    ///
    /// # Errors
    /// Values or tokens of another number.
    pub fn png(&self, values: &[f32], hidden: Option<&[bool]>) -> Result<Vec<u8>, Error> {
        let Self { n_channels, n_times, .. } = *self;
        if values.is_empty() || values.len() != n_channels * n_times {
            let found = values.len();
            return Err(Error::bad_request(format!(
                "{found} values are no {n_channels} channels of {n_times} samples in time"
            )));
        }
        let patch_size = self.patch_size.max(1);
        let n_patches = n_times.div_ceil(patch_size);
        if let Some(found) = hidden.map(<[bool]>::len).filter(|&found| found != n_channels * n_patches) {
            return Err(Error::bad_request(format!("{found} tokens are no {n_channels} channels of {n_patches}")));
        }
        let n_columns = if self.n_channels < 4 { 1 } else { 2 };
        let n_rows = self.n_channels.div_ceil(n_columns);
        let a_second = BOX as f32 / 0.04;
        let pixels_a_time = (a_second / self.sampling_rate_hz as f32).min(WIDEST / self.n_times as f32);
        let column_width = ((self.n_times as f32 * pixels_a_time).ceil() as usize).max(1);
        let height_of_one = BOXES_A_CHANNEL * BOX;
        let (width, height) = (n_columns * column_width, n_rows * height_of_one);

        let mut paper = Vec::with_capacity(width * height * 3);
        for y in 0..height {
            for x in 0..width {
                let line = |every: usize| x % every == 0 || y % every == 0;
                let colour = if line(BOX * THICK) { THICK_LINE } else { [WHITE, THIN_LINE][usize::from(line(BOX))] };
                paper.extend(colour);
            }
        }
        let mut shaded: BTreeSet<(usize, usize)> = BTreeSet::new();
        for (channel, values) in values.chunks_exact(self.n_times).enumerate() {
            let (left, top) = (channel / n_rows * column_width, channel % n_rows * height_of_one);
            let place = |value: f32| {
                let down = height_of_one as f32 / 2.0 - value * self.boxes_a_unit * BOX as f32;
                down.clamp(0.0, (height_of_one - 1) as f32).round() as usize
            };
            let is_hidden = |time: usize| hidden.is_some_and(|hidden| hidden[channel * n_patches + time / patch_size]);
            // Behind a hidden token a trace begins anew: it must not show where that one ended.
            let mut last = None;
            for (time, &value) in values.iter().enumerate() {
                // A step up or down is a vertical line where it ends.
                let (x, y) = (((time as f32 * pixels_a_time) as usize).min(column_width - 1), place(value));
                if is_hidden(time) {
                    let end = (((time + 1) as f32 * pixels_a_time) as usize).min(column_width);
                    shaded.extend((x..end).map(|x| (left + x, top)));
                    last = None;
                    continue;
                }
                let from = last.unwrap_or(y);
                for y in y.min(from)..=y.max(from) {
                    let at = ((top + y) * width + left + x) * 3;
                    paper[at..at + 3].copy_from_slice(&INK);
                }
                last = Some(y);
            }
        }
        for (x, top) in shaded {
            for y in top..top + height_of_one {
                let at = (y * width + x) * 3;
                paper[at..at + 3].iter_mut().for_each(|light| *light *= SHADE);
            }
        }
        encode_png(&paper, width, height, 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Width and the red of each pixel.
    fn decoded(file: &[u8]) -> (usize, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        (frame.width as usize, pixels.chunks_exact(3).map(|pixel| pixel[0]).collect())
    }

    #[test]
    fn hidden_tokens_are_grey_and_do_not_show_their_values() {
        // 1 s at 75 Hz: a pixel a sample. Of two channels of five tokens, the second token of the second is hidden.
        let traces = Traces { n_channels: 2, n_times: 75, sampling_rate_hz: 75.0, patch_size: 15, boxes_a_unit: 10.0 };
        let mut hidden = [false; 10];
        hidden[6] = true;
        let drawn = |behind: f32| {
            let mut values = [0.5; 150];
            values[75 + 15..75 + 30].fill(behind);
            decoded(&traces.png(&values, Some(&hidden)).unwrap())
        };
        let (width, pixels) = drawn(0.0);
        assert_eq!((width, pixels.len()), (75, 75 * 150));
        assert!(drawn(-9.0).1 == pixels, "the image shows what is hidden");
        let open = decoded(&traces.png(&[0.5; 150], None).unwrap()).1;
        // 0.5 is five boxes of three pixels above the middle at 37.5.
        let trace = |x: usize| (75 + 23) * 75 + x;
        assert!(pixels[trace(14)] < 30 && pixels[trace(15)] > 150 && pixels[trace(29)] > 150 && pixels[trace(30)] < 30);
        for (at, (&shaded, &light)) in pixels.iter().zip(&open).enumerate() {
            let (x, y) = (at % 75, at / 75);
            let is_hidden = y >= 75 && (15..30).contains(&x);
            assert!(if is_hidden { shaded < light || light < 30 } else { shaded == light }, "{x} {y}");
        }
    }

    #[test]
    fn other_numbers_of_values_and_tokens_are_refused() {
        let traces = Traces { n_channels: 2, n_times: 7, sampling_rate_hz: 75.0, patch_size: 3, boxes_a_unit: 10.0 };
        traces.png(&[0.0; 14], Some(&[true; 6])).unwrap();
        let message = |values: &[f32], hidden| traces.png(values, hidden).unwrap_err().message().to_owned();
        assert_eq!(message(&[0.0; 13], None), "13 values are no 2 channels of 7 samples in time");
        assert_eq!(message(&[0.0; 14], Some(&[true; 4])), "4 tokens are no 2 channels of 3");
        assert!(Traces { n_channels: 0, ..traces }.png(&[], None).is_err());
    }
}
