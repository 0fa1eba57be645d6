//! The configuration of a run: a TOML file, `key=value` settings that replace its values, and every default made
//! explicit.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use medcoss_core::buffer::BufferConfig;
use medcoss_core::continual::StrategyConfig;
use medcoss_core::model::{MAX_POSITIONS, ModelConfig, Precision, TextAttention, Variant};
use medcoss_core::optimisation::OptimiserConfig;
use medcoss_core::run::check_modality;
use medcoss_core::stage::StageSettings;
use medcoss_core::weights::Import;
use medcoss_plugin_host::nearest;
use serde::{Deserialize, Serialize};

use crate::assignments::set;
use crate::data_source::DataSource;
pub use crate::one_or_more::OneOrMore;
use crate::recipe::Recipe;
use crate::renamed_settings::refuse_former_names;

mod model_section;

pub use model_section::{ModelSection, PositionsSetting};

/// The configuration of a run. Serialised with every default filled in, it is the run folder's `run.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Version of the run folder's format, which only the record of a run carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<u32>,
    /// Recipe whose settings and options apply wherever this configuration states none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Recipe>,
    /// Seed of all random draws.
    #[serde(default)]
    pub seed: u64,
    /// Sizes of the model, or the weights that it starts from.
    #[serde(default)]
    pub model: ModelSection,
    /// Settings of the token family `text`.
    #[serde(default, skip_serializing_if = "TextSection::says_nothing")]
    pub text: TextSection,
    /// Settings of AdamW and of the learning rate schedule.
    #[serde(default)]
    pub optimiser: OptimiserConfig,
    /// The continual strategy and its settings.
    #[serde(default)]
    pub strategy: StrategyConfig,
    /// Settings of the rehearsal buffers.
    #[serde(default)]
    pub buffer: BufferConfig,
    /// Epochs and batches of stages that set no values of their own.
    pub training: TrainingSection,
    /// Settings for loading samples.
    #[serde(default)]
    pub data: DataSection,
    /// The stages in their order. Empty in an imported run before its first stage.
    #[serde(default, rename = "stage", skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageSection>,
}

/// The table `[text]`: settings of the token family `text`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextSection {
    /// Attention of text tokens. Default: `bidirectional`, or the attention that the initial weights were trained with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention: Option<TextAttention>,
}

impl TextSection {
    fn says_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// The table `[training]`: epochs and batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSection {
    /// Number of passes over a stage's data.
    pub epochs: usize,
    /// Number of first epochs in which the learning rate rises.
    #[serde(default)]
    pub warmup_epochs: usize,
    /// Number of samples in a batch.
    pub batch_size: usize,
    /// Number of batches whose gradients are accumulated for one update.
    #[serde(default = "one")]
    pub gradient_accumulation: usize,
    /// Whether the gradients of fewer than `gradient_accumulation` batches at the end of an epoch are dropped, instead of
    /// making an update.
    #[serde(default)]
    pub drop_last: bool,
    /// Number of epochs between checkpoints.
    #[serde(default = "one")]
    pub checkpoint_every: usize,
    /// Number of batches between checkpoints within an epoch; none without a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_every_steps: Option<usize>,
    /// Number of batches between readings of losses from the device; without a value 1 on the CPU, 16 elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_every_steps: Option<usize>,
    /// Number format: `float32`, or `bfloat16` for matrix products in training. Parameters, norms, softmax and losses
    /// stay in float32.
    #[serde(default)]
    pub precision: Precision,
    /// Number format in which ranks exchange gradients: `float32`, or `bfloat16`, which halves the bytes and rounds the gradient of each batch and each
    /// of their sums, also on one rank.
    #[serde(default)]
    pub gradient_precision: Precision,
}

/// The table `[data]`: settings for loading samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataSection {
    /// Number of threads that load samples, at least 1. The number changes no result.
    pub num_workers: usize,
    /// Largest fraction of a dataset's samples that may be invalid, in [0, 1]; the run stops above it. Nothing is
    /// rounded: at 0.01 a dataset of fewer than 100 samples may have none.
    pub max_invalid_fraction: f64,
}

impl Default for DataSection {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { num_workers: cores.min(8), max_invalid_fraction: 0.01 }
    }
}

