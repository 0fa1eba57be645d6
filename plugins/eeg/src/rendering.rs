//! Channels as traces, one below the other, in the order of the option `channels`. Where a token is hidden or does not
//! exist the paper is grey, and there is no trace. Vertical lines are tokens apart.
//!
//! Up and down a channel has four deviations, or 100 microvolts where nothing is normalised. No names.

use medcoss_sdk::{Error, encode_png};

use crate::options::{Normalise, Options};

/// Height of a channel in pixels.
const ROW: usize = 32;
/// Widest image in pixels; longer samples are drawn closer.
const WIDEST: usize = 2000;
const PAPER: [f32; 3] = [1.0, 1.0, 1.0];
const LINE: [f32; 3] = [0.87, 0.9, 0.95];
const INK: [f32; 3] = [0.08, 0.1, 0.3];
const SHADE: [f32; 3] = [0.75, 0.75, 0.75];

/// A PNG of `values` `[channels, times]`; `hidden` `[channels, tokens of a channel]`.
///
/// # Errors
/// Values that do not have this size.
pub(crate) fn traces(values: &[f32], hidden: Option<&[bool]>, options: &Options) -> Result<Vec<u8>, Error> {
    let (n_channels, n_times, n_patches) = (options.channels.len(), options.n_times(), options.n_patches());
    if values.len() != n_channels * n_times || hidden.is_some_and(|hidden| hidden.len() != n_channels * n_patches) {
        let found = values.len();
        return Err(Error::bad_request(format!(
            "{found} values are no {n_channels} channels of {n_times} samples in time"
        )));
    }
    let width = n_times.clamp(1, WIDEST);
    let most = if options.normalise == Normalise::None { 1.0 } else { 4.0 };
    let column = |time: usize| (time * width / n_times).min(width - 1);
    let mut pixels = PAPER.repeat(width * n_channels * ROW);
    let mut dot = |x: usize, y: usize, colour: [f32; 3]| pixels[(y * width + x) * 3..][..3].copy_from_slice(&colour);
    for (channel, values) in values.chunks_exact(n_times).enumerate() {
        let top = channel * ROW;
        let place = |value: f32| {
            let down = (0.5 - value / most / 2.0) * (ROW - 1) as f32;
            top + down.round().clamp(0.0, (ROW - 1) as f32) as usize
        };
        for (patch, values) in values.chunks_exact(options.patch_size).enumerate() {
            let first = patch * options.patch_size;
            let columns = column(first)..column(first + options.patch_size - 1) + 1;
            if hidden.is_some_and(|hidden| hidden[channel * n_patches + patch]) {
                (top..top + ROW).for_each(|y| columns.clone().for_each(|x| dot(x, y, SHADE)));
                continue;
            }
            (top..top + ROW).for_each(|y| dot(columns.start, y, LINE));
            let mut last = place(values[0]);
            for (time, &value) in (first..).zip(values) {
                let y = place(value);
                (y.min(last)..=y.max(last)).for_each(|y| dot(column(time), y, INK));
                last = y;
            }
        }
    }
    encode_png(&pixels, width, n_channels * ROW, 3)
}
