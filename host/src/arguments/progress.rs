//! Arguments for progress, which is shown on standard error.

use std::time::Duration;

use clap::Args;

use crate::progress::{Progress, WorkBar};
use crate::terminal;

/// Argument for the progress bar on a terminal.
#[derive(Debug, Clone, Args)]
pub(crate) struct BarArgs {
    /// Show no progress
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl BarArgs {
    /// A bar over work of known length. `template` is an indicatif template with `msg` for the present activity.
    pub(crate) fn begin(&self, template: &str) -> WorkBar {
        WorkBar::new(template, self.quiet)
    }

    /// The same argument without a bar, for a rank that is not the root.
    pub(crate) fn silenced(&self) -> Self {
        Self { quiet: true }
    }
}

/// Arguments for the progress of training: a bar, or lines where there is no terminal.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProgressArgs {
    #[command(flatten)]
    pub(crate) bar: BarArgs,
    /// Seconds between progress lines where there is no terminal
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    interval: u64,
}

impl ProgressArgs {
    /// The observer of a run's stages.
    pub(crate) fn begin(&self) -> Progress {
        Progress::new(self.bar.quiet, Duration::from_secs(self.interval))
    }

    /// The same arguments without progress, for a rank that is not the root.
    pub(crate) fn silenced(&self) -> Self {
        Self { bar: self.bar.silenced(), ..self.clone() }
    }

    /// Seconds between progress lines.
    pub(crate) fn interval(&self) -> u64 {
        self.interval
    }

    /// A line for people.
    pub(crate) fn say(&self, line: &str) {
        if !self.bar.quiet {
            terminal::write_error_line(line);
        }
    }
}
