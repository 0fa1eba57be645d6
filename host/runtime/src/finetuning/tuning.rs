//! Fine-tuning of a run's model on a task: data, splits, training, scores, the model's folder.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use medcoss_core::Error;
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::data::{Dataset, LoaderOptions, TokenSpec};
use medcoss_core::decoders::TokenGrid;
use medcoss_core::evaluation::Split;
use medcoss_core::finetuning::{
    Criterion, EpochReport, FinetuneConfig, FinetuneObserver, Predictor, StoredTaskModel, Targets, Task,
    TaskHeadConfig, TaskModel, TaskModelConfig, TaskModelInfo, finetune,
};
use medcoss_core::model::{Model, ModelConfig};
use medcoss_core::run::{
    CHECKSUM_PLACEHOLDER, FORMAT, sha256_of_content, write_atomically, write_folder, write_manifest,
};
use medcoss_plugin_host::PluginRegistry;

use super::finetune_report::FinetuneReport;
use super::page;
use super::section::ValidationBy;
use super::source::ModelSource;
use super::targets::TaskTargets;
use super::test_scores::{CaseScore, TestScore, Tested};
use crate::evaluation::TasksFile;
use crate::evaluation::models::Models;
use crate::evaluation::samples::TaskSamples;
use crate::evaluation::task_data::{TaskData, TaskMasks};
use crate::evaluation::tasks_file::TaskSection;
use crate::plugins_lock::PluginsLock;
use crate::run::Run;
use crate::stage_plugin::plugin_for_models;

/// File of the scores of each test case.
pub(super) const CASES: &str = "cases.csv";
/// Page with curves and scores.
const PAGE: &str = "report.html";
/// Number of samples in a batch of predictions.
const PREDICTED_AT_ONCE: usize = 8;

/// Options of a fine-tuning.
#[derive(Debug, Clone)]
pub struct FinetuneOptions<'a> {
    /// Name of the task; the only one of the file without it.
    pub task: Option<&'a str>,
    /// Stage whose model is taken, from 1; 0 is the initial model, `None` the latest.
    pub stage: Option<usize>,
    /// Whether the backbone begins with fresh parameters, for a comparison.
    pub from_scratch: bool,
    /// Seed of splits, head and training.
    pub seed: u64,
    /// Fraction of the training samples that are used, above 0 to 1, drawn by class and by group.
    pub fraction: f64,
    /// Folder that data paths are relative to.
    pub base: &'a Path,
    /// Name of the device that computes.
    pub device: &'a str,
    /// Largest fraction of unreadable samples; the run's own setting without it.
    pub max_invalid_fraction: Option<f64>,
}

/// Follows a fine-tuning.
pub trait TuningObserver {
    /// The data were opened: the numbers of samples of the splits, and of epochs.
    fn opened(&mut self, n_train: usize, n_validation: usize, n_test: usize, n_epochs: usize) {
        let _ = (n_train, n_validation, n_test, n_epochs);
    }

    /// Samples were finished.
    fn samples(&mut self, n: usize) {
        let _ = n;
    }

    /// An epoch is finished, or was before a training that goes on.
    fn epoch(&mut self, report: &EpochReport, restored: bool) {
        let _ = (report, restored);
    }

    /// Whether someone has asked to stop.
    fn stop_requested(&self) -> bool {
        false
    }
}

struct Bridge<'a> {
    observer: &'a mut dyn TuningObserver,
    modality: String,
    folder: String,
}

impl FinetuneObserver for Bridge<'_> {
    fn samples(&mut self, n: usize) -> medcoss_core::Result<()> {
        self.observer.samples(n);
        match self.observer.stop_requested() {
            true => Err(Error::Interrupted {
                place: "in fine-tuning".into(),
                checkpoint: format!(
                    "the same command goes on from the last checkpoint in {}, if there is one",
                    self.folder
                ),
            }),
            false => Ok(()),
        }
    }

    fn epoch(&mut self, report: &EpochReport, restored: bool) {
        self.observer.epoch(report, restored);
    }

    fn invalid_sample(&mut self, id: &str, reason: &str) {
        let reason = reason.lines().next().unwrap_or_default();
        tracing::warn!("{}: sample {id} is skipped: {reason}", self.modality);
    }
}

