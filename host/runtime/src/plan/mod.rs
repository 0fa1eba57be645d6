//! Estimate of a run's time, memory and disk before it is trained. A small part of each stage's data is trained on as
//! in the run, its buffer is selected, and its files are written to a scratch folder. The measurements are
//! extrapolated.

mod forecast;
mod stopwatch;
mod trial_run;

pub use forecast::{CPU, Forecast, Memory, StageForecast};
pub use trial_run::{TrialRun, scratch_beside};
