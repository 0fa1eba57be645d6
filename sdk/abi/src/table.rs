//! The table of functions, frozen.

use abi_stable::{
    StableAbi,
    std_types::{RResult, RSlice, RStr, RString, RVec},
};

use crate::{FillBuffers, FillRequest, SampleError};

/// Error codes, for whole calls and for single samples.
pub mod code {
    /// A setting or a request that the caller can fix.
    pub const BAD_REQUEST: i32 = 1;
    /// A path that is missing or cannot be read.
    pub const UNREADABLE: i32 = 2;
    /// A file whose content is damaged or not of the kind it claims to be.
    pub const CORRUPT: i32 = 3;
    /// A valid file of a kind that the plugin does not support.
    pub const UNSUPPORTED: i32 = 4;
    /// The operation is not known to this plugin.
    pub const UNKNOWN_OPERATION: i32 = 5;
    /// The plugin panicked; the panic was caught inside it.
    pub const PANIC: i32 = 100;
}

/// Names of the operations: of contract 1.0, and, where it says so, of a later minor version.
pub mod operation {
    /// `invoke`: write sample files; body [`crate::message::Synthesise`], answer [`crate::message::Synthesised`].
    pub const SYNTHESISE: &str = "synthesise";
    /// `query`: [`crate::message::Geometry`] of this dataset, as its options make it.
    pub const GEOMETRY: &str = "geometry";
    /// `query`: the sample ids, a JSON array of strings in index order, each unique, relative and stable.
    pub const IDS: &str = "ids";
    /// `query`: the labels, a JSON array of strings or nulls in index order.
    pub const LABELS: &str = "labels";
    /// `query`: a hexadecimal digest as a JSON string; it changes when the data do.
    pub const FINGERPRINT: &str = "fingerprint";
    /// `query`: write what was learned from the data (a vocabulary) into a folder; body
    /// [`crate::message::SaveAssets`], answer a JSON array of file names, empty when nothing was learned.
    pub const SAVE_ASSETS: &str = "save-assets";
    /// `query`: write samples, as they are before augmentation, into a folder from which `open` gives them again, in the same
    /// order and without the other data; body [`crate::message::Keep`], answer [`crate::message::Synthesised`]. Optional.
    pub const KEEP: &str = "keep";
    /// `query`: tokens back to something a person can look at. Body: the sample's tokens as little-endian `f32`
    /// `[n_tokens, d_token]`, or its ids as little-endian `i32` `[length]`. Answer: the bytes of a PNG file, or
    /// UTF-8 text, as [`crate::message::Description::renders`] says.
    pub const RENDER: &str = "render";
    /// `query`, since 1.1: segmentation masks of samples, each in the geometry of its plain view; body
    /// [`crate::message::LabelMaps`], answer as [`crate::label_maps`] lays it out. Optional. Called "label maps", because a
    /// mask is elsewhere in the contract what hides tokens in training.
    pub const LABEL_MAPS: &str = "label-maps";
}

/// A dataset that the plugin opened. Owned by the plugin, given back with [`PluginTable::close`]; it may be used
/// from many threads at once.
#[repr(transparent)]
#[derive(StableAbi, Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatasetHandle(pub *const ());

/// What the host offers its plugins. Its functions may be called from any thread, at any time.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct HostServices {
    /// `log(level, message)`: level 1 = error, 2 = warning, 3 = information, 4 = debugging.
    pub log: extern "C" fn(u32, RStr<'_>),
}

/// A call that failed.
#[repr(C)]
#[derive(StableAbi, Debug, Clone)]
pub struct PluginError {
    /// One of [`code`].
    pub code: i32,
    /// JSON [`crate::message::ErrorBody`].
    pub body: RString,
}

/// The functions of a plugin. None of them unwinds; each may be called from any thread.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct PluginTable {
    /// Gives the plugin the host's services; called once, before any other function but `describe`.
    pub attach: extern "C" fn(HostServices),
    /// JSON [`crate::message::Description`]; no side effects.
    pub describe: extern "C" fn() -> RResult<RString, PluginError>,
    /// `invoke(operation, body)`: a named operation of the plugin as a whole, JSON in and out.
    pub invoke: extern "C" fn(RStr<'_>, RStr<'_>) -> RResult<RString, PluginError>,
    /// `open(body)`: opens a dataset; JSON [`crate::message::Open`].
    pub open: extern "C" fn(RStr<'_>) -> RResult<DatasetHandle, PluginError>,
    /// `query(dataset, operation, body)`: a named, read-only operation on a dataset, bytes in and out.
    pub query: extern "C" fn(DatasetHandle, RStr<'_>, RSlice<'_, u8>) -> RResult<RVec<u8>, PluginError>,
    /// `fill(dataset, request, buffers)`: decodes, augments, tokenises and masks. Bad samples are listed in the
    /// answer; an error means that nothing was delivered.
    pub fill: extern "C" fn(DatasetHandle, FillRequest<'_>, FillBuffers<'_>) -> RResult<RVec<SampleError>, PluginError>,
    /// Frees a dataset; its handle is void afterwards.
    pub close: extern "C" fn(DatasetHandle),
}
