//! The runs of a comparison, and their training.

use std::path::Path;

use anyhow::{Context, Result};
use medcoss_core::ranks::Ranks;
use medcoss_core::run::RunLayout;
use medcoss_plugin_host::PluginRegistry;
use medcoss_runtime::comparison::Variant;
use medcoss_runtime::config::RunConfig;
use medcoss_runtime::stage_plugin::plugins_of;
use medcoss_runtime::training::Training;

use crate::arguments::ProgressArgs;

/// One run of the comparison.
pub(super) struct Entry<'a> {
    pub variant: &'a Variant,
    pub seed: u64,
    pub config: RunConfig,
    /// Path of the run folder, relative to the comparison's folder.
    pub name: String,
}

/// What the training of all runs has in common.
pub(super) struct RunTrainer<'a> {
    pub base: &'a Path,
    pub device: &'a str,
    pub registry: &'a PluginRegistry,
    pub ranks: &'a Ranks,
    pub progress: &'a ProgressArgs,
}

impl RunTrainer<'_> {
    /// All runs, seed by seed, so that the first complete table comes soon. The settings are checked before the
    /// training starts.
    pub fn entries<'v>(
        &self,
        seeds: &[u64],
        variants: &'v [Variant],
        config: &RunConfig,
        out: &Path,
    ) -> Result<Vec<Entry<'v>>> {
        let mut entries = Vec::new();
        for &seed in seeds {
            for variant in variants {
                let name = format!("runs/{}-seed{seed}", variant.name);
                let config = variant.configuration(config, seed).with_context(|| variant.name.clone())?;
                // The options that these add stand in the record of a run, with which an earlier call is recognised.
                let config = match config.recipe.is_some() || config.model.init.is_some() {
                    true => {
                        let plugins = plugins_of(&config, self.registry, None)?;
                        Training::new(config, [self.base.into(), out.join(&name)], false, self.device, plugins)?.config
                    }
                    false => config,
                };
                entries.push(Entry { variant, seed, config, name });
            }
        }
        Ok(entries)
    }

    /// Trains a run, or goes on with it. All ranks take part.
    ///
    /// # Errors
    /// Those of the training, a request to stop.
    pub fn train(&self, entry: &Entry<'_>, out: &Path) -> Result<()> {
        let layout = if out.exists() { Some(RunLayout::open(out)?) } else { None };
        let resume = match &layout {
            Some(layout) => layout.record().is_file()?,
            None => false,
        };
        // The root may have looked later, but not after it began.
        let resume = self.ranks.from_root(Some(resume))?;
        let plugins = plugins_of(&entry.config, self.registry, layout.as_ref().filter(|_| resume))?;
        let folders = [self.base.into(), out.into()];
        let training = Training::new(entry.config.clone(), folders, resume, self.device, plugins)?;
        let mut progress = self.progress.begin();
        let done = training.run_on(self.ranks, &mut progress);
        progress.clear();
        done.map(drop)
    }
}