/// Fine-tunes a run's model on a task and keeps it in `folder`. A training that was interrupted goes on.
///
/// # Errors
/// A task that does not fit the run or its data, files that cannot be read or written, a loss that is not finite, a request to stop.
pub fn finetune_run(
    run: &Run,
    file: &TasksFile,
    options: &FinetuneOptions<'_>,
    registry: &PluginRegistry,
    folder: &ConfinedPath,
    observer: &mut dyn TuningObserver,
) -> Result<FinetuneReport> {
    let section = file.finetuned_named(options.task)?;
    let in_task = || format!("task {}", section.name);
    let tuning = Tuning::open(run, file, section, options, registry).with_context(in_task)?;
    tuning.run(folder, observer).with_context(in_task)
}

/// What the test split gave.
struct TestResult {
    scores: Vec<TestScore>,
    cases: Vec<CaseScore>,
    tested: Tested,
}

struct Tuning<'a> {
    run: &'a Run,
    file: &'a TasksFile,
    section: &'a TaskSection,
    options: &'a FinetuneOptions<'a>,
    data: TaskData,
    samples: TaskSamples,
    masks: Option<TaskMasks>,
    plugin: medcoss_plugin_host::Plugin,
    /// Stage of the backbone, 0 for the initial model or fresh parameters.
    stage: usize,
    config: ModelConfig,
}

impl<'a> Tuning<'a> {
    fn open(
        run: &'a Run,
        file: &'a TasksFile,
        section: &'a TaskSection,
        options: &'a FinetuneOptions<'a>,
        registry: &PluginRegistry,
    ) -> Result<Self> {
        if !(options.fraction > 0.0 && options.fraction <= 1.0) {
            bail!("the fraction of training samples is {}; it must be above 0.0, and at most 1.0", options.fraction);
        }
        let models = Models::new(run)?;
        let id = section.modality.as_str();
        models.own_stage(id, || Ok(registry.load(id)?.description().family.clone()))?;
        let plugin = plugin_for_models(id, registry, run.layout())?;
        let mut data = TaskData::open(section, &plugin, run, &models.config, options.base)?;
        let (samples, masks) = data.samples_of(section, options.base)?;
        let stage = match options.from_scratch {
            true => 0,
            false => options.stage.unwrap_or(run.states.len()),
        };
        let config = models.config.clone();
        Ok(Self { run, file, section, options, data, samples, masks, plugin, stage, config })
    }

    /// Configuration of the model: the backbone with the one family, and the head.
    fn shape(&self, targets: &TaskTargets<'_>, config: &ModelConfig) -> Result<TaskModelConfig> {
        let finetune = self.section.finetune.as_ref().ok_or_else(|| anyhow!("the task has no [task.finetune]"))?;
        let mut model = config.clone();
        let family = config.family(self.data.source.family()).ok_or_else(|| {
            anyhow!("the model after stage {} has no token family {}", self.stage, self.data.source.family())
        })?;
        model.families = vec![config.families[family].clone()];
        let is_segmentation = targets.kind().is_segmentation();
        let grid = match (is_segmentation, self.data.source.spec(), self.data.source.layout()) {
            (false, ..) => None,
            (true, TokenSpec::Continuous { d_token, .. }, Some(layout)) => Some(TokenGrid::new(layout, d_token)?),
            _ => bail!("{} has no grid of voxels to segment", self.section.modality),
        };
        let head = match is_segmentation {
            true => TaskHeadConfig::Voxels(finetune.decoder.clone()),
            false => TaskHeadConfig::Samples(finetune.head.clone()),
        };
        let shape = TaskModelConfig {
            model,
            tokens: self.data.source.spec(),
            grid,
            target: targets.kind().clone(),
            head,
            class_token: finetune.training.class_token,
        };
        shape.check()?;
        Ok(shape)
    }

