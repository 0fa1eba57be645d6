//! `medcoss import`: makes a run from published weights or an exported file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::model::TextAttention;
use medcoss_core::run::{RunLayout, write_folder};
use medcoss_core::weights::{Import, InitialModel, KnownSizes};
use medcoss_plugin_host::Plugin;
use medcoss_runtime::config::RunConfig;
use medcoss_runtime::plugins_lock::PluginsLock;
use medcoss_runtime::training::is_free;
use serde::Serialize;

use crate::arguments::ResultArgs;
use crate::failure::Failure;
use crate::tables;

/// The paper's recipe, for stages that are added to an imported run.
const SETTINGS: &str = include_str!("../../configs/imported.toml");

/// Make a run from published weights
///
/// The command writes a run that stages can be added to. It reads a PyTorch checkpoint of the MedCoSS reference
/// implementation (a bare state dict, or one under `model`), a .safetensors file with the same names, a file that
/// `medcoss export` wrote, or a vision transformer: of timm (with LayerScale and registers), of facebookresearch/mae
/// (for pre-training, with its decoder, or for fine-tuning), of facebookresearch/dinov2 (with registers and SwiGLU), or
/// a folder of Hugging Face transformers (ViTModel, ViTMAEForPreTraining, Dinov2Model) with its config.json.
///
/// Sizes are read from the shapes of the tensors. The number of attention heads, which no shape shows, comes from
/// config.json, from --config, from an option, or from the usual value for that width. Code in a pickle is never
/// executed. The command reports which tensors it read, which it left out, and why. A model that medcoss cannot
/// represent, such as BERT, is refused.
///
/// A vision transformer gives the token family image its embedder. With --set model.init_families.NAME... it gives one
/// to families with one channel (channels=1) or of volumes (depth=16, the slices of a patch). Positions for other sizes
/// are interpolated as its library does it. Mean and deviation of pixels, from preprocessor_config.json or
/// --set model.init_pixels..., are folded into the embedder.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss import MedCoSS_Report_Xray_CT_MR_Path_300Epo.pth --out runs/published
  medcoss import tiny.pth --out runs/tiny --config sizes.json
  medcoss import dinov2_vitb14_pretrain.pth --out runs/dinov2
  medcoss import mae_pretrain_vit_base.pth --out runs/mae --set model.init_families.volume.depth=16 \\
    --set model.init_families.volume.channels=1 --set 'model.init_families.volume.value_range=[-1, 1]'
  medcoss import rad-dino/ --out runs/rad-dino
  medcoss import exported.safetensors --out runs/back --set training.epochs=50 --set buffer.store=materialised
  medcoss stage add runs/published --modality xray --data /data/xray --set epochs=20")]
pub(crate) struct ImportCommand {
    /// PyTorch checkpoint, .safetensors file, or folder of transformers
    checkpoint: PathBuf,
    /// Run folder to write: a new or an empty folder
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// JSON file with sizes: width, layers, heads, ffn, decoder_width, decoder_layers, decoder_heads, vocab
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Number of attention heads of the encoder
    #[arg(long, value_name = "N")]
    heads: Option<usize>,
    /// Number of attention heads of the decoder
    #[arg(long, value_name = "N")]
    decoder_heads: Option<usize>,
    /// Attention of text tokens: causal or bidirectional [default: as the file says, else causal, as the published
    /// weights were trained]
    #[arg(long, value_name = "KIND", value_parser = text_attention)]
    text_attention: Option<TextAttention>,
    /// Leave a token family out, such as text for another vocabulary; may be given several times
    #[arg(long, value_name = "FAMILY")]
    without: Vec<String>,
    /// Change a setting for later stages, such as training.epochs=50 or buffer.store=materialised
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    #[command(flatten)]
    result: ResultArgs,
}

#[derive(Serialize)]
struct Report {
    run: PathBuf,
    #[serde(flatten)]
    initial: InitialModel,
    /// Unused entries of the configuration file.
    unused_sizes: Vec<String>,
}

fn text_attention(text: &str) -> Result<TextAttention, String> {
    serde_json::from_value(text.into()).map_err(|_| "expected causal or bidirectional".into())
}

impl ImportCommand {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let report = self.import().map_err(Failure::user)?;
        self.result.print(&report, Report::to_text)
    }

    fn import(&self) -> Result<Report> {
        if !is_free(&self.out)? {
            bail!("{} is not empty\nhint: choose another folder with --out DIR", self.out.display());
        }
        let (mut known, unused_sizes) = match &self.config {
            Some(path) => read_sizes(path)?,
            None => (KnownSizes::default(), Vec::new()),
        };
        known.heads = self.heads.or(known.heads);
        known.decoder_heads = self.decoder_heads.or(known.decoder_heads);
        let mut config =
            RunConfig::of_table(SETTINGS.parse().context("the settings of imported runs")?, &self.settings)?;
        config.model.init = Some(self.checkpoint.file_name().context("the checkpoint has no name")?.into());
        config.model.init_without = self.without.clone();
        config.text.attention = self.text_attention.or(config.text.attention);
        config.check()?;
        known.drop_path = config.model.drop_path.or(known.drop_path);
        let import = Import { known, ..config.import() };
        let imported = import.read(&self.checkpoint)?;
        let recorded = RunConfig {
            text: medcoss_runtime::config::TextSection { attention: Some(imported.config.text_attention) },
            ..config
        };
        let mut written = None;
        write_folder(&ConfinedPath::of_user(&self.out)?, |folder| {
            let run = RunLayout::of(folder.clone());
            written = Some(InitialModel::write(&run, &imported, &self.checkpoint)?);
            let record = || -> Result<()> {
                PluginsLock::of(std::iter::empty::<&Plugin>()).write(&run.plugins_lock())?;
                recorded.write_record(&run.record())
            };
            record().map_err(|error| medcoss_core::Error::Caller(format!("{error:#}")))
        })?;
        let initial = written.context("the folder was written")?;
        Ok(Report { run: self.out.clone(), initial, unused_sizes })
    }
}

/// Sizes from a configuration file, and the names of entries that are no size.
fn read_sizes(path: &Path) -> Result<(KnownSizes, Vec<String>)> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let wrong = |error: serde_json::Error| {
        anyhow::anyhow!(
            "{} is no JSON object of sizes: {error}\nhint: expected is such as {{\"heads\": 12, \"decoder_heads\": 16}}",
            path.display()
        )
    };
    let entries: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).map_err(wrong)?;
    let known: KnownSizes = serde_json::from_value(entries.clone().into()).map_err(wrong)?;
    let names = [
        "width",
        "layers",
        "heads",
        "mlp_width",
        "ffn",
        "decoder_width",
        "decoder_layers",
        "decoder_heads",
        "vocabulary",
        "vocab",
        "drop_path",
    ];
    Ok((known, entries.into_iter().map(|(name, _)| name).filter(|name| !names.contains(&name.as_str())).collect()))
}

impl Report {
    fn to_text(&self) -> String {
        let mut text = tables::import::to_text(&self.initial);
        if !self.unused_sizes.is_empty() {
            text.push_str(&format!("\nNot used of the configuration file: {}\n", self.unused_sizes.join(", ")));
        }
        let run = self.run.display();
        text.push_str(&format!(
            "\nRun folder {run}. Go on with:\n  medcoss stage add {run} --modality ID --data PATH\n  medcoss embed {run} --modality ID --data PATH --out features.safetensors\n"
        ));
        text
    }
}
