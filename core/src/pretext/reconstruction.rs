//! Reconstructions of masked samples for visual inspection: predicted patches and tokens.
//!
//! As in figure 2 of "Masked Autoencoders Are Scalable Vision Learners" (He et al., CVPR 2022): visible patches as they were, predicted
//! ones brought back from the normalised space of the targets with the mean and deviation of the patch that they stand for.

use burn::tensor::{Device, Tensor, activation::softmax};

use super::reconstruct;
use crate::data::{
    BatchRequest, Dataset, HostBatch, LoadedBatch, PatchBatch, RawBatch, TargetSpec, TokenBatch, mean_and_deviation,
};
use crate::model::{Head, Model, PatchTensors, TokenTensors};
use crate::rng;
use crate::{DataError, DeviceError, Error, Result};

/// Reconstruction of a masked sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Reconstruction {
    /// Index of the sample in the dataset.
    pub index: u64,
    /// Original and predicted tokens.
    pub content: ReconstructedContent,
}

/// Content of a reconstruction, by kind of token.
#[derive(Debug, Clone, PartialEq)]
pub enum ReconstructedContent {
    /// Reconstructed patches of a continuous family.
    Patches(ReconstructedPatches),
    /// Predicted tokens of a discrete family.
    Tokens(PredictedTokens),
}

/// Reconstructed patches of one sample; values as the dataset delivers them, `[n_tokens * d_token]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ReconstructedPatches {
    /// Original values of the training view, before masking.
    pub original: Vec<f32>,
    /// Original values of visible patches, predicted values of masked ones.
    pub reconstructed: Vec<f32>,
    /// Mask, `[n_tokens]`, true at masked patches.
    pub masked: Vec<bool>,
    /// True at patches that do not exist, `[n_tokens]`; they are never predicted.
    pub missing: Vec<bool>,
    /// Number of values in a patch.
    pub d_token: usize,
    /// Pretext loss of this sample: mean squared error over the masked patches in the space of the targets.
    pub loss: f64,
}

/// Predicted tokens of one sample.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictedTokens {
    /// Original ids before masking, `[length]`.
    pub original: Vec<i32>,
    /// Number of tokens that are no padding.
    pub length: usize,
    /// Predictions of the masked tokens, by ascending position.
    pub predictions: Vec<Prediction>,
}

/// Prediction of a masked token: the most probable id at its position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Position of the token in the sample.
    pub position: usize,
    /// Predicted id.
    pub id: i32,
    /// Probability of the predicted id, in [0, 1].
    pub probability: f32,
}

/// Masks samples of a dataset as in training and reconstructs them. `model` and `device` are those without gradients. The masks depend on `seed`,
/// `place` (the key of the draw, such as the number of a stage) and the samples' indices alone. Invalid samples are left out.
///
/// # Errors
/// A dataset that fails as a whole, predictions that are not finite, a device that does not give its results.
///
/// # Panics
/// When the family is not the dataset's.
pub fn reconstruct_samples(
    model: &Model,
    family: usize,
    dataset: &dyn Dataset,
    wanted: &[u64],
    (seed, place): (u64, &[u64]),
    device: &Device,
) -> Result<Vec<Reconstruction>> {
    let seed_of = |&index: &u64| rng::derived(seed, "restoration", &[place, &[index]].concat());
    let seeds: Vec<u64> = wanted.iter().map(seed_of).collect();
    if dataset.targets().d_target.is_some() {
        return Err(DataError::TargetsAreNoTokens { modality: dataset.modality().into() }.into());
    }
    let mut raw = RawBatch::default();
    let request = BatchRequest::pretext(dataset, wanted.to_vec(), seeds);
    let LoadedBatch { batch: Some(batch), valid, .. } = request.load(&mut raw)? else { return Ok(Vec::new()) };
    let contents: Vec<ReconstructedContent> = match batch {
        HostBatch::Patches(batch) => {
            let reconstructed = reconstruct_patches(model, family, (&raw, dataset.targets()), &valid, batch, device)?;
            reconstructed.into_iter().map(ReconstructedContent::Patches).collect()
        }
        HostBatch::Tokens(batch) => {
            let predicted = predict_tokens(model, family, &raw, &valid, batch, device)?;
            predicted.into_iter().map(ReconstructedContent::Tokens).collect()
        }
    };
    Ok(valid.into_iter().zip(contents).map(|(slot, content)| Reconstruction { index: wanted[slot], content }).collect())
}