/// One `[[stage]]`: a modality, its data, and its plugin's options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageSection {
    /// Id of the modality's plugin.
    pub modality: String,
    /// Folder below the data root that this stage's paths are relative to, including the paths in its options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<PathBuf>,
    /// Files and folders with the data, a manifest or a layout, relative to the configuration file or to `--data-root`.
    pub data: DataSource,
    /// Number of epochs, if it differs from [`TrainingSection::epochs`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// Number of warm-up epochs, if it differs from [`TrainingSection::warmup_epochs`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup_epochs: Option<usize>,
    /// Batch size, if it differs from [`TrainingSection::batch_size`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<usize>,
    /// Gradient accumulation, if it differs from [`TrainingSection::gradient_accumulation`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gradient_accumulation: Option<usize>,
    /// Options of the plugin; see `medcoss plugin inspect`.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub options: toml::Table,
}

impl StageSection {
    /// A stage with the run's settings and the plugin's default options.
    pub fn new(modality: &str, data: DataSource) -> Self {
        let (epochs, warmup_epochs, batch_size, gradient_accumulation) = (None, None, None, None);
        let (modality, options) = (modality.into(), toml::Table::new());
        Self { modality, root: None, data, epochs, warmup_epochs, batch_size, gradient_accumulation, options }
    }
}

fn one() -> usize {
    1
}

impl RunConfig {
    /// Reads a configuration file and applies `key=value` settings in their order.
    ///
    /// # Errors
    /// A file that cannot be read, invalid TOML, unknown or missing settings, values out of range.
    pub fn read(path: &Path, settings: &[String]) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read configuration {}", path.display()))?;
        let mut table: toml::Table =
            text.parse().map_err(|error| anyhow!("{} is no valid TOML: {error}", path.display()))?;
        for setting in settings {
            set(&mut table, setting)?;
        }
        refuse_former_names(&table).map_err(|error| anyhow!("configuration {}: {error}", path.display()))?;
        let recipe = Recipe::named_in(&table);
        if let Some(recipe) = recipe {
            recipe.complete(&mut table)?;
        }
        // Where nothing was added the text itself is parsed, so that errors show the line.
        let is_text = settings.is_empty() && recipe.is_none();
        let config = if is_text { toml::from_str(&text) } else { table.try_into() };
        let mut config: Self = config.map_err(|error| with_nearest("configuration", path, &error.to_string()))?;
        if config.model.init.is_none() {
            config.text.attention.get_or_insert_default();
        }
        if config.stages.is_empty() {
            bail!("the configuration has no [[stage]]\nhint: add one for each modality, in the order of learning");
        }
        config.check()?;
        Ok(Self { format: None, ..config })
    }

    /// A configuration from a table, with `key=value` settings and a recipe's settings applied.
    ///
    /// # Errors
    /// Unknown settings, a recipe that does not exist.
    pub fn of_table(mut table: toml::Table, settings: &[String]) -> Result<Self> {
        settings.iter().try_for_each(|setting| set(&mut table, setting))?;
        refuse_former_names(&table)?;
        if let Some(recipe) = Recipe::named_in(&table) {
            recipe.complete(&mut table)?;
        }
        table
            .try_into()
            .map_err(|error: toml::de::Error| with_nearest("configuration", Path::new("run.toml"), &error.to_string()))
    }

    /// This configuration with `key=value` settings applied.
    ///
    /// # Errors
    /// As [`RunConfig::read`].
    pub fn with_settings(&self, settings: &[String]) -> Result<Self> {
        let config = Self::of_table(toml::Table::try_from(self)?, settings)?;
        if config.recipe != self.recipe {
            bail!(
                "recipe cannot be set here: it stands below all settings that are stated, and here all are\n                 hint: write it into the configuration, or give it with --set where the configuration is read"
            );
        }
        config.check()?;
        Ok(config)
    }

    /// Checks the ranges of settings, and how they fit together.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub fn check(&self) -> Result<()> {
        for (family, setting) in &self.model.positions {
            if !(1..=MAX_POSITIONS).contains(&setting.n_entries()) {
                let found = serde_json::to_string(setting)?;
                bail!("model.positions.{family} is {found}, expected 1 to {MAX_POSITIONS} positions");
            }
        }
        self.model.check_init()?;
        match &self.model.init {
            Some(init) => check_below_root("model.init", init)?,
            None => {
                self.empty_model()?;
            }
        }
        for stage in &self.stages {
            check_modality(&stage.modality)?;
            self.settings(stage).check().with_context(|| format!("stage {}", stage.modality))?;
            stage.data.check().with_context(|| format!("stage {}", stage.modality))?;
            for path in stage.data.paths().into_iter().chain(stage.root.clone()) {
                check_below_root(&format!("stage {}: data", stage.modality), &path)?;
            }
            for (name, value) in &stage.options {
                check_option(&format!("stage {}: option {name}", stage.modality), value)?;
            }
        }
        Ok(())
    }

    /// Number of samples that a stage of `n_samples` keeps in its buffer; 0 where the strategy keeps no buffer.
    pub fn n_kept(&self, n_samples: usize) -> usize {
        if self.strategy.name.keeps_buffer() { self.buffer.n_kept(n_samples) } else { 0 }
    }

    /// The sizes of a model with fresh parameters, before any token family has joined.
    ///
    /// # Errors
    /// As [`ModelSection::dimensions`], and sizes that are too large together.
    pub fn empty_model(&self) -> Result<ModelConfig> {
        let text_attention = self.text.attention.unwrap_or_default();
        let (dimensions, initial_values) = (self.model.dimensions()?, self.model.initial_values.unwrap_or_default());
        let variant = Variant::default();
        let model = ModelConfig { dimensions, variant, initial_values, text_attention, families: Vec::new() };
        model.check()?;
        Ok(model)
    }

    /// The options for reading the initial weights.
    pub fn import(&self) -> Import {
        Import {
            known: self.model.known_sizes(),
            without: self.model.init_without.clone(),
            text_attention: self.text.attention,
            initial_values: self.model.initial_values.unwrap_or_default(),
            families: self.model.init_families.clone(),
            pixels: self.model.init_pixels.clone(),
            seed: self.seed,
        }
    }

    /// The training settings of a stage.
    pub fn settings(&self, stage: &StageSection) -> StageSettings {
        StageSettings {
            epochs: stage.epochs.unwrap_or(self.training.epochs),
            warmup_epochs: stage.warmup_epochs.unwrap_or(self.training.warmup_epochs),
            batch_size: stage.batch_size.unwrap_or(self.training.batch_size),
            gradient_accumulation: stage.gradient_accumulation.unwrap_or(self.training.gradient_accumulation),
            drop_last: self.training.drop_last,
            optimiser: self.optimiser.clone(),
            strategy: self.strategy.clone(),
            buffer: self.buffer.clone(),
            checkpoint_every: self.training.checkpoint_every,
            checkpoint_every_steps: self.training.checkpoint_every_steps,
            loss_every_steps: self.training.loss_every_steps,
            precision: self.training.precision,
            gradient_precision: self.training.gradient_precision,
            num_workers: self.data.num_workers,
            max_invalid_fraction: self.data.max_invalid_fraction,
        }
    }
}

