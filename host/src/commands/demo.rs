//! `medcoss demo`: every plugin writes sample files, then one small model is trained on all modalities in turn.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use medcoss_abi::message::Synthesise;
use medcoss_core::ranks::Ranks;
use medcoss_plugin_host::{Plugin, PluginRegistry};
use medcoss_runtime::config::RunConfig;
use medcoss_runtime::run_summary::Summary;
use medcoss_runtime::stage_plugin::plugins_of;
use medcoss_runtime::training::Training;

use super::pretrain::train;
use crate::arguments::{DeviceArgs, PluginArgs, ProgressArgs, ResultArgs};
use crate::builtin::in_order;
use crate::failure::Failure;
use crate::tables;

/// Settings of the demo without its stages. The learning rate is high because the model is small and trains for seconds
/// only.
const SETTINGS: &str = "\
[model]
preset = \"demo\"
layer_scale = 0.1

[optimiser]
base_learning_rate = 0.02

[training]
epochs = 12
warmup_epochs = 1
batch_size = 16
";

/// Write sample data with every plugin and train one model on all modalities in turn
///
/// Each plugin writes small files in its own formats. The command writes a configuration for them and pre-trains a
/// small model, one modality after another. The demo takes one or two minutes on two cores.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss demo
  medcoss demo --out /tmp/demo --seed 7
  medcoss demo --device wgpu
  medcoss pretrain medcoss-demo/demo.toml --out again")]
pub(crate) struct Demo {
    /// Folder for sample files, configuration and run [default: medcoss-demo, or medcoss-demo-2 and so on]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seed of all random draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Smallest number of samples that each plugin writes
    #[arg(long, default_value_t = 160, value_parser = clap::value_parser!(u32).range(8..))]
    samples: u32,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    result: ResultArgs,
    #[command(flatten)]
    progress: ProgressArgs,
}

impl Demo {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let registry = self.plugins.registry()?;
        let summary = self.train(&registry).map_err(Failure::of_run)?;
        self.result.print(&summary, tables::run_summary::to_text)
    }

    fn train(&self, registry: &PluginRegistry) -> Result<Summary> {
        let out = self.folder()?;
        fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
        let out = out.canonicalize().with_context(|| format!("cannot find {}", out.display()))?;
        let file = out.join("demo.toml");
        fs::write(&file, self.configuration(registry, &out)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
        let config = RunConfig::read(&file, &[])?;
        let plugins = plugins_of(&config, registry, None)?;
        let (base, out) = (out.clone(), out.join("run"));
        let training = Training::new(config, [base, out], false, &self.device.name, plugins)?;
        train(&training, &Ranks::alone(), &self.progress)
    }

    /// The given folder if it is free, or the first free default.
    fn folder(&self) -> Result<PathBuf> {
        let is_free = |path: &Path| fs::read_dir(path).map_or(!path.exists(), |mut entries| entries.next().is_none());
        match &self.out {
            Some(out) if is_free(out) => Ok(out.clone()),
            Some(out) => bail!("{} is not empty\nhint: choose another folder with --out DIR", out.display()),
            None => (1..)
                .map(|n| PathBuf::from(if n == 1 { "medcoss-demo".into() } else { format!("medcoss-demo-{n}") }))
                .find(|path| is_free(path))
                .context("no free folder"),
        }
    }

    /// Has every plugin write sample files, and writes a configuration with a stage for each.
    fn configuration(&self, registry: &PluginRegistry, out: &Path) -> Result<String> {
        let mut plugins: Vec<Plugin> = registry.load_all().into_iter().filter_map(Result::ok).collect();
        if plugins.is_empty() {
            bail!("no plugin found\nhint: name a folder with plugins by --plugin-dir DIR, or leave out --no-builtin");
        }
        in_order(&mut plugins);
        let mut text = format!(
            "# Written by `medcoss demo`; `medcoss pretrain` runs it again.\nseed = {}\n\n{SETTINGS}",
            self.seed
        );
        for plugin in &plugins {
            let id = plugin.description().id.as_str();
            let folder = Path::new("data").join(id);
            fs::create_dir_all(out.join(&folder)).with_context(|| format!("cannot create {}", folder.display()))?;
            let made = plugin.synthesise(&Synthesise {
                folder: out.join(&folder),
                n_samples: self.samples as usize,
                seed: self.seed,
            })?;
            let mut stage = toml::Table::new();
            stage.insert("modality".into(), id.into());
            stage.insert("root".into(), toml::Value::try_from(&folder)?);
            stage.insert("data".into(), toml::Value::try_from(&made.data)?);
            stage.insert("options".into(), toml::Value::try_from(made.options)?);
            let stages = toml::Table::from_iter([("stage".into(), vec![stage].into())]);
            text.push_str(&format!("\n{}", toml::to_string(&stages)?));
        }
        Ok(text)
    }
}
