//! Comparison of several runs: forgetting, scores after the last stage, overlaid curves, cost.

use std::collections::BTreeSet;

use maud::{Markup, html};
use medcoss_core::evaluation::{Scale, Scores, TaskSummary};

use super::chart::{Interval, Intervals, LineChart, Series, key};
use super::cost::{peak, rate};
use super::curves::{RUN_EPOCHS, in_words, keys, points};
use super::history::{RunHistory, StageHistory, Status};
use super::scores::metric;
use super::series::map_fields;
use crate::disk::human_bytes;
use crate::numbers::{duration, short, signed};

pub(crate) fn draw(runs: &[RunHistory]) -> Markup {
    html! {
        section #comparison {
            h2 { "Comparison" }
            p.lead { "Runs have one colour and one mark throughout this section." }
            (table(runs))
            @for name in tasks_files(runs) { (evaluation(runs, &name)) }
            @if tasks_files(runs).is_empty() {
                p.gap { "None of the runs has been evaluated: medcoss eval scores their models on tasks with labels." }
            }
            h3 { "Losses" }
            div.charts {
                @for field in map_fields(runs.iter().flat_map(|run| &run.stages).flat_map(|stage| &stage.epochs)) { (overlaid(runs, &field)) }
            }
        }
    }
}

fn table(runs: &[RunHistory]) -> Markup {
    html! {
        div.wide { table {
            thead { tr {
                th { "run" } th { "strategy" } th.number { "seed" } th { "stages" } th.number { "time" }
                th.number { "samples/s" } th.number { "peak memory" }
            } }
            tbody { @for (at, run) in runs.iter().enumerate() { tr {
                td { (key(at)) a href=(format!("#run{}", at + 1)) { (run.name) } }
                td { (run.strategy.as_deref().unwrap_or("-")) }
                td.number { (run.finished.config.seed) }
                td { (stages(run)) }
                td.number { (duration(run.stages.iter().map(StageHistory::seconds).sum())) }
                td.number { (rate(&run.stages).map_or("-".into(), short)) }
                td.number { (peak(run).map_or("-".into(), human_bytes)) }
            } } }
        } }
    }
}

fn stages(run: &RunHistory) -> String {
    let done = run.stages.iter().filter(|stage| stage.status == Status::Done).count();
    let labels = run.labels().join(", ");
    if done == run.stages.len() { labels } else { format!("{labels} ({done} done)") }
}

fn scores_of<'a>(run: &'a RunHistory, name: &str) -> Option<&'a Scores> {
    run.evaluations.iter().find(|(found, _)| found == name)?.1.as_ref().ok()
}

