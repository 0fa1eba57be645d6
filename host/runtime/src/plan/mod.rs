//! What a run would take, before it is run: a small part of each stage's data goes through the stage as it would be trained, its buffer chosen
//! and its files written, in a folder that is removed again; what was measured is multiplied.

mod forecast;
mod stopwatch;
mod trial_run;

pub use forecast::{CPU, Forecast, Memory, StageForecast};
pub use trial_run::{TrialRun, scratch_beside};
