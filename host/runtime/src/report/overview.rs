//! The run at a glance: its stages as a timeline, and the results of each.

use maud::{Markup, html};

use super::chart::{colour, key};
use super::history::{RunHistory, StageHistory, Status};
use super::section::Section;
use crate::numbers::{count, duration, short};

pub(crate) fn section(run: &RunHistory) -> Section {
    let gaps = run
        .stages
        .iter()
        .filter(|stage| stage.n_invalid_lines > 0)
        .map(|stage| {
            let n = stage.n_invalid_lines;
            format!("{}: {n} of its lines of losses cannot be read and are left out", stage.folder.name())
        })
        .collect();
    let lead = "One modality is learned after another; the width of a stage is the time it took, or its epochs where times are \
                not known.";
    Section { id: "overview", title: "Overview", lead, body: Some(body(run)), gaps }
}

fn body(run: &RunHistory) -> Markup {
    let done = run.stages.iter().filter(|stage| stage.status == Status::Done).count();
    let samples = run
        .stages
        .iter()
        .filter_map(|stage| stage.state.as_ref())
        .map(|state| state.n_samples)
        .fold(0, usize::saturating_add);
    let kept: usize =
        run.stages.iter().filter_map(|stage| stage.buffer.as_ref()?.as_ref().ok()).map(|buffer| buffer.len()).sum();
    let seconds: f64 = run.stages.iter().map(StageHistory::seconds).sum();
    html! {
        dl.tiles {
            (tile("stages done", &format!("{done} of {}", run.stages.len())))
            (tile("samples learned", &count(samples)))
            (tile("samples kept", &count(kept)))
            (tile("training time", &duration(seconds)))
            (tile("strategy", run.strategy.as_deref().unwrap_or("not named")))
            (tile("seed", &run.finished.config.seed.to_string()))
        }
        @if let Some(initial) = &run.finished.initial {
            p { "Began with weights from " @if run.anonymous { "a file" } @else { code { (initial.source) } } "." }
        }
        (timeline(run))
        div.wide { table {
            thead { tr {
                th { "stage" } th { "modality" } th { "family" } th.number { "samples" } th.number { "unreadable" } th.number { "epochs" }
                th.number { "batches" } th.number { "kept" } th.number { "pretext loss" } th.number { "time" }
            } }
            tbody { @for stage in &run.stages { (row(stage)) } }
        } }
    }
}

pub(crate) fn tile(name: &str, value: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

fn timeline(run: &RunHistory) -> Markup {
    let total: f64 = run.stages.iter().map(StageHistory::seconds).sum();
    // A stage that has not started also has a width.
    let width = |stage: &StageHistory| match total > 0.0 && total.is_finite() {
        true => (stage.seconds() / total).max(0.04),
        false => stage.epochs_wanted as f64,
    };
    html! {
        ol.timeline aria-label="stages in their order" {
            @for (at, stage) in run.stages.iter().enumerate() {
                li.(colour(at)).(class(stage.status)) style=(format!("flex-grow:{:.3}", width(stage))) title=(caption(stage)) {
                    b { (stage.number) " " (stage.modality) }
                    span { (progress(stage)) }
                }
            }
        }
    }
}

fn class(status: Status) -> &'static str {
    match status {
        Status::Done => "done",
        Status::Running(_) => "running",
        Status::NotStarted => "waiting",
    }
}

fn caption(stage: &StageHistory) -> String {
    format!("stage {} {}: {}, {}", stage.number, stage.modality, progress(stage), duration(stage.seconds()))
}

fn progress(stage: &StageHistory) -> String {
    match stage.status {
        Status::Done => duration(stage.seconds()),
        Status::Running(epochs) => format!("epoch {epochs} of {}", stage.epochs_wanted),
        Status::NotStarted => "not started".into(),
    }
}

fn row(stage: &StageHistory) -> Markup {
    let state = stage.state.as_ref();
    let pretext = stage.pretext();
    let epochs = match stage.status {
        Status::Done => stage.epochs_wanted.to_string(),
        Status::Running(done) => format!("{done} of {}", stage.epochs_wanted),
        Status::NotStarted => format!("0 of {}", stage.epochs_wanted),
    };
    let known = |n: Option<usize>| n.map_or("-".into(), count);
    html! {
        tr {
            td { (key(stage.number - 1)) (stage.number) }
            td { (stage.modality) }
            td { (state.map_or("-", |state| state.family.as_str())) }
            td.number { (known(state.map(|state| state.n_samples))) }
            td.number { (known(state.map(|state| state.invalid_samples.len()))) }
            td.number { (epochs) }
            td.number { (known(state.map(|state| state.steps as usize))) }
            td.number { (known(stage.buffer.as_ref().and_then(|buffer| Some(buffer.as_ref().ok()?.len())))) }
            td.number {
                @match (pretext.first(), pretext.last()) {
                    (Some(first), Some(last)) => { (short(first.1)) " \u{2192} " (short(last.1)) },
                    _ => "-",
                }
            }
            td.number { (duration(stage.seconds())) }
        }
    }
}