/// Checks that a path stays below the data root, so that it is valid when a run is moved.
fn check_below_root(what: &str, path: &Path) -> Result<()> {
    if path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Ok(());
    }
    bail!(
        "{what} {} is not a path below the data root\n\
         hint: a run folder holds no absolute path, so that it can be moved; write the path relative to the configuration file, \
         or relative to --data-root DIR",
        path.display()
    )
}

/// Checks that no text in an option is a path that leads out of the data root. Which options are paths only the plugin
/// knows; a record that came from elsewhere may name any file of this machine.
fn check_option(what: &str, value: &toml::Value) -> Result<()> {
    match value {
        toml::Value::String(text) if Path::new(text).is_absolute() || text.split('/').any(|part| part == "..") => {
            check_below_root(what, Path::new(text))
        }
        toml::Value::Array(values) => values.iter().try_for_each(|value| check_option(what, value)),
        toml::Value::Table(table) => {
            table.iter().try_for_each(|(name, value)| check_option(&format!("{what}.{name}"), value))
        }
        _ => Ok(()),
    }
}

/// Adds the most similar valid name to serde's message about an unknown name.
pub(crate) fn with_nearest(what: &str, path: &Path, message: &str) -> anyhow::Error {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let hint = match quoted.split_first() {
        Some((unknown, valid)) if message.contains("unknown ") => nearest(unknown, valid.iter().copied()),
        _ => None,
    };
    let hint = hint.map(|name| format!("\nhint: did you mean {name}?")).unwrap_or_default();
    anyhow!("{what} {}: {}{hint}", path.display(), message.trim_end())
}

#[cfg(test)]
mod tests;
