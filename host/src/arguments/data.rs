//! Arguments for data of one modality, outside of any run.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use medcoss_plugin_host::Plugin;
use medcoss_runtime::assignments::options_of;
use medcoss_runtime::config::StageSection;
use medcoss_runtime::data_source::{DataSource, Side};
use medcoss_runtime::plugin_dataset::PluginDataset;

use super::DataRootArgs;

/// Arguments for the data of one modality, and the options of its plugin.
#[derive(Debug, Clone, Args)]
pub(crate) struct DataArgs {
    /// Id of the modality's plugin
    #[arg(long, value_name = "ID")]
    pub(crate) modality: String,
    /// File or folder with the data; may be given several times
    #[arg(long, value_name = "PATH", required = true)]
    data: Vec<PathBuf>,
    #[command(flatten)]
    data_root: DataRootArgs,
    /// Set an option of the plugin: key=value
    #[arg(long = "set", value_name = "KEY=VALUE")]
    options: Vec<String>,
}

impl DataArgs {
    /// Files and folders with the data.
    pub(crate) fn paths(&self) -> Result<Vec<PathBuf>> {
        let base = self.data_root.or_current()?;
        Ok(self.data.iter().map(|path| base.join(path)).collect())
    }

    /// Opens the data with their plugin.
    pub(crate) fn open(&self, plugin: &Plugin) -> Result<PluginDataset> {
        let base = self.data_root.or_current()?;
        let mut section = StageSection::new(&self.modality, DataSource::of_paths(self.data.clone()));
        section.options = options_of(&self.options)?;
        PluginDataset::open(plugin, &base, &section, None, &[Side::Train])
    }
}
