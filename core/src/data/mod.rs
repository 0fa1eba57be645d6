//! Samples on their way from a dataset to the model: which, in what order, prepared by whom.

mod batch;
mod dataset;
mod loader_options;
mod prefetch;
mod sampler;
mod subset;

pub use batch::{HostBatch, PatchBatch, TokenBatch};
pub(crate) use batch::{Mixing, mean_and_deviation, prepare};
pub use dataset::{Dataset, InvalidSample, RawBatch, TokenSpec, View};
pub use loader_options::LoaderOptions;
pub(crate) use prefetch::{LoadedBatch, prefetch};
pub use sampler::Sampling;
pub(crate) use sampler::{EpochPlan, Objective, Pool, Step};
pub use subset::{Subset, sample_without_replacement};
