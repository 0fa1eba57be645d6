//! Scores of downstream tasks after each stage, with forgetting and transfer.

use maud::{Markup, html};
use medcoss_core::evaluation::{EvaluatedStage, Score, Scores, TaskSummary, Transfer};

use super::chart::{LineChart, Series};
use super::history::RunHistory;
use super::overview::tile;
use super::section::Section;
use crate::numbers::{short, signed};

pub(crate) fn section(run: &RunHistory) -> Section {
    let read = || run.evaluations.iter().filter_map(|(name, scores)| Some((name, scores.as_ref().ok()?)));
    let body = read().next().is_some().then(|| {
        html! { @for (name, scores) in read() { h4 { "Tasks of " (name) } (evaluation(scores)) } }
    });
    let mut gaps: Vec<String> = run
        .evaluations
        .iter()
        .filter_map(|(name, scores)| Some(format!("{name}: {}", scores.as_ref().err()?)))
        .collect();
    if run.evaluations.is_empty() {
        gaps.push("the run has not been evaluated: medcoss eval scores its models on tasks with labels".into());
    }
    let lead = "Each row is the model after a stage, each column a task; below a score is its 95 % interval. The stage that \
                learned the modality of a task is framed. The stronger the colour, the better within the column.";
    Section { id: "scores", title: "Scores and forgetting", lead, body, gaps }
}

fn evaluation(scores: &Scores) -> Markup {
    let measures = scores.measures().unwrap_or_default();
    html! {
        @if measures.is_empty() {
            p.gap { "average, transfer and forgetting need the scores of every stage: evaluate all of them" }
        }
        @for (scale, figures) in &measures {
            @if scores.scales().len() > 1 { h5 { "Tasks measured by " (scale) } }
            (transfer(figures))
        }
        (matrix(scores))
        div.charts { (after_stages(scores)) }
        (all_metrics(scores))
    }
}

fn transfer(figures: &Transfer) -> Markup {
    html! {
        dl.tiles {
            (tile("average after the last stage", &format!("{:.3}", figures.average)))
            (tile("backward transfer (below 0: forgotten)", &signed(figures.backward_transfer)))
            (tile("forgetting (above 0: forgotten)", &signed(figures.forgetting)))
            (tile("forward transfer (above 0: earlier stages helped)", &signed(figures.forward_transfer)))
        }
    }
}

/// Relative position of a score between the worst (0) and the best (1) of its column.
fn goodness(scores: &Scores, task: &TaskSummary, value: f64) -> f64 {
    let column = scores.stages.iter().filter_map(|stage| scores.primary(stage.stage, task)).map(|score| score.value);
    let (low, high) =
        column.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    let share = share(value, low, high);
    if task.higher_is_better { share } else { 1.0 - share }
}

/// Position of a value between two others, from 0 to 1. Halves are taken, since the difference of two numbers may be too large for one.
fn share(value: f64, low: f64, high: f64) -> f64 {
    if high > low { (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0) } else { 0.5 }
}

fn matrix(scores: &Scores) -> Markup {
    html! {
        div.wide { table.heat {
            thead { tr {
                th { "after stage" }
                @for task in &scores.tasks {
                    th { (task.name) small { (task.modality) ", " (task.protocol) br; (metric(task)) } }
                }
            } }
            tbody { @for stage in &scores.stages { tr {
                th { (named(stage)) }
                @for task in &scores.tasks { (cell(scores, stage, task)) }
            } } }
        } }
    }
}

fn cell(scores: &Scores, stage: &EvaluatedStage, task: &TaskSummary) -> Markup {
    let class = if stage.stage == task.own_stage { "own" } else { "other" };
    html! {
        @match scores.primary(stage.stage, task) {
            Some(score) => {
                td.(class) style=(format!("--good:{:.0}%", 8.0 + 62.0 * goodness(scores, task, score.value))) title=(caption(score)) {
                    b { (short(score.value)) }
                    small { (short(score.low)) "\u{2013}" (short(score.high)) }
                }
            },
            None => td.(class) { "-" },
        }
    }
}

fn caption(score: &Score) -> String {
    let seeds: Vec<String> = score.by_seed.iter().map(|value| short(*value)).collect();
    format!("{} {} of {} samples; by seed {}", score.metric, short(score.value), score.n, seeds.join(", "))
}

fn named(stage: &EvaluatedStage) -> String {
    match &stage.modality {
        Some(modality) => format!("{} {modality}", stage.stage),
        None => format!("{} fresh parameters", stage.stage),
    }
}

pub(crate) fn metric(task: &TaskSummary) -> String {
    let arrow = if task.higher_is_better { "" } else { ", lower is better" };
    format!("{}{arrow}", task.primary_metric.replace('_', " "))
}

/// Curves of the score matrix by stage; tasks with the same metric share a chart.
fn after_stages(scores: &Scores) -> Markup {
    let mut metrics: Vec<String> = scores.tasks.iter().map(metric).collect();
    metrics.dedup();
    metrics.sort();
    metrics.dedup();
    let curve = |(at, task): (usize, &TaskSummary)| Series {
        name: task.name.clone(),
        colour: at,
        points: scores
            .stages
            .iter()
            .filter_map(|stage| Some((stage.stage as f64, scores.primary(stage.stage, task)?.value)))
            .collect(),
    };
    html! {
        @for name in &metrics {
            (LineChart {
                title: &format!("After each stage: {name}"),
                x: "stage (0: fresh parameters)",
                y: name,
                may_be_logarithmic: false,
                bands: Vec::new(),
                series: scores.tasks.iter().enumerate().filter(|(_, task)| metric(task) == *name).map(curve).collect(),
            }.draw())
        }
    }
}

fn all_metrics(scores: &Scores) -> Markup {
    html! {
        details {
            summary { "All metrics" }
            div.wide { table {
                thead { tr {
                    th.number { "stage" } th { "task" } th { "metric" } th.number { "value" }
                    th.number { "95 % interval" } th.number { "samples" }
                } }
                tbody { @for score in &scores.scores { tr {
                    td.number { (score.stage) }
                    td { (score.task) }
                    td { (score.metric) }
                    td.number { (short(score.value)) }
                    td.number { (short(score.low)) "\u{2013}" (short(score.high)) }
                    td.number { (score.n) }
                } } }
            } }
            div.wide { table {
                thead { tr { th { "task" } th { "protocol" } th.number { "fitted on" } th.number { "scored on" } th { "classes" } } }
                tbody { @for task in &scores.tasks { tr {
                    td { (task.name) }
                    td { (task.protocol) }
                    td.number { (task.n_train) }
                    td.number { (task.n_test) }
                    td { (task.classes.join(", ")) }
                } } }
            } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_any_size_have_a_place_in_their_column() {
        assert_eq!([0.25, 0.5, 1.0].map(|value| share(value, 0.25, 1.25)), [0.0, 0.25, 0.75]);
        assert_eq!([f64::MIN, 0.0, f64::MAX].map(|value| share(value, f64::MIN, f64::MAX)), [0.0, 0.5, 1.0]);
        assert_eq!(share(7.0, 7.0, 7.0), 0.5);
    }
}
