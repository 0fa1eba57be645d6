//! Curves by epoch: the pretext loss of each stage, and all other losses and the learning rate over the whole run.

use maud::{Markup, html};

use super::chart::{Band, LineChart, Series};
use super::history::RunHistory;
use super::section::Section;
use super::series::{EpochLine, map_fields, scalar_fields};

/// Label of the x axis of charts over a whole run.
pub(crate) const RUN_EPOCHS: &str = "epoch of the run";

pub(crate) fn section(run: &RunHistory) -> Section {
    let lines = || run.stages.iter().flat_map(|stage| &stage.epochs);
    let has_lines = lines().next().is_some();
    let body = has_lines.then(|| {
        html! {
            div.charts {
                @for at in 0..run.stages.len() { (pretext(run, at)) }
                @for field in map_fields(lines()).iter().filter(|field| *field != "pretext") { (over_run(run, field)) }
                @for field in scalar_fields(lines()) { (scalar(run, &field)) }
            }
        }
    });
    let lead = "The pretext loss of a stage is that of masked modelling of its own modality. The distillation loss of an earlier \
                modality is how far its features have drifted from the teacher's, the model of the stage before. Point at a mark \
                for its value.";
    let gaps = if has_lines { Vec::new() } else { vec!["no epoch is done yet: go on with medcoss resume".into()] };
    Section { id: "curves", title: "Losses and learning rate", lead, body, gaps }
}

fn pretext(run: &RunHistory, at: usize) -> Markup {
    let stage = &run.stages[at];
    // Strategies that replay samples also have pretext losses of earlier modalities.
    let mut keys: Vec<&String> =
        stage.epochs.iter().filter_map(|line| line.maps.get("pretext")).flat_map(|map| map.keys()).collect();
    keys.sort_by_key(|key| (**key != stage.label, run.colour_of(key)));
    keys.dedup();
    let series: Vec<Series> = keys
        .into_iter()
        .map(|key| Series { name: key.clone(), colour: run.colour_of(key), points: stage.curve("pretext", key) })
        .collect();
    html! {
        @if !series.is_empty() {
            (LineChart {
                title: &format!("{}: pretext loss", stage.label),
                x: "epoch",
                y: "loss",
                may_be_logarithmic: true,
                bands: Vec::new(),
                series,
            }.draw())
        }
    }
}

/// Number of epochs before each stage, and after the last.
pub(crate) fn offsets(run: &RunHistory) -> Vec<usize> {
    let mut offsets = vec![0];
    for stage in &run.stages {
        let known = stage.epochs.last().map_or(0, |line| line.epoch);
        offsets.push(stage.epochs_wanted.max(known).saturating_add(offsets[offsets.len() - 1]));
    }
    offsets
}

/// The stages that have started, on an axis of the run's epochs.
pub(crate) fn bands(run: &RunHistory) -> Vec<Band> {
    let offsets = offsets(run);
    let stages = run.stages.iter().zip(offsets.windows(2)).filter(|(stage, _)| !stage.epochs.is_empty());
    stages.map(|(stage, ends)| Band { name: stage.label.clone(), from: ends[0] as f64, to: ends[1] as f64 }).collect()
}

/// Points of one number of the metrics, by epoch of the run.
pub(crate) fn points(run: &RunHistory, number: impl Fn(&EpochLine) -> Option<f64>) -> Vec<(f64, f64)> {
    let offsets = offsets(run);
    let of_stage = |(stage, offset): (&'_ super::history::StageHistory, &usize)| {
        let point = |line: &EpochLine| Some((offset.saturating_add(line.epoch) as f64, number(line)?));
        stage.epochs.iter().filter_map(point).collect::<Vec<_>>()
    };
    run.stages.iter().zip(&offsets).flat_map(of_stage).collect()
}

fn over_run(run: &RunHistory, field: &str) -> Markup {
    let series: Vec<Series> = keys(run, field)
        .into_iter()
        .map(|key| Series {
            points: points(run, |line| line.maps.get(field)?.get(&key).copied()),
            colour: run.colour_of(&key),
            name: key,
        })
        .collect();
    // A field that begins in a late stage is drawn over the whole width, without the stages before.
    let first =
        series.iter().filter_map(|series| series.points.first()).map(|point| point.0).fold(f64::INFINITY, f64::min);
    let bands = bands(run).into_iter().filter(|band| band.to >= first).collect();
    let title = match field {
        "distillation" => "Distillation loss by earlier modality".into(),
        _ => format!("{} by modality", in_words(field)),
    };
    LineChart { title: &title, x: RUN_EPOCHS, y: &in_words(field), may_be_logarithmic: true, bands, series }.draw()
}

/// Keys of a map of the metrics, in the order of stages.
pub(crate) fn keys(run: &RunHistory, field: &str) -> Vec<String> {
    let maps = run.stages.iter().flat_map(|stage| &stage.epochs).filter_map(|line| line.maps.get(field));
    let found: std::collections::BTreeSet<&String> = maps.flat_map(|map| map.keys()).collect();
    let mut keys: Vec<String> = found.into_iter().cloned().collect();
    keys.sort_by_key(|key| run.colour_of(key));
    keys
}

fn scalar(run: &RunHistory, field: &str) -> Markup {
    let title = in_words(field);
    LineChart {
        title: &title,
        x: RUN_EPOCHS,
        y: &title,
        may_be_logarithmic: field != "learning_rate",
        bands: bands(run),
        series: vec![Series {
            name: title.clone(),
            colour: 0,
            points: points(run, |line| line.scalars.get(field).copied()),
        }],
    }
    .draw()
}

/// The name of a field for people: `learning rate` for `learning_rate`.
pub(crate) fn in_words(field: &str) -> String {
    let text = field.replace('_', " ");
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
