//! Arguments for the configuration of a run.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use medcoss_runtime::config::RunConfig;

use super::DataRootArgs;

/// Arguments for the configuration file and changes to its settings.
#[derive(Debug, Clone, Args)]
#[command(mut_arg("data_root", |root| {
    root.help("Folder that data paths are relative to [default: the configuration file's folder]")
}))]
pub(crate) struct ConfigurationArgs {
    /// Configuration file (TOML)
    config: PathBuf,
    /// Change a setting: key=value, such as training.epochs=3 or stage.xray.options.size=96
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    #[command(flatten)]
    data_root: DataRootArgs,
}

impl ConfigurationArgs {
    /// The configuration from the file, with the changes.
    pub(crate) fn read(&self) -> Result<RunConfig> {
        RunConfig::read(&self.config, &self.settings)
    }

    /// The folder that data paths are relative to.
    pub(crate) fn data_root(&self) -> Result<PathBuf> {
        self.data_root.or(self.config.parent().map(Path::to_path_buf).unwrap_or_default())
    }

    /// The given folder, or a folder in the current one with the configuration's name and a suffix.
    pub(crate) fn folder(&self, given: Option<&Path>, suffix: &str) -> PathBuf {
        let usual =
            || PathBuf::from(format!("{}-{suffix}", self.config.file_stem().unwrap_or_default().to_string_lossy()));
        given.map_or_else(usual, Path::to_path_buf)
    }

    /// The given run folder, or a folder named after the configuration with the suffix -run.
    pub(crate) fn run_folder(&self, given: Option<&Path>) -> PathBuf {
        self.folder(given, "run")
    }
}
