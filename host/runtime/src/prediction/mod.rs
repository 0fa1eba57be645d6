//! Prediction with a fine-tuned model: probabilities of samples and files as tables, masks on the files' own grids.
//!
//! `projection` carries the probabilities of a file's samples to its voxels, `mask_file` writes them, `tables` the probabilities of whole samples.

mod mask_file;
mod projection;
mod run;
mod tables;

pub use run::{PredictOptions, PredictReport, predict};
