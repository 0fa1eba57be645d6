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
        let (metric, metrics) = (self.primary_metric(), self.protocol().metrics());
        if !metrics.contains(&metric) {
            let known: Vec<&str> = metrics.iter().map(|metric| metric.name()).collect();
            let protocol = self.protocol().name();
            bail!(
                "metric {} is not one of protocol {protocol}\nhint: {protocol} has {}",
                metric.name(),
                known.join(", ")
            );
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
    /// Reads and checks a tasks file.
    ///
    /// # Errors
    /// A file that cannot be read, invalid TOML, unknown or missing settings, values out of range, two tasks with one name.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_text(path).with_context(|| format!("cannot read tasks file {}", path.display()))?;
        if let Ok(table) = text.parse() {
            refuse_former_protocols(&table).with_context(|| format!("tasks file {}", path.display()))?;
        }
        let content: Content =
            toml::from_str(&text).map_err(|error| with_nearest("tasks file", path, &error.to_string()))?;
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
        let stem = path.file_stem().ok_or_else(|| anyhow!("tasks file {} has no name", path.display()))?;
        Ok(Self {
            stem: stem.to_string_lossy().into_owned(),
            sha256: sha256_of_content(text.as_bytes())?,
            folder: path.parent().map(Path::to_path_buf).unwrap_or_default(),
            tasks: content.tasks,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str = "[[task]]\nname = \"a\"\nmodality = \"gait\"\ndata = \"gait\"\nprotocol = \"knn\"\n";

    fn read(text: &str) -> Result<TasksFile> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("tasks.toml");
        std::fs::write(&path, text)?;
        TasksFile::read(&path)
    }

    #[test]
    fn defaults_are_those_of_the_protocols() {
        let file = read(TASK).unwrap();
        let task = &file.tasks[0];
        assert_eq!(task.protocol(), Protocol::Knn(NearestNeighbours { k: 20, temperature: 0.07 }));
        assert_eq!((task.primary_metric(), task.split.test(), file.stem.as_str()), (Metric::Accuracy, 0.3, "tasks"));
        let task = &read(&TASK.replace("\"knn\"", "\"linear\"\nl2 = 0.1\nauc = \"one-vs-rest\"")).unwrap().tasks[0];
        assert_eq!(task.protocol(), Protocol::Linear(LinearProbe { l2: 0.1, ..LinearProbe::default() }));
        assert_eq!((task.primary_metric(), task.auc()), (Metric::Auc, MultiClassAuc::OneVersusRest));
    }

    #[test]
    fn the_tasks_that_come_with_the_project_can_be_read() {
        let file =
            TasksFile::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/real-small-tasks.toml")).unwrap();
        assert_eq!((file.tasks.len(), file.stem.as_str()), (9, "real-small-tasks"));
    }

    #[test]
    fn large_files_and_folders_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasks.toml");
        std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let error = format!("{:#}", TasksFile::read(&path).unwrap_err());
        assert!(error.contains("tasks.toml") && error.ends_with("it has more than 1048576 bytes"), "{error}");
        let error = format!("{:#}", TasksFile::read(folder.path()).unwrap_err());
        assert!(error.ends_with("it is no file"), "{error}");
    }

    #[test]
    fn invalid_entries_are_named() {
        let more = |line: &str| format!("{TASK}{line}\n");
        for (text, expected) in [
            (String::new(), &["no [[task]]"][..]),
            (TASK.replace("knn", "knnn"), &["knnn", "did you mean knn?"]),
            (more("kk = 3"), &["kk", "line 6"]),
            (more("temprature = 3"), &["did you mean temperature?"]),
            (more("k = 0"), &["k is 0", "task a"]),
            (more("l2 = 1.0"), &["l2 is no setting of protocol knn"]),
            (more("metric = \"map\""), &["metric map is not one of protocol knn", "accuracy, macro_f1, auc"]),
            (more("split = { test = 1.0 }"), &["split.test is 1"]),
            (more("split = { column = \"part\" }"), &["the labels come from no table"]),
            (more("split = { tset = 0.2 }"), &["did you mean test?"]),
            (more("labels = \"plugins\""), &["plugins", "\"plugin\""]),
            (more("labels = { tabel = \"x.csv\" }"), &["did you mean table?"]),
            (more("labels = { table = \"x.csv\", key = \"k\" }"), &["labels.label is missing"]),
            (more("labels = { table = \"x.csv\", entry = true }"), &["table and entry"]),
            (more("labels = { pattern = '(' }"), &["labels.pattern"]),
            (more("labels = { pattern = 'a' }"), &["one group in parentheses"]),
            (more("labels = { masks = \"m\" }"), &["size of its mask, which is no class", "quantiles"]),
            (more("labels = { classes = \"foreground\", entry = true }"), &["labels.classes belongs to masks"]),
            (
                more("labels = { masks = \"m\", quantiles = 2, classes = [0] }"),
                &["labels without 0, which is the background"],
            ),
            (more("labels = { entry = true, quantiles = 2 }"), &["belong to a table or to masks"]),
            (TASK.replace("\"knn\"", "\"finetune\"\nrefit = false"), &["refit is no setting of protocol finetune"]),
            (TASK.replace("\"knn\"", "\"masked-lm\"\nsplit = { test = 0.2 }"), &["neither labels nor a split"]),
            (more("hidden = 3"), &["hidden is no setting of protocol knn"]),
            (TASK.replace("knn", "segmentation"), &["needs masks", "hint: set labels"]),
            (
                format!("{}labels = {{ masks = \"m\", quantiles = 2 }}\n", TASK.replace("knn", "segmentation")),
                &["predicts the masks"],
            ),
            (more("max_samples = 3"), &["max_samples is 3"]),
            (format!("{TASK}{TASK}"), &["two tasks with the name a"]),
        ] {
            let error = read(&text).map(|_| ()).unwrap_err();
            let message = format!("{error:#}");
            assert!(expected.iter().all(|part| message.contains(part)), "{text}\n{message}");
        }
    }
}
