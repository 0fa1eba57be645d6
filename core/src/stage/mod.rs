//! One stage of continual learning: masked modelling of a new modality, distillation of the previous ones, then the selection of the buffer. This is
//! the paper's strategy; others treat previous modalities differently, see [`crate::continual`].
//!
//! 1. The first stage starts from fresh or imported parameters; a later one from the previous stage's model, which also is its teacher.
//! 2. Every epoch is a shuffled list of single-modality batches, see [`crate::data`].
//! 3. After the last epoch the features of all samples are clustered and the buffer is kept.

mod batches;
mod definition;
mod features;
mod losses;
mod observer;
mod run;
mod settings;
mod trainer;
mod update_plan;

pub use definition::{PreviousStage, Stage};
pub use features::{
    EncodedBatch, Encoding, EncodingMode, FeaturePass, Features, Pooling, encode_samples, extract_features,
};
pub use observer::{Observer, Silent, StageEndTask, StageReport, StepReport};
pub use settings::StageSettings;
