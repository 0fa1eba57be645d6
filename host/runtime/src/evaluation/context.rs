//! State that the measurements of all tasks share.

use std::path::Path;

use medcoss_core::data::LoaderOptions;
use medcoss_core::ranks::Ranks;

use super::models::{After, Models};
use crate::observer::WorkTracker;

/// Options for evaluating a run.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// Models to evaluate.
    pub after: After,
    /// Seeds of splits and probes, at least one.
    pub seeds: Vec<u64>,
    /// Folder that data paths are relative to.
    pub base: &'a Path,
    /// Name of the device that computes.
    pub device: &'a str,
    /// Largest fraction of unreadable samples; the run's own setting without it.
    pub max_invalid_fraction: Option<f64>,
    /// The ranks, all of which evaluate: they share the encoding of samples.
    pub ranks: &'a Ranks,
}

/// State that all measurements of an evaluation share.
pub(crate) struct EvaluationContext<'a> {
    pub models: &'a Models<'a>,
    pub loader: LoaderOptions,
    pub options: &'a Options<'a>,
    pub work: &'a WorkTracker<'a>,
}
