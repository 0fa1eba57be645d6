//! The cost of the run: samples per second, and memory.

use maud::{Markup, html};

use super::chart::{LineChart, Series, key};
use super::curves::{RUN_EPOCHS, bands, offsets};
use super::history::{RunHistory, StageHistory};
use super::section::Section;
use crate::disk::human_bytes;
use crate::numbers::{duration, short};

pub(crate) fn section(run: &RunHistory) -> Section {
    let has_times = run.stages.iter().any(|stage| !stage.times.is_empty());
    let has_memory = peak(run).is_some();
    let mut gaps = Vec::new();
    if !has_times {
        gaps.push("the run keeps no times (timing.jsonl)".into());
    } else if !has_memory {
        gaps.push(
            "peak memory is not recorded: the run was made by an earlier version, or the system does not report it"
                .into(),
        );
    }
    let lead = "Samples count each time they are learned from, rehearsal included. Waiting is the part of the time in which learning \
                stood still because a batch was not loaded yet; more num_workers make it less where there are cores for them. \
                Memory is the most that the process had up to the end of the stage.";
    Section { id: "cost", title: "Throughput and memory", lead, body: has_times.then(|| body(run)), gaps }
}

/// Largest recorded resident memory in bytes.
pub(crate) fn peak(run: &RunHistory) -> Option<u64> {
    run.stages.iter().filter_map(peak_of).max()
}

fn peak_of(stage: &StageHistory) -> Option<u64> {
    stage.times.iter().filter_map(|time| time.peak_rss_bytes).max()
}

/// Samples per second over all timed epochs.
pub(crate) fn rate(stages: &[StageHistory]) -> Option<f64> {
    let seconds: f64 = stages.iter().map(StageHistory::seconds).sum();
    let samples: f64 = stages.iter().flat_map(|stage| &stage.times).map(|time| time.n_samples as f64).sum();
    (seconds > 0.0).then(|| samples / seconds)
}

/// The fraction of the time spent waiting, in percent.
fn share(waited: f64, all: f64) -> String {
    format!("{:.1} %", 100.0 * waited / all.max(1e-9))
}

fn body(run: &RunHistory) -> Markup {
    let offsets = offsets(run);
    let of_stage = |(at, stage): (usize, &StageHistory)| Series {
        name: stage.label.clone(),
        colour: at,
        points: stage
            .times
            .iter()
            .filter(|time| time.seconds > 0.0)
            .map(|time| (offsets[at].saturating_add(time.epoch) as f64, time.n_samples as f64 / time.seconds))
            .collect(),
    };
    let chart = LineChart {
        title: "Samples a second",
        x: RUN_EPOCHS,
        y: "samples/s",
        may_be_logarithmic: true,
        bands: bands(run),
        series: run.stages.iter().enumerate().filter(|(_, stage)| !stage.times.is_empty()).map(of_stage).collect(),
    };
    html! {
        div.charts {
            (chart.draw())
            div.wide { table {
                thead { tr { th { "stage" } th.number { "time" } th.number { "waiting" } th.number { "samples/s" } th.number { "peak memory" } } }
                tbody { @for stage in run.stages.iter().filter(|stage| !stage.times.is_empty()) { tr {
                    td { (key(stage.number - 1)) (stage.label) }
                    td.number { (duration(stage.seconds())) }
                    td.number { (stage.waited().map_or("-".into(), |(waited, all)| share(waited, all))) }
                    td.number { (rate(std::slice::from_ref(stage)).map_or("-".into(), short)) }
                    td.number { (peak_of(stage).map_or("-".into(), human_bytes)) }
                } } }
            } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_a_fraction_of_the_time() {
        assert_eq!(share(0.5, 4.0), "12.5 %");
        assert_eq!(share(0.0, 0.0), "0.0 %");
    }
}
