//! Argument for the folder that data paths are relative to.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

/// Argument for the data root. A command with another default has a help text of its own.
#[derive(Debug, Clone, Args)]
pub(crate) struct DataRootArgs {
    /// Folder that data paths are relative to [default: the current folder]
    #[arg(long, value_name = "DIR")]
    data_root: Option<PathBuf>,
}

impl DataRootArgs {
    pub(crate) fn is_given(&self) -> bool {
        self.data_root.is_some()
    }

    /// The given folder, which must exist, or the default.
    pub(crate) fn or(&self, usual: PathBuf) -> Result<PathBuf> {
        match &self.data_root {
            Some(root) if !root.is_dir() => {
                bail!("data root {} is no folder\nhint: name a folder that exists with --data-root DIR", root.display())
            }
            Some(root) => Ok(root.clone()),
            None => Ok(usual),
        }
    }

    /// The given folder, which must exist, or the current folder.
    pub(crate) fn or_current(&self) -> Result<PathBuf> {
        self.or(PathBuf::new())
    }
}
