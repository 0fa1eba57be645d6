//! The rehearsal buffer: samples of a finished stage that are kept for later stages.
//!
//! A [`SelectionPolicy`] chooses them from the features of all samples of the stage. The paper's policy is k-means (section 3.2).

mod config;
mod herding;
mod k_centre;
mod k_means;
mod policy;
mod random;
mod rehearsal_buffer;
mod reservoir;

pub use config::{BufferConfig, BufferSelection, FeatureMode, Store};
pub use herding::HerdingPolicy;
pub use k_centre::KCentrePolicy;
pub use k_means::{BufferInitialisation, KMeansPolicy};
pub use policy::{Selected, SelectionPolicy};
pub use random::RandomPolicy;
pub use rehearsal_buffer::{BufferEntry, RehearsalBuffer};
pub use reservoir::ReservoirPolicy;
