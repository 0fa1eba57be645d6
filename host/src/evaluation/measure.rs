//! One task, measured with one model: by its protocol, for each seed.

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use medcoss_core::evaluation::{
    Finetuner, Labels, Metric, N_RESAMPLES, Predictions, Resamples, Split, TaskSummary, retrieve,
};
use medcoss_core::model::Model;
use medcoss_core::stage::Reading;

use super::models::Models;
use super::samples::TaskSamples;
use super::task_data::{Encoded, TaskData};
use super::tasks_file::{Protocol, TaskSection};
use super::{Options, stopped};

/// A task with its samples.
pub(super) struct Task<'a> {
    pub section: &'a TaskSection,
    /// The stage that first learned its modality.
    pub own_stage: usize,
    /// Position of its data.
    pub data: usize,
    protocol: Protocol,
    samples: TaskSamples,
    /// By seed.
    splits: Vec<Split>,
    /// By seed, of the test split.
    resamples: Vec<Resamples>,
    settled: bool,
}

/// With what tasks are measured.
pub(super) struct Work<'a> {
    pub models: &'a Models<'a>,
    pub reading: Reading,
    pub options: &'a Options<'a>,
    pub bar: &'a ProgressBar,
}

/// One metric of a task.
pub(super) struct Measured {
    pub metric: Metric,
    /// Mean over seeds.
    pub value: f64,
    /// Means over seeds of the ends.
    pub interval: [f64; 2],
    pub by_seed: Vec<f64>,
}

impl<'a> Task<'a> {
    /// Splits the samples by each seed, so that what cannot be split or measured shows before anything is computed.
    ///
    /// # Errors
    /// A class that is not on both sides, more neighbours than training samples.
    pub fn new(
        section: &'a TaskSection,
        own_stage: usize,
        data: usize,
        samples: TaskSamples,
        seeds: &[u64],
    ) -> Result<Self> {
        let protocol = section.protocol();
        let mut task = Self {
            section,
            own_stage,
            data,
            protocol,
            samples,
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

    /// Leaves out what could not be read, once that is known.
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

    /// Samples that are scored, of the first seed.
    pub fn n_test(&self) -> usize {
        self.splits.first().map_or(0, |split| split.test.len())
    }

    /// For the record.
    pub fn summary(&self) -> TaskSummary {
        TaskSummary {
            name: self.section.name.clone(),
            modality: self.section.modality.clone(),
            own_stage: self.own_stage,
            protocol: self.protocol.name().into(),
            primary_metric: self.section.primary_metric().name().into(),
            higher_is_better: true,
            classes: self.samples.classes.clone(),
            n_train: self.splits.first().map_or(0, |split| split.train.len()),
            n_test: self.n_test(),
        }
    }

    /// All metrics of the protocol, with the model of that number.
    ///
    /// # Errors
    /// What cannot be fitted or read, a request to stop.
    pub fn measure(&self, work: &Work<'_>, number: usize, data: &TaskData, encoded: &Encoded) -> Result<Vec<Measured>> {
        let Work { models, reading, options, bar } = *work;
        let mut predictions = Vec::new();
        for (split, seed) in self.splits.iter().zip(&options.seeds) {
            let learned = match &self.protocol {
                Protocol::Finetune(settings) => {
                    let device = medcoss_core::device::by_name(options.device)?;
                    let finetuner = Finetuner {
                        settings,
                        family: data.family,
                        drop_path: models.config.dimensions.drop_path,
                        source: &data.source,
                        reading,
                        seed: *seed,
                        device: &device,
                    };
                    let model = models.load(number, options.device, true)?;
                    self.finetuned(&finetuner, model, split, bar)?
                }
                _ => self.probed(encoded, split)?,
            };
            predictions.push(learned);
        }
        self.protocol.metrics().into_iter().map(|metric| self.of_metric(metric, &predictions)).collect()
    }

    /// Of frozen features.
    fn probed(&self, encoded: &Encoded, split: &Split) -> Result<Predictions> {
        let (train, test) = (encoded.of(&self.samples, &split.train)?, encoded.of(&self.samples, &split.test)?);
        let n_classes = self.samples.classes.len();
        let scores = match &self.protocol {
            Protocol::Knn(knn) => knn.scores(&train, &test, n_classes)?,
            Protocol::Linear(linear) => linear.scores(&train, &test, n_classes)?,
            Protocol::Retrieval | Protocol::Finetune(_) => return Ok(Predictions::Ranks(retrieve(&train, &test)?)),
        };
        Ok(Predictions::Classes { labels: test.labels, scores, n_classes, auc: self.section.auc() })
    }

    fn finetuned(
        &self,
        finetuner: &Finetuner<'_>,
        model: Model,
        split: &Split,
        bar: &ProgressBar,
    ) -> Result<Predictions> {
        let indices = |places: &[usize]| places.iter().map(|at| self.samples.indices[*at]).collect::<Vec<_>>();
        let labels = |places: &[usize]| places.iter().map(|at| self.samples.labels[*at]).collect::<Vec<_>>();
        let n_classes = self.samples.classes.len();
        bar.inc_length(((finetuner.settings.epochs + 2) * split.train.len() + split.test.len()) as u64);
        let began = bar.position();
        let (train, classes) = (indices(&split.train), labels(&split.train));
        let train = Labels { indices: &train, classes: &classes, n_classes };
        let scores = finetuner.scores(model, train, &indices(&split.test), &mut |done| {
            bar.set_position(began + done as u64);
            stopped()
        })?;
        Ok(Predictions::Classes { labels: labels(&split.test), scores, n_classes, auc: self.section.auc() })
    }

    fn of_metric(&self, metric: Metric, predictions: &[Predictions]) -> Result<Measured> {
        // The value, and the ends of its interval.
        let of_seed = |(at, predictions): (usize, &Predictions)| -> Result<[f64; 3]> {
            let all: Vec<usize> = (0..self.splits[at].test.len()).collect();
            let value = metric.of(predictions, &all)?;
            let [low, high] = self.resamples[at].interval(|places| metric.of(predictions, places))?;
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
        Ok(Measured { metric, value, interval: [low, high], by_seed: found.iter().map(|[value, ..]| *value).collect() })
    }
}
