//! Features of all samples of a dataset: no augmentation, no masking, the mean over the encoder's output tokens.

use burn::tensor::{Device, Tensor, TensorData};

use super::StageSettings;
use crate::data::{Loaded, Prepared, RawBatch, SampleSource, View, load_in_order, prepare};
use crate::model::{Model, TextTokens, VisiblePatches};
use crate::{Error, Result};

/// Samples that are encoded at a time.
const BATCH: usize = 32;

/// Features by sample.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Features {
    /// `[rows.len(), width]`, row-major.
    pub values: Vec<f32>,
    /// Values of a row.
    pub width: usize,
    /// Index of the sample that a row belongs to, ascending.
    pub rows: Vec<u64>,
    /// Ids of samples that could not be read, with the reason.
    pub bad: Vec<(String, String)>,
}

/// Encodes every sample of a source. `model` and `device` are those of evaluation; `progress` hears how many of how many are
/// done, and may end the work with an error.
///
/// # Errors
/// A source that fails, too many bad samples, an error of `progress`.
pub fn extract_features(
    model: &Model,
    family: usize,
    source: &dyn SampleSource,
    settings: &StageSettings,
    device: &Device,
    progress: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<Features> {
    let n = source.ids().len();
    let batch_of = |item: usize| (item * BATCH) as u64..((item + 1) * BATCH).min(n) as u64;
    let load = |item: usize| {
        let indices: Vec<u64> = batch_of(item).collect();
        let mut raw = RawBatch::default();
        let bad = source.fill(View::Plain, &indices, &vec![0; indices.len()], &mut raw)?;
        let keep: Vec<usize> = (0..indices.len()).filter(|slot| bad.iter().all(|bad| bad.slot != *slot)).collect();
        let batch = (!keep.is_empty()).then(|| prepare(&raw, source.spec(), &keep, false, None));
        Ok(Loaded { batch, bad: bad.into_iter().map(|bad| (indices[bad.slot], bad)).collect() })
    };
    let mut features = Features::default();
    load_in_order(0..n.div_ceil(BATCH), settings.loader_threads, load, |item, loaded| {
        for (index, bad) in &loaded.bad {
            features.bad.push((source.ids()[*index as usize].clone(), bad.message.clone()));
            if features.bad.len() > settings.n_bad_allowed(n) {
                let (modality, n_bad) = (source.modality().into(), features.bad.len());
                return Err(Error::TooManyBadSamples { modality, n_bad, n_samples: n, latest: bad.message.clone() });
            }
        }
        if let Some(batch) = &loaded.batch {
            let pooled = mean_pooled(model, family, batch, device);
            features.width = pooled.dims()[1];
            let values: Vec<f32> = pooled
                .try_into_vec_as::<f32>()
                .map_err(|error| Error::Device(format!("features cannot be read back from the device: {error}")))?;
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return Err(Error::Data(format!("a feature of {} is {value}", source.modality())));
            }
            features.values.extend(values);
            let bad = |index: &u64| loaded.bad.iter().any(|(bad, _)| bad == index);
            features.rows.extend(batch_of(item).filter(|index| !bad(index)));
        }
        progress(batch_of(item).end as usize, n)
    })?;
    Ok(features)
}

/// `[B, D]`: mean over all encoder outputs, class token included, padding of text excluded.
fn mean_pooled(model: &Model, family: usize, batch: &Prepared, device: &Device) -> Tensor<2> {
    match batch {
        Prepared::Patches(batch) => {
            let encoded = model.encode_patches(family, &VisiblePatches::upload(batch, device), 0, None);
            encoded.mean_dim(1).squeeze_dim(1)
        }
        Prepared::Tokens(batch) => {
            let encoded = model.encode_text(family, &TextTokens::upload(batch, device), None);
            let weights = batch.attended.chunks(batch.length).flat_map(|sample| {
                let share = 1.0 / sample.iter().filter(|attended| **attended).count().max(1) as f32;
                sample.iter().map(move |&attended| if attended { share } else { 0.0 })
            });
            let weights = TensorData::new(weights.collect::<Vec<f32>>(), [batch.n, batch.length, 1]);
            (encoded * Tensor::from_data(weights, device)).sum_dim(1).squeeze_dim(1)
        }
    }
}
