//! The table of functions, frozen.

use abi_stable::{
    StableAbi,
    std_types::{RResult, RSlice, RStr, RString, RVec},
};

use crate::{FillBuffers, FillRequest, SampleReport};

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
    /// Of samples only, see [`crate::SampleReport::code`]: sound, but there is nothing to learn from it (a flat signal, a tile of
    /// background).
    pub const SKIPPED: i32 = 6;
    /// The call ended early because the host asked for it, see [`crate::service::PROGRESS`].
    pub const STOPPED: i32 = 7;
    /// The plugin panicked; the panic was caught inside it. The message ends with the place, `(at src/file.rs:12:34)`, where it is known.
    pub const PANIC: i32 = 100;
}

/// Names of the operations. A host calls those alone that the description names.
pub mod operation {
    /// `invoke`: write sample files; body [`crate::message::Synthesise`], answer [`crate::message::Synthesised`].
    pub const SYNTHESISE: &str = "synthesise";
    /// `invoke`: whether data are of this modality, and which options suit them; body [`crate::message::SurveyRequest`], answer
    /// [`crate::message::Survey`]. Headers of some files are looked at, no sample is read. Optional, since version 1.3.
    pub const SURVEY: &str = "survey";
    /// `query`: [`crate::message::Info`] of this dataset: all about it but its samples.
    pub const INFO: &str = "info";
    /// `query`: a page of the samples; body [`crate::message::Records`], answer a JSON array of [`crate::message::SampleRecord`].
    pub const RECORDS: &str = "records";
    /// `query`: what became of the files of the data; body [`crate::message::Records`], which asks for a page of
    /// [`crate::message::Account::left_out`], answer [`crate::message::Account`], or `null` where it is not known.
    /// Optional, since version 1.3.
    pub const ACCOUNT: &str = "account";
    /// `query`: write what was learned from the data (a vocabulary) into a folder; body
    /// [`crate::message::SaveAssets`], answer a JSON array of file names, empty when nothing was learned.
    pub const SAVE_ASSETS: &str = "save-assets";
    /// `query`: write samples, as they are before augmentation, into a folder from which `open` gives them again, in the same
    /// order and without the other data; body [`crate::message::Keep`], answer [`crate::message::Synthesised`]. Optional.
    pub const KEEP: &str = "keep";
    /// `query`: tokens back to something a person can look at. Body: as [`crate::framed`] lays it out, with the header
    /// [`crate::message::Render`]. Answer: the bytes of a PNG file, or UTF-8 text, as [`crate::message::Description::renders`] says.
    /// The answer does not depend on the values of masked tokens and of those that do not exist. Optional.
    pub const RENDER: &str = "render";
    /// `query`: segmentation masks of samples, each in the geometry of its evaluation view; body [`crate::message::LabelMaps`], answer
    /// as [`crate::label_maps`] lays it out. Optional. Called "label maps", because a
    /// mask is elsewhere in the contract what hides tokens in training.
    pub const LABEL_MAPS: &str = "label-maps";
    /// `query`: the grid of voxels or pixels of the file of each of some samples, on which a prediction can be written; body
    /// [`crate::message::Grids`], answer a JSON array with a [`crate::message::FileGrid`] or `null` (not known) for each index of the
    /// request. Optional, since version 1.3.
    pub const GRIDS: &str = "grids";
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
    /// `ask(service, body)`: one of [`service`], JSON in and out. The answer is empty where the host does not know the service.
    pub ask: extern "C" fn(RStr<'_>, RStr<'_>) -> RString,
}

/// Names of the services that [`HostServices::ask`] knows.
pub mod service {
    /// How far a long call (`open`, `keep`) is, at most ten times a second: body [`crate::message::Progress`], answer
    /// [`crate::message::Stop`]. A plugin that is asked to stop ends the call with [`crate::code::STOPPED`].
    pub const PROGRESS: &str = "progress";
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
    /// `fill(dataset, request, buffers)`: decodes, augments, tokenises and masks. Samples that are not simply delivered are listed in
    /// the answer, each once; an error means that nothing was delivered.
    pub fill:
        extern "C" fn(DatasetHandle, FillRequest<'_>, FillBuffers<'_>) -> RResult<RVec<SampleReport>, PluginError>,
    /// Frees a dataset; its handle is void afterwards.
    pub close: extern "C" fn(DatasetHandle),
}
