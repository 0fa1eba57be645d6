//! Continual learning: how earlier modalities are kept while a new one is learned. Each strategy is a file with its settings.
//!
//! | `strategy.name` | samples of previous stages | against forgetting |
//! |---|---|---|
//! | `medcoss` | buffers | distillation on mixups of the buffers |
//! | `replay` | buffers | the pretext task on the buffers |
//! | `joint` | all, in the last stage | the pretext task on all data at once |
//! | `sequential`, `single` | none | nothing; `single` has one model for each modality |
//! | `ewc` | none | a penalty on changes of important parameters |
//! | `lwf`, `cassle` | none | distillation on the new modality |
//! | `packnet` | none | fixed weights of earlier stages |
//!
//! [`Strategy`] and [`StrategyConfig`] are the registry; a `ContinualStrategy` is a strategy at work in one stage.

mod cassle;
mod config;
mod current_task_distillation;
mod distillation;
mod ewc;
mod joint;
mod lwf;
mod medcoss;
mod packnet;
mod replay;
mod sequential;
mod settings;
mod single;
mod strategy;
#[cfg(test)]
mod testing;

pub use cassle::CassleConfig;
pub use config::{Strategy, StrategyConfig};
pub use current_task_distillation::CurrentTaskDistillationConfig;
pub use distillation::{DistillationTarget, FeatureMatching, Teacher};
pub use ewc::EwcConfig;
pub use joint::JointConfig;
pub use lwf::LwfConfig;
pub use medcoss::MedcossConfig;
pub use packnet::{PacknetConfig, model_of_stage};
pub use replay::ReplayConfig;
pub use sequential::SequentialConfig;
pub(crate) use settings::ReplaySource;
pub use single::SingleConfig;
pub(crate) use strategy::{Beside, ContinualStrategy, StageEnd, StageStart, StepContext};
