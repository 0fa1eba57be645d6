//! What measurements of all tasks share.

use std::path::Path;

use medcoss_core::data::LoaderOptions;

use super::models::{After, Models};
use crate::observer::WorkTracker;

/// How a run is evaluated.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// Which models.
    pub after: After,
    /// Of splits and of what probes draw; at least one.
    pub seeds: Vec<u64>,
    /// The folder that data paths are relative to.
    pub base: &'a Path,
    /// Where it is computed.
    pub device: &'a str,
    /// Share of samples that may be unreadable; the run's own without it.
    pub max_invalid_fraction: Option<f64>,
}

/// With what tasks are measured.
pub(super) struct EvaluationContext<'a> {
    pub models: &'a Models<'a>,
    pub loader: LoaderOptions,
    pub options: &'a Options<'a>,
    pub work: &'a WorkTracker<'a>,
}