fn reconstruct_patches(
    model: &Model,
    family: usize,
    (raw, targets): (&RawBatch, TargetSpec),
    valid: &[usize],
    batch: PatchBatch,
    device: &Device,
) -> Result<Vec<ReconstructedPatches>> {
    let (n_tokens, d_token) = (batch.n_tokens, batch.d_token);
    let valid_tokens = batch.valid.clone();
    let exists = |row: usize, token: usize| valid_tokens.is_empty() || valid_tokens[row * n_tokens + token];
    let batch = PatchTensors::new(batch, device);
    let latents = model.encode_patches(family, &batch, 0, None);
    let predicted = values_of(reconstruct(model, family, latents, &batch))?;
    let size = n_tokens * d_token;
    let of_sample = |(row, &slot): (usize, &usize)| {
        let original = raw.tokens[slot * size..][..size].to_vec();
        let masked: Vec<bool> = raw.mask[slot * n_tokens..][..n_tokens].iter().map(|&mask| mask == 1).collect();
        let missing: Vec<bool> = (0..n_tokens).map(|token| !exists(row, token)).collect();
        let predicted = &predicted[row * size..][..size];
        let (mut reconstructed, mut squares, mut n_values) = (original.clone(), 0.0, 0);
        for token in (0..n_tokens).filter(|&token| masked[token] && !missing[token]) {
            let span = token * d_token..(token + 1) * d_token;
            n_values += d_token;
            let (mean, deviation) = match targets.normalise {
                true => mean_and_deviation(&original[span.clone()]),
                false => (0.0, 1.0),
            };
            for (value, &prediction) in reconstructed[span.clone()].iter_mut().zip(&predicted[span]) {
                squares += (f64::from(prediction) - (f64::from(*value) - mean) / deviation).powi(2);
                *value = (f64::from(prediction) * deviation + mean) as f32;
            }
        }
        let loss = squares / n_values.max(1) as f64;
        ReconstructedPatches { original, reconstructed, masked, missing, d_token, loss }
    };
    Ok(valid.iter().enumerate().map(of_sample).collect())
}

fn predict_tokens(
    model: &Model,
    family: usize,
    raw: &RawBatch,
    valid: &[usize],
    batch: TokenBatch,
    device: &Device,
) -> Result<Vec<PredictedTokens>> {
    let Head::Tokens(head) = model.head(family) else {
        panic!("family {family} has continuous tokens");
    };
    let length = batch.length;
    let mut samples: Vec<PredictedTokens> = valid
        .iter()
        .map(|&slot| {
            let (ids, labels) = (&raw.ids[slot * length..][..length], &raw.labels[slot * length..][..length]);
            let original = ids.iter().zip(labels).map(|(&id, &label)| if label >= 0 { label } else { id }).collect();
            PredictedTokens { original, length: raw.lengths[slot].max(0) as usize, predictions: Vec::new() }
        })
        .collect();
    if batch.target_index.is_empty() {
        return Ok(samples);
    }
    let positions = batch.target_index.clone();
    let batch = TokenTensors::new(batch, device);
    let encoded = model.encode_text(family, &batch, None);
    let [n, _, width] = encoded.dims();
    let wanted = encoded.reshape([n * length, width]).select(0, batch.target_rows);
    let scores = softmax(head.forward(wanted, model.precision()), 1);
    let [_, vocabulary] = scores.dims();
    let scores = values_of(scores)?;
    for (&at, scores) in positions.iter().zip(scores.chunks(vocabulary)) {
        let at = at as usize;
        // The first of equal scores, independent of the search for the maximum.
        let best = scores
            .iter()
            .enumerate()
            .fold((0, f32::NEG_INFINITY), |best, (id, &score)| if score > best.1 { (id, score) } else { best });
        let prediction = Prediction { position: at % length, id: best.0 as i32, probability: best.1 };
        samples[at / length].predictions.push(prediction);
    }
    Ok(samples)
}

