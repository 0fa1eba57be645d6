//! Samples on their way from a source to the model: which, in what order, prepared by whom.

mod batch;
mod chosen;
mod label_map;
mod loader;
mod sampler;
mod source;

pub(crate) use batch::{Mixing, mean_and_deviation, prepare};
pub use batch::{PatchBatch, Prepared, TokenBatch};
pub use chosen::{Chosen, draw_some};
pub use label_map::{LabelMap, LabelMapSource};
pub(crate) use loader::{Loaded, load_in_order};
pub use sampler::Sampling;
pub(crate) use sampler::{EpochPlan, Pool, Step, Use};
pub use source::{BadSample, RawBatch, SampleSource, TokenSpec, View};
