//! Arguments for the plugin folders, and the registry of the plugins in them.

use std::path::{Path, PathBuf};

use clap::Args;
use medcoss_plugin_host::{
    Acceptance, LoadError, Loading, NewLibrary, PluginRegistry, Probe, Search, SearchEnvironment, serve_if_asked,
    user_folder,
};
use medcoss_runtime::trust::Trusted;

use crate::builtin::builtins;
use crate::failure::Failure;

/// Help heading of [`PluginArgs`]. Each argument sets it, since a heading of the struct would also cover the arguments
/// after it.
const PLUGINS: &str = "Plugins";
/// Environment variable that stands for --trusted-only in every command.
const TRUSTED_ONLY_VARIABLE: &str = "MEDCOSS_TRUSTED_ONLY";

/// Arguments that decide which plugins are found, for every command that needs plugins.
#[derive(Debug, Clone, Args)]
pub(crate) struct PluginArgs {
    /// Search this folder first; may be given several times
    ///
    /// The search continues with the folders of MEDCOSS_PLUGIN_PATH (separated by colons), `plugins` beside the
    /// program, the program's own folder and its `deps`, $XDG_DATA_HOME/medcoss/plugins (or
    /// ~/.local/share/medcoss/plugins), and the built-in plugins. The first plugin that is found for an id is used; of
    /// several in one folder, the highest version. The working folder is never searched.
    #[arg(long, value_name = "DIR", help_heading = PLUGINS)]
    plugin_dir: Vec<PathBuf>,
    /// Do not use the built-in plugins
    #[arg(long, help_heading = PLUGINS)]
    no_builtin: bool,
    /// Run no code of a library before `medcoss plugin trust` has accepted it
    ///
    /// A plugin is native code with your rights, and looking at it runs it, in a child process first. With this option, or
    /// with MEDCOSS_TRUSTED_ONLY=1 in the environment, a library that is neither trusted nor part of this program is
    /// listed with its SHA-256 and not run.
    #[arg(long, help_heading = PLUGINS)]
    trusted_only: bool,
}

impl PluginArgs {
    /// The registry of all plugins that are found.
    pub(crate) fn registry(&self) -> Result<PluginRegistry, Failure> {
        let search = Search::new(&self.plugin_dir, !self.no_builtin, &SearchEnvironment::of_process());
        let search = search.map_err(|error| Failure::user(anyhow::anyhow!("--plugin-dir: {error}")))?;
        let found = PluginRegistry::discover(&search, builtins(), loading()).guarding_process();
        Ok(self.accepted(found)?.preferring_higher_versions())
    }

    /// The registry of one file.
    pub(crate) fn registry_of_file(&self, path: &Path) -> Result<PluginRegistry, Failure> {
        let registry = PluginRegistry::of_file(path, loading());
        self.accepted(registry.map_err(|error: LoadError| Failure::user(error))?)
    }

    fn accepted(&self, registry: PluginRegistry) -> Result<PluginRegistry, Failure> {
        let by_environment =
            std::env::var_os(TRUSTED_ONLY_VARIABLE).is_some_and(|value| !value.is_empty() && value != "0");
        if !self.trusted_only && !by_environment {
            return Ok(registry);
        }
        let trusted = Trusted::read(Trusted::file().as_deref()).map_err(Failure::user)?;
        let accepts = move |NewLibrary { id, path, sha256 }: NewLibrary<'_>| match trusted.holds(id, sha256) {
            true => Ok(()),
            false if trusted.holds_folder_of(path) => Ok(()),
            false => Err(format!("if you trust it: medcoss plugin trust {}", path.display())),
        };
        Ok(registry.accepting(Acceptance::new(accepts)))
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
