//! Fine-tuning: a pre-trained encoder with a head for a downstream task, trained end to end, and kept.
//!
//! A task (`targets`) is classification, multi-label or ordinal classification, regression, or segmentation. Its head (`head`, [`crate::decoders`]) and the
//! backbone make a [`TaskModel`]; `adapters` learn beside a frozen backbone. The trainer goes over epochs with a validation split and checkpoints, from
//! which it goes on exactly.

mod adapters;
mod augmentation;
mod checkpoint;
mod epoch_report;
mod forward;
mod gradients;
mod head;
mod losses;
mod settings;
mod stored;
mod targets;
mod task_config;
mod task_model;
mod trainer;

pub use adapters::{AdapterConfig, AdapterPlace};
pub use augmentation::Augmentation;
pub use epoch_report::EpochReport;
pub use forward::{Outputs, Predictor};
pub use head::{HeadConfig, TokenPooling};
pub use losses::{SegmentationLoss, class_losses, dice_and_cross_entropy};
pub use settings::{Criterion, FinetuneConfig, Learned, RateSchedule};
pub use stored::{StoredTaskModel, TaskModelInfo};
pub use targets::{IGNORED_VOXEL, MAX_SEGMENTED, SampleTargets, TargetKind, Targets};
pub use task_config::{TaskHeadConfig, TaskModelConfig};
pub use task_model::{TaskHead, TaskModel};
pub use trainer::{FinetuneObserver, Finetuned, Task, finetune};
