//! Published results beside measured ones, with what differs between the two protocols.
//!
//! Published averages are no target for a run on other data: they show whether the strategies come in the same order. Each figure has a
//! source, and each aspect of the protocol stands beside the comparison's own.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use medcoss_core::evaluation::Scores;
use medcoss_plugin_host::did_you_mean;
use serde::{Deserialize, Serialize};

use super::Spread;
use crate::config::{ModelSection, RunConfig};
use crate::recipe::Recipe;

/// The known results: their names and documents.
const KNOWN: [(&str, &str); 1] = [("medcoss-paper", include_str!("published/medcoss-paper.toml"))];

/// Published results of continual strategies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedResults {
    /// What was measured.
    pub title: String,
    /// Publications from which the figures and the protocol are taken.
    pub sources: Vec<String>,
    /// How the published figures were measured.
    pub protocol: Protocol,
    /// The averages, one for each strategy.
    #[serde(rename = "average")]
    pub averages: Vec<PublishedAverage>,
}

/// Published averages of one strategy over downstream tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedAverage {
    /// Name of the method in the publication.
    pub method: String,
    /// Name of the same strategy here.
    pub strategy: String,
    /// Mean of the metrics of which higher is better, in percent.
    pub score_percent: f64,
    /// Mean of the distances, of which lower is better.
    pub distance: f64,
}

/// How averages were measured: one sentence for each aspect in which protocols differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Sizes of the encoder.
    pub encoder: String,
    /// Weights that the first stage begins with.
    pub initial_weights: String,
    /// Modalities in the order of stages, with their data.
    pub pre_training_data: String,
    /// Epochs of a stage, and samples of an update.
    pub epochs_and_batch: String,
    /// Recipe of the pre-training.
    pub recipe: String,
    /// Downstream tasks.
    pub tasks: String,
    /// What is trained for a downstream task.
    pub probes: String,
    /// Metrics in the average.
    pub averaged: String,
    /// Seeds.
    pub seeds: String,
}

/// Published averages beside those of a comparison, with both protocols.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Against {
    /// What was published.
    pub title: String,
    /// Publications from which the figures and the protocol are taken.
    pub sources: Vec<String>,
    /// The averages, one for each published strategy.
    pub averages: Vec<BesideAverage>,
    /// How the published figures were measured.
    pub published: Protocol,
    /// How the comparison measured.
    pub measured: Protocol,
}

/// Published and measured averages of one strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BesideAverage {
    /// The published averages.
    pub published: PublishedAverage,
    /// Measured mean of the scores in [0, 1] after the last stage, over seeds; `None` unless the strategy was compared.
    pub score: Option<Spread>,
    /// Measured mean of the distances in millimetres after the last stage, over seeds.
    pub distance_mm: Option<Spread>,
}

impl PublishedResults {
    /// Results by their name: `medcoss-paper`.
    ///
    /// # Errors
    /// A name without results.
    pub fn named(name: &str) -> Result<Self> {
        match KNOWN.iter().find(|(known, _)| *known == name) {
            Some((_, document)) => Ok(toml::from_str(document)?),
            None => {
                let names = KNOWN.map(|(known, _)| known);
                let hint = did_you_mean(name, names);
                bail!("there are no published results {name:?}\nhint: {hint}there are {}", names.join(", "))
            }
        }
    }
}

impl Protocol {
    /// The aspects as pairs of name and sentence, in the order of the document.
    pub fn aspects(&self) -> [(&'static str, &str); 9] {
        [
            ("encoder", &self.encoder),
            ("initial weights", &self.initial_weights),
            ("pre-training data", &self.pre_training_data),
            ("epochs and batch", &self.epochs_and_batch),
            ("recipe", &self.recipe),
            ("downstream tasks", &self.tasks),
            ("what a task trains", &self.probes),
            ("averaged metrics", &self.averaged),
            ("seeds", &self.seeds),
        ]
    }

    /// The protocol of a comparison: `config` is the configuration that its variants change, `scores` any evaluation.
    pub fn of(config: &RunConfig, scores: &Scores, n_seeds: usize) -> Self {
        let (stages, training, tasks) = (&config.stages, &config.training, &scores.tasks);
        let epochs = stages.iter().map(|stage| stage.epochs.unwrap_or(training.epochs));
        let samples = stages.iter().map(|stage| {
            stage.batch_size.unwrap_or(training.batch_size)
                * stage.gradient_accumulation.unwrap_or(training.gradient_accumulation)
        });
        let metrics: BTreeSet<_> = tasks.iter().map(|task| task.primary_metric.replace('_', " ")).collect();
        let protocols: BTreeSet<_> = tasks.iter().map(|task| task.protocol.as_str()).collect();
        let init = config.model.init.as_ref().map(|path| path.display().to_string());
        Self {
            encoder: encoder(&config.model),
            initial_weights: init.unwrap_or_else(|| "fresh parameters".into()),
            pre_training_data: list(stages.iter().map(|stage| stage.modality.as_str()), ", "),
            epochs_and_batch: format!("{} epochs, {} samples an update", range(epochs), range(samples)),
            recipe: match config.recipe {
                Some(Recipe::Reference) => "the reference implementation's".into(),
                None => "the configuration's own".into(),
            },
            tasks: format!("{}: {}", tasks.len(), list(tasks.iter().map(|task| task.name.as_str()), "; ")),
            probes: format!("by the protocols of the tasks: {}", list(protocols, "; ")),
            averaged: format!("the primary metric of each task: {}", list(metrics.iter().map(String::as_str), ", ")),
            seeds: format!("{n_seeds} of pre-training, {} of splits and probes", scores.seeds.len()),
        }
    }
}

fn list<'a>(names: impl IntoIterator<Item = &'a str>, separator: &str) -> String {
    names.into_iter().collect::<Vec<_>>().join(separator)
}

/// The least and the largest of some numbers as text.
fn range(numbers: impl Iterator<Item = usize> + Clone) -> String {
    match (numbers.clone().min().unwrap_or_default(), numbers.max().unwrap_or_default()) {
        (least, largest) if least == largest => least.to_string(),
        (least, largest) => format!("{least} to {largest}"),
    }
}

fn encoder(model: &ModelSection) -> String {
    match model.dimensions() {
        Ok(sizes) => format!("{} layers, width {}, {} heads", sizes.layers, sizes.width, sizes.heads),
        Err(_) => "the sizes of the initial weights".into(),
    }
}

#[cfg(test)]
mod tests {
    use medcoss_core::continual::Strategy;

    use super::*;

    #[test]
    fn every_known_document_has_sources_and_names_strategies_once() {
        for (name, _) in KNOWN {
            let results = PublishedResults::named(name).unwrap();
            assert!(!results.sources.is_empty(), "{name}");
            let mut strategies: Vec<_> = results.averages.iter().map(|average| average.strategy.as_str()).collect();
            let all = Strategy::ALL.map(Strategy::name);
            assert!(strategies.iter().all(|strategy| all.contains(strategy)), "{strategies:?}");
            assert!(results.averages.iter().all(|average| (0.0..=100.0).contains(&average.score_percent)));
            strategies.sort_unstable();
            strategies.dedup();
            assert_eq!(strategies.len(), results.averages.len());
        }
        let error = PublishedResults::named("medcos-paper").unwrap_err().to_string();
        assert!(error.contains("did you mean \"medcoss-paper\"?"), "{error}");
    }

    #[test]
    fn ranges_of_stages() {
        assert_eq!([range([5].into_iter()), range([24, 12, 14].into_iter())], ["5", "12 to 24"]);
    }
}