fn values_of<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let values =
        tensor.try_into_vec_as::<f32>().map_err(|error| Error::from(DeviceError::read_back("predictions", error)))?;
    match values.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(DataError::NotFinite { what: "prediction".into(), value: *value }.into()),
        None => Ok(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{SampleReport, TokenSpec, View, prepare};
    use crate::model::{DeviceBatch, InitialValues, ModelConfig, Preset, TextAttention, Variant};

    const N_TOKENS: usize = 5;
    const D_TOKEN: usize = 3;

    /// Three samples, of which the middle one cannot be read.
    struct Few {
        ids: Vec<String>,
        spec: TokenSpec,
    }

    impl Few {
        fn new(spec: TokenSpec) -> Self {
            Self { ids: ["a", "b", "c"].map(String::from).to_vec(), spec }
        }
    }

    impl Dataset for Few {
        fn modality(&self) -> &str {
            "few"
        }
        fn family(&self) -> &str {
            "few"
        }
        fn spec(&self) -> TokenSpec {
            self.spec
        }
        fn ids(&self) -> &[String] {
            &self.ids
        }
        fn fingerprint(&self) -> &str {
            "00"
        }
        fn fill(&self, view: View, wanted: &[u64], seeds: &[u64], batch: &mut RawBatch) -> Result<Vec<SampleReport>> {
            assert_eq!(view, View::Training);
            for (&index, &seed) in wanted.iter().zip(seeds) {
                match self.spec {
                    TokenSpec::Continuous { .. } => {
                        let values = (0..N_TOKENS * D_TOKEN).map(|at| (100 * index) as f32 + (at * at) as f32);
                        batch.tokens.extend(values);
                        let first = seed as usize % N_TOKENS;
                        let mask = |token| u8::from(token == first || token == (first + 2) % N_TOKENS);
                        batch.mask.extend((0..N_TOKENS).map(mask));
                    }
                    TokenSpec::Discrete { .. } => {
                        batch.ids.extend([2, 1, 7, 0]);
                        batch.labels.extend([-1, 6, 7, -1]);
                        batch.lengths.push(3);
                    }
                }
            }
            let bad = wanted.iter().position(|&index| index == 1);
            Ok(bad.map(|slot| SampleReport::invalid(slot, "torn")).into_iter().collect())
        }
    }

    fn model(dataset: &Few) -> (Model, Device) {
        let mut config = ModelConfig {
            dimensions: Preset::Demo.dimensions(),
            variant: Variant::default(),
            initial_values: InitialValues::default(),
            text_attention: TextAttention::default(),
            families: Vec::new(),
        };
        config.admit("few", "few", dataset.spec, None).unwrap();
        let device = crate::device::by_name("cpu").unwrap();
        (Model::new(&config, 3, 1, &device), device)
    }

    #[test]
    fn visible_patches_come_back_exactly_and_masked_ones_with_their_own_mean_and_deviation() {
        let dataset = Few::new(TokenSpec::Continuous { n_tokens: N_TOKENS, d_token: D_TOKEN, n_masked: 2 });
        let (model, device) = model(&dataset);
        let reconstructed = reconstruct_samples(&model, 0, &dataset, &[0, 1, 2], (9, &[]), &device).unwrap();
        assert_eq!(reconstructed.iter().map(|sample| sample.index).collect::<Vec<_>>(), [0, 2]);

        // The other route: the prediction in the space of the targets, brought back by hand.
        let mut raw = RawBatch::default();
        let seeds: Vec<u64> = [0, 1, 2].map(|index| rng::derived(9, "restoration", &[index])).to_vec();
        dataset.fill(View::Training, &[0, 1, 2], &seeds, &mut raw).unwrap();
        let prepared =
            DeviceBatch::new(prepare(&raw, (dataset.spec, TargetSpec::default()), &[0, 2], true, None), &device);
        let DeviceBatch::Patches(batch) = &prepared else { panic!("patches") };
        let latents = model.encode_patches(0, batch, 0, None);
        let loss = super::super::pretext_loss(&model, 0, &prepared, latents.clone()).into_scalar::<f32>();
        let predicted = values_of(reconstruct(&model, 0, latents, batch)).unwrap();
        for (row, sample) in reconstructed.iter().enumerate() {
            let ReconstructedContent::Patches(patches) = &sample.content else { panic!("patches") };
            assert_eq!(patches.masked.iter().filter(|masked| **masked).count(), 2);
            for token in 0..N_TOKENS {
                let span = token * D_TOKEN..(token + 1) * D_TOKEN;
                let (own, found) = (&patches.original[span.clone()], &patches.reconstructed[span.clone()]);
                if !patches.masked[token] {
                    assert_eq!(own, found);
                    continue;
                }
                let mean = (own[0] + own[1] + own[2]) / 3.0;
                let variance = own.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / 2.0;
                let prediction = &predicted[(row * N_TOKENS + token) * D_TOKEN..][..D_TOKEN];
                for (found, prediction) in found.iter().zip(prediction) {
                    let expected = prediction * (variance + 1e-6).sqrt() + mean;
                    assert!((found - expected).abs() < 1e-2, "{found} instead of {expected}");
                }
            }
        }
        let losses = reconstructed.iter().map(|sample| match &sample.content {
            ReconstructedContent::Patches(patches) => patches.loss,
            ReconstructedContent::Tokens(_) => panic!("patches"),
        });
        assert!((losses.sum::<f64>() / 2.0 - f64::from(loss)).abs() < 1e-4);
    }

    #[test]
    fn every_masked_token_has_a_prediction_and_its_original() {
        let dataset = Few::new(TokenSpec::Discrete { length: 4, vocabulary: 11 });
        let (model, device) = model(&dataset);
        let reconstructed = reconstruct_samples(&model, 0, &dataset, &[2, 0], (9, &[]), &device).unwrap();
        assert_eq!(reconstructed.len(), 2);
        for sample in &reconstructed {
            let ReconstructedContent::Tokens(words) = &sample.content else { panic!("words") };
            assert_eq!((words.original.as_slice(), words.length), ([2, 6, 7, 0].as_slice(), 3));
            assert_eq!(words.predictions.iter().map(|prediction| prediction.position).collect::<Vec<_>>(), [1, 2]);
            assert!(words.predictions.iter().all(|prediction| (0..11).contains(&prediction.id)));
            assert!(
                words
                    .predictions
                    .iter()
                    .all(|prediction| prediction.probability >= 1.0 / 11.0 && prediction.probability <= 1.0)
            );
        }
    }
}
