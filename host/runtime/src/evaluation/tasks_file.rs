//! The tasks file: downstream tasks with their data, labels and protocols.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use medcoss_core::evaluation::{Finetuning, LinearProbe, Metric, MultiClassAuc, NearestNeighbours, SegmentationProbe};
use medcoss_core::run::sha256_of_content;
use serde::Deserialize;

use crate::finetuning::{FinetuneSection, TargetName};

use super::label_source::{Classes, GroupSection, LabelSection, LabelSource};
use super::split_section::SplitSection;
use crate::assignments::set;
use crate::config::with_nearest;
use crate::data_source::DataSource;
use crate::renamed_settings::refuse_former_protocols;

/// Largest tasks file in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A checked tasks file.
#[derive(Debug, Clone)]
pub struct TasksFile {
    /// File name without folder and extension.
    pub stem: String,
    /// SHA-256 of the file's text as 64 hexadecimal digits.
    pub sha256: String,
    /// Folder of the tasks file.
    pub folder: PathBuf,
    pub(crate) tasks: Vec<TaskSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(rename = "task", default)]
    tasks: Vec<TaskSection>,
}

/// One `[[task]]` of a tasks file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSection {
    /// Name of the task, unique in the file.
    pub name: String,
    /// Id of the plugin of a modality that the run has learned.
    pub modality: String,
    /// Folder below the data root that the task's paths are relative to.
    pub root: Option<PathBuf>,
    /// Files and folders with the data, a manifest or a layout.
    pub data: DataSource,
    /// Plugin options, added to those of the run's stage of that modality.
    #[serde(default)]
    pub options: toml::Table,
    /// Source of the samples' classes.
    #[serde(default)]
    pub labels: LabelSection,
    /// Treatment of samples without a label.
    #[serde(default)]
    pub missing: Missing,
    /// Grouping of samples that must stay on one side of a split.
    pub group: Option<GroupSection>,
    #[serde(default)]
    pub split: SplitSection,
    protocol: Option<ProtocolName>,
    /// Settings of `medcoss finetune`, which takes the place of a protocol.
    pub finetune: Option<FinetuneSection>,
    /// Primary metric; the protocol's default without it.
    metric: Option<Metric>,
    /// Largest number of samples to use, drawn by class.
    pub max_samples: Option<usize>,
    auc: Option<AucName>,
    refit: Option<bool>,
    k: Option<usize>,
    temperature: Option<f64>,
    l2: Option<f64>,
    epochs: Option<usize>,
    batch_size: Option<usize>,
    learning_rate: Option<f64>,
    layer_decay: Option<f64>,
    weight_decay: Option<f64>,
    hidden: Option<usize>,
}

/// Treatment of samples without a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    #[default]
    Error,
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ProtocolName {
    Knn,
    Linear,
    Finetune,
    Retrieval,
    Segmentation,
    #[serde(rename = "masked-lm")]
    MaskedLm,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AucName {
    OneVsOne,
    OneVsRest,
}

/// Evaluation protocol with its settings.
#[derive(Debug, Clone, PartialEq)]
pub enum Protocol {
    Knn(NearestNeighbours),
    Linear(LinearProbe),
    Finetune(Finetuning),
    Retrieval,
    Segmentation(SegmentationProbe),
    MaskedLm,
}

impl Protocol {
    /// Name of the protocol, as in files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Knn(_) => "knn",
            Self::Linear(_) => "linear",
            Self::Finetune(_) => "finetune",
            Self::Retrieval => "retrieval",
            Self::Segmentation(_) => "segmentation",
            Self::MaskedLm => "masked-lm",
        }
    }

    /// Metrics that the protocol computes.
    pub fn metrics(&self) -> &'static [Metric] {
        match self {
            Self::Retrieval => &Metric::OF_RANKS,
            Self::Segmentation(_) => &Metric::OF_MASKS,
            Self::MaskedLm => &Metric::OF_MASKED_TOKENS,
            _ => &Metric::OF_CLASSES,
        }
    }
}

impl TaskSection {
    fn protocol_name(&self) -> ProtocolName {
        self.protocol.unwrap_or(ProtocolName::Finetune)
    }

    /// What `medcoss finetune` predicts; none for a task of `medcoss eval`.
    pub fn target(&self) -> Option<TargetName> {
        self.finetune.as_ref().map(|section| section.target)
    }

