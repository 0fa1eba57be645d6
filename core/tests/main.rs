//! Tests of the crate from outside, in one binary.

#![forbid(unsafe_code)]

mod checkpoints;
mod downstream_inference;
mod downstream_models;
mod downstream_scores;
mod downstream_training;
mod finetuning;
mod golden;
mod golden_metrics;
mod golden_recipe;
mod imports;
mod ranks;
mod reference_settings;
mod stages;
mod strategies;
mod synthetic;
