//! The plugins of a run's stages: found, compared with the run's `plugins.lock`, and loaded. A missing plugin is
//! represented as well.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use medcoss_core::run::RunLayout;
use medcoss_plugin_host::{Plugin, PluginRegistry};

use crate::config::RunConfig;
use crate::plugins_lock::{LockedPlugin, PluginsLock};
use crate::trust::{Candidate, Trusted};

/// The plugin of one stage, loaded or missing.
#[derive(Debug, Clone)]
pub enum StagePlugin {
    /// The plugin is loaded.
    Loaded(Plugin),
    /// The run was made with the plugin, and no file provides it now.
    Missing(MissingPlugin),
}

/// A plugin that a run needs and that was not found.
#[derive(Debug, Clone)]
pub struct MissingPlugin {
    /// Path of the run folder.
    pub run: PathBuf,
    /// The plugin that the run was made with.
    pub locked: LockedPlugin,
    /// Folders that were searched.
    pub searched: Vec<PathBuf>,
}

impl MissingPlugin {
    /// The error that the plugin is missing, with a remedy.
    pub fn error(&self) -> anyhow::Error {
        anyhow!("{}\nhint: put the file into one of these folders, or name its own with --plugin-dir", self.in_words())
    }

    /// A description of the missing plugin for people.
    pub fn in_words(&self) -> String {
        let LockedPlugin { id, version, file, sha256 } = &self.locked;
        let described = match sha256 {
            Some(sha256) => format!("file {file}, SHA-256 {sha256}"),
            None => file.clone(),
        };
        let searched: Vec<_> = self.searched.iter().map(|folder| folder.display().to_string()).collect();
        format!(
            "plugin {id} is not there; run {} was made with {id} {version}, {described}; it was looked for in {}",
            self.run.display(),
            searched.join(", ")
        )
    }
}

impl StagePlugin {
    /// The loaded plugin.
    ///
    /// # Errors
    /// A missing plugin.
    pub fn loaded(&self) -> Result<&Plugin> {
        match self {
            Self::Loaded(plugin) => Ok(plugin),
            Self::Missing(missing) => Err(missing.error()),
        }
    }
}

/// The plugin of every stage; each is loaded once. `run` is the folder of a run that continues: its plugins must be
/// those that the run was made with. A missing plugin is an error only where it is needed.
///
/// # Errors
/// Plugins that cannot be loaded, that the run does not know, or that the user does not trust.
pub fn plugins_of(config: &RunConfig, registry: &PluginRegistry, run: Option<&RunLayout>) -> Result<Vec<StagePlugin>> {
    let lock = match run {
        Some(run) if run.plugins_lock().is_file()? => {
            Some((run.folder().path(), PluginsLock::read(&run.plugins_lock())?))
        }
        _ => None,
    };
    let mut plugins: Vec<StagePlugin> = Vec::new();
    for (at, stage) in config.stages.iter().enumerate() {
        let id = stage.modality.as_str();
        let known = plugins.iter().zip(&config.stages).find(|(_, stage)| stage.modality == id).map(|(known, _)| known);
        let plugin = match known {
            Some(StagePlugin::Loaded(plugin)) => StagePlugin::Loaded(plugin.clone()),
            Some(StagePlugin::Missing(missing)) => StagePlugin::Missing(missing.clone()),
            None => {
                let locked = lock.as_ref().and_then(|(run, lock)| Some((run.as_path(), lock.of_id(id)?)));
                find(id, registry, locked).with_context(|| format!("stage {} {id}", at + 1))?
            }
        };
        plugins.push(plugin);
    }
    Ok(plugins)
}

fn find(id: &str, registry: &PluginRegistry, locked: Option<(&Path, &LockedPlugin)>) -> Result<StagePlugin> {
    match (registry.find(id), locked) {
        (None, Some((run, locked))) => Ok(StagePlugin::Missing(MissingPlugin {
            run: run.to_path_buf(),
            locked: locked.clone(),
            searched: registry.searched.iter().map(|folder| folder.path.clone()).collect(),
        })),
        (Some(_), Some((run, locked))) => {
            // What is compared is what is loaded, whatever becomes of the file meanwhile.
            let opened = registry.open(id)?;
            let (location, sha256, is_own) = (opened.location(), opened.sha256(), opened.is_of_this_build());
            Candidate { run, location, sha256, is_own }.check(locked, || Trusted::read(Trusted::file().as_deref()))?;
            Ok(StagePlugin::Loaded(opened.load()?))
        }
        (_, None) => Ok(StagePlugin::Loaded(registry.load(id)?)),
    }
}

/// The plugin that opens data for a run's models, which are not changed. Another build than the one that the run was made
/// with is used with a warning.
///
/// # Errors
/// A plugin that is not found or cannot be loaded, a damaged `plugins.lock`.
pub fn plugin_for_models(id: &str, registry: &PluginRegistry, run: &RunLayout) -> Result<Plugin> {
    let plugin = registry.load(id)?;
    let lock = run.plugins_lock();
    if lock.is_file()? {
        PluginsLock::read(&lock)?.warn_of_other(&plugin);
    }
    Ok(plugin)
}
