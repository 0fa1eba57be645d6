//! How progress is shown, on standard error.

use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;

use crate::progress::{Progress, bar};

/// Whether work is shown by a bar, where there is a terminal.
#[derive(Debug, Clone, Args)]
pub(crate) struct BarArgs {
    /// Show no progress
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl BarArgs {
    /// A bar over `n` samples.
    pub(crate) fn begin(&self, template: &str, n: usize) -> ProgressBar {
        bar(template, n, self.quiet)
    }
}

/// How training is shown: by a bar, or by lines where there is no terminal.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProgressArgs {
    #[command(flatten)]
    pub(crate) bar: BarArgs,
    /// Seconds between progress lines where there is no terminal
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    interval: u64,
}

impl ProgressArgs {
    /// What watches the stages of a run.
    pub(crate) fn begin(&self) -> Progress {
        Progress::new(self.bar.quiet, Duration::from_secs(self.interval))
    }

    /// A line for people.
    pub(crate) fn say(&self, line: &str) {
        if !self.bar.quiet {
            eprintln!("{line}");
        }
    }
}
