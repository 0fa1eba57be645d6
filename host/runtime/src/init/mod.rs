//! A first configuration for data of which nobody has said what they are: every plugin looks at them, and the one that they suit best
//! proposes options.

mod configuration;
mod recognition;

pub use configuration::{Proposal, ProposedStage, write_configuration};
pub use recognition::{Named, Recognised, Recognition, Unrecognised, recognise};
