//! Label efficiency: how good a fine-tuned model is by how many labels it learned from, for several pre-trained models and for fresh parameters.
//!
//! Each model is fine-tuned on fractions of the training split with several seeds. Models of the same seed and fraction have the same samples, so that they
//! are compared case by case.

mod page;
mod study;

pub use page::draw;
pub use study::{LabelEfficiency, LabelPoint, ModelDifference, Trial};
