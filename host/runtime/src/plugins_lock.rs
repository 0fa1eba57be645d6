//! The file `plugins.lock`: the plugins that made a run, so that it can be repeated.

use anyhow::{Context, Result, anyhow};
use medcoss_core::confined_path::ConfinedPath;
use medcoss_plugin_host::{Plugin, PluginLocation};
use serde::{Deserialize, Serialize};

use crate::record::{read_with_checksum, write_with_checksum};

/// Content of `plugins.lock`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginsLock {
    /// Plugins of the run, by id.
    pub plugin: Vec<LockedPlugin>,
}

/// One plugin of a run, with the digest of its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedPlugin {
    /// Id of the plugin.
    pub id: String,
    /// Version of the plugin.
    pub version: String,
    /// Name of the library file without its folder, or `built-in`.
    #[serde(alias = "source")] // until format 3
    pub file: String,
    /// SHA-256 of the library file; `None` for a built-in plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl PluginsLock {
    /// The lock file's content for the plugins in use.
    pub fn of<'a>(plugins: impl Iterator<Item = &'a Plugin>) -> Self {
        let entry = |plugin: &Plugin| LockedPlugin {
            id: plugin.description().id.clone(),
            version: plugin.description().version.clone(),
            file: file_name(plugin.location()),
            sha256: plugin.sha256().map(String::from),
        };
        let mut plugin: Vec<LockedPlugin> = plugins.map(entry).collect();
        plugin.sort_by(|a, b| a.id.cmp(&b.id));
        plugin.dedup_by(|a, b| a.id == b.id);
        Self { plugin }
    }

    /// Reads a run's lock file.
    ///
    /// # Errors
    /// A file that is missing or was changed.
    pub fn read(path: &ConfinedPath) -> Result<Self> {
        toml::from_str(&read_with_checksum(path)?).map_err(|error| anyhow!("{} is damaged: {error}", path.display()))
    }

    /// Writes the lock file.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, path: &ConfinedPath) -> Result<()> {
        write_with_checksum(path, &toml::to_string_pretty(self).context("the plugins cannot be written as TOML")?)
    }

    /// The locked plugin of a modality.
    pub fn of_id(&self, id: &str) -> Option<&LockedPlugin> {
        self.plugin.iter().find(|plugin| plugin.id == id)
    }

    /// Adds the plugins of `before` that are not in use, since the run was made with them too.
    pub fn keep(&mut self, before: Self) {
        for then in before.plugin {
            if self.of_id(&then.id).is_none() {
                self.plugin.push(then);
            }
        }
        self.plugin.sort_by(|a, b| a.id.cmp(&b.id));
    }

    /// Warns of a plugin that reads data for this run's models, and differs from the one that the run was made with.
    pub fn warn_of_other(&self, now: &Plugin) {
        let Self { plugin } = Self::of(std::iter::once(now));
        for now in &plugin {
            if let Some(then) = self.of_id(&now.id).filter(|then| then.differs_from(now)) {
                tracing::warn!(
                    "plugin {} {} ({}) is not the one that this run was made with, {} ({}); its samples may differ, and with them the features",
                    now.id,
                    now.version,
                    now.digest(),
                    then.version,
                    then.digest()
                );
            }
        }
    }

    /// Warns of plugins that differ from the run's earlier ones. `trust` has decided before which of them may continue
    /// the run.
    pub fn compare(&self, before: &Self) {
        for now in &self.plugin {
            let then = before.of_id(&now.id);
            if let Some(then) = then.filter(|then| then.differs_from(now)) {
                tracing::warn!(
                    "plugin {} {} ({}) is not the one that this run was made with so far, {} ({}); its samples may differ, and plugins.lock names it from now on",
                    now.id,
                    now.version,
                    now.digest(),
                    then.version,
                    then.digest()
                );
            }
        }
    }
}

impl LockedPlugin {
    fn differs_from(&self, other: &Self) -> bool {
        (&self.version, &self.sha256) != (&other.version, &other.sha256)
    }

    fn digest(&self) -> &str {
        // A run may come from elsewhere: what stands for a digest need not be hexadecimal digits.
        self.sha256.as_deref().map_or("built-in", |digest| digest.get(..12).unwrap_or(digest))
    }
}

/// File name of a library without its folder, which belongs to this machine alone.
fn file_name(location: &PluginLocation) -> String {
    match location {
        PluginLocation::Library { path } => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        PluginLocation::BuiltIn => location.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_digest_is_compared_like_any_other() {
        let lock = |version: &str, sha256: &str| PluginsLock {
            plugin: vec![LockedPlugin {
                id: "gait".into(),
                version: version.into(),
                file: "libgait.so".into(),
                sha256: Some(sha256.into()),
            }],
        };
        for (sha256, shown) in [("0123456789abcdef", "0123456789ab"), ("0123456789aé", "0123456789aé"), ("", "")] {
            let then = lock("1.0.0", sha256);
            assert_eq!(then.plugin[0].digest(), shown);
            lock("1.0.1", sha256).compare(&then);
        }
    }
}
