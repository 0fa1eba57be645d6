//! Measurements of the training engine on synthetic samples.

mod step;

pub use step::StepBenchmark;
