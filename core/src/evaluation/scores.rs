//! The document of an evaluation in the run's folder: every score, by stage and task.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::metric::Scale;
use crate::confined_path::ConfinedPath;
use crate::run::{CHECKSUM_PLACEHOLDER, FileCheck, RunLayout, check_file, read_document, write_document};
use crate::{Result, run};

/// All scores of one evaluation; a JSON document with a checksum, `evaluation/<name of the tasks file>/scores.json` in the run's folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Version of the run format.
    pub format: u32,
    /// SHA-256 of the document itself.
    pub checksum: String,
    /// Name of the tasks file, without folder and extension.
    pub tasks_file: String,
    /// SHA-256 of the tasks file.
    pub tasks_sha256: String,
    /// Seeds of splits and probes.
    pub seeds: Vec<u64>,
    /// The tasks, in the order of the file: the columns of the score matrix.
    pub tasks: Vec<TaskSummary>,
    /// Evaluated models, in the order of stages: the rows of the score matrix. Number 0 is the initial model: fresh parameters, or imported weights.
    pub stages: Vec<EvaluatedStage>,
    /// Scores of every metric of every task after every evaluated stage.
    pub scores: Vec<Score>,
    /// Measures of continual learning from the score matrix of the primary metrics; none unless every stage was evaluated and all primary metrics
    /// have one scale.
    pub transfer: Option<Transfer>,
    /// Measures of continual learning by scale, where the primary metrics have several.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub transfer_by_scale: BTreeMap<Scale, Transfer>,
    /// SHA-256 of the tables beside the document, by file name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checksums: BTreeMap<String, String>,
}

/// Summary of an evaluated task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSummary {
    /// Unique name of the task.
    pub name: String,
    /// Modality of the samples.
    pub modality: String,
    /// Number of the first stage that learned this modality, from 1; 0 for a modality of the initial weights.
    pub own_stage: usize,
    /// Description of the protocol: `knn`, `linear`, `finetune`, `retrieval`, `segmentation` or `masked-lm`; followed by `, fitted once` where the
    /// probe fitted after the task's own stage also measures later models.
    pub protocol: String,
    /// Name of the metric that enters the score matrix.
    pub primary_metric: String,
    /// Whether a higher value of the primary metric is better.
    pub higher_is_better: bool,
    /// Class names; for segmentation without the background.
    pub classes: Vec<String>,
    /// Number of training samples in the first seed's split.
    pub n_train: usize,
    /// Number of test samples.
    pub n_test: usize,
    /// What keeps samples together in a split: `none`, `pattern`, `table`, `metadata`, `record` (as the plugin says) or `file`; absent in
    /// documents of earlier versions, which kept together what the ids looked like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grouping: Option<String>,
    /// Number of groups of the task's samples; absent as `grouping` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_groups: Option<usize>,
}

/// An evaluated model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluatedStage {
    /// Stage of the model, from 1; 0 is the initial model.
    pub stage: usize,
    /// Modality that the model learned last; none for the initial model.
    pub modality: Option<String>,
}

/// Score of one metric of one task after one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Stage of the model, from 1; 0 is the initial model.
    pub stage: usize,
    /// Name of the task.
    pub task: String,
    /// Name of the metric: `accuracy`, `macro_f1`, `auc`, `recall_at_1`, `recall_at_5`, `map`, `dice`, `hd95_voxels`, `hd95_mm`; for one class of a
    /// segmentation with several classes, `dice:` and so on, followed by the class.
    pub metric: String,
    /// Value of the metric, as a mean over seeds.
    pub value: f64,
    /// Lower end of the bootstrap 95 % interval: the interval of one test split, as a mean over seeds. Splits of several seeds overlap, so more of
    /// them do not narrow the interval.
    pub low: f64,
    /// Upper end of the bootstrap 95 % interval.
    pub high: f64,
    /// Number of scored samples, for one seed.
    pub n: usize,
    /// Value of the metric for each seed, in the order of [`Scores::seeds`].
    pub by_seed: Vec<f64>,
    /// Number of undefined HD95 distances: pairs of sample and class in which one mask or both are empty, summed over all seeds. They are excluded
    /// from the mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_undefined: Option<usize>,
}

/// Measures of continual learning over tasks whose primary metrics have one scale. The average is the mean of the values. In the other measures
/// each metric has the sign by which higher is better.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// Average: mean over tasks after the last stage.
    pub average: f64,
    /// Backward transfer (Lopez-Paz and Ranzato, 2017): negative where tasks were forgotten.
    pub backward_transfer: f64,
    /// Forgetting (Chaudhry et al., 2018): positive where tasks were forgotten.
    pub forgetting: f64,
    /// Forward transfer (Lopez-Paz and Ranzato, 2017) against fresh parameters: positive where earlier stages helped.
    pub forward_transfer: f64,
}

impl Scores {
    /// Compares the document in a folder and the tables beside the document with their checksums. Returns the compared files, each with its fault.
    pub fn check_files(folder: &ConfinedPath) -> Vec<FileCheck> {
        let scores = Self::read(&folder.join(RunLayout::SCORES));
        let tables = scores.as_ref().map(|scores| scores.checksums.clone()).unwrap_or_default();
        let mut checks = vec![FileCheck { name: RunLayout::SCORES.into(), fault: scores.err() }];
        for (name, expected) in tables {
            let fault = check_file(&folder.join(&name), &expected).err();
            checks.push(FileCheck { name, fault });
        }
        checks
    }

    /// Writes the document to a file.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, path: &ConfinedPath) -> Result<()> {
        write_document(path, &Self { format: run::FORMAT, checksum: CHECKSUM_PLACEHOLDER.into(), ..self.clone() })
    }

    /// Reads a document that [`Scores::write`] wrote.
    ///
    /// # Errors
    /// A file that is missing, damaged or of a later format.
    pub fn read(path: &ConfinedPath) -> Result<Self> {
        read_document(path)
    }

    /// Score of a task's primary metric after a stage.
    pub fn primary(&self, stage: usize, task: &TaskSummary) -> Option<&Score> {
        let is_it =
            |score: &&Score| score.stage == stage && score.task == task.name && score.metric == task.primary_metric;
        self.scores.iter().find(is_it)
    }
}