    /// The backbone with all families, without gradients.
    fn backbone(&self) -> Result<(Model, ModelConfig)> {
        let device = medcoss_core::device::by_name(self.options.device)?;
        if self.options.from_scratch {
            return Ok((Model::new(&self.config, self.options.seed, 1, &device), self.config.clone()));
        }
        if self.stage == 0 && self.run.initial.is_none() {
            bail!(
                "the run began with fresh parameters, which it does not keep\nhint: --from-scratch begins with such; --stage counts from 1"
            );
        }
        let stored = self.run.model(Some(self.stage))?;
        Ok((stored.load(&device)?, stored.config.clone()))
    }

    /// Positions of the training, validation and test samples.
    fn splits(&self) -> Result<[Vec<usize>; 3]> {
        let finetune = self.section.finetune.as_ref().ok_or_else(|| anyhow!("the task has no [task.finetune]"))?;
        let seed = self.options.seed;
        let Split { train, test } = self.samples.split(self.section, seed)?;
        let of = |values: &[usize], places: &[usize]| places.iter().map(|at| values[*at]).collect::<Vec<usize>>();
        let part = |places: &[usize], share: f64, purpose: u64| -> Result<Split> {
            let (labels, groups) = (of(&self.samples.labels, places), of(&self.samples.groups, places));
            let drawn = Split::draw(&labels, &groups, share, seed ^ purpose).map_err(|error| {
                anyhow!("{error}\nhint: the training split is too small for a validation share; set finetune.validation = 0 and training.criterion = \"last\"")
            })?;
            Ok(Split { train: of(places, &drawn.train), test: of(places, &drawn.test) })
        };
        let given = self.samples.given_validation();
        let (train, validation) = match finetune.drawn_validation(given.len())? {
            Some(share) if share > 0.0 => {
                let split = match finetune.validation_by {
                    ValidationBy::Seed => part(&train, share, 0x76616c)?,
                    ValidationBy::Name => self.samples.last_by_name(&train, share, self.data.source.ids())?,
                };
                (split.train, split.test)
            }
            Some(_) => (train, Vec::new()),
            None => (train, given),
        };
        let train = match self.options.fraction < 1.0 {
            true => part(&train, self.options.fraction, 0x667261)?.test,
            false => train,
        };
        Ok([train, validation, test])
    }

