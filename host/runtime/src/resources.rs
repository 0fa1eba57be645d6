//! Resources for work on a run, beside its folder.

use std::path::PathBuf;

use medcoss_plugin_host::PluginRegistry;

/// Plugins, data root and device for work on a run.
#[derive(Debug, Clone)]
pub struct Resources<'a> {
    /// Registry that finds the plugins.
    pub registry: &'a PluginRegistry,
    /// Folder that data paths are relative to.
    pub data_root: PathBuf,
    /// Name of the device that computes: `cpu`, `cuda`, `cuda:1`.
    pub device: String,
}

impl<'a> Resources<'a> {
    /// Resources with the current folder as data root and the CPU as device.
    pub fn new(registry: &'a PluginRegistry) -> Self {
        Self { registry, data_root: PathBuf::new(), device: "cpu".into() }
    }
}
