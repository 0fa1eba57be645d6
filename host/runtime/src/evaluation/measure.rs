//! Measurement of one task with one model: by the task's protocol, for each seed.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use medcoss_core::data::Subset;
use medcoss_core::evaluation::{
    ClassMaps, Finetuner, Labels, MaskedTokenCounts, Metric, N_RESAMPLES, Predictions, Resamples, SegmentationProbe,
    Split, TaskSummary, TokenFeatures, retrieve,
};
use medcoss_core::model::Model;

use super::context::EvaluationContext;
use super::models::ModelOf;
use super::samples::TaskSamples;
use super::task_data::{Encoded, TaskData};
use super::tasks_file::{Protocol, TaskSection};
use crate::observer::WorkTracker;

/// A task with its samples and splits.
pub(super) struct Task<'a> {
    pub section: &'a TaskSection,
    /// Number of the stage that first learned the task's modality.
    pub own_stage: usize,
    /// Position of the task's data.
    pub data: usize,
    protocol: Protocol,
    samples: TaskSamples,
    /// Masks of a segmentation task.
    masks: Option<ClassMaps>,
    /// Splits, by seed.
    splits: Vec<Split>,
    /// Bootstrap resamples of the test split, by seed.
    resamples: Vec<Resamples>,
    settled: bool,
}

/// One metric of a task, measured for all seeds.
pub(super) struct Measured {
    /// Name of the metric, as in files.
    pub name: String,
    /// Mean of the metric over seeds.
    pub value: f64,
    /// Means over seeds of the confidence interval's ends.
    pub interval: [f64; 2],
    pub by_seed: Vec<f64>,
    /// Number of pairs of sample and class whose HD95 is undefined.
    pub n_undefined: Option<usize>,
}

impl<'a> Task<'a> {
    /// Splits the samples by each seed. A task that cannot be split or measured is reported before anything is
    /// computed.
    ///
    /// # Errors
    /// A class that is missing on one side, more neighbours than training samples.
    pub fn new(
        section: &'a TaskSection,
        own_stage: usize,
        data: usize,
        samples: TaskSamples,
        masks: Option<ClassMaps>,
        seeds: &[u64],
    ) -> Result<Self> {
        let protocol = section.protocol();
        let mut task = Self {
            section,
            own_stage,
            data,
            protocol,
            samples,
            // Other protocols need only the sizes of the masks.
            masks: masks.filter(|_| section.is_segmentation()),
            splits: Vec::new(),
            resamples: Vec::new(),
            settled: false,
        };
        task.split(seeds)?;
        Ok(task)
    }

    fn split(&mut self, seeds: &[u64]) -> Result<()> {
        self.splits = seeds.iter().map(|seed| self.samples.split(self.section, *seed)).collect::<Result<_>>()?;
        if let Protocol::Knn(knn) = &self.protocol {
            self.splits.iter().try_for_each(|split| knn.check(split.train.len()))?;
        }
        let of = |values: &[usize], places: &[usize]| places.iter().map(|at| values[*at]).collect::<Vec<_>>();
        let draw = |(split, seed): (&Split, &u64)| {
            let labels = of(&self.samples.labels, &split.test);
            Ok(Resamples::draw(&labels, &of(&self.samples.groups, &split.test), N_RESAMPLES, *seed)?)
        };
        self.resamples = self.splits.iter().zip(seeds).map(draw).collect::<Result<_>>()?;
        Ok(())
    }

    /// Removes samples that turned out to be unreadable.
    ///
    /// # Errors
    /// As [`Task::new`].
    pub fn settle(&mut self, readable: &[u64], seeds: &[u64]) -> Result<()> {
        if !std::mem::replace(&mut self.settled, true) {
            let samples = self.samples.readable(readable);
            if samples.indices.len() < self.samples.indices.len() {
                self.samples = samples;
                self.split(seeds)?;
            }
        }
        Ok(())
    }

    /// Number of test samples with the first seed.
    pub fn n_test(&self) -> usize {
        self.splits.first().map_or(0, |split| split.test.len())
    }

    /// The summary of the task for the scores.
    pub fn summary(&self) -> TaskSummary {
        TaskSummary {
            name: self.section.name.clone(),
            modality: self.section.modality.clone(),
            own_stage: self.own_stage,
            protocol: match self.section.is_refitted() {
                true => self.protocol.name().into(),
                false => format!("{}, fitted once", self.protocol.name()),
            },
            primary_metric: self.section.primary_metric().name().into(),
            higher_is_better: self.section.primary_metric().higher_is_better(),
            classes: self.samples.classes.clone(),
            n_train: self.splits.first().map_or(0, |split| split.train.len()),
            n_test: self.n_test(),
            grouping: Some(self.samples.grouping.to_string()),
            n_groups: Some(self.samples.groups.iter().collect::<BTreeSet<_>>().len()),
        }
    }

