//! What keeps earlier modalities: a small buffer chosen after each stage, and distillation on mixups of it.

mod buffer;
mod config;
mod distillation;
mod herding;
mod k_centre;
mod kmeans;
mod policy;
mod random;

pub use buffer::{BufferEntry, RehearsalBuffer};
pub(crate) use config::Recall;
pub use config::{RehearsalConfig, Sampler, Store, Strategy};
pub use distillation::{DistillationTarget, FeatureMatching, Teacher};
pub use herding::HerdingPolicy;
pub use k_centre::KCentrePolicy;
pub use kmeans::{Clusters, KMeansPolicy, MOST_WORK, Number, Start, Work};
pub use policy::{BufferPolicy, Selected, policy_of};
pub use random::{RandomPolicy, ReservoirPolicy};
