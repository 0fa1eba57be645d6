//! `medcoss plugin rescan`: clears the probe cache and probes all libraries again.

use anyhow::Context;
use clap::Args;

use super::plugin_list;
use crate::arguments::{PluginArgs, ResultArgs, probe};
use crate::failure::Failure;

/// Probe all plugins again
///
/// A child process loads each library, which runs its code with your rights. The outcome (the plugin's description, or the crash) is cached until
/// the file changes. This command clears the cache and probes again, for example after the installation of a library
/// that a plugin needs. The output is that of `medcoss plugin list`; -v also shows the text that libraries print while
/// they are loaded.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss plugin rescan
  medcoss plugin rescan -v --plugin-dir ~/my-plugins")]
pub(crate) struct Rescan {
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    result: ResultArgs,
}

impl Rescan {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        probe()
            .clear_cache()
            .context(
                "the probe cache cannot be removed\nhint: remove medcoss/plugins.json from $XDG_CACHE_HOME or ~/.cache",
            )
            .map_err(Failure::user)?;
        plugin_list::show(&self.plugins.registry()?, &self.result)
    }
}
