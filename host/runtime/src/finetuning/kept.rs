//! Fine-tunings of which each is kept in a folder of its own, and read again where it is complete.

use std::path::Path;

use anyhow::{Context, Result, bail};
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::finetuning::StoredTaskModel;
use medcoss_core::run::FolderLock;
use medcoss_plugin_host::PluginRegistry;

use super::source::ModelSource;
use super::test_scores::{CaseScore, TestScore};
use super::tuning::{CASES, FinetuneOptions, TuningObserver, finetune_run};
use crate::evaluation::TasksFile;
use crate::run::Run;

/// Largest table of cases in bytes.
const MAX_CASES: u64 = 256 << 20;

/// What a kept fine-tuning found.
#[derive(Debug, Clone)]
pub struct KeptModel {
    /// Scores on the test split.
    pub scores: Vec<TestScore>,
    /// Scores of each test case.
    pub cases: Vec<CaseScore>,
    /// Number of training samples.
    pub n_train: usize,
}

impl KeptModel {
    /// The score of a metric over all classes.
    ///
    /// # Errors
    /// A metric that the model has not.
    pub fn score(&self, metric: &str) -> Result<&TestScore> {
        self.scores.iter().find(|score| score.metric == metric).with_context(|| {
            let known: Vec<&str> = self.scores.iter().map(|score| score.metric.as_str()).collect();
            format!("the model has no score {metric}\nhint: it has {}", known.join(", "))
        })
    }
}

/// Fine-tunes a run's model on a task and keeps it in `folder`, or reads what an earlier call kept there.
///
/// # Errors
/// Those of [`finetune_run`], a folder that holds another model.
pub fn finetune_or_read(
    run: &Run,
    file: &TasksFile,
    options: &FinetuneOptions<'_>,
    registry: &PluginRegistry,
    folder: &Path,
    observer: &mut dyn TuningObserver,
) -> Result<KeptModel> {
    let root = ConfinedPath::create_root(folder)?;
    let _lock = FolderLock::take(&root)?;
    let stored = StoredTaskModel::of(root.clone());
    if !stored.is_complete()? {
        finetune_run(run, file, options, registry, &root, observer)?;
    }
    let shown = folder.display();
    let info = stored.info::<ModelSource>().with_context(|| format!("the model in {shown}"))?;
    let source = info.source;
    // A run that has learned one more stage since then has another latest model.
    let (wanted_run, wanted_stage) = match options.from_scratch {
        true => (String::new(), 0),
        false => (run.layout().folder().name(), options.stage.unwrap_or(run.states.len())),
    };
    let is_it = source.tasks_sha256 == file.sha256
        && source.seed == options.seed
        && source.fraction == options.fraction
        && source.from_scratch == options.from_scratch
        && source.run == wanted_run
        && source.stage == wanted_stage;
    if !is_it {
        bail!(
            "{shown} holds another model: task {}, seed {}, fraction {}, run {:?} after stage {}\nhint: remove it, or choose another folder",
            source.task,
            source.seed,
            source.fraction,
            source.run,
            source.stage
        );
    }
    let cases = root.join(CASES).read(MAX_CASES).with_context(|| format!("the cases in {shown}"))?;
    let cases = csv::Reader::from_reader(cases.as_slice()).into_deserialize::<CaseScore>();
    let cases = cases.collect::<Result<Vec<_>, _>>().with_context(|| format!("the cases in {shown}"))?;
    Ok(KeptModel { scores: source.scores, cases, n_train: source.n_samples.get("train").copied().unwrap_or_default() })
}
