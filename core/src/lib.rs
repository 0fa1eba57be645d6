//! Continual self-supervised pre-training: one Transformer that learns modalities one stage after another.
//!
//! Follows "Continual Self-supervised Learning: Towards Universal Multi-modal Medical Data Representation Learning"
//! (MedCoSS; Ye et al., CVPR 2024, arXiv 2311.17597). Reading order for someone who knows the paper: [`stage`] is
//! the outer loop, [`pretext`] the masked modelling, [`continual`] the strategies with their distillation,
//! [`buffer`] the choice of rehearsal samples, [`model`] the backbone.
//!
//! This crate knows no modality by name, no plugin and no file format of images or text: samples come from a
//! [`data::Dataset`]. Burn is used here and nowhere else.

#![deny(unsafe_code)]

pub mod benchmark;
pub mod buffer;
pub mod clustering;
pub mod confined_path;
pub mod continual;
pub mod data;
pub mod decoders;
pub mod device;
pub mod downstream;
mod error;
pub mod evaluation;
pub mod finetuning;
#[allow(unsafe_code)]
pub mod fused;
pub mod model;
pub mod optimisation;
mod precision;
pub mod pretext;
mod ranges;
pub mod ranks;
mod rng;
pub mod run;
pub mod stage;
pub mod weights;

pub use error::{
    DataError, DeviceError, Error, EvaluationError, ModelError, Result, RunError, SettingError, WeightsError,
};
