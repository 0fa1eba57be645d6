//! A patch embedding for one token family, from the convolution of a vision transformer: other channels, slices, and pixels without normalisation.

use super::super::derived_family::DerivedFamily;
use super::super::pixel_statistics::PixelStatistics;

/// A convolution `[width, channels, patch, patch]` of images, and what its pixels were.
#[derive(Debug, Clone)]
pub(super) struct PatchKernel {
    pub width: usize,
    pub channels: usize,
    pub patch: usize,
    /// Statistics of the pixels that the convolution expects to be taken away; `None` where nothing is known of them.
    pub statistics: Option<PixelStatistics>,
}

impl PatchKernel {
    /// Number of channels of a family; `None` for one that the convolution cannot give.
    pub fn channels_of(&self, family: &DerivedFamily) -> Option<usize> {
        let channels = family.channels.unwrap_or(self.channels);
        (channels == self.channels || channels == 1 || self.channels == 1).then_some(channels)
    }

    /// Number of values in a token of a family.
    pub fn d_token(&self, family: &DerivedFamily) -> usize {
        let channels = self.channels_of(family).unwrap_or(self.channels);
        let plane = self.patch.saturating_mul(self.patch).saturating_mul(channels);
        plane.saturating_mul(family.depth.unwrap_or(1))
    }

    /// Factor and offset of a channel: the convolution's pixel is `factor * value + offset`, with a value of the family's samples.
    fn scale(&self, family: &DerivedFamily, channel: usize) -> (f64, f64) {
        let [low, high] = family.value_range;
        let (factor, offset) = (1.0 / (high - low), -low / (high - low));
        match &self.statistics {
            None => (factor, offset),
            Some(statistics) => {
                let (mean, std) = (statistics.mean[channel], statistics.std[channel]);
                (factor / std, (offset - mean) / std)
            }
        }
    }

    /// Weights `[d_token, width]` of a family's linear layer. Values of a token are in the order slice, row, column, channel.
    pub fn weights(&self, kernel: &[f32], family: &DerivedFamily) -> Vec<f32> {
        let Self { width, channels, patch, .. } = *self;
        let (n_pixels, depth) = (patch * patch, family.depth.unwrap_or(1));
        let own = self.channels_of(family).unwrap_or(channels);
        let mut weights = vec![0.0f32; depth * n_pixels * own * width];
        let scales: Vec<f64> = (0..channels).map(|channel| self.scale(family, channel).0).collect();
        for unit in 0..width {
            let of_unit = &kernel[unit * channels * n_pixels..][..channels * n_pixels];
            for pixel in 0..n_pixels {
                let weight = |channel: usize| f64::from(of_unit[channel * n_pixels + pixel]) * scales[channel];
                for channel in 0..own {
                    let value = match (channels, own) {
                        (a, b) if a == b => weight(channel),
                        (_, 1) => (0..channels).map(weight).sum(),
                        _ => weight(0) / own as f64,
                    };
                    for slice in 0..depth {
                        let at = (slice * n_pixels + pixel) * own + channel;
                        weights[at * width + unit] = (value / depth as f64) as f32;
                    }
                }
            }
        }
        weights
    }

    /// Bias `[width]` of a family's linear layer.
    pub fn bias(&self, kernel: &[f32], bias: &[f32], family: &DerivedFamily) -> Vec<f32> {
        let n_pixels = self.patch * self.patch;
        let of_unit = |unit: usize| {
            let moved = (0..self.channels).map(|channel| {
                let weights = &kernel[(unit * self.channels + channel) * n_pixels..][..n_pixels];
                weights.iter().map(|weight| f64::from(*weight)).sum::<f64>() * self.scale(family, channel).1
            });
            (f64::from(bias[unit]) + moved.sum::<f64>()) as f32
        };
        (0..self.width).map(of_unit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Output of a linear layer for one token.
    fn embedded(token: &[f32], weights: &[f32], bias: &[f32]) -> Vec<f32> {
        let of_unit = |(unit, start): (usize, &f32)| {
            let products = token.iter().enumerate().map(|(at, value)| value * weights[at * bias.len() + unit]);
            start + products.sum::<f32>()
        };
        bias.iter().enumerate().map(of_unit).collect()
    }

    fn kernel() -> (PatchKernel, Vec<f32>, Vec<f32>) {
        let kernel = PatchKernel { width: 2, channels: 3, patch: 2, statistics: None };
        let weights = (0..24).map(|at| (at as f32 * 0.7).sin()).collect();
        (kernel, weights, vec![0.25, -0.5])
    }

    fn close(found: &[f32], expected: &[f32]) {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {expected:?}");
    }

    #[test]
    fn a_grey_channel_sees_what_three_equal_ones_see_and_a_volume_of_equal_slices_as_well() {
        let (kernel, weights, bias) = kernel();
        let image = DerivedFamily::default();
        let grey = [0.1f32, 0.9, 0.3, 0.5];
        let three: Vec<f32> = grey.iter().flat_map(|value| [*value; 3]).collect();
        let expected = embedded(&three, &kernel.weights(&weights, &image), &kernel.bias(&weights, &bias, &image));
        let one = DerivedFamily { channels: Some(1), ..DerivedFamily::default() };
        close(&embedded(&grey, &kernel.weights(&weights, &one), &kernel.bias(&weights, &bias, &one)), &expected);
        let volume = DerivedFamily { depth: Some(5), value_range: [-1.0, 1.0], ..one };
        let slices: Vec<f32> = (0..5).flat_map(|_| grey.map(|value| 2.0 * value - 1.0)).collect();
        assert_eq!(kernel.d_token(&volume), slices.len());
        close(
            &embedded(&slices, &kernel.weights(&weights, &volume), &kernel.bias(&weights, &bias, &volume)),
            &expected,
        );
    }

    #[test]
    fn statistics_of_pixels_are_part_of_the_weights() {
        let (plain, weights, bias) = kernel();
        let statistics = PixelStatistics { mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225] };
        let folded = PatchKernel { statistics: Some(statistics.clone()), ..plain.clone() };
        let image = DerivedFamily::default();
        let token: Vec<f32> = (0..12).map(|at| at as f32 / 12.0).collect();
        let normalised: Vec<f32> = (0..12)
            .map(|at| ((f64::from(token[at]) - statistics.mean[at % 3]) / statistics.std[at % 3]) as f32)
            .collect();
        let expected = embedded(&normalised, &plain.weights(&weights, &image), &plain.bias(&weights, &bias, &image));
        close(&embedded(&token, &folded.weights(&weights, &image), &folded.bias(&weights, &bias, &image)), &expected);
    }

    #[test]
    fn without_anything_to_change_the_values_keep_their_bits() {
        let (kernel, weights, bias) = kernel();
        let image = DerivedFamily::default();
        let here = kernel.weights(&weights, &image);
        let mut sorted = (weights.clone(), here.clone());
        sorted.0.sort_by(f32::total_cmp);
        sorted.1.sort_by(f32::total_cmp);
        assert_eq!(sorted.0, sorted.1);
        assert_eq!(kernel.bias(&weights, &bias, &image), bias);
        // Unit 1, channel 2, pixel 3 is the last value of the convolution.
        assert_eq!(here[(3 * 3 + 2) * 2 + 1], weights[23]);
    }

    #[test]
    fn channels_that_no_rule_gives_are_none() {
        let (kernel, _, _) = kernel();
        let of = |channels| kernel.channels_of(&DerivedFamily { channels, ..DerivedFamily::default() });
        assert_eq!([of(None), of(Some(1)), of(Some(3)), of(Some(4))], [Some(3), Some(1), Some(3), None]);
    }
}
