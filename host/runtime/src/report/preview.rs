//! `medcoss plugin preview`: what a plugin makes of some samples, before any training. One page without scripts, as a report is.

use maud::{Markup, html};
use medcoss_abi::message::Geometry;
use medcoss_core::data::Dataset;
use medcoss_plugin_host::{Batch, FailureKind, OpenDataset, Shape, Tokens, View};
use serde::Serialize;

use super::buffers::exhibit;
use super::exhibit::{Exhibit, LARGE};
use super::page;
use crate::plugin_dataset::PluginDataset;

/// Training views of a sample.
const N_TRAINING: u64 = 2;

/// Samples to preview.
pub struct Preview<'a> {
    /// The samples.
    pub dataset: &'a PluginDataset,
    /// Number of samples, evenly spaced over all.
    pub n_samples: usize,
    /// Seed of the training views.
    pub seed: u64,
}

/// What a preview shows, for scripts.
#[derive(Debug, Serialize)]
pub struct PreviewSummary {
    /// Name of the plugin.
    pub plugin: String,
    /// Shape of the samples.
    pub geometry: Geometry,
    /// Number of samples in the data.
    pub n_samples: usize,
    /// The samples that are shown.
    pub samples: Vec<PreviewedSample>,
}

/// One sample of a preview.
#[derive(Debug, Serialize)]
pub struct PreviewedSample {
    /// Id of the sample.
    pub id: String,
    /// File that it comes from.
    pub file: String,
    /// Group, label and pair, where the plugin states them.
    pub group: Option<String>,
    /// Label.
    pub label: Option<String>,
    /// Pair.
    pub pair: Option<String>,
    /// How often it is drawn in training, relative to the others.
    pub weight: f64,
    /// Why it cannot be read, or has nothing to learn.
    pub note: Option<String>,
    /// Smallest value, mean, deviation and largest value in the evaluation view; none of ids.
    pub values: Option<[f64; 4]>,
    /// Fraction of the tokens that is masked in training.
    pub masked: f64,
    /// Fraction of the tokens that exist.
    pub existing: f64,
}

