//! Samples on their way from a dataset to the model: datasets, samplers, batches, loading.

mod account;
mod batch;
mod batch_loader;
mod dataset;
mod grid_layout;
mod invalid_samples;
mod loader_options;
mod prefetch;
mod sampler;
mod subset;

pub use account::{DataAccount, DataNotice};
pub(crate) use batch::mean_and_deviation;
#[cfg(test)]
pub(crate) use batch::prepare;
pub use batch::{HostBatch, PatchBatch, TokenBatch};
pub(crate) use batch_loader::{BatchLoader, BatchRequest, LoadedBatch};
pub use dataset::{Dataset, RawBatch, ReportKind, SampleReport, TargetSpec, TokenSpec, View};
pub use grid_layout::{GridAxis, GridLayout};
pub use invalid_samples::InvalidSamples;
pub(crate) use invalid_samples::record_invalid_samples;
pub use loader_options::LoaderOptions;
pub use sampler::Sampling;
pub(crate) use sampler::{EpochPlan, Objective, Pool, Step};
pub use subset::{Subset, sample_without_replacement};
