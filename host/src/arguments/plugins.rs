//! Plugins, and how they are found.

use std::path::PathBuf;

use clap::Args;

use crate::builtin::builtins;
use crate::failure::Failure;
use medcoss_plugin_host::{Catalogue, FirstContact, Search, Surroundings, user_folder};

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
    /// All that can be found.
    pub(crate) fn survey(&self) -> Result<Catalogue, Failure> {
        let search = Search::new(&self.plugin_dir, !self.no_builtin, &Surroundings::of_process());
        Ok(Catalogue::survey(&search.map_err(Failure::mend)?, builtins()).with_first_contact(first_contact()))
    }
}

/// Meets libraries before this process loads them.
pub(crate) fn first_contact() -> FirstContact {
    FirstContact::new(user_folder("XDG_CACHE_HOME", ".cache").map(|folder| folder.join("medcoss/plugins.json")))
}