impl Preview<'_> {
    /// The page, and what it shows.
    pub fn make(&self) -> (String, PreviewSummary) {
        let dataset = self.dataset.dataset();
        let n = dataset.ids().len();
        let wanted = self.n_samples.clamp(1, n);
        let (mut shown, mut samples) = (Vec::new(), Vec::new());
        for index in (0..wanted).map(|at| at * n / wanted) {
            let (markup, sample) = self.sample(index as u64);
            shown.push(markup);
            samples.push(sample);
        }
        let summary = PreviewSummary {
            plugin: dataset.plugin().name().into(),
            geometry: dataset.geometry().clone(),
            n_samples: n,
            samples,
        };
        let title = format!("Samples of {}", summary.plugin);
        let lead = format!(
            "{wanted} of {n} samples, evenly spaced. Each has {}, of token family {}.",
            dataset.shape(),
            self.dataset.family()
        );
        let body = html! {
            section {
                p { (lead) }
                (meaning(dataset.geometry()))
                div.samples { @for sample in &shown { (sample) } }
            }
        };
        (page::alone(&title, &body), summary)
    }

    fn sample(&self, index: u64) -> (Markup, PreviewedSample) {
        let dataset = self.dataset.dataset();
        let (table, at) = (dataset.samples(), index as usize);
        let mut sample = PreviewedSample {
            id: table.ids()[at].clone(),
            file: table.file(at).into(),
            group: table.group(at).map(String::from),
            label: table.label(at).map(String::from),
            pair: table.pair(at).map(String::from),
            weight: table.weights().get(at).copied().unwrap_or(1.0),
            note: None,
            values: None,
            masked: 0.0,
            existing: 1.0,
        };
        let mut views = Vec::new();
        let mut note = |said: Option<String>| {
            if sample.note.is_none() {
                sample.note = said;
            }
        };
        match self.read(dataset, View::Evaluation, index, 0) {
            Ok((batch, said)) => {
                note(said);
                sample.values = statistics(&batch.tokens);
                views.push(("evaluation view".to_owned(), self.rendered(&batch, &missing(&batch))));
            }
            Err(reason) => note(Some(reason)),
        }
        for draw in 0..N_TRAINING {
            // Any seed serves; each sample has its own.
            let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(index * N_TRAINING + draw);
            let (batch, said) = match self.read(dataset, View::Training, index, seed) {
                Ok(read) => read,
                Err(reason) => {
                    note(Some(reason));
                    continue;
                }
            };
            note(said);
            let hidden: Vec<u8> = match batch.valid.is_empty() {
                true => batch.mask.clone(),
                false => batch.mask.iter().zip(&batch.valid).map(|(mask, valid)| mask | (1 - valid)).collect(),
            };
            if draw == 0 {
                sample.masked = masked(&batch);
                sample.existing = share(&batch.valid, 1).unwrap_or(1.0);
                views.push(("training view".to_owned(), self.rendered(&batch, &missing(&batch))));
            }
            if !batch.mask.is_empty() {
                views.push((format!("what the model sees, draw {}", draw + 1), self.rendered(&batch, &hidden)));
            }
        }
        (drawn(&sample, views), sample)
    }

    /// One sample in a batch, and why it is skipped.
    fn read(
        &self,
        dataset: &OpenDataset,
        view: View,
        index: u64,
        seed: u64,
    ) -> Result<(Batch, Option<String>), String> {
        let mut batch = Batch::default();
        let failures = dataset.fill(view, &[index], &[seed], &mut batch).map_err(|error| error.to_string())?;
        match failures.first() {
            None => Ok((batch, None)),
            Some(failure) if failure.kind == FailureKind::Skipped && view == View::Evaluation => {
                Ok((batch, Some(format!("nothing to learn: {}", failure.reason))))
            }
            Some(failure) if failure.kind == FailureKind::Skipped => {
                Err(format!("nothing to learn: {}", failure.reason))
            }
            Some(failure) => Err(self.dataset.without_base(failure.to_string())),
        }
    }

    fn rendered(&self, batch: &Batch, hidden: &[u8]) -> Result<Exhibit, String> {
        let is_discrete = matches!(self.dataset.dataset().shape(), Shape::Discrete { .. });
        let (tokens, hidden) = match is_discrete {
            true => (Tokens::Discrete(&batch.ids), &[][..]),
            false => (Tokens::Continuous(&batch.tokens), hidden),
        };
        match self.dataset.render(tokens, hidden) {
            Ok(Some(rendered)) => Exhibit::of(rendered, LARGE).map(Exhibit::enlarged),
            Ok(None) => Err("the plugin renders no samples".into()),
            Err(error) => Err(format!("{error:#}")),
        }
    }
}

fn drawn(sample: &PreviewedSample, views: Vec<(String, Result<Exhibit, String>)>) -> Markup {
    let facts = [
        ("file", Some(&sample.file).filter(|file| **file != sample.id).cloned()),
        ("group", sample.group.clone()),
        ("label", sample.label.clone()),
        ("pair", sample.pair.clone()),
        ("weight", (sample.weight != 1.0).then(|| sample.weight.to_string())),
        (
            "values",
            sample.values.map(|[least, mean, deviation, most]| {
                format!("{least:.3} to {most:.3}, mean {mean:.3}, deviation {deviation:.3}")
            }),
        ),
        ("masked", (sample.masked > 0.0).then(|| format!("{:.1} %", 100.0 * sample.masked))),
        ("existing tokens", (sample.existing < 1.0).then(|| format!("{:.1} %", 100.0 * sample.existing))),
    ];
    html! {
        div.sample {
            p.caption {
                code { (sample.id) }
                @for (name, fact) in facts.iter().filter_map(|(name, fact)| Some((name, fact.as_ref()?))) { br; (name) ": " (fact) }
            }
            @if let Some(note) = &sample.note { p.gap { (note) } }
            div.triple {
                @for (name, view) in views {
                    figure { (exhibit(view, &format!("{}: {name}", sample.id))) figcaption { (name) } }
                }
            }
        }
    }
}

