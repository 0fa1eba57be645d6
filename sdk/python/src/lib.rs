//! A medcoss plugin whose modality is written in Python.
//!
//! The library is a plugin like any other, by the contract alone. What it does is done by workers: processes with a Python interpreter, which
//! import the author's module. There is no interpreter inside of the host, so a module that crashes or hangs ends a worker; the error names it,
//! and another takes its place. Requests go over a socket, arrays through memory that both sides know.
//!
//! The library itself holds no module and exports no plugin. [`pack`] writes a copy of it for a module: with the module's files in it, and
//! with its one symbol under the name by which the host finds the modality's id.
//!
//! Deliberately absent: threads (the host brings them), and a sandbox around workers.

mod dataset;
mod failure;
mod interpreter;
mod link;
mod pack;
mod package;
mod pool;
mod printed;
mod scaffold;
mod services;
mod symbol;
mod table;
mod worker;

use medcoss_abi::PluginHeader;

pub use failure::Failure;
pub use pack::{BRIDGE_FILE, PackError, PackRequest, Packed, pack};
pub use package::Package;
pub use scaffold::{ScaffoldFile, scaffold};

/// The exported header, under a name that `pack` replaces.
#[used]
#[unsafe(export_name = symbol::placeholder!())]
pub static HEADER: PluginHeader = PluginHeader::new(table::TABLE);
