//! `medcoss predict`: probabilities and masks of data, with a fine-tuned model.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::run::FolderLock;
use medcoss_runtime::assignments::options_of;
use medcoss_runtime::config::DataSection;
use medcoss_runtime::prediction::{PredictOptions, PredictReport, predict};

use crate::arguments::{BarArgs, DataRootArgs, DeviceArgs, PluginArgs, ResultArgs};
use crate::failure::Failure;
use crate::interrupt;
use crate::tables::prediction;

/// Predict data with a fine-tuned model
///
/// Classes and numbers go to samples.csv, and to files.csv as the mean over the samples of a file. Masks are written below masks/ on the
/// grid of each file: NIfTI with its orientation and spacing, PNG for images. Where samples of a file overlap (--set stride=8),
/// voxels are weighted means. Files that cannot be read are named and left out.
#[derive(Debug, Args)]
#[command(mut_arg("data_root", |root| {
    root.help("Folder that data paths are relative to [default: the current folder]")
}))]
#[command(after_help = "Examples:
  medcoss predict models/hippocampus scans --out predictions
  medcoss predict models/hippocampus scans --set stride=8 --flips --largest-component --out masks
  medcoss predict models/pneumonia chest/new --out probabilities --json | jq .tables")]
pub(crate) struct Predict {
    /// Folder of the model, as `medcoss finetune --out` wrote it
    model: PathBuf,
    /// Files and folders with the data
    #[arg(required = true)]
    data: Vec<PathBuf>,
    /// Folder for the results
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    data_root: DataRootArgs,
    /// Set an option of the plugin, key=value; other options are those that the model was made with
    #[arg(long = "set", value_name = "KEY=VALUE")]
    options: Vec<String>,
    /// Take the mean over all flips of a sample; for masks
    #[arg(long)]
    flips: bool,
    /// Keep the largest connected part of each class; for masks
    #[arg(long)]
    largest_component: bool,
    /// Remove connected parts of a class with fewer voxels; for masks
    #[arg(long, value_name = "N", default_value_t = 0)]
    min_voxels: usize,
    /// Number of samples in a batch
    #[arg(long, value_name = "N", default_value_t = 8)]
    batch_size: usize,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    result: ResultArgs,
    #[command(flatten)]
    bar: BarArgs,
}

impl Predict {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let registry = self.plugins.registry()?;
        let report = self.predict(&registry).map_err(Failure::of_run)?;
        self.result.print(&report, |report| prediction::to_text(report, &self.out))
    }

    fn predict(&self, registry: &medcoss_plugin_host::PluginRegistry) -> Result<PredictReport> {
        interrupt::listen("masks of finished files stay");
        if !(1..=4096).contains(&self.batch_size) {
            bail!("--batch-size is {}; it must be from 1 to 4096", self.batch_size);
        }
        let folder = ConfinedPath::create_root(&self.out)?;
        let _lock = FolderLock::take(&folder)?;
        if !folder.entries()?.is_empty() {
            bail!("--out {} is not empty\nhint: name a new folder", self.out.display());
        }
        let base = self.data_root.or_current()?;
        let options = PredictOptions {
            model: &self.model,
            data: self.data.clone(),
            options: options_of(&self.options)?,
            base: &base,
            flips: self.flips,
            largest_component: self.largest_component,
            min_voxels: self.min_voxels,
            batch_size: self.batch_size,
            device: &self.device.name,
            num_workers: DataSection::default().num_workers,
        };
        let bar = self.bar.begin("{msg:16} [{bar:24}] {pos} of {len} samples, {per_sec}, {eta} left");
        let report = predict(&options, registry, &folder, &bar);
        bar.finish();
        report
    }
}
