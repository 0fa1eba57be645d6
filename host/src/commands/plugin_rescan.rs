//! `medcoss plugin rescan`: forgets what is known of libraries and tries them out again.

use anyhow::Context;
use clap::Args;

use super::plugin_list;
use crate::arguments::{PluginArgs, ResultArgs, probe};
use crate::failure::Failure;

/// Try all plugins out again
///
/// A library that is new is loaded by a process of its own, and what came of it (what the plugin says of itself, or that it crashed) is
/// remembered until the file changes. This forgets all of it and looks again, for instance after a library that a plugin needs
/// was installed. Shows what `medcoss plugin list` shows; with -v also what libraries print when they are loaded.
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
            .context("what is remembered of plugins cannot be removed\nhint: remove medcoss/plugins.json from $XDG_CACHE_HOME or ~/.cache")
            .map_err(Failure::mend)?;
        plugin_list::show(&self.plugins.registry()?, &self.result)
    }
}
