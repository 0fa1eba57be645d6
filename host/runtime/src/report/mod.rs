//! `medcoss report`: one page of curves, tables and images about runs.
//!
//! `history` reads folders, `samples` opens data, `passes` runs models; each section is a file that draws from these. A
//! missing part leaves a line in its section that explains how to get it, and never fails the report. A report contains
//! nothing of this machine and no time, so that the same runs give the same bytes.

mod anonymous;
mod buffers;
pub(crate) mod chart;
mod comparison;
mod cost;
mod curves;
pub mod events;
mod exhibit;
pub mod history;
mod map;
mod neighbours;
mod overview;
pub(crate) mod page;
mod passes;
pub mod preview;
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

pub use anonymous::anonymise;
pub use page::MARK;

/// Settings for making a report.
pub struct Making<'a> {
    /// Registry with the plugins of the stages.
    pub registry: &'a PluginRegistry,
    /// Folder that data paths are relative to.
    pub base: &'a Path,
    /// Name of the device that computes.
    pub device: &'a str,
    /// Number of samples on a map.
    pub n_samples: usize,
    /// Observer of the progress.
    pub observer: &'a dyn WorkObserver,
}

/// Summary of one run in a report.
#[derive(Debug, Serialize)]
pub struct RunSummary {
    /// Name of the run folder.
    pub name: String,
    /// Name of the strategy, as the run's record has it.
    pub strategy: Option<String>,
    /// Number of finished stages.
    pub stages_done: usize,
    /// Summaries of the page's sections.
    pub sections: Vec<SectionSummary>,
}

/// Summary of one section.
#[derive(Debug, Serialize)]
pub struct SectionSummary {
    /// Anchor of the section in the page.
    pub id: &'static str,
    /// Whether the section shows more than notes about missing parts.
    pub shown: bool,
    /// Missing parts, and how to get them.
    pub missing: Vec<String>,
}

/// Numbers of samples, clusters and queries to show for a modality. They decrease with the number of runs on a page.
#[derive(Debug, Clone, Copy)]
struct Detail {
    n_reconstructed: usize,
    n_clusters: usize,
    n_queries: usize,
}

impl Making<'_> {
    /// Makes the page, and summarises each run on it.
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
                if run.anonymous { opened.map_err(|_| anonymous::UNNAMED.into()) } else { opened }
            })
            .collect();
        let none: Vec<_> = run.stages.iter().map(|_| Err(anonymous::NO_SAMPLES.to_string())).collect();
        // Those that the page shows as images or text. The map shows all as points.
        let shown = if run.anonymous { &none } else { &samples };
        let passes = |samples| Passes { run, samples, device: self.device, work };
        let reconstructed: Vec<_> =
            run.stages.iter().map(|stage| passes(shown).reconstructed(stage, detail.n_reconstructed)).collect();
        let n_each = self.n_samples.div_ceil(run.finished.states.len().max(1));
        let mut features = passes(&samples).features(n_each);
        if run.anonymous {
            features
                .iter_mut()
                .filter_map(|found| found.as_mut().err())
                .for_each(|reason| *reason = anonymous::UNNAMED.into());
        }
        work.begin("drawing".into());
        vec![
            overview::section(run),
            curves::section(run),
            scores::section(run),
            buffers::section(run, shown, detail.n_clusters),
            reconstructions::section(run, shown, &reconstructed),
            map::section(run, &samples, &features),
            neighbours::section(run, shown, &features, detail.n_queries),
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
