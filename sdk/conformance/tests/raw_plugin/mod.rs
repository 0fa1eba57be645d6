//! A plugin written against the contract without the SDK, so that it can break the contract. It keeps the contract unless a [`Fault`] is set.
//!
//! A sample is a file of 30 bytes: `BARE`, a seed's byte, 24 values, and the sum of all before. With the option `words`
//! its values are ids of a vocabulary, else three tokens in each of four places of two numbers; with `rich` the last token does not exist, and samples have targets,
//! a coordinate and an affine, and some have nothing to learn.

mod account;
mod dataset;
mod description;
mod fault;
mod filling;
mod grids;
mod label_maps;
mod opening;
mod queries;

use medcoss_abi::{HostServices, PluginHeader, PluginTable};

use description::describe;
pub use fault::{Fault, set};
use filling::fill;
use opening::{close, invoke, open};
use queries::query;

/// The plugin.
pub static HEADER: PluginHeader = PluginHeader::new(PluginTable { attach, describe, invoke, open, query, fill, close });

extern "C" fn attach(_: HostServices) {}
