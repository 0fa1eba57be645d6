//! What an evaluation leaves in the run's folder: every score, by stage and task.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use crate::run::{CHECKSUM_PLACEHOLDER, FileCheck, RunLayout, check_file, read_document, write_document};
use crate::{Error, Result, run};

/// All scores of one tasks file; a JSON document with a checksum, `evaluation/<name of the tasks file>/scores.json` in the run's folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Version of the run folder's files.
    pub format: u32,
    /// Digest of the document.
    pub checksum: String,
    /// Name of the tasks file, without folder and extension.
    pub tasks_file: String,
    /// Its SHA-256.
    pub tasks_sha256: String,
    /// Seeds of splits and probes.
    pub seeds: Vec<u64>,
    /// The tasks, in the order of the file: the columns of the score matrix.
    pub tasks: Vec<TaskSummary>,
    /// The models that were evaluated, in the order of stages: the rows of the score matrix. Number 0 is the model that the run began
    /// with: fresh parameters, or the weights that it was given.
    pub stages: Vec<EvaluatedStage>,
    /// Every metric of every task after every stage that was evaluated.
    pub scores: Vec<Score>,
    /// What the score matrix of the primary metrics says; none without every stage.
    pub transfer: Option<Transfer>,
    /// SHA-256 of the tables that were written beside the document, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checksums: BTreeMap<String, String>,
}

/// A task, as it was evaluated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSummary {
    /// Unique name.
    pub name: String,
    /// Modality of its samples.
    pub modality: String,
    /// Number of the first stage that learned this modality, from 1; 0 for one that came with the weights that the run began with.
    pub own_stage: usize,
    /// `knn`, `linear`, `finetune`, `retrieval`, `segmentation` or `masked-lm`, for people; with `, fitted once` where models after the task's own stage
    /// are measured with what was fitted to the features of the model after that stage.
    pub protocol: String,
    /// Name of the metric that enters the score matrix.
    pub primary_metric: String,
    /// Whether a higher value of it is better.
    pub higher_is_better: bool,
    /// Classes by name; of segmentation without the background.
    pub classes: Vec<String>,
    /// Samples to fit and to score, of the first seed's split.
    pub n_train: usize,
    /// Samples that are scored.
    pub n_test: usize,
}

/// A model that was evaluated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluatedStage {
    /// From 1; 0 is the model that the run began with.
    pub stage: usize,
    /// The modality that it learned last; none of the model that the run began with.
    pub modality: Option<String>,
}

/// One metric of one task after one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// From 1; 0 is the model that the run began with.
    pub stage: usize,
    /// Name of the task.
    pub task: String,
    /// `accuracy`, `macro_f1`, `auc`, `recall_at_1`, `recall_at_5`, `map`, `dice`, `hd95_voxels`, `hd95_mm`; of one class of a
    /// segmentation with several `dice:` and so on, followed by the class.
    pub metric: String,
    /// Mean over seeds.
    pub value: f64,
    /// Lower end of the bootstrap 95 % interval: that of one test split, as a mean over seeds. Splits of several seeds overlap, so more of
    /// them do not narrow it.
    pub low: f64,
    /// Upper end of it.
    pub high: f64,
    /// Samples that were scored, of one seed.
    pub n: usize,
    /// By seed, in the order of [`Scores::seeds`].
    pub by_seed: Vec<f64>,
    /// Of HD95: pairs of sample and class whose distance is undefined, because one mask or both are empty. They are excluded from the
    /// mean. Summed over all seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_undefined: Option<usize>,
}

/// Figures of continual learning over the primary metrics, each of which enters such that higher is better.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// Mean over tasks after the last stage.
    pub average: f64,
    /// Lopez-Paz and Ranzato, 2017: negative where tasks were forgotten.
    pub backward_transfer: f64,
    /// Chaudhry et al., 2018: positive where tasks were forgotten.
    pub forgetting: f64,
    /// Lopez-Paz and Ranzato, 2017, against fresh parameters: positive where earlier stages helped.
    pub forward_transfer: f64,
}

impl Scores {
    /// Compares the document in a folder with its checksum and the tables beside it with their checksums. Gives the files that were compared,
    /// each with its fault.
    pub fn check_files(folder: &Path) -> Vec<FileCheck> {
        let scores = Self::read(&folder.join(RunLayout::SCORES));
        let tables = scores.as_ref().map(|scores| scores.checksums.clone()).unwrap_or_default();
        let mut checks = vec![FileCheck { name: RunLayout::SCORES.into(), fault: scores.err() }];
        for (name, expected) in tables {
            let plain = Path::new(&name).components().all(|part| matches!(part, Component::Normal(_)));
            let fault = match plain {
                true => check_file(&folder.join(&name), &expected).err(),
                false => Some(Error::damaged(
                    &folder.join(RunLayout::SCORES),
                    format!("it names {name:?}, which is none of its tables"),
                )),
            };
            checks.push(FileCheck { name, fault });
        }
        checks
    }

    /// Writes the document.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_document(path, &Self { format: run::FORMAT, checksum: CHECKSUM_PLACEHOLDER.into(), ..self.clone() })
    }

    /// Reads what [`Scores::write`] wrote.
    ///
    /// # Errors
    /// A file that is missing, damaged or of a later format.
    pub fn read(path: &Path) -> Result<Self> {
        read_document(path)
    }

    /// The score of a task's primary metric after a stage.
    pub fn primary(&self, stage: usize, task: &TaskSummary) -> Option<&Score> {
        let is_it =
            |score: &&Score| score.stage == stage && score.task == task.name && score.metric == task.primary_metric;
        self.scores.iter().find(is_it)
    }
}
