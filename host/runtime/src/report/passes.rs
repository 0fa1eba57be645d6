//! Forward passes for a report: reconstructions of masked samples, and features of some samples of every modality.

use std::collections::HashSet;

use anyhow::{Result, bail};
use medcoss_core::data::{Dataset, LoaderOptions, Subset, sample_without_replacement};
use medcoss_core::device;
use medcoss_core::model::{Model, ModelConfig, PositionResampling};
use medcoss_core::pretext::{Reconstruction, reconstruct_samples};
use medcoss_core::stage::{Encoding, extract_features};

use super::history::{RunHistory, StageHistory, first_line};
use super::samples::StageSamples;
use crate::observer::WorkTracker;

/// Number of samples that are tried for every shown sample, since some may be unreadable.
const TRIED: usize = 3;

/// Features of some samples of a stage, by the latest model.
pub(crate) struct StageFeatures {
    /// Features, `[indices.len(), width]`.
    pub values: Vec<f32>,
    pub width: usize,
    /// Indices of the samples in the stage's data, ascending.
    pub indices: Vec<u64>,
    /// Whether each sample is in the stage's buffer.
    pub kept: Vec<bool>,
}

/// The forward passes of one run's models.
pub(crate) struct Passes<'a> {
    pub run: &'a RunHistory,
    /// Samples of each stage.
    pub samples: &'a [Result<StageSamples, String>],
    /// Name of the device.
    pub device: &'a str,
    pub work: &'a WorkTracker<'a>,
}

/// A loaded model with its configuration.
struct StageModel {
    model: Model,
    config: ModelConfig,
}

impl StageModel {
    /// Position of the samples' token family in the model, which must have room for their tokens.
    fn family_of(&self, samples: &StageSamples) -> Result<usize> {
        let dataset = &samples.source;
        let mut config = self.config.clone();
        let family = config.admit_dataset(dataset, None, PositionResampling::default())?;
        if config != self.config {
            bail!("the model has no room for the tokens of {}", dataset.modality());
        }
        Ok(family)
    }
}

impl Passes<'_> {
    /// Reconstructions of some samples of a stage by the stage's own model.
    ///
    /// # Errors
    /// The reason why there are no reconstructions, in one line.
    pub(crate) fn reconstructed(&self, stage: &StageHistory, n_shown: usize) -> Result<Vec<Reconstruction>, String> {
        let samples = self.samples[stage.number - 1].as_ref().map_err(Clone::clone)?;
        self.say(&format!("filling in {}", stage.label));
        let reconstructed =
            self.restore(stage, samples, n_shown).map_err(|error| first_line(&error, &[&self.run.path]));
        self.work.advance(1);
        reconstructed
    }

    fn restore(&self, stage: &StageHistory, samples: &StageSamples, n_shown: usize) -> Result<Vec<Reconstruction>> {
        let model = self.model(stage.number)?;
        let family = model.family_of(samples)?;
        let all: Vec<u64> = (0..samples.source.ids().len() as u64).collect();
        let place = [stage.number as u64, 1];
        let tried = sample_without_replacement(&all, TRIED * n_shown, self.run.finished.config.seed, &place);
        let seed = self.run.finished.config.seed;
        let mut reconstructed = Vec::new();
        // Samples are read one by one, so that memory does not grow with their size.
        for index in tried {
            let device = device::by_name(self.device)?;
            let key = (seed, &place[..1]);
            reconstructed.extend(reconstruct_samples(&model.model, family, &samples.source, &[index], key, &device)?);
            if reconstructed.len() == n_shown {
                break;
            }
        }
        if reconstructed.is_empty() {
            bail!("none of its samples could be read");
        }
        Ok(reconstructed)
    }

    /// Features of some samples of each stage by the latest model: one third buffer samples, the rest drawn from the
    /// others. In place of missing features, the reason in one line.
    pub(crate) fn features(&self, n_samples: usize) -> Vec<Result<StageFeatures, String>> {
        let in_words = |error| first_line(&error, &[&self.run.path]);
        // The model is read once: it encodes the samples of every stage.
        let model = match self.samples.iter().any(Result::is_ok) {
            true => self.model(self.run.finished.states.len()).map_err(in_words),
            false => Err("there are no samples".into()),
        };
        let of_stage = |stage: &StageHistory| {
            let samples = self.samples[stage.number - 1].as_ref().map_err(Clone::clone)?;
            let model = model.as_ref().map_err(Clone::clone)?;
            self.say(&format!("encoding {}", stage.label));
            let features = self.encode(model, stage, samples, n_samples).map_err(in_words);
            self.work.advance(1);
            features
        };
        self.run.stages.iter().map(of_stage).collect()
    }

    fn encode(
        &self,
        model: &StageModel,
        stage: &StageHistory,
        samples: &StageSamples,
        n_samples: usize,
    ) -> Result<StageFeatures> {
        let family = model.family_of(samples)?;
        let ids = samples.source.ids();
        let in_buffer: HashSet<&str> = stage.buffer.iter().flatten().flatten().map(|entry| entry.id.as_str()).collect();
        let is_kept = |index: &u64| in_buffer.contains(ids[*index as usize].as_str());
        let seed = self.run.finished.config.seed;
        let all: Vec<u64> = (0..ids.len() as u64).collect();
        let (kept, rest): (Vec<u64>, Vec<u64>) = all.iter().partition(|index| is_kept(index));
        let mut chosen = sample_without_replacement(&kept, n_samples.div_ceil(3), seed, &[stage.number as u64, 2]);
        chosen.extend(sample_without_replacement(
            &rest,
            n_samples - chosen.len().min(n_samples),
            seed,
            &[stage.number as u64, 3],
        ));
        chosen.sort_unstable();
        let selection = Subset::new(&samples.source, chosen.clone());
        // An unreadable sample has no point on the map. At least one sample must be readable.
        let reading =
            LoaderOptions { num_workers: self.run.finished.config.data.num_workers, max_invalid_fraction: 0.5 };
        let device = device::by_name(self.device)?;
        let found =
            extract_features(&model.model, family, &selection, Encoding::default(), reading, &device, &mut |_| Ok(()))?;
        let indices: Vec<u64> = found.rows.iter().map(|&row| chosen[row as usize]).collect();
        let kept = indices.iter().map(is_kept).collect();
        Ok(StageFeatures { values: found.values, width: found.width, indices, kept })
    }

    /// The model after a stage, by the stage's number from 1.
    fn model(&self, number: usize) -> Result<StageModel> {
        let stored = self.run.finished.model(Some(number))?;
        Ok(StageModel { model: stored.load(&device::by_name(self.device)?)?, config: stored.config })
    }

    fn say(&self, what: &str) {
        self.work.begin(what.to_string());
    }
}
