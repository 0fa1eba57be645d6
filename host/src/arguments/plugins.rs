//! Arguments for the plugin folders, and the registry of the plugins in them.

use std::path::PathBuf;

use clap::Args;
use medcoss_plugin_host::{Loading, PluginRegistry, Probe, Search, SearchEnvironment, serve_if_asked, user_folder};

use crate::builtin::builtins;
use crate::failure::Failure;

/// Help heading of [`PluginArgs`]. Each argument sets it, since a heading of the struct would also cover the arguments
/// after it.
const PLUGINS: &str = "Plugins";

/// Arguments that decide which plugins are found, for every command that needs plugins.
#[derive(Debug, Clone, Args)]
pub(crate) struct PluginArgs {
    /// Search this folder first; may be given several times
    ///
    /// The search continues with the folders of MEDCOSS_PLUGIN_PATH (separated by colons), `plugins` beside the
    /// program, the program's own folder and its `deps`, $XDG_DATA_HOME/medcoss/plugins (or
    /// ~/.local/share/medcoss/plugins), and the built-in plugins. The first plugin that is found for an id is used. The
    /// working folder is never searched.
    #[arg(long, value_name = "DIR", help_heading = PLUGINS)]
    plugin_dir: Vec<PathBuf>,
    /// Do not use the built-in plugins
    #[arg(long, help_heading = PLUGINS)]
    no_builtin: bool,
}

impl PluginArgs {
    /// The registry of all plugins that are found.
    pub(crate) fn registry(&self) -> Result<PluginRegistry, Failure> {
        let search = Search::new(&self.plugin_dir, !self.no_builtin, &SearchEnvironment::of_process());
        Ok(PluginRegistry::discover(
            &search.map_err(|error| Failure::user(anyhow::anyhow!("--plugin-dir: {error}")))?,
            builtins(),
            loading(),
        )
        .guarding_process())
    }
}

/// The setting that this program probes libraries before it loads them.
pub(crate) fn loading() -> Loading {
    Loading::Probed(probe().into())
}

/// The probe, with its cache in the user's cache folder.
pub(crate) fn probe() -> Probe {
    let cache = user_folder("XDG_CACHE_HOME", ".cache").map(|folder| folder.join("medcoss/plugins.json"));
    // `main` has called this function first; here it only returns the token.
    Probe::by_this_program(serve_if_asked(), cache)
}
