//! The samples of a stage, from its plugin or, when the plugin is missing, from the buffer tokens in the run.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::data::{DataAccount, Dataset, GridLayout, RawBatch, SampleReport, TargetSpec, TokenSpec, View};
use medcoss_plugin_host::{Rendered, Tokens};

use crate::buffer_tokens::BufferTokens;
use crate::plugin_dataset::PluginDataset;

/// Samples of one stage, from its plugin or from the run.
pub enum StageDataset {
    /// Samples that the plugin reads.
    Plugin(Box<PluginDataset>),
    /// Buffer samples as tokens, without the plugin.
    Tokens(Box<BufferTokens>),
}

impl StageDataset {
    /// Sets the folder of the plugin's assets. Tokens need none.
    pub fn assets_are_in(&mut self, folder: PathBuf) {
        if let Self::Plugin(dataset) = self {
            dataset.assets_are_in(folder);
        }
    }

    /// The label of a sample, where the plugin or the run has one.
    pub fn label(&self, index: usize) -> Option<&str> {
        match self {
            Self::Plugin(dataset) => dataset.label(index),
            Self::Tokens(_) => None,
        }
    }

    /// Padding id of discrete tokens that a plugin reads.
    pub fn padding_id(&self) -> Option<i32> {
        match self {
            Self::Plugin(dataset) => dataset.padding_id(),
            Self::Tokens(_) => None,
        }
    }

    /// Renders the tokens of a sample for people, without those that are `hidden`, see [`PluginDataset::render`]; `None` without a plugin that renders tokens.
    ///
    /// # Errors
    /// Tokens that are no sample of this dataset, errors that the plugin reports.
    pub fn render(&self, tokens: Tokens<'_>, hidden: &[u8]) -> Result<Option<Rendered>> {
        match self {
            Self::Plugin(dataset) => dataset.render(tokens, hidden),
            Self::Tokens(_) => Ok(None),
        }
    }

    fn source(&self) -> &dyn Dataset {
        match self {
            Self::Plugin(dataset) => dataset.as_ref(),
            Self::Tokens(tokens) => &**tokens,
        }
    }
}

impl Dataset for StageDataset {
    fn modality(&self) -> &str {
        self.source().modality()
    }

    fn family(&self) -> &str {
        self.source().family()
    }

    fn spec(&self) -> TokenSpec {
        self.source().spec()
    }

    fn ids(&self) -> &[String] {
        self.source().ids()
    }

    fn fingerprint(&self) -> &str {
        self.source().fingerprint()
    }

    fn account(&self) -> Option<&DataAccount> {
        self.source().account()
    }

    fn layout(&self) -> Option<&Arc<GridLayout>> {
        self.source().layout()
    }

    fn vocabulary_digest(&self) -> Option<&str> {
        self.source().vocabulary_digest()
    }

    fn targets(&self) -> TargetSpec {
        self.source().targets()
    }

    fn weights(&self) -> &[f64] {
        self.source().weights()
    }

    fn fill(
        &self,
        view: View,
        indices: &[u64],
        seeds: &[u64],
        batch: &mut RawBatch,
    ) -> medcoss_core::Result<Vec<SampleReport>> {
        self.source().fill(view, indices, seeds, batch)
    }

    fn keep(&self, indices: &[u64], folder: &ConfinedPath) -> medcoss_core::Result<()> {
        self.source().keep(indices, folder)
    }
}