    fn run(&self, folder: &ConfinedPath, observer: &mut dyn TuningObserver) -> Result<FinetuneReport> {
        let finetune_section =
            self.section.finetune.as_ref().ok_or_else(|| anyhow!("the task has no [task.finetune]"))?;
        let config = &finetune_section.training;
        let target = self.section.target().unwrap_or_default();
        let [train, validation, test] = self.splits()?;
        let targets = TaskTargets::new(finetune_section, &self.samples, self.masks.as_ref(), &train)?;
        let device = medcoss_core::device::by_name(self.options.device)?;
        medcoss_core::device::check_precision(&device, config.precision)?;
        let (backbone, all) = self.backbone()?;
        let shape = self.shape(&targets, &all)?;
        let family = all.family(self.data.source.family()).unwrap_or_default();
        let with_gradients = device.clone().autodiff();
        let backbone = shape.backbone_of(&backbone, family, &with_gradients)?;
        let model = TaskModel::new(&shape, backbone, self.options.seed, &with_gradients)?;
        let n_learned = model.n_learned(config.learned, &config.adapters);

        let indices = |places: &[usize]| places.iter().map(|at| self.samples.indices[*at]).collect::<Vec<u64>>();
        let (train_rows, validation_rows, test_rows) = (indices(&train), indices(&validation), indices(&test));
        observer.opened(train.len(), validation.len(), test.len(), config.epochs);
        let loader = LoaderOptions {
            num_workers: self.run.config.data.num_workers,
            max_invalid_fraction: self
                .options
                .max_invalid_fraction
                .unwrap_or(self.run.config.data.max_invalid_fraction),
        };
        let task = Task {
            dataset: &self.data.source,
            targets: &targets,
            train: &train_rows,
            validation: &validation_rows,
            loader,
        };
        let stored = StoredTaskModel::of(folder.clone());
        let key = self.key(&shape, &train_rows, &validation_rows)?;
        let weights = folder.join(StoredTaskModel::WEIGHTS);
        let mut bridge = Bridge { observer, modality: self.section.modality.clone(), folder: folder.display() };
        let places = (folder, &weights, key.as_str());
        let tuned = finetune(&task, config, &shape, model, self.options.seed, &device, places, &mut bridge)?;

        let lines: Vec<String> = tuned.reports.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        write_atomically(&folder.join(StoredTaskModel::METRICS), format!("{}\n", lines.join("\n")).as_bytes())?;
        let predictor = Predictor {
            model: &tuned.model,
            config: &shape,
            flips: false,
            batch_size: PREDICTED_AT_ONCE,
            loader,
            device: &device,
        };
        let TestResult { scores, cases, tested } = self.test(&predictor, &targets, &test, &test_rows, &mut bridge)?;
        write_atomically(&folder.join(CASES), cases_csv(&cases)?.as_bytes())?;
        self.keep_assets(folder)?;
        let n_samples: BTreeMap<String, usize> =
            [("train", train.len()), ("validation", validation.len()), ("test", test.len())]
                .map(|(name, n)| (name.to_string(), n))
                .into();
        let report = FinetuneReport {
            task: self.section.name.clone(),
            target: target.name(),
            classes: self.samples.classes.clone(),
            n_samples: n_samples.clone(),
            n_learned,
            epoch: tuned.chosen,
            criterion: match config.criterion {
                Criterion::Loss => "validation loss".into(),
                Criterion::Metric => format!("validation {}", shape.target.metric()),
                Criterion::Last => "the last epoch".into(),
            },
            epochs: tuned.reports,
            scores: scores.clone(),
        };
        let predictions = tested.predictions();
        if let Some(warning) = predictions.as_ref().and_then(|predictions| predictions.near_chance(&scores)) {
            tracing::warn!("{}: {warning}", self.section.name);
        }
        write_atomically(&folder.join(PAGE), page::draw(&report, predictions.as_ref()).as_bytes())?;
        let plugin = PluginsLock::of(std::iter::once(&self.plugin)).plugin.remove(0);
        let source = ModelSource {
            medcoss: env!("CARGO_PKG_VERSION").into(),
            modality: self.section.modality.clone(),
            options: serde_json::to_value(self.data_options())?,
            plugin,
            run: if self.options.from_scratch { String::new() } else { self.run.layout().folder().name() },
            stage: self.stage,
            from_scratch: self.options.from_scratch,
            task: self.section.name.clone(),
            tasks_sha256: self.file.sha256.clone(),
            seed: self.options.seed,
            fraction: self.options.fraction,
            segmented: self.masks.as_ref().map(|masks| masks.classes.clone()),
            n_samples,
            epoch: tuned.chosen,
            scores,
        };
        stored.finish(TaskModelInfo {
            format: FORMAT,
            checksum: CHECKSUM_PLACEHOLDER.into(),
            config: shape,
            finetuning: config.clone(),
            source,
            checksums: BTreeMap::new(),
        })?;
        Ok(report)
    }

    /// Options of the plugin with which the data were opened: those of the run's stage below those of the task.
    fn data_options(&self) -> toml::Table {
        let stage = self.run.config.stages.iter().rfind(|stage| stage.modality == self.section.modality);
        let mut options = stage.map(|stage| stage.options.clone()).unwrap_or_default();
        options.extend(self.section.options.clone());
        options
    }

