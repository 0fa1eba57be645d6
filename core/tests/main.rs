//! Tests of the crate from outside, in one binary.

mod checkpoints;
mod finetuning;
mod golden;
mod golden_metrics;
mod stages;
mod strategies;
mod synthetic;