/// What the geometry says of axes, patches and more.
fn meaning(geometry: &Geometry) -> Markup {
    let mut lines = Vec::new();
    match geometry {
        Geometry::Continuous(own) => {
            for (axis, side) in own.axes.iter().zip(&own.grid) {
                let said = match (&axis.step, &axis.unit, axis.places.len()) {
                    (Some(step), Some(unit), _) => format!("{side} steps of {step} {unit}"),
                    (_, _, 0) => format!("{side} tokens"),
                    _ => axis.places.join(", "),
                };
                lines.push((format!("axis {}", axis.name), said));
            }
            if !own.patch.is_empty() {
                let sides: Vec<String> = own.patch.iter().map(usize::to_string).collect();
                let channels = own.n_channels().unwrap_or(1);
                lines.push(("patch".into(), format!("{} values, channels: {channels}", sides.join(" x "))));
            }
            if own.validity {
                lines.push(("validity".into(), "tokens may not exist".into()));
            }
            if let Some(d_target) = own.targets.d_target {
                lines.push(("targets".into(), format!("{d_target} values a token, not the tokens themselves")));
            }
            if !own.targets.normalise {
                lines.push(("targets".into(), "not normalised by token".into()));
            }
            for coordinate in &own.coordinates {
                let unit = coordinate.unit.as_deref().unwrap_or_default();
                let [least, most] = coordinate.range;
                lines.push((format!("coordinate {}", coordinate.name), format!("{least} to {most} {unit}")));
            }
        }
        Geometry::Discrete(own) => lines.push(("special ids".into(), format!("{:?}", own.special_ids))),
    }
    html! {
        table { tbody { @for (name, said) in &lines { tr { th scope="row" { (name) } td { (said) } } } } }
    }
}

fn missing(batch: &Batch) -> Vec<u8> {
    batch.valid.iter().map(|valid| 1 - valid).collect()
}

/// Fraction of the flags that have a value; none without flags.
fn share(flags: &[u8], value: u8) -> Option<f64> {
    (!flags.is_empty()).then(|| flags.iter().filter(|&&flag| flag == value).count() as f64 / flags.len() as f64)
}

/// Fraction of the tokens that is masked, padding of a text excluded.
fn masked(batch: &Batch) -> f64 {
    share(&batch.mask, 1).unwrap_or_else(|| {
        let n: i32 = batch.lengths.iter().sum();
        batch.labels.iter().filter(|&&label| label >= 0).count() as f64 / f64::from(n.max(1))
    })
}

/// Smallest value, mean, deviation, largest value.
fn statistics(values: &[f32]) -> Option<[f64; 4]> {
    let n = values.len() as f64;
    let wide = || values.iter().map(|&value| f64::from(value));
    let mean = wide().sum::<f64>() / n;
    let deviation = (wide().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt();
    (!values.is_empty())
        .then(|| [wide().fold(f64::INFINITY, f64::min), mean, deviation, wide().fold(f64::NEG_INFINITY, f64::max)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_those_of_all_values() {
        assert_eq!(statistics(&[1.0, 3.0, 3.0, 1.0]), Some([1.0, 2.0, 1.0, 3.0]));
        assert_eq!(statistics(&[]), None);
    }

    #[test]
    fn shares_count_masked_tokens_and_the_targets_of_a_text() {
        let batch = Batch { mask: vec![1, 0, 0, 1, 1], ..Batch::default() };
        assert_eq!(masked(&batch), 0.6);
        let text = Batch { labels: vec![-100, 5, -100, 7], lengths: vec![4], ..Batch::default() };
        assert_eq!((masked(&text), share(&[], 1)), (0.5, None));
    }
}
