//! `medcoss plugin trust`: lets existing runs use a changed plugin.

use std::path::{Path, PathBuf};

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
  medcoss plugin trust --dev ~/gait/target
  medcoss plugin trust ~/my-plugins/libmedcoss_gait.so --forget")]
pub(crate) struct Trust {
    /// Library file of the plugin
    #[arg(value_name = "FILE.so", required_unless_present = "dev")]
    file: Option<PathBuf>,
    /// Trust every library in this folder and below it, whatever its content, now and later
    ///
    /// For a folder that you build plugins in: a rebuilt plugin continues its runs, with a warning, and needs no new
    /// trust. Whoever can write into the folder can then run code with your rights.
    #[arg(long, value_name = "DIR", conflicts_with = "file")]
    dev: Option<PathBuf>,
    /// Withdraw the trust in this file or folder
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

#[derive(Serialize)]
struct FolderReport {
    trusted: bool,
    development_folder: PathBuf,
    list: PathBuf,
}

/// Path of the list of trusted plugins.
fn list() -> Result<PathBuf> {
    Trusted::file().context("there is no folder for the list of trusted plugins\nhint: set XDG_CONFIG_HOME or HOME")
}

impl Trust {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        if let Some(folder) = &self.dev {
            let report = self.change_folder(folder).map_err(Failure::user)?;
            return self.result.print(&report, |report| {
                let word = if report.trusted { "are trusted" } else { "are no longer trusted" };
                let FolderReport { development_folder, list, .. } = report;
                format!("Plugins below {} {word}; the list is in {}\n", development_folder.display(), list.display())
            });
        }
        let Some(file) = &self.file else { return Ok(()) };
        let reports = self.change(file).map_err(Failure::user)?;
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

    fn change_folder(&self, folder: &Path) -> Result<FolderReport> {
        let list = list()?;
        let mut trusted = Trusted::read(Some(&list))?;
        let development_folder = match folder.canonicalize() {
            Ok(whole) if whole.is_dir() => whole,
            Ok(_) => bail!("--dev {} is a file\nhint: name the folder that holds it", folder.display()),
            // A folder that is gone can still be forgotten, by its absolute path.
            Err(_) if self.forget => folder.to_path_buf(),
            Err(error) => bail!("--dev {}: {error}\nhint: check the path", folder.display()),
        };
        let before = trusted.development_folder.len();
        trusted.development_folder.retain(|known| *known != development_folder);
        if self.forget && trusted.development_folder.len() == before {
            bail!("{} is not a trusted folder\nhint: {} lists those that are", folder.display(), list.display());
        }
        if !self.forget {
            trusted.development_folder.push(development_folder.clone());
        }
        trusted.write(&list)?;
        Ok(FolderReport { trusted: !self.forget, development_folder, list })
    }

    fn change(&self, library: &Path) -> Result<Vec<Report>> {
        let registry = PluginRegistry::of_file(library, loading())?;
        let list = list()?;
        let mut trusted = Trusted::read(Some(&list))?;
        let read = LibraryFile::open(library).with_context(|| format!("cannot read {}", library.display()))?;
        let sha256 = read.sha256().to_string();
        let file = library.file_name().unwrap_or_default().to_string_lossy().into_owned();
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
