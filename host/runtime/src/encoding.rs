//! Encoding of samples as features by a run's model.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, bail};
use medcoss_core::data::{Dataset, LoaderOptions};
use medcoss_core::model::PositionResampling;
use medcoss_core::run::StoredModel;
use medcoss_core::stage::{Pooling, encode_samples};

use crate::config::DataSection;
use crate::data_source::Side;
use crate::modality_data::ModalityData;
use crate::observer::{WorkObserver, WorkTracker};
use crate::resources::Resources;
use crate::run::Run;
use crate::stage_plugin::plugin_for_models;

/// Default of the largest fraction of unreadable samples.
pub const MAX_INVALID_FRACTION: f64 = 0.01;

/// Options for encoding samples.
#[derive(Debug, Clone, Copy)]
pub struct EncodeOptions {
    /// Number of the stage whose model encodes, from 1; 0 is the run's initial model, `None` the latest model.
    pub stage: Option<usize>,
    /// Pooling of a sample's token features.
    pub pooling: Pooling,
    /// Number of worker threads, and the largest fraction of unreadable samples.
    pub loader: LoaderOptions,
}

impl Default for EncodeOptions {
    /// The latest model, and the mean over tokens.
    fn default() -> Self {
        let num_workers = DataSection::default().num_workers;
        let loader = LoaderOptions { num_workers, max_invalid_fraction: MAX_INVALID_FRACTION };
        Self { stage: None, pooling: Pooling::Mean, loader }
    }
}

/// Features of samples.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedSamples {
    /// Ids of the readable samples, in the order of the data.
    pub ids: Vec<String>,
    /// Features, `[ids.len(), n_tokens, width]`, row-major.
    pub values: Vec<f32>,
    /// Number of features of a sample; 1 where its tokens are pooled.
    pub n_tokens: usize,
    /// Number of values of a feature.
    pub width: usize,
    /// Reasons of unreadable samples, by id.
    pub invalid: BTreeMap<String, String>,
}

impl Run {
    /// Encodes data with one of the run's models. The data are opened as the run's stages of that modality were.
    ///
    /// # Errors
    /// Data or a plugin that do not fit the run, too many samples that cannot be read, a request to stop.
    pub fn encode(
        &self,
        data: &ModalityData,
        options: &EncodeOptions,
        resources: &Resources<'_>,
        observer: &dyn WorkObserver,
    ) -> Result<EncodedSamples> {
        let stored = self.model(options.stage)?;
        let plugin = plugin_for_models(&data.modality, resources.registry, &self.layout)?;
        let dataset = self.open_data(&plugin, &resources.data_root, data.section(), &[Side::Train])?;
        let family = family_for(&stored, &dataset)?;
        let device = medcoss_core::device::by_name(&resources.device)?;
        let model = stored.load(&device)?;
        let work =
            WorkTracker::new(observer, dataset.ids().len() as u64, "while samples were encoded", "nothing was written");
        work.begin("encoding".into());
        let id = |index: u64| dataset.ids()[index as usize].clone();
        let mut encoded =
            EncodedSamples { ids: Vec::new(), values: Vec::new(), n_tokens: 0, width: 0, invalid: BTreeMap::new() };
        encode_samples(&model, family, &dataset, options.pooling.into(), options.loader, &device, &mut |batch| {
            encoded.invalid.extend(batch.invalid.iter().map(|(index, sample)| (id(*index), sample.message.clone())));
            if !batch.rows.is_empty() {
                (encoded.n_tokens, encoded.width) = (batch.n_tokens, batch.width);
                encoded.values.extend_from_slice(&batch.values);
                encoded.ids.extend(batch.rows.iter().map(|row| id(*row)));
            }
            work.set_done(batch.done as u64);
            work.check_stop()
        })?;
        if encoded.ids.is_empty() {
            bail!("none of the {} samples could be read", dataset.ids().len());
        }
        Ok(encoded)
    }
}

/// The position of a token family in a model.
///
/// # Errors
/// A family that the model does not have.
pub fn family_of(stored: &StoredModel, name: &str) -> Result<usize> {
    stored.config.family(name).ok_or_else(|| {
        let known: Vec<&str> = stored.config.families.iter().map(|family| family.name.as_str()).collect();
        anyhow!("this model has no token family {name}\nhint: it has {}", known.join(", "))
    })
}

/// The position of a dataset's token family in a model that was trained on tokens of the dataset's shape.
///
/// # Errors
/// A family that the model does not have, tokens of another shape.
pub fn family_for(stored: &StoredModel, dataset: &dyn Dataset) -> Result<usize> {
    let family = family_of(stored, dataset.family())?;
    stored.config.clone().admit_dataset(dataset, None, PositionResampling::default())?;
    Ok(family)
}
