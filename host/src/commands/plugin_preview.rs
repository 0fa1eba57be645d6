//! `medcoss plugin preview`: a page that shows what a plugin makes of real files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use medcoss_runtime::report::preview::{Preview, PreviewSummary};
use serde::Serialize;

use crate::arguments::{DataArgs, OutFileArgs, PluginArgs, ResultArgs};
use crate::failure::Failure;
use crate::output;

/// Show what a plugin makes of some samples
///
/// The command writes a page with samples as the plugin reads them: without augmentation, augmented for training, and
/// with the masked tokens hidden, as the model sees them. Beside each stand its file, group, label, range of values and
/// fraction of masked tokens. Look at it before you train.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss plugin preview --modality xray --data chest --out preview.html
  medcoss plugin preview --modality gait --data recordings --set seconds=5 --samples 12 --out gait.html --plugin-dir target/release")]
pub(crate) struct PreviewCommand {
    #[command(flatten)]
    data: DataArgs,
    /// Number of samples, evenly spaced over all
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=100))]
    samples: u32,
    /// Seed of the training views
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    out: OutFileArgs,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    result: ResultArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    page: &'a Path,
    #[serde(flatten)]
    preview: PreviewSummary,
}

impl PreviewCommand {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let inputs: Vec<PathBuf> = self.data.paths().map_err(Failure::user)?;
        let out = self.out.checked(&inputs).map_err(Failure::user)?;
        let plugin = self.plugins.registry()?.load(&self.data.modality).map_err(Failure::user)?;
        let dataset = self.data.open(&plugin).map_err(Failure::of_run)?;
        let (page, preview) = Preview { dataset: &dataset, n_samples: self.samples as usize, seed: self.seed }.make();
        fs::write(out, page).with_context(|| format!("cannot write {}", out.display())).map_err(Failure::user)?;
        let report = Report { page: out, preview };
        if self.result.json { output::print_json(&report) } else { output::print(&report.page()) }
    }
}

impl Report<'_> {
    fn page(&self) -> String {
        let PreviewSummary { plugin, n_samples, samples, .. } = &self.preview;
        let mut text = format!("{plugin}: {} of {n_samples} samples, in {}\n", samples.len(), self.page.display());
        for sample in samples {
            if let Some(note) = &sample.note {
                text.push_str(&format!("{}: {}\n", sample.id, note.lines().next().unwrap_or_default()));
            }
        }
        text
    }
}
