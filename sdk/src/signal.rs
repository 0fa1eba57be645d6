//! Sampled signals of one dimension: electrocardiograms, electroencephalograms, breath, sound. Resampling, filters, and traces for people.
//!
//! Scaling to mean 0 and variance 1 is in [`crate::intensity`].

mod band_pass;
mod resampling;
mod second_order;
mod sections;
mod traces;

pub use band_pass::BandPass;
pub use resampling::{Kernel, Resampling, SignalValue};
pub use second_order::SecondOrder;
pub use traces::Traces;
