//! Downstream evaluation: scores of a run's models on tasks, and forgetting.
//!
//! A tasks file (`tasks_file`) names data and labels. The samples are labelled and grouped (`samples`), encoded once
//! with each model that is evaluated (`models`, `task_data`), and measured by each task's protocol for each seed
//! (`measure`). The scores are written to a folder (`written`).

mod annotation;
mod bins;
mod context;
mod groups;
pub(crate) mod label_source;
mod label_table;
mod measure;
pub(crate) mod models;
mod sample_keys;
pub(crate) mod samples;
mod sides;
mod split_section;
pub(crate) mod task_data;
pub(crate) mod tasks_file;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use medcoss_core::data::LoaderOptions;
use medcoss_core::data::{Dataset, TokenSpec};
use medcoss_core::evaluation::{EvaluatedStage, Score, Scores};
use medcoss_core::run::{CHECKSUM_PLACEHOLDER, FORMAT};

use crate::observer::{WorkObserver, WorkTracker};
use crate::run::Run;
use crate::stage_plugin::plugin_for_models;
use medcoss_plugin_host::{Plugin, PluginRegistry};

use context::EvaluationContext;
pub use context::Options;
use measure::Task;
pub use models::After;
use models::{ModelOf, Models};
use task_data::{Encoded, TaskData};
pub use tasks_file::TasksFile;
pub use written::ScoresFolder;

/// Evaluates a run's models on tasks. Nothing is written; `observer` follows the progress, and ends it with
/// [`medcoss_core::Error::Interrupted`].
///
/// # Errors
/// A task that does not fit the run or its data, files that cannot be read, a request to stop.
pub fn evaluate(
    run: &Run,
    file: &TasksFile,
    options: &Options<'_>,
    registry: &PluginRegistry,
    observer: &dyn WorkObserver,
) -> Result<Scores> {
    let models = Models::new(run)?;
    let (mut tasks, mut data) = open(run, file, options, registry, &models)?;
    let rows = models.rows(options.after);
    let loader = LoaderOptions {
        num_workers: run.config.data.num_workers,
        max_invalid_fraction: options.max_invalid_fraction.unwrap_or(run.config.data.max_invalid_fraction),
    };
    let mut needed: BTreeMap<ModelOf, Needed> = BTreeMap::new();
    for (row, (at, task)) in rows.iter().flat_map(|row| tasks.iter().enumerate().map(move |task| (*row, task))) {
        let of = models.of_cell(row, task.own_stage);
        let model = needed.entry(of).or_default();
        model.tasks.insert(at);
        model.data.insert(task.data);
        if !task.section.is_refitted() {
            let fitted = needed.entry(models.fitted_with(of, task.own_stage)).or_default();
            fitted.data.insert(task.data);
            fitted.kept.insert(task.data);
        }
    }
    let n = needed.values().flat_map(|model| &model.data).map(|at| data[*at].n_chosen()).sum::<usize>();

    let work = WorkTracker::new(observer, n as u64, "while tasks were evaluated", "no scores were written");
    let context = EvaluationContext { models: &models, loader, options, work: &work };
    // By model and task.
    let mut measured = BTreeMap::new();
    // By model and data: features that probes of later models are fitted to. Models come in the order of their stages.
    let mut kept: BTreeMap<(ModelOf, usize), Rc<Encoded>> = BTreeMap::new();
    for (of, of_model) in &needed {
        let model = models.load(*of, options.device, false)?;
        for &at in &of_model.data {
            work.begin(format!("{}, {}", models::name(run, *of), data[at].source.modality()));
            let encoded = Rc::new(data[at].encode(&model, &context)?);
            if of_model.kept.contains(&at) {
                kept.insert((*of, at), Rc::clone(&encoded));
            }
            for of_data in &of_model.tasks {
                let task = &mut tasks[*of_data];
                if task.data != at {
                    continue;
                }
                let in_task = format!("task {}, {}", task.section.name, models::name(run, *of));
                task.settle(data[at].readable(), &options.seeds).with_context(|| in_task.clone())?;
                let fitted = match task.section.is_refitted() {
                    true => None,
                    false => kept.get(&(models.fitted_with(*of, task.own_stage), at)),
                };
                let metrics = task.measure(&context, *of, &data[at], fitted.unwrap_or(&encoded), &encoded);
                measured.insert((*of, *of_data), metrics.context(in_task)?);
                work.check_stop()?;
            }
        }
    }

    let mut scores = Vec::new();
    for row in &rows {
        for (at, task) in tasks.iter().enumerate() {
            let metrics = &measured[&(models.of_cell(*row, task.own_stage), at)];
            scores.extend(metrics.iter().map(|metric| Score {
                stage: *row,
                task: task.section.name.clone(),
                metric: metric.name.clone(),
                value: metric.value,
                low: metric.interval[0],
                high: metric.interval[1],
                n: task.n_test(),
                by_seed: metric.by_seed.clone(),
                n_undefined: metric.n_undefined,
            }));
        }
    }
    let stage = |row: &usize| EvaluatedStage {
        stage: *row,
        modality: row.checked_sub(1).map(|at| run.states[at].modality.clone()),
    };
    let mut scores = Scores {
        format: FORMAT,
        checksum: CHECKSUM_PLACEHOLDER.into(),
        tasks_file: file.stem.clone(),
        tasks_sha256: file.sha256.clone(),
        seeds: options.seeds.clone(),
        tasks: tasks.iter().map(Task::summary).collect(),
        stages: rows.iter().map(stage).collect(),
        scores,
        transfer: None,
        transfer_by_scale: BTreeMap::new(),
        checksums: BTreeMap::new(),
    };
    scores.store_measures()?;
    Ok(scores)
}