    /// The protocol of the task with its settings.
    pub fn protocol(&self) -> Protocol {
        match self.protocol_name() {
            ProtocolName::Knn => {
                let usual = NearestNeighbours::default();
                let (k, temperature) = (self.k.unwrap_or(usual.k), self.temperature.unwrap_or(usual.temperature));
                Protocol::Knn(NearestNeighbours { k, temperature })
            }
            ProtocolName::Linear => {
                let usual = LinearProbe::default();
                Protocol::Linear(LinearProbe { l2: self.l2.unwrap_or(usual.l2), ..usual })
            }
            ProtocolName::Finetune => {
                let usual = Finetuning::default();
                Protocol::Finetune(Finetuning {
                    epochs: self.epochs.unwrap_or(usual.epochs),
                    batch_size: self.batch_size.unwrap_or(usual.batch_size),
                    learning_rate: self.learning_rate.unwrap_or(usual.learning_rate),
                    layer_decay: self.layer_decay.unwrap_or(usual.layer_decay),
                    weight_decay: self.weight_decay.unwrap_or(usual.weight_decay),
                })
            }
            ProtocolName::Retrieval => Protocol::Retrieval,
            ProtocolName::MaskedLm => Protocol::MaskedLm,
            ProtocolName::Segmentation => {
                let usual = SegmentationProbe::default();
                Protocol::Segmentation(SegmentationProbe {
                    hidden: self.hidden.unwrap_or(usual.hidden),
                    epochs: self.epochs.unwrap_or(usual.epochs),
                    batch_size: self.batch_size.unwrap_or(usual.batch_size),
                    learning_rate: self.learning_rate.unwrap_or(usual.learning_rate),
                    weight_decay: self.weight_decay.unwrap_or(usual.weight_decay),
                })
            }
        }
    }

    /// The metric of the task that enters the score matrix.
    pub fn primary_metric(&self) -> Metric {
        self.metric.unwrap_or(match self.protocol_name() {
            ProtocolName::Knn | ProtocolName::MaskedLm => Metric::Accuracy,
            ProtocolName::Linear | ProtocolName::Finetune => Metric::Auc,
            ProtocolName::Retrieval => Metric::Map,
            ProtocolName::Segmentation => Metric::Dice,
        })
    }