/// Names of the tasks files by which any of the runs was evaluated.
fn tasks_files(runs: &[RunHistory]) -> Vec<String> {
    let names = runs.iter().flat_map(|run| &run.evaluations).filter(|(_, scores)| scores.is_ok());
    names.map(|(name, _)| name.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}

fn evaluation(runs: &[RunHistory], name: &str) -> Markup {
    let found: Vec<(usize, &RunHistory, &Scores)> =
        runs.iter().enumerate().filter_map(|(at, run)| Some((at, run, scores_of(run, name)?))).collect();
    let missing: Vec<&str> =
        runs.iter().filter(|run| scores_of(run, name).is_none()).map(|run| run.name.as_str()).collect();
    let scales: BTreeSet<Scale> = found.iter().flat_map(|(_, _, scores)| scores.scales()).collect();
    let digests: BTreeSet<&str> = found.iter().map(|(_, _, scores)| scores.tasks_sha256.as_str()).collect();
    html! {
        h3 { "Tasks of " (name) }
        @if digests.len() > 1 { p.gap { "The runs were evaluated by different versions of these tasks: their scores may not be comparable." } }
        @if !missing.is_empty() { p.gap { "Not evaluated by these tasks: " (missing.join(", ")) "." } }
        @for scale in &scales {
            @if scales.len() > 1 { h4 { "Tasks measured by " (scale) } }
            (measures(&found, *scale))
        }
        div.charts { @for task in tasks(&found) { (last_row(&found, task)) } }
    }
}

/// Measures of continual learning of each run over the tasks of one scale; the average alone where not every stage was evaluated.
fn measures(found: &[(usize, &RunHistory, &Scores)], scale: Scale) -> Markup {
    let cells = |run: &RunHistory, scores: &Scores| {
        let average = scores.averages().get(&scale).map_or("-".into(), |average| format!("{average:.3}"));
        let figures = scores.measures().unwrap_or_default().remove(&scale);
        html! {
            td.number { (average) }
            @match figures {
                Some(figures) => {
                    td.number { (signed(figures.backward_transfer)) }
                    td.number { (signed(figures.forgetting)) }
                    td.number { (signed(figures.forward_transfer)) }
                },
                None => td colspan="3" { (without_transfer(run)) },
            }
        }
    };
    html! {
        div.wide { table {
            thead { tr {
                th { "run" } th { "strategy" } th.number { "average" } th.number { "backward transfer" }
                th.number { "forgetting" } th.number { "forward transfer" }
            } }
            tbody { @for (at, run, scores) in found { tr {
                td { (key(*at)) (run.name) }
                td { (run.strategy.as_deref().unwrap_or("-")) }
                (cells(run, scores))
            } } }
        } }
    }
}

/// The reason why a run has no transfer metrics.
fn without_transfer(run: &RunHistory) -> &'static str {
    match run.strategy.as_deref() {
        Some("joint") => "one model of all stages: there is nothing to transfer",
        _ => "not every stage was evaluated",
    }
}

/// Tasks of all runs without repetition, those of the first run first.
fn tasks<'a>(found: &[(usize, &RunHistory, &'a Scores)]) -> Vec<&'a TaskSummary> {
    let mut tasks: Vec<&TaskSummary> = Vec::new();
    for task in found.iter().flat_map(|(_, _, scores)| &scores.tasks) {
        if tasks.iter().all(|known| known.name != task.name) {
            tasks.push(task);
        }
    }
    tasks
}

/// Scores of a task after each run's last stage.
fn last_row(found: &[(usize, &RunHistory, &Scores)], task: &TaskSummary) -> Markup {
    let row = |(at, run, scores): &(usize, &RunHistory, &Scores)| {
        let last = scores.stages.last()?.stage;
        let score = scores.primary(last, scores.tasks.iter().find(|known| known.name == task.name)?)?;
        Some(Interval { name: run.title(), colour: *at, value: score.value, low: score.low, high: score.high })
    };
    let title = format!("{} after the last stage", task.name);
    Intervals { title: &title, x: &metric(task), rows: found.iter().filter_map(row).collect() }.draw()
}

/// A loss of every run, one chart for each modality.
fn overlaid(runs: &[RunHistory], field: &str) -> Markup {
    let mut names: Vec<String> = Vec::new();
    for name in runs.iter().flat_map(|run| keys(run, field)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let chart = |name: &String| {
        let series = runs.iter().enumerate().map(|(at, run)| Series {
            name: run.title(),
            colour: at,
            // The pretext loss of a stage starts with the stage; other losses are compared over the whole run.
            points: match run.stages.iter().find(|stage| stage.label == *name).filter(|_| field == "pretext") {
                Some(stage) => stage.pretext(),
                None => points(run, |line| line.maps.get(field)?.get(name).copied()),
            },
        });
        let series: Vec<Series> = series.filter(|series| !series.points.is_empty()).collect();
        let title = format!("{name}: {} loss", in_words(field).to_lowercase());
        let x = if field == "pretext" { "epoch" } else { RUN_EPOCHS };
        LineChart { title: &title, x, y: "loss", may_be_logarithmic: true, bands: Vec::new(), series }.draw()
    };
    html! { @for name in &names { (chart(name)) } }
}