    /// Copies the plugin's assets of the run, such as a vocabulary, into the model's folder.
    fn keep_assets(&self, folder: &ConfinedPath) -> Result<()> {
        let Some(assets) = self.run.assets(&self.section.modality)? else { return Ok(()) };
        let from = ConfinedPath::root(&assets)?;
        let target = folder.join(StoredTaskModel::ASSETS);
        if target.is_folder()? {
            return Ok(());
        }
        Ok(write_folder(&target, |folder| {
            for name in from.files_below()? {
                if name != medcoss_core::run::RunLayout::MANIFEST {
                    write_atomically(&folder.join(&name), &from.join(&name).read(1 << 32)?)?;
                }
            }
            write_manifest(folder)
        })?)
    }

    fn test(
        &self,
        predictor: &Predictor<'_>,
        targets: &TaskTargets<'_>,
        places: &[usize],
        rows: &[u64],
        bridge: &mut Bridge<'_>,
    ) -> Result<TestResult> {
        let shape = self.masks.as_ref().map(|masks| masks.maps.shape.clone()).unwrap_or_default();
        let hd95 = self.section.finetune.as_ref().map(|section| section.hd95).unwrap_or_default();
        let mut tested = Tested::new(targets.kind().clone(), self.section.auc(), hd95, shape);
        let group_of: BTreeMap<u64, usize> =
            places.iter().map(|at| (self.samples.indices[*at], self.samples.groups[*at])).collect();
        let spacing_of: BTreeMap<u64, &Option<Vec<f64>>> =
            self.masks.iter().flat_map(|masks| masks.maps.rows.iter().copied().zip(&masks.maps.spacing_mm)).collect();
        let spacing = |row: u64| spacing_of.get(&row).copied().cloned().flatten();
        let mut groups = Vec::with_capacity(rows.len());
        predictor.for_each(&self.data.source, rows, &mut |outputs| {
            for (index, reason) in &outputs.invalid {
                bridge.invalid_sample(&self.data.source.ids()[*index as usize], reason);
            }
            groups.extend(outputs.rows.iter().map(|row| group_of[row]));
            tested.add(&outputs, targets.of(&outputs.rows)?, &spacing)?;
            bridge.samples(outputs.rows.len() + outputs.invalid.len())
        })?;
        if groups.is_empty() {
            bail!("none of the {} test samples could be read", rows.len());
        }
        let scores = tested.scores(&groups, self.options.seed)?;
        let cases = tested.cases(self.data.source.ids(), &groups);
        Ok(TestResult { scores, cases, tested })
    }

    /// Digest of all that decides the training, by which a checkpoint is recognised.
    fn key(&self, shape: &TaskModelConfig, train: &[u64], validation: &[u64]) -> Result<String> {
        let finetune = self.section.finetune.as_ref().map(|section| {
            let training = &section.training;
            // The result does not depend on when checkpoints are written.
            FinetuneConfig { checkpoint_seconds: 0.0, ..training.clone() }
        });
        let of_run = match self.options.from_scratch {
            true => "fresh".to_string(),
            false => self.run.model(Some(self.stage)).map(|_| self.stage.to_string())?,
        };
        let state = self.stage.checked_sub(1).and_then(|at| self.run.states.get(at)).map(|state| &state.checksums);
        let parts = serde_json::json!({
            "shape": shape,
            "training": finetune,
            "train": train,
            "validation": validation,
            "data": self.data.source.fingerprint(),
            "seed": self.options.seed,
            "stage": of_run,
            "run": state,
            "device": self.options.device,
        });
        Ok(sha256_of_content(parts.to_string().as_bytes())?)
    }
}

fn cases_csv(cases: &[CaseScore]) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    cases.iter().try_for_each(|case| writer.serialize(case))?;
    Ok(String::from_utf8(writer.into_inner().map_err(|error| anyhow!("{error}"))?)?)
}