    /// Name of the score of a fine-tuned model that stands for the task in tables.
    pub fn figure(&self) -> &'static str {
        match (self.metric, self.target()) {
            (Some(metric), _) => metric.name(),
            (None, Some(target)) => target.figure(),
            (None, None) => self.primary_metric().name(),
        }
    }

    /// Whether the task predicts masks instead of classes of samples.
    pub fn is_segmentation(&self) -> bool {
        self.protocol_name() == ProtocolName::Segmentation || self.target() == Some(TargetName::Segmentation)
    }

    /// Whether the task predicts masked words. Samples need no labels, and no probe is fitted.
    pub fn is_masked_lm(&self) -> bool {
        self.protocol_name() == ProtocolName::MaskedLm
    }

    /// Whether each model gets a probe of its own. Otherwise the probe (or the neighbours) of the model after the
    /// task's own stage serves all later models, as in downstream use of features.
    pub fn is_refitted(&self) -> bool {
        self.refit.unwrap_or(true)
    }

    /// The average of the AUC over several classes.
    pub fn auc(&self) -> MultiClassAuc {
        match self.auc {
            Some(AucName::OneVsRest) => MultiClassAuc::OneVersusRest,
            Some(AucName::OneVsOne) | None => MultiClassAuc::OneVersusOne,
        }
    }

    fn check(&self) -> Result<()> {
        self.data.check()?;
        match (&self.protocol, &self.finetune) {
            (Some(_), Some(_)) => bail!(
                "both protocol and finetune are set\nhint: protocol is for medcoss eval, [task.finetune] for medcoss finetune; give two tasks"
            ),
            (None, None) => {
                bail!("protocol is missing\nhint: set protocol = \"linear\", or [task.finetune] for medcoss finetune")
            }
            (_, Some(section)) => section.check(&self.labels.resolve()?)?,
            _ => {}
        }
        self.check_settings()?;
        match self.protocol() {
            // The largest possible number of neighbours is not known yet.
            Protocol::Knn(knn) => knn.check(usize::MAX)?,
            Protocol::Linear(linear) => linear.check()?,
            Protocol::Finetune(finetuning) => finetuning.check()?,
            Protocol::Segmentation(probe) => probe.check()?,
            Protocol::Retrieval | Protocol::MaskedLm => {}
        }
        if self.finetune.is_none()
            && matches!(self.labels.resolve()?, LabelSource::Table(table) if !table.columns.is_empty())
        {
            bail!(
                "labels.columns gives several labels, which medcoss finetune learns\nhint: set labels.label, or [task.finetune] in place of protocol"
            );
        }
        self.check_masks()?;
        let (of, metrics) = match self.target() {
            None => (self.protocol().name(), self.protocol().metrics()),
            Some(target) => (target.name(), target.metrics()),
        };
        if let Some(metric) = self.metric.filter(|metric| !metrics.contains(metric)) {
            let known: Vec<&str> = metrics.iter().map(|metric| metric.name()).collect();
            let hint = if known.is_empty() { "remove it".into() } else { format!("{of} has {}", known.join(", ")) };
            bail!("metric {} is not one of {of}\nhint: {hint}", metric.name());
        }
        if let Some(most) = self.max_samples.filter(|most| *most < 4) {
            bail!("max_samples is {most}, it must be at least 4: two of each of two classes");
        }
        self.split.check(self.labels.is_table())?;
        if self.is_masked_lm() && (self.labels.is_given() || self.split.is_given()) {
            bail!(
                "protocol masked-lm takes neither labels nor a split: every sample is masked and scored\n\
                 hint: remove the settings; for other samples name other data"
            );
        }
        self.labels.check()?;
        if self.group.is_some() && self.labels.has_group() {
            bail!("both group and labels.group are set\nhint: give one of them");
        }
        Ok(())
    }

    /// Checks that tasks with masks predict masks, and that tasks with classes use sizes of masks.
    fn check_masks(&self) -> Result<()> {
        match (self.labels.resolve()?, self.is_segmentation()) {
            (LabelSource::Masks(masks), true) if masks.sizes != Classes::Values => bail!(
                "labels.bins and labels.quantiles make classes of sizes, and protocol segmentation predicts the masks\n\
                 hint: remove them, or choose another protocol"
            ),
            (LabelSource::Masks(masks), _)
                if self.finetune.is_none()
                    && (masks.ignored.is_some()
                        || !masks.annotated.is_empty()
                        || masks
                            .classes
                            .as_ref()
                            .is_some_and(medcoss_core::evaluation::SegmentationClasses::overlap)) =>
            {
                bail!(
                    "labels.ignore, labels.annotated and classes that share a label are for medcoss finetune\n\
                     hint: remove them, or set [task.finetune] in place of protocol"
                )
            }
            (LabelSource::Masks(masks), false) if masks.sizes == Classes::Values => bail!(
                "labels.masks gives each sample the size of its mask, which is no class\n\
                 hint: set labels.quantiles = 2 or labels.bins, or protocol = \"segmentation\""
            ),
            (LabelSource::Masks(_), _) | (_, false) => Ok(()),
            (_, true) => bail!(
                "protocol segmentation needs masks\nhint: set labels = {{ masks = \"folder\" }}, with files that are called as \
                 the samples'"
            ),
        }
    }

    /// Refuses a setting of another protocol, which would have no effect.
    fn check_settings(&self) -> Result<()> {
        use ProtocolName::{Finetune, Knn, Linear, Retrieval, Segmentation};
        let settings = [
            ("refit", self.refit.is_some(), &[Knn, Linear, Retrieval][..]),
            ("k", self.k.is_some(), &[Knn]),
            ("temperature", self.temperature.is_some(), &[Knn]),
            ("l2", self.l2.is_some(), &[Linear]),
            ("epochs", self.epochs.is_some(), &[Finetune, Segmentation]),
            ("batch_size", self.batch_size.is_some(), &[Finetune, Segmentation]),
            ("learning_rate", self.learning_rate.is_some(), &[Finetune, Segmentation]),
            ("layer_decay", self.layer_decay.is_some(), &[Finetune]),
            ("weight_decay", self.weight_decay.is_some(), &[Finetune, Segmentation]),
            ("hidden", self.hidden.is_some(), &[Segmentation]),
            ("auc", self.auc.is_some(), &[Knn, Linear, Finetune]),
        ];
        match settings.iter().find(|(_, given, of)| *given && !of.contains(&self.protocol_name())) {
            Some((name, ..)) => bail!(
                "{name} is no setting of protocol {}\nhint: remove it, or choose the protocol that has it",
                self.protocol().name()
            ),
            None => Ok(()),
        }
    }
}

