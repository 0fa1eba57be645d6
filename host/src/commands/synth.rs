//! `medcoss synth`: sample files of a modality, written by its plugin.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use medcoss_abi::message::{Open, Synthesise, Synthesised};
use medcoss_plugin_host::{OpenDataset, Plugin};
use medcoss_runtime::disk::{Size, human_bytes, size_of};
use serde::Serialize;
use serde_json::Value;

use crate::arguments::{PluginArgs, ResultArgs};
use crate::failure::Failure;
use crate::output;

/// Write synthetic sample files of a modality
///
/// The modality's plugin writes small files in the formats that it reads. The command opens them once, as training
/// would, and prints the lines for a configuration. The same seed writes the same files.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss synth --modality xray --out /tmp/xray --samples 24
  medcoss synth --modality text --out /tmp/text --samples 100 --seed 7 --json")]
pub(crate) struct Synth {
    /// Id of the modality's plugin
    #[arg(long, value_name = "ID")]
    modality: String,
    /// Folder to write into: a new or an empty folder
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Smallest number of samples; some formats hold several in a file
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    samples: u32,
    /// Seed of all random draws
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    result: ResultArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    modality: &'a str,
    version: &'a str,
    folder: &'a Path,
    seed: u64,
    n_samples: usize,
    n_files: usize,
    bytes: u64,
    data: &'a [PathBuf],
    options: &'a Value,
}

impl Synth {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let plugin = self.plugins.registry()?.load(&self.modality).map_err(Failure::user)?;
        let existed = prepare(&self.out).map_err(Failure::user)?;
        let made = self.write(&plugin);
        if made.is_err() {
            // The folder was empty before, so the files of a failed attempt can be removed.
            clear(&self.out, existed);
        }
        let (made, dataset) = made?;
        let Size { n_files, bytes } = size_of(&self.out).map_err(Failure::user)?;
        let report = Report {
            modality: &plugin.description().id,
            version: &plugin.description().version,
            folder: &self.out,
            seed: self.seed,
            n_samples: dataset.ids().len(),
            n_files,
            bytes,
            data: &made.data,
            options: &made.options,
        };
        if self.result.json { output::print_json(&report) } else { output::print(&report.page(&dataset)?) }
    }

    /// Writes the files and opens them as training does.
    fn write(&self, plugin: &Plugin) -> Result<(Synthesised, OpenDataset), Failure> {
        let folder = self.out.canonicalize().map_err(Failure::user)?;
        let request = Synthesise { folder: folder.clone(), n_samples: self.samples as usize, seed: self.seed };
        let made = plugin.synthesise(&request)?;
        let open = Open { base: folder, data: made.data.clone(), options: made.options.clone(), assets: None };
        let dataset = plugin.open(&open)?;
        Ok((made, dataset))
    }
}

impl Report<'_> {
    fn page(&self, dataset: &OpenDataset) -> Result<String, Failure> {
        let Self { modality, version, folder, seed, n_samples, n_files, bytes, .. } = self;
        let files = if *n_files == 1 { "file" } else { "files" };
        let size = human_bytes(*bytes);
        Ok(format!(
            "Wrote {n_samples} samples of {modality} {version} (seed {seed}) to {}: {n_files} {files}, {size}.\n\
             Each has {}.\n\n\
             In a configuration:\n\n  modality = \"{modality}\"\n  data = {}\n  options = {}\n",
            folder.display(),
            dataset.shape(),
            toml_value(self.data)?,
            toml_value(self.options)?,
        ))
    }
}

/// A value in TOML syntax, in one line.
fn toml_value(value: impl Serialize) -> Result<String, Failure> {
    let value = toml::Value::try_from(value).context("cannot be written as TOML").map_err(Failure::internal)?;
    Ok(value.to_string())
}

/// Creates the folder if it is missing. Returns whether it existed.
fn prepare(folder: &Path) -> anyhow::Result<bool> {
    if !folder.exists() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
        return Ok(false);
    }
    let mut entries =
        fs::read_dir(folder).with_context(|| format!("--out {} is not a folder that can be read", folder.display()))?;
    if entries.next().is_some() {
        anyhow::bail!("--out {} is not empty\nhint: give a new or an empty folder", folder.display());
    }
    Ok(true)
}

fn clear(folder: &Path, existed: bool) {
    let removed = fs::remove_dir_all(folder);
    if existed {
        let _ = removed.and_then(|()| fs::create_dir(folder));
    }
}
