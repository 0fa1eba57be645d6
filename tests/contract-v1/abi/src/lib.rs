//! The binary contract between the medcoss host and its modality plugins, version 1.
//!
//! A plugin is a shared library that exports one static, a [`PluginHeader`], under the symbol
//! `medcoss_plugin_v1_<id>`. The header leads to a [`PluginTable`] of `extern "C"` functions; what is
//! said through them is either flat numeric buffers that the host owns ([`FillRequest`], [`FillBuffers`])
//! or JSON whose types are in [`message`].
//!
//! The table is frozen: growth goes through new operation names in
//! [`PluginTable::query`] and [`PluginTable::invoke`], or through a new table under a new symbol.
//! Nothing in here allocates on behalf of the other side: who returns an `RString` or `RVec` also
//! frees it, through the destructor that the value carries.

#![forbid(unsafe_code)]

mod buffers;
mod builtin;
pub mod framed;
mod geometry;
mod header;
pub mod label_maps;
pub mod message;
mod table;

pub use abi_stable;
pub use buffers::{ExtraBuffer, FillBuffers, FillRequest, NOT_A_TARGET, SampleReport, VIEW_PLAIN, VIEW_TRAIN, extra};
pub use builtin::{Builtin, builtins};
pub use header::{CONTRACT_MAJOR, CONTRACT_MINOR, FIRST_MINOR, MAGIC, PluginHeader, Rejection, SYMBOL_PREFIX};
#[doc(hidden)]
pub use inventory;
pub use table::{DatasetHandle, HostServices, PluginError, PluginTable, code, operation, service};
