//! Samples of a run's finished stages, from the data or from the run's buffers.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use medcoss_core::data::{Dataset, RawBatch, View};
use medcoss_core::run::StageState;
use medcoss_plugin_host::{PluginRegistry, Tokens};

use super::anonymous::numbered_labels;
use super::exhibit::{Exhibit, Frame};
use super::history::{RunHistory, StageHistory, first_line};
use crate::buffer_tokens::BufferTokens;
use crate::config::RunConfig;
use crate::data_source::Side;
use crate::plugin_dataset::PluginDataset;
use crate::stage_dataset::StageDataset;
use crate::stage_plugin::{StagePlugin, plugins_of};

/// Origin of a stage's samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The stage's data.
    Data,
    /// The buffer samples in the run folder.
    Kept,
}

/// Samples of one finished stage.
pub(crate) struct StageSamples {
    pub source: StageDataset,
    pub origin: Origin,
    /// Labels as they are shown, by sample.
    labels: Vec<Option<String>>,
    anonymous: bool,
    /// Folders of this machine, which messages omit.
    folders: Vec<PathBuf>,
}

impl StageSamples {
    /// Opens the data of a stage, or where they are missing the buffer samples in the run; without the plugin, the
    /// tokens of those. Nothing is written.
    ///
    /// # Errors
    /// The reason why there are no samples, in one line without folders of this machine.
    pub(crate) fn open(
        run: &RunHistory,
        stage: &StageHistory,
        registry: &PluginRegistry,
        base: &Path,
    ) -> Result<Self, String> {
        let Some(state) = run.finished.states.get(stage.number - 1) else {
            return Err("the stage is not finished".into());
        };
        let folders = vec![base.to_path_buf(), run.path.clone(), std::env::current_dir().unwrap_or_default()];
        match Self::try_open(run, stage, state, registry, base) {
            Ok((dataset, origin)) => {
                let label = |index| dataset.label(index).map(String::from);
                let labels: Vec<Option<String>> = (0..dataset.ids().len()).map(label).collect();
                let labels = if run.anonymous { numbered_labels(&labels) } else { labels };
                Ok(Self { source: dataset, origin, labels, anonymous: run.anonymous, folders })
            }
            Err(error) => Err(in_words(&error, &folders)),
        }
    }

    fn try_open(
        run: &RunHistory,
        stage: &StageHistory,
        state: &StageState,
        registry: &PluginRegistry,
        base: &Path,
    ) -> Result<(StageDataset, Origin)> {
        // Plugins are loaded by stage, so that a missing or changed plugin does not hide the other stages.
        let section = run.finished.config.stages[stage.number - 1].clone();
        let alone = RunConfig { stages: vec![section.clone()], ..run.finished.config.clone() };
        let plugin = plugins_of(&alone, registry, Some(run.finished.layout()))?.swap_remove(0);
        let plugin = match &plugin {
            StagePlugin::Loaded(plugin) => plugin,
            StagePlugin::Missing(missing) if stage.materialised => {
                let tokens =
                    BufferTokens::open(&stage.folder, state).map_err(|_| nameless(missing.locked.id.as_str()))?;
                return Ok((StageDataset::Tokens(Box::new(tokens)), Origin::Kept));
            }
            StagePlugin::Missing(missing) => return Err(nameless(&missing.locked.id)),
        };
        let assets = run.finished.assets(&stage.modality)?;
        let data = PluginDataset::open(plugin, base, &section, assets.as_deref(), &[Side::Train]).and_then(|dataset| {
            if dataset.fingerprint() != state.fingerprint {
                bail!("its data are not those that it was learned from (another fingerprint)");
            }
            Ok(dataset)
        });
        match data {
            Ok(dataset) => Ok((StageDataset::Plugin(dataset.into()), Origin::Data)),
            Err(_) if stage.materialised => {
                let dataset = PluginDataset::open_kept(plugin, &stage.folder, assets.as_deref())?;
                Ok((StageDataset::Plugin(dataset.into()), Origin::Kept))
            }
            Err(error) => Err(error.context("its data cannot be read (--data-root DIR names their folder)")),
        }
    }

    /// One sample without augmentation, as a small exhibit.
    ///
    /// # Errors
    /// A sample that cannot be read or shown.
    pub(crate) fn exhibit(&self, index: u64, frame: Frame) -> Result<Exhibit, String> {
        let mut batch = RawBatch::default();
        let bad = self.source.fill(View::Evaluation, &[index], &[0], &mut batch);
        let bad = bad.map_err(|error| in_words(&error.into(), &self.folders))?;
        if let Some(bad) = bad.into_iter().find(|bad| bad.is_void(View::Evaluation)) {
            return Err(bad.message);
        }
        let missing: Vec<u8> = batch.valid.iter().map(|valid| 1 - valid).collect();
        let tokens =
            if batch.ids.is_empty() { Tokens::Continuous(&batch.tokens) } else { Tokens::Discrete(&batch.ids) };
        self.rendered(tokens, &missing, frame)
    }

    /// Tokens as the plugin renders them, without those that are hidden.
    ///
    /// # Errors
    /// A plugin that does not render tokens, or fails.
    pub(crate) fn rendered(&self, tokens: Tokens<'_>, hidden: &[u8], frame: Frame) -> Result<Exhibit, String> {
        match self.source.render(tokens, hidden) {
            Ok(Some(rendered)) => Exhibit::of(rendered, frame),
            Ok(None) => Err(format!("plugin {} renders no samples", self.source.modality())),
            Err(error) => Err(in_words(&error, &self.folders)),
        }
    }

    /// Caption of a sample on the map and among neighbours.
    pub(crate) fn caption(&self, index: u64) -> String {
        let id = if self.anonymous { "sample" } else { &self.source.ids()[index as usize] };
        match self.label(index) {
            Some(label) => format!("{id} ({label})"),
            None => id.into(),
        }
    }

    pub(crate) fn label(&self, index: u64) -> Option<&str> {
        self.labels.get(index as usize)?.as_deref()
    }
}

fn in_words(error: &anyhow::Error, folders: &[PathBuf]) -> String {
    first_line(error, &folders.iter().map(PathBuf::as_path).collect::<Vec<_>>())
}

fn nameless(id: &str) -> anyhow::Error {
    anyhow!("plugin {id} is not there: name its folder with --plugin-dir DIR")
}
