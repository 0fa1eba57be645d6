//! A plugin's dataset as the source of samples that core asks for.

use std::path::Path;

use anyhow::Result;
use medcoss_abi::message::Open;
use medcoss_core::Error;
use medcoss_core::data::{BadSample, RawBatch, SampleSource, TokenSpec, View};

use crate::config::StageSection;
use crate::plugins::{OpenDataset, Plugin, Shape};

/// An opened dataset of one stage.
pub struct ModalitySource {
    spec: TokenSpec,
    dataset: OpenDataset,
}

impl ModalitySource {
    /// Checks the option names and opens the data of a stage.
    ///
    /// # Errors
    /// Unknown options, whatever the plugin answers, answers that contradict the contract.
    pub fn open(plugin: &Plugin, base: &Path, stage: &StageSection, assets: Option<&Path>) -> Result<Self> {
        let request = Open {
            base: stage.root.as_ref().map_or_else(|| base.to_path_buf(), |root| base.join(root)),
            data: stage.data.paths(),
            options: serde_json::to_value(&stage.options)?,
            assets: assets.map(Path::to_path_buf),
        };
        let dataset = plugin.open(&request)?;
        let spec = match *dataset.shape() {
            Shape::Continuous { n_tokens, d_token, n_masked, .. } => {
                TokenSpec::Continuous { n_tokens, d_token, n_masked }
            }
            Shape::Discrete { length, vocabulary, .. } => TokenSpec::Discrete { length, vocabulary },
        };
        Ok(Self { spec, dataset })
    }

    /// Writes what the plugin learned from the data into a folder and names the files.
    ///
    /// # Errors
    /// Whatever the plugin answers.
    pub fn save_assets(&self, folder: &Path) -> Result<Vec<String>> {
        Ok(self.dataset.save_assets(folder)?)
    }
}

impl SampleSource for ModalitySource {
    fn modality(&self) -> &str {
        &self.dataset.plugin().description().id
    }

    fn family(&self) -> &str {
        &self.dataset.plugin().description().family
    }

    fn spec(&self) -> TokenSpec {
        self.spec
    }

    fn ids(&self) -> &[String] {
        self.dataset.ids()
    }

    fn fingerprint(&self) -> &str {
        self.dataset.fingerprint()
    }

    fn fill(
        &self,
        view: View,
        indices: &[u64],
        seeds: &[u64],
        batch: &mut RawBatch,
    ) -> medcoss_core::Result<Vec<BadSample>> {
        let failures =
            self.dataset.fill(view, indices, seeds, batch).map_err(|error| Error::Source(error.to_string()))?;
        Ok(failures.into_iter().map(|failure| BadSample { slot: failure.slot, message: failure.message }).collect())
    }
}
