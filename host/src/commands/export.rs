//! `medcoss export`: writes the model of a run to a file for other programs.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::weights::{Exported, InitialModel, Layout, export};
use medcoss_runtime::run::Run;
use serde::Serialize;

use crate::arguments::{OutFileArgs, ResultArgs};
use crate::failure::Failure;

/// Write the model of a run to a .safetensors file
///
/// The layout `medcoss` has the names, shapes and types of the published state dict. The reference implementation loads
/// it:
///
///   from safetensors.torch import load_file
///   model.load_state_dict(load_file("weights.safetensors"), strict=True)
///
/// The file then holds the families text, image and volume. A family that the run has not learned is written with the values of a
/// new model, and reported. The layout `medcoss-rs` has this project's names and all families. `medcoss import` reads
/// both layouts and restores the same bits.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss export runs/first --out weights.safetensors
  medcoss export runs/first --out after-ct.safetensors --stage 3
  medcoss export runs/first --out all.safetensors --layout medcoss-rs")]
pub(crate) struct Export {
    /// Run folder
    run: PathBuf,
    #[command(flatten)]
    out: OutFileArgs,
    /// Layout of the file: names and shapes of the tensors
    #[arg(long, value_enum, default_value_t = LayoutArg::Medcoss)]
    layout: LayoutArg,
    /// Export the model after this stage, from 1; 0 for the initial model [default: the latest]
    #[arg(long, value_name = "N")]
    stage: Option<usize>,
    #[command(flatten)]
    result: ResultArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LayoutArg {
    Medcoss,
    MedcossRs,
}

#[derive(Serialize)]
struct Report {
    file: PathBuf,
    layout: Layout,
    #[serde(flatten)]
    exported: Exported,
}

impl Export {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let report = self.export().map_err(Failure::of_run)?;
        self.result.print(&report, Report::to_text)
    }

    fn export(&self) -> Result<Report> {
        let inputs = [self.run.clone()];
        self.out.checked(&inputs)?;
        let run = Run::open(&self.run)?;
        let stored = run.model(self.stage)?;
        let layout = match self.layout {
            LayoutArg::Medcoss => Layout::Medcoss,
            LayoutArg::MedcossRs => Layout::MedcossRs,
        };
        let device = medcoss_core::device::by_name("cpu")?;
        let model = stored.load(&device)?;
        let passed_through = InitialModel::passed_through(run.layout())?;
        let out = self.out.checked(&inputs)?;
        let exported =
            export(&model, &stored.config, &passed_through, layout, run.config.seed, &ConfinedPath::of_user(out)?)
                .with_context(|| format!("cannot export {}", self.run.display()))?;
        Ok(Report { file: out.into(), layout, exported })
    }
}

impl Report {
    fn to_text(&self) -> String {
        let Exported { n_tensors, n_values, untrained, left } = &self.exported;
        let mut text = format!(
            "Wrote {n_tensors} tensors, {n_values} values, to {}, layout {}.\n",
            self.file.display(),
            self.layout
        );
        if !untrained.is_empty() {
            text.push_str(&format!(
                "Never learned, written with the values of a new model because the layout wants them: {}.\n",
                untrained.join(", ")
            ));
        }
        if !left.is_empty() {
            text.push_str(&format!(
                "Left out, the layout has no names for them: family {}. --layout medcoss-rs has all.\n",
                left.join(", ")
            ));
        }
        text
    }
}