    /// Measures all metrics of the protocol with a model. Probes are fitted to `fitted`, features of the same samples.
    ///
    /// # Errors
    /// A probe that cannot be fitted, samples that cannot be read, a request to stop.
    pub fn measure(
        &self,
        context: &EvaluationContext<'_>,
        of: ModelOf,
        data: &TaskData,
        fitted: &Encoded,
        encoded: &Encoded,
    ) -> Result<Vec<Measured>> {
        let EvaluationContext { models, loader, options, work } = *context;
        let mut predictions = Vec::new();
        if let (Protocol::Segmentation(probe), Some(maps)) = (&self.protocol, &self.masks) {
            let features = self.token_features(&models.load(of, options.device, false)?, data, context)?;
            for (split, seed) in self.splits.iter().zip(&options.seeds) {
                predictions.push(self.segmented(probe, &features, maps, (split, *seed), context)?);
            }
            return self.of_masks(&predictions);
        }
        for (split, seed) in self.splits.iter().zip(&options.seeds) {
            let learned = match &self.protocol {
                Protocol::Finetune(settings) => {
                    let device = medcoss_core::device::by_name(options.device)?;
                    let finetuner = Finetuner {
                        settings,
                        family: data.family,
                        drop_path: models.config.dimensions.drop_path,
                        dataset: &data.source,
                        loader,
                        seed: *seed,
                        device: &device,
                    };
                    let model = models.load(of, options.device, true)?;
                    self.finetuned(&finetuner, model, split, work)?
                }
                Protocol::MaskedLm => {
                    let device = medcoss_core::device::by_name(options.device)?;
                    let model = models.load_with_head(of, self.own_stage, data.family, options.device)?;
                    work.extend(self.samples.indices.len() as u64);
                    let began = work.done();
                    let (dataset, indices) = (&data.source, &self.samples.indices);
                    Predictions::MaskedTokens(MaskedTokenCounts::of_samples(
                        &model,
                        data.family,
                        dataset,
                        indices,
                        *seed,
                        &device,
                        &mut |done| {
                            work.set_done(began + done as u64);
                            work.check_stop()
                        },
                    )?)
                }
                _ => self.probed(fitted, encoded, split)?,
            };
            predictions.push(learned);
        }
        self.protocol.metrics().iter().map(|metric| self.of_metric(*metric, &predictions)).collect()
    }

    /// Predictions of a probe on frozen features.
    fn probed(&self, fitted: &Encoded, encoded: &Encoded, split: &Split) -> Result<Predictions> {
        let (train, test) = (fitted.of(&self.samples, &split.train)?, encoded.of(&self.samples, &split.test)?);
        let n_classes = self.samples.classes.len();
        let scores = match &self.protocol {
            Protocol::Knn(knn) => knn.scores(&train, &test, n_classes)?,
            Protocol::Linear(linear) => linear.scores(&train, &test, n_classes)?,
            Protocol::Retrieval | Protocol::Finetune(_) | Protocol::Segmentation(_) | Protocol::MaskedLm => {
                return Ok(Predictions::Ranks(retrieve(&train, &test)?));
            }
        };
        Ok(Predictions::Classes { labels: test.labels, scores, n_classes, auc: self.section.auc() })
    }

    fn finetuned(
        &self,
        finetuner: &Finetuner<'_>,
        model: Model,
        split: &Split,
        work: &WorkTracker<'_>,
    ) -> Result<Predictions> {
        let indices = |places: &[usize]| places.iter().map(|at| self.samples.indices[*at]).collect::<Vec<_>>();
        let labels = |places: &[usize]| places.iter().map(|at| self.samples.labels[*at]).collect::<Vec<_>>();
        let n_classes = self.samples.classes.len();
        work.extend(((finetuner.settings.epochs + 2) * split.train.len() + split.test.len()) as u64);
        let began = work.done();
        let (train, classes) = (indices(&split.train), labels(&split.train));
        let train = Labels { indices: &train, classes: &classes, n_classes };
        let scores = finetuner.scores(model, train, &indices(&split.test), &mut |done| {
            work.set_done(began + done as u64);
            work.check_stop()
        })?;
        Ok(Predictions::Classes { labels: labels(&split.test), scores, n_classes, auc: self.section.auc() })
    }

