//! `medcoss plugin trust`: lets existing runs use a changed plugin.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use medcoss_plugin_host::{LibraryFile, PluginRegistry};
use medcoss_runtime::trust::{Trusted, TrustedPlugin};
use serde::Serialize;

use crate::arguments::{ResultArgs, loading};
use crate::failure::Failure;
use crate::output;

/// Trust a changed or new plugin
///
/// A run records the SHA-256 of each plugin's file, and continues only with the same files. After a plugin was rebuilt
/// or replaced, this command records that you trust the new file: runs continue with it, warn that its samples may
/// differ, and update their record. With --trusted-only, or MEDCOSS_TRUSTED_ONLY=1, all commands run the libraries that
/// you trust and no others. The command runs no code of the file. A plugin is native code with your rights; a
/// digest identifies files, and gives no other protection. The list is in $XDG_CONFIG_HOME/medcoss/trusted.toml, or
/// ~/.config/medcoss/trusted.toml.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss plugin trust ~/my-plugins/libmedcoss_gait.so
  medcoss plugin trust ~/my-plugins/libmedcoss_gait.so --forget")]
pub(crate) struct Trust {
    /// Library file of the plugin
    #[arg(value_name = "FILE.so")]
    file: PathBuf,
    /// Withdraw the trust in this file
    #[arg(long)]
    forget: bool,
    #[command(flatten)]
    result: ResultArgs,
}

#[derive(Serialize)]
struct Report {
    trusted: bool,
    #[serde(flatten)]
    plugin: TrustedPlugin,
    list: PathBuf,
}

impl Trust {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let reports = self.change().map_err(Failure::user)?;
        if self.result.json {
            return output::print_json(&reports);
        }
        let line = |report: &Report| {
            let TrustedPlugin { id, file, sha256 } = &report.plugin;
            let word = if report.trusted { "is trusted" } else { "is no longer trusted" };
            format!("{id} ({file}, SHA-256 {sha256}) {word}; the list is in {}\n", report.list.display())
        };
        output::print(&reports.iter().map(line).collect::<String>())
    }

    fn change(&self) -> Result<Vec<Report>> {
        let registry = PluginRegistry::of_file(&self.file, loading())?;
        let Some(list) = Trusted::file() else {
            bail!("there is no folder for the list of trusted plugins\nhint: set XDG_CONFIG_HOME or HOME");
        };
        let mut trusted = Trusted::read(Some(&list))?;
        let read = LibraryFile::open(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?;
        let sha256 = read.sha256().to_string();
        let file = self.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut reports = Vec::new();
        for found in registry.found {
            let plugin = TrustedPlugin { id: found.id, file: file.clone(), sha256: sha256.clone() };
            trusted.plugin.retain(|known| (&known.id, &known.sha256) != (&plugin.id, &plugin.sha256));
            if !self.forget {
                trusted.plugin.push(plugin.clone());
            }
            reports.push(Report { trusted: !self.forget, plugin, list: list.clone() });
        }
        trusted.write(&list)?;
        Ok(reports)
    }
}
