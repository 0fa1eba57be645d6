//! An opened run: configuration, finished stages, models. `encoding` and `new_stage` build on it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use medcoss_core::run::{RunLayout, StageFolder, StageState, StoredModel, check_manifest};
use medcoss_core::weights::InitialModel;
use medcoss_plugin_host::Plugin;

use crate::config::{RunConfig, StageSection};
use crate::data_source::Side;
use crate::option_presets::{add_preset, preset_of};
use crate::plugin_dataset::PluginDataset;

/// An opened run: its configuration, and the models of its finished stages.
pub struct Run {
    pub(crate) layout: RunLayout,
    /// Configuration of the run, with every default.
    pub config: RunConfig,
    /// The initial model; `None` for a run that started from fresh parameters.
    pub initial: Option<InitialModel>,
    /// States of the finished stages, in their order.
    pub states: Vec<StageState>,
}

impl Run {
    /// Opens a run's folder. Parameters are read on use.
    ///
    /// # Errors
    /// A folder without a run, files that are damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let layout = open_layout(path)?;
        let config = RunConfig::read_record(&layout.record())
            .with_context(|| format!("{} holds no run that can be read", path.display()))?;
        let initial = InitialModel::read(&layout).context("the model that the run begins with")?;
        let mut states = Vec::new();
        for (at, section) in config.stages.iter().enumerate() {
            let folder = StageFolder::new(&layout, at + 1, &section.modality);
            let state = folder.finished().with_context(|| format!("stage {} {}", at + 1, section.modality))?;
            states.extend(state);
            if states.len() <= at {
                break;
            }
        }
        Ok(Self { layout, config, initial, states })
    }

    /// Names of the run's files.
    pub fn layout(&self) -> &RunLayout {
        &self.layout
    }

    /// Opens data as the run's stages of that modality do, if there are any: with their options below those of
    /// `section`, and with the assets of the first of them. Of a list with a split, the samples of `sides` are opened.
    ///
    /// # Errors
    /// Damaged assets, errors that the plugin reports.
    pub fn open_data(
        &self,
        plugin: &Plugin,
        base: &Path,
        section: StageSection,
        sides: &[Side],
    ) -> Result<PluginDataset> {
        let mut section = section;
        if let Some(stage) = self.config.stages.iter().rfind(|stage| stage.modality == section.modality) {
            let own = std::mem::replace(&mut section.options, stage.options.clone());
            section.options.extend(own);
        } else if let Some(preset) =
            preset_of(self.config.recipe, self.initial.as_ref().and_then(|initial| initial.report.origin))
            && let Some(added) = add_preset(plugin, preset, &mut section.options)?
        {
            tracing::warn!("{added}");
        }
        let assets = self.assets(&section.modality)?;
        PluginDataset::open(plugin, base, &section, assets.as_deref(), sides)
    }

    /// The folder of a finished stage.
    pub fn folder(&self, state: &StageState) -> StageFolder {
        StageFolder::new(&self.layout, state.stage, &state.modality)
    }

    /// Folder of the assets that a modality's plugin derived from the data, if any. The files are verified by their
    /// checksums.
    ///
    /// # Errors
    /// Files that are missing or damaged.
    pub fn assets(&self, modality: &str) -> Result<Option<PathBuf>> {
        // The first stage of the modality holds the assets: a repeated modality must give the same tokens.
        let Some(at) = self.config.stages.iter().position(|stage| stage.modality == modality) else { return Ok(None) };
        let assets = StageFolder::new(&self.layout, at + 1, modality).file(RunLayout::ASSETS);
        if !assets.is_folder()? {
            return Ok(None);
        }
        match check_manifest(&assets)?.into_iter().find_map(|(_, fault)| fault) {
            Some(fault) => Err(fault.into()),
            None => Ok(Some(assets.checked_path()?)),
        }
    }

    /// The model after a stage, by its number from 1; 0 is the initial model, `None` the latest. Its files are verified
    /// by their checksums.
    ///
    /// # Errors
    /// A stage that does not exist or is not finished, damaged files.
    pub fn model(&self, stage: Option<usize>) -> Result<StoredModel> {
        let n_stages = self.states.len();
        let run = self.layout.folder().display();
        match (stage.unwrap_or(n_stages), &self.initial) {
            (0, Some(initial)) => Ok(initial.stored(&self.layout)),
            (0, None) if stage.is_none() => {
                bail!("{run} has no finished stage\nhint: finish it with: medcoss resume {run}")
            }
            (0, None) => {
                bail!("{run} began with fresh parameters, which it does not keep\nhint: --stage counts from 1")
            }
            (number, _) => match self.states.get(number - 1) {
                Some(state) => {
                    let folder = self.folder(state);
                    folder.verify(state).with_context(|| format!("stage {number} {}", state.modality))?;
                    Ok(StoredModel::of_stage(&folder, state))
                }
                None => bail!(
                    "{run} has no finished stage {number}; {n_stages} of {} are finished",
                    self.config.stages.len()
                ),
            },
        }
    }
}

/// Opens the folder of an existing run.
///
/// # Errors
/// A folder that does not exist or holds no run.
pub fn open_layout(path: &Path) -> Result<RunLayout> {
    let hint = || {
        format!(
            "{} holds no run that can be read\nhint: name the folder of a run, as `medcoss pretrain --out` wrote it",
            path.display()
        )
    };
    RunLayout::open(path).with_context(hint)
}