/// The computations that one model is needed for.
#[derive(Default)]
struct Needed {
    /// Positions of the tasks to measure.
    tasks: BTreeSet<usize>,
    /// Positions of the data to encode.
    data: BTreeSet<usize>,
    /// Positions of the data whose features are kept, since probes of later models are fitted to them.
    kept: BTreeSet<usize>,
}

/// Opens the data of all tasks and labels their samples, before anything is computed.
fn open<'a>(
    run: &Run,
    file: &'a TasksFile,
    options: &Options<'_>,
    registry: &PluginRegistry,
    models: &Models<'_>,
) -> Result<(Vec<Task<'a>>, Vec<TaskData>)> {
    let mut plugins: BTreeMap<&str, Plugin> = BTreeMap::new();
    let mut data: Vec<TaskData> = Vec::new();
    let mut tasks = Vec::new();
    for section in &file.tasks {
        if section.finetune.is_some() {
            bail!(
                "task {} is for medcoss finetune, which keeps the model\nhint: medcoss finetune RUN {}.toml --task {:?} --out MODEL; or give it a protocol",
                section.name,
                file.stem,
                section.name
            );
        }
        let mut one = || -> Result<Task<'a>> {
            let id = section.modality.as_str();
            let family = || Ok(registry.load(id)?.description().family.clone());
            let own_stage = models.own_stage(id, family)?;
            if !plugins.contains_key(id) {
                plugins.insert(id, plugin_for_models(id, registry, run.layout())?);
            }
            let at = match data.iter().position(|data| data.is_of(section)) {
                Some(at) => at,
                None => {
                    data.push(TaskData::open(section, &plugins[id], run, &models.config, options.base)?);
                    data.len() - 1
                }
            };
            if section.is_masked_lm() && !matches!(data[at].source.spec(), TokenSpec::Discrete { .. }) {
                bail!("protocol masked-lm masks words, and {id} has none\nhint: choose another protocol");
            }
            let (samples, masks) = data[at].samples_of(section, options.base)?;
            Task::new(section, own_stage, at, samples, masks.map(|masks| masks.maps), &options.seeds)
        };
        tasks.push(one().with_context(|| format!("task {}", section.name))?);
    }
    Ok((tasks, data))
}
