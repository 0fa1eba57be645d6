//! `medcoss report`: one page of everything that runs left behind, to be looked at rather than read.
//!
//! `history` reads folders, `samples` opens data, `passes` lets models work; each section is a file that draws from these. What
//! is not there costs its section a line that says how to get it, never the report. A report says nothing of this machine and
//! holds no time, so that the same runs give the same bytes.

mod buffers;
mod chart;
mod comparison;
mod cost;
mod curves;
pub mod events;
mod exhibit;
pub mod history;
mod map;
mod neighbours;
mod overview;
mod page;
mod passes;
mod reconstructions;
mod samples;
mod scores;
mod section;
mod series;
mod setup;
mod words;

use std::path::Path;

use history::{RunHistory, Status};
use medcoss_plugin_host::PluginRegistry;
use passes::Passes;
use samples::StageSamples;
use section::Section;
use serde::Serialize;

use crate::observer::{WorkObserver, WorkTracker};

pub use page::MARK;

/// How a report is made.
pub struct Making<'a> {
    /// Plugins of the stages.
    pub registry: &'a PluginRegistry,
    /// Folder that data paths are relative to.
    pub base: &'a Path,
    /// Name of the device.
    pub device: &'a str,
    /// Samples on a map.
    pub n_samples: usize,
    /// Follows the progress.
    pub observer: &'a dyn WorkObserver,
}

/// What a report shows of a run.
#[derive(Debug, Serialize)]
pub struct RunSummary {
    /// Name of its folder.
    pub name: String,
    /// Its strategy, as its record has it.
    pub strategy: Option<String>,
    /// Stages that are finished.
    pub stages_done: usize,
    /// Sections of the page.
    pub sections: Vec<SectionSummary>,
}

/// One section.
#[derive(Debug, Serialize)]
pub struct SectionSummary {
    /// Its anchor in the page.
    pub id: &'static str,
    /// Whether there is anything but lines about what is missing.
    pub shown: bool,
    /// What is not shown, and how to get it.
    pub missing: Vec<String>,
}

/// Samples, clusters and queries that are shown of a modality: fewer, the more runs share a page.
#[derive(Debug, Clone, Copy)]
struct Detail {
    n_reconstructed: usize,
    n_clusters: usize,
    n_queries: usize,
}

impl Making<'_> {
    /// The page, and what of each run is on it.
    pub fn make(&self, runs: &[RunHistory]) -> (String, Vec<RunSummary>) {
        let n = match runs.len() {
            1 => 4,
            2 => 2,
            _ => 1,
        };
        let detail = Detail { n_reconstructed: n.min(3), n_clusters: n, n_queries: n };
        let n_finished: usize = runs.iter().map(|run| run.finished.states.len()).sum();
        let work =
            WorkTracker::new(self.observer, 3 * n_finished as u64, "while the report was drawn", "nothing was written");
        let sections: Vec<Vec<Section>> = runs.iter().map(|run| self.sections(run, detail, &work)).collect();
        let summaries = runs.iter().zip(&sections).map(|(run, sections)| summary(run, sections)).collect();
        (page::draw(runs, &sections), summaries)
    }

    fn sections(&self, run: &RunHistory, detail: Detail, work: &WorkTracker<'_>) -> Vec<Section> {
        let samples: Vec<Result<StageSamples, String>> = run
            .stages
            .iter()
            .map(|stage| {
                work.begin(format!("opening {}", stage.label));
                let opened = StageSamples::open(run, stage, self.registry, self.base);
                if stage.status == Status::Done {
                    work.advance(1);
                }
                opened
            })
            .collect();
        let passes = Passes { run, samples: &samples, device: self.device, work };
        let reconstructed: Vec<_> =
            run.stages.iter().map(|stage| passes.reconstructed(stage, detail.n_reconstructed)).collect();
        let n_each = self.n_samples.div_ceil(run.finished.states.len().max(1));
        let features = passes.features(n_each);
        work.begin("drawing".into());
        vec![
            overview::section(run),
            curves::section(run),
            scores::section(run),
            buffers::section(run, &samples, detail.n_clusters),
            reconstructions::section(run, &samples, &reconstructed),
            map::section(run, &samples, &features),
            neighbours::section(run, &samples, &features, detail.n_queries),
            cost::section(run),
            setup::section(run),
        ]
    }
}

fn summary(run: &RunHistory, sections: &[Section]) -> RunSummary {
    let section = |section: &Section| SectionSummary {
        id: section.id,
        shown: section.body.is_some(),
        missing: section.gaps.clone(),
    };
    RunSummary {
        name: run.name.clone(),
        strategy: run.strategy.clone(),
        stages_done: run.finished.states.len(),
        sections: sections.iter().map(section).collect(),
    }
}