/// The text of a tasks file. No more than [`MAX_FILE_BYTES`] are read, whatever the path leads to.
fn read_text(path: &Path) -> Result<String> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        bail!("it is no file");
    }
    let mut text = String::new();
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        bail!("it has more than {MAX_FILE_BYTES} bytes");
    }
    Ok(text)
}

impl TasksFile {
    /// Reads and checks a tasks file. `settings` are `key=value`, by keys of a task, and replace those of all its tasks.
    ///
    /// # Errors
    /// A file that cannot be read, invalid TOML, unknown or missing settings, values out of range, two tasks with one name.
    pub fn read(path: &Path, settings: &[String]) -> Result<Self> {
        let text = read_text(path).with_context(|| format!("cannot read tasks file {}", path.display()))?;
        let stem = path.file_stem().ok_or_else(|| anyhow!("tasks file {} has no name", path.display()))?;
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Self::of_text(&text, path, &stem.to_string_lossy(), settings).map(|file| Self { folder, ..file })
    }

    /// A tasks file from its text. `path` names it in messages.
    ///
    /// # Errors
    /// As [`TasksFile::read`].
    pub fn of_text(text: &str, path: &Path, stem: &str, settings: &[String]) -> Result<Self> {
        let failed = |message: &str| with_nearest("tasks file", path, message);
        let mut table: toml::Table = text.parse().map_err(|error: toml::de::Error| failed(&error.to_string()))?;
        refuse_former_protocols(&table).with_context(|| format!("tasks file {}", path.display()))?;
        // From the text, errors know their line.
        let (content, sha256): (Result<Content, toml::de::Error>, String) = match settings.is_empty() {
            true => (toml::from_str(text), sha256_of_content(text.as_bytes())?),
            false => {
                for task in table.get_mut("task").and_then(toml::Value::as_array_mut).into_iter().flatten() {
                    if let Some(task) = task.as_table_mut() {
                        settings.iter().try_for_each(|setting| set(task, setting))?;
                    }
                }
                (table.clone().try_into(), sha256_of_content(toml::to_string(&table)?.as_bytes())?)
            }
        };
        let content = content.map_err(|error| failed(&error.to_string()))?;
        if content.tasks.is_empty() {
            bail!("tasks file {} has no [[task]]\nhint: add one for each downstream task", path.display());
        }
        let mut names = BTreeSet::new();
        for task in &content.tasks {
            let name = task.name.as_str();
            if name.trim().is_empty() || name.contains(char::is_control) {
                bail!("tasks file {}: {name:?} is no name of a task", path.display());
            }
            if !names.insert(name) {
                bail!("tasks file {} has two tasks with the name {name}\nhint: rename one", path.display());
            }
            task.check().with_context(|| format!("tasks file {}, task {name}", path.display()))?;
        }
        Ok(Self { stem: stem.into(), sha256, folder: PathBuf::new(), tasks: content.tasks })
    }

    /// Names of the tasks that `medcoss finetune` learns.
    pub fn finetuned(&self) -> Vec<&str> {
        self.tasks.iter().filter(|task| task.finetune.is_some()).map(|task| task.name.as_str()).collect()
    }

    /// The task of this name for fine-tuning, or without a name the only one.
    ///
    /// # Errors
    /// No such task, several without a name.
    pub fn finetuned_named(&self, name: Option<&str>) -> Result<&TaskSection> {
        let names = self.finetuned();
        let name = match (name, names.as_slice()) {
            (_, []) => bail!(
                "{}.toml has no task with [task.finetune]\nhint: add the section to a [[task]] without protocol",
                self.stem
            ),
            (None, [only]) => *only,
            (None, _) => bail!(
                "{}.toml has several tasks for fine-tuning: {}\nhint: name one with --task",
                self.stem,
                names.join(", ")
            ),
            (Some(name), _) => name,
        };
        let found = self.tasks.iter().find(|task| task.name == name && task.finetune.is_some());
        found.ok_or_else(|| {
            anyhow!("{}.toml has no task {name:?} for fine-tuning\nhint: it has {}", self.stem, names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests;
