//! The checked description of a plugin that is not loaded.

use medcoss_abi::message::Description;
use medcoss_caller::Shape;
use medcoss_caller::answers::check_description;

use crate::location::PluginLocation;
use crate::plugin::Plugin;

/// Checked description of a plugin that need not be loaded in this process.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginInfo {
    /// The plugin's description of itself. Its texts are unchanged, and so untrusted.
    pub description: Description,
    /// Shape of the plugin's samples with default options.
    pub shape: Shape,
    /// Location of the plugin.
    pub location: PluginLocation,
    /// SHA-256 of the library file that was described, as 64 hexadecimal digits; `None` for a built-in plugin.
    pub sha256: Option<String>,
}

impl PluginInfo {
    /// Checks a description that another process has read.
    pub(crate) fn new(
        description: Description,
        id: &str,
        location: PluginLocation,
        sha256: String,
    ) -> Result<Self, String> {
        check_description(&description, id)?;
        let shape = Shape::new(&description.geometry)?;
        Ok(Self { description, shape, location, sha256: Some(sha256) })
    }

    /// Id and version of the plugin: `xray 0.1.0`.
    pub fn name(&self) -> String {
        format!("{} {}", self.description.id, self.description.version)
    }
}

impl From<Plugin> for PluginInfo {
    fn from(plugin: Plugin) -> Self {
        Self {
            description: plugin.description().clone(),
            shape: plugin.shape().clone(),
            location: plugin.location().clone(),
            sha256: plugin.sha256().map(String::from),
        }
    }
}