    /// Features of every token of the task's samples, by dataset indices.
    fn token_features(
        &self,
        model: &medcoss_core::model::Model,
        data: &TaskData,
        context: &EvaluationContext<'_>,
    ) -> Result<TokenFeatures> {
        let EvaluationContext { loader, options, work, .. } = *context;
        let device = medcoss_core::device::by_name(options.device)?;
        let subset = Subset::new(&data.source, self.samples.indices.clone());
        work.extend(self.samples.indices.len() as u64);
        let began = work.done();
        let mut features = TokenFeatures::extract(model, data.family, &subset, loader, &device, &mut |done| {
            work.set_done(began + done as u64);
            work.check_stop()
        })?;
        features.rows.iter_mut().for_each(|row| *row = self.samples.indices[*row as usize]);
        Ok(features)
    }

    /// Segmentation of a split's test samples by a probe, with a seed.
    fn segmented(
        &self,
        probe: &SegmentationProbe,
        features: &TokenFeatures,
        maps: &ClassMaps,
        (split, seed): (&Split, u64),
        context: &EvaluationContext<'_>,
    ) -> Result<Predictions> {
        let EvaluationContext { options, work, .. } = *context;
        let device = medcoss_core::device::by_name(options.device)?;
        let indices = |places: &[usize]| places.iter().map(|at| self.samples.indices[*at]).collect::<Vec<_>>();
        let (train, test) = (indices(&split.train), indices(&split.test));
        work.extend((probe.epochs * train.len() + test.len()) as u64);
        let began = work.done();
        let mut scores = probe.scores(features, maps, &train, &test, seed, &device, &mut |done| {
            work.set_done(began + done as u64);
            work.check_stop()
        })?;
        if scores.samples.len() != test.len() {
            bail!("{} of {} test samples could be segmented", scores.samples.len(), test.len());
        }
        scores.classes.clone_from(&self.samples.classes);
        Ok(Predictions::Masks(scores))
    }

    /// Metrics over all classes, then of each class where there are several. A metric without any value is left out: a
    /// distance in mm where the spacing is unknown, and metrics of masks that are all empty.
    fn of_masks(&self, predictions: &[Predictions]) -> Result<Vec<Measured>> {
        let n_classes = self.samples.classes.len();
        let kinds: Vec<Option<usize>> =
            std::iter::once(None).chain((0..n_classes).filter(|_| n_classes > 1).map(Some)).collect();
        let mut measured = Vec::new();
        for class in kinds {
            let of_kind: Vec<Predictions> = predictions
                .iter()
                .filter_map(|predictions| match (predictions, class) {
                    (Predictions::Masks(scores), Some(class)) => Some(Predictions::Masks(scores.of_class(class))),
                    (Predictions::Masks(scores), None) => Some(Predictions::Masks(scores.clone())),
                    _ => None,
                })
                .collect();
            for &metric in self.protocol.metrics() {
                let defined = |(at, found): (usize, &Predictions)| {
                    metric.of(found, &(0..self.splits[at].test.len()).collect::<Vec<_>>()).is_ok()
                };
                let is_primary = class.is_none() && metric == self.section.primary_metric();
                if !is_primary && !of_kind.iter().enumerate().all(defined) {
                    continue;
                }
                let undefined = |found: &Predictions| match found {
                    Predictions::Masks(scores) => scores.n_undefined_hd95(),
                    _ => 0,
                };
                let mut found = self.of_metric(metric, &of_kind)?;
                if let Some(class) = class {
                    found.name = format!("{}:{}", metric.name(), self.samples.classes[class]);
                }
                found.n_undefined = (metric != Metric::Dice).then(|| of_kind.iter().map(undefined).sum());
                measured.push(found);
            }
        }
        Ok(measured)
    }

    fn of_metric(&self, metric: Metric, predictions: &[Predictions]) -> Result<Measured> {
        // The value, and the ends of its confidence interval.
        let of_seed = |(at, predictions): (usize, &Predictions)| -> Result<[f64; 3]> {
            let all: Vec<usize> = (0..self.splits[at].test.len()).collect();
            let value = metric.of(predictions, &all)?;
            // HD95 is undefined in a resample whose masks are all empty; the value of the whole split takes its place.
            let of_places = |places: &[usize]| match (metric.of(predictions, places), predictions) {
                (Err(_), Predictions::Masks(_)) => Ok(value),
                (found, _) => found,
            };
            let [low, high] = self.resamples[at].interval(of_places)?;
            Ok([value, low, high])
        };
        let found: Vec<[f64; 3]> = predictions
            .iter()
            .enumerate()
            .map(of_seed)
            .collect::<Result<_>>()
            .with_context(|| format!("metric {}", metric.name()))?;
        let [value, low, high] =
            [0, 1, 2].map(|of| found.iter().map(|seed| seed[of]).sum::<f64>() / found.len() as f64);
        Ok(Measured {
            name: metric.name().into(),
            n_undefined: None,
            value,
            interval: [low, high],
            by_seed: found.iter().map(|[value, ..]| *value).collect(),
        })
    }
}
