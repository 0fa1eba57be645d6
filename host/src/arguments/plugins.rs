//! Plugins, and how they are found.

use std::path::PathBuf;

use clap::Args;
use medcoss_plugin_host::{Loading, PluginRegistry, Probe, Search, SearchEnvironment, serve_if_asked, user_folder};

use crate::builtin::builtins;
use crate::failure::Failure;

/// Heading of [`PluginArgs`] in help texts; given to each, since one for all would also cover what follows them.
const PLUGINS: &str = "Plugins";

/// Where plugins are looked for; part of every command that needs them.
#[derive(Debug, Clone, Args)]
pub(crate) struct PluginArgs {
    /// Look into this folder first; may be given several times
    ///
    /// Then come the folders of MEDCOSS_PLUGIN_PATH (separated by colons), `plugins` beside the program, the program's
    /// own folder and its `deps`, $XDG_DATA_HOME/medcoss/plugins (or ~/.local/share/medcoss/plugins), and the built-in
    /// plugins. The first find of an id counts. The working folder is never looked into.
    #[arg(long, value_name = "DIR", help_heading = PLUGINS)]
    plugin_dir: Vec<PathBuf>,
    /// Leave the built-in plugins out
    #[arg(long, help_heading = PLUGINS)]
    no_builtin: bool,
}

impl PluginArgs {
    /// All plugins that can be found.
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

/// Libraries are probed by this program before it loads them.
pub(crate) fn loading() -> Loading {
    Loading::Probed(probe().into())
}

/// The probe, with its cache in the user's folder.
pub(crate) fn probe() -> Probe {
    let cache = user_folder("XDG_CACHE_HOME", ".cache").map(|folder| folder.join("medcoss/plugins.json"));
    // `main` has called this first; here it only gives the token.
    Probe::by_this_program(serve_if_asked(), cache)
}
