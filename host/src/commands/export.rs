//! `medcoss export`: writes the model of a run to a file or a folder for other programs.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::weights::{Exported, InitialModel, Layout, export};
use medcoss_runtime::model_folder::{ExportedFolder, FolderLayout};
use medcoss_runtime::run::Run;
use serde::Serialize;

use crate::arguments::{OutFileArgs, ResultArgs};
use crate::failure::Failure;

/// Write the model of a run for other programs
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
///
/// The layouts `huggingface` and `timm` are a new folder with the encoder of one token family: configuration, weights, code and a model card, which
/// `transformers` loads, and timm where it computes the same features, as those of weights that come from it:
///
///   model = AutoModel.from_pretrained("encoder", trust_remote_code=True)
///   model = timm.create_model("local-dir:encoder", pretrained=True)
#[derive(Debug, Args)]
#[command(mut_arg("path", |out| out.help("File to write; for the layouts huggingface and timm a new folder")))]
#[command(after_help = "Examples:
  medcoss export runs/first --out weights.safetensors
  medcoss export runs/first --out after-ct.safetensors --stage 3
  medcoss export runs/first --out all.safetensors --layout medcoss-rs
  medcoss export runs/first --out encoder --layout huggingface --family image")]
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
    /// Token family of the encoder, for the layouts huggingface and timm
    #[arg(long, value_name = "FAMILY")]
    family: Option<String>,
    #[command(flatten)]
    result: ResultArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LayoutArg {
    Medcoss,
    MedcossRs,
    Huggingface,
    Timm,
    /// Refused: names the Python command that writes it
    Onnx,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Report {
    File {
        file: PathBuf,
        layout: Layout,
        #[serde(flatten)]
        exported: Exported,
    },
    Folder {
        folder: PathBuf,
        layout: FolderLayout,
        family: String,
        #[serde(flatten)]
        exported: ExportedFolder,
    },
}

impl Export {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let report = self.export().map_err(Failure::of_run)?;
        self.result.print(&report, Report::to_text)
    }

    fn export(&self) -> Result<Report> {
        let layout = match (self.layout, &self.family) {
            (LayoutArg::Medcoss, None) => Layout::Medcoss,
            (LayoutArg::MedcossRs, None) => Layout::MedcossRs,
            (LayoutArg::Huggingface, Some(family)) => return self.export_folder(FolderLayout::Huggingface, family),
            (LayoutArg::Timm, Some(family)) => return self.export_folder(FolderLayout::Timm, family),
            (LayoutArg::Huggingface | LayoutArg::Timm, None) => {
                bail!("this layout holds one token family\nhint: name it by --family; `medcoss show` lists them")
            }
            (LayoutArg::Onnx, _) => bail!(
                "this program writes no ONNX files; the Python package of medcoss does\n\
                 hint: python -m medcoss.onnx {} --family FAMILY --out encoder.onnx",
                self.run.display()
            ),
            (_, Some(_)) => {
                bail!("--family belongs to the layouts huggingface and timm; others hold all token families")
            }
        };
        let inputs = [self.run.clone()];
        self.out.checked(&inputs)?;
        let run = Run::open(&self.run)?;
        let stored = run.model(self.stage)?;
        let device = medcoss_core::device::by_name("cpu")?;
        let model = stored.load(&device)?;
        let passed_through = InitialModel::passed_through(run.layout())?;
        let out = self.out.checked(&inputs)?;
        let exported =
            export(&model, &stored.config, &passed_through, layout, run.config.seed, &ConfinedPath::of_user(out)?)
                .with_context(|| format!("cannot export {}", self.run.display()))?;
        Ok(Report::File { file: out.into(), layout, exported })
    }

    fn export_folder(&self, layout: FolderLayout, family: &str) -> Result<Report> {
        let out = self.out.new_folder()?;
        let exported = Run::open(&self.run)?.export_folder(layout, self.stage, family, out)?;
        Ok(Report::Folder { folder: out.into(), layout, family: family.into(), exported })
    }
}

impl Report {
    fn to_text(&self) -> String {
        let (file, layout, exported) = match self {
            Self::File { file, layout, exported } => (file, layout, exported),
            Self::Folder { folder, family, exported, .. } => {
                let ExportedFolder { n_tensors, n_values, files } = exported;
                return format!(
                    "Wrote the encoder of family {family}, {n_tensors} tensors, {n_values} values, to {}: {}.\n\
                     README.md asks for a licence: answer it before you pass the folder on.\n",
                    folder.display(),
                    files.join(", ")
                );
            }
        };
        let Exported { n_tensors, n_values, untrained, left } = exported;
        let mut text =
            format!("Wrote {n_tensors} tensors, {n_values} values, to {}, layout {layout}.\n", file.display());
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
