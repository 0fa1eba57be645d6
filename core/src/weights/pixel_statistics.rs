//! Mean and standard deviation of pixels that weights expect to be subtracted and divided by.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::weights_source::{Document, WeightsSource};
use crate::{Result, SettingError};

/// Mean and standard deviation of each channel, of pixels between 0 and 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PixelStatistics {
    /// Mean of each channel.
    pub mean: Vec<f64>,
    /// Standard deviation of each channel.
    pub std: Vec<f64>,
}

impl PixelStatistics {
    /// Checks that there is one finite mean and one positive deviation a channel; `n_channels` of the weights, where they are known.
    ///
    /// # Errors
    /// Numbers out of range, or another number of channels.
    pub fn check(&self, n_channels: Option<usize>) -> Result<()> {
        let n = n_channels.unwrap_or(self.mean.len());
        let fit = |values: &[f64], is_fit: fn(&f64) -> bool| {
            !values.is_empty() && values.len() == n && values.iter().all(is_fit)
        };
        let wrong = |name: &str, found: &[f64], expected: String| {
            Err(SettingError::out_of_range(format!("pixel {name}"), format!("{found:?}"), expected).into())
        };
        if !fit(&self.mean, |mean| mean.is_finite()) {
            return wrong("mean", &self.mean, format!("{n} finite numbers, one for each channel"));
        }
        if !fit(&self.std, |std| std.is_finite() && *std > 0.0) {
            return wrong("std", &self.std, format!("{n} numbers above 0, one for each channel"));
        }
        Ok(())
    }

    /// Statistics that lie beside the weights, and where: the preprocessor's of `transformers`, or those of a timm configuration.
    ///
    /// # Errors
    /// Statistics that are no numbers.
    pub(super) fn beside(source: &WeightsSource, n_channels: usize) -> Result<Option<(Self, String)>> {
        if let Some(document) = &source.preprocessor {
            return Ok(Some((Self::of_preprocessor(document, n_channels)?, "preprocessor_config.json".into())));
        }
        let Some(document) = &source.config else { return Ok(None) };
        let Some(pretrained) = document.value.get("pretrained_cfg") else { return Ok(None) };
        let numbers = |name: &str| {
            numbers(pretrained.get(name), n_channels)
                .ok_or_else(|| document.wrong("pretrained_cfg", format!("{n_channels} numbers in {name}")))
        };
        if pretrained.get("mean").is_none() {
            return Ok(None);
        }
        Ok(Some((Self { mean: numbers("mean")?, std: numbers("std")? }, "pretrained_cfg of config.json".into())))
    }

    /// `transformers` multiplies bytes by `rescale_factor`, then subtracts `image_mean` and divides by `image_std`.
    fn of_preprocessor(document: &Document, n_channels: usize) -> Result<Self> {
        let is_on = |name: &str| document.value.get(name).and_then(Value::as_bool).unwrap_or(true);
        let factor = match document.value.get("rescale_factor") {
            _ if !is_on("do_rescale") => 1.0,
            None => 1.0 / 255.0,
            Some(factor) => factor
                .as_f64()
                .filter(|factor| factor.is_finite() && *factor > 0.0)
                .ok_or_else(|| document.wrong("rescale_factor", "a number above 0"))?,
        };
        let scale = 255.0 * factor;
        let statistics = |name: &str| {
            let values = numbers(document.value.get(name), n_channels);
            let values = values.ok_or_else(|| document.wrong(name, format!("{n_channels} numbers")))?;
            Ok::<_, crate::Error>(values.into_iter().map(|value| value / scale).collect())
        };
        Ok(match is_on("do_normalize") {
            true => Self { mean: statistics("image_mean")?, std: statistics("image_std")? },
            false => Self { mean: vec![0.0; n_channels], std: vec![1.0 / scale; n_channels] },
        })
    }
}

/// A list of `n` numbers.
fn numbers(value: Option<&Value>, n: usize) -> Option<Vec<f64>> {
    let values: Vec<f64> = value?.as_array()?.iter().map(Value::as_f64).collect::<Option<_>>()?;
    (values.len() == n).then_some(values)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(value: Value) -> Result<PixelStatistics> {
        PixelStatistics::of_preprocessor(&Document { path: "preprocessor_config.json".into(), value }, 2)
    }

    #[test]
    fn statistics_are_those_of_pixels_between_0_and_1() {
        let usual = of(json!({ "image_mean": [0.5, 0.25], "image_std": [0.5, 0.125] })).unwrap();
        assert_eq!(usual, PixelStatistics { mean: vec![0.5, 0.25], std: vec![0.5, 0.125] });
        let bytes =
            of(json!({ "do_rescale": false, "image_mean": [127.5, 51.0], "image_std": [255.0, 510.0] })).unwrap();
        assert_eq!(bytes, PixelStatistics { mean: vec![0.5, 0.2], std: vec![1.0, 2.0] });
        // A pixel p becomes 255 p / 127.5 = 2 p.
        let plain = of(json!({ "do_normalize": false, "rescale_factor": 1.0 / 127.5 })).unwrap();
        assert_eq!((plain.mean, plain.std), (vec![0.0; 2], vec![0.5; 2]));
        let error = of(json!({ "image_mean": [0.5], "image_std": [0.5, 0.5] })).unwrap_err().to_string();
        assert!(error.contains("image_mean is [0.5], expected 2 numbers"), "{error}");
    }

    #[test]
    fn a_deviation_of_zero_is_refused() {
        let statistics = |std: &[f64]| PixelStatistics { mean: vec![0.5; 3], std: std.to_vec() };
        statistics(&[1.0, 0.5, 2.0]).check(Some(3)).unwrap();
        for std in [&[1.0, 0.0, 1.0][..], &[1.0, 1.0], &[1.0, f64::NAN, 1.0]] {
            assert!(statistics(std).check(Some(3)).unwrap_err().to_string().contains("pixel std"));
        }
    }
}
