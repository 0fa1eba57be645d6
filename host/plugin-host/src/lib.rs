//! The plugin host of medcoss: finds modality plugins, probes them, loads them, calls them, and checks every answer.
//! The crate is usable by itself, without models and without a terminal.
//!
//! ```no_run
//! use medcoss_plugin_host::{Loading, PluginRegistry, Probe, Search, SearchEnvironment, serve_if_asked};
//!
//! let server = serve_if_asked(); // first of all: this executable is also the child that probes libraries
//! let search = Search::new(&["plugins".into()], false, &SearchEnvironment::of_process())?;
//! let probe = Probe::by_this_program(server, None);
//! let registry = PluginRegistry::discover(&search, vec![], Loading::Probed(probe.into()));
//! for plugin in registry.describe_all() {
//!     println!("{}", plugin?.name());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ```text
//! search         the folders to search, in their order
//! symbols        the plugins that a file exports, read from its symbol table; no code of the file runs
//! registry       the file or linked-in plugin for each id
//! probe          loading the file in a child process first: probe_child, probe_outcome, probe_cache, plugin_info
//! acceptance     the libraries whose code may run; writers: other users who could replace them
//! contracts      the supported versions of the contract
//! library_file   the content of a library and its digest, read once
//! library        dlopen, the checks of the header, attach; process_guard: protection of the process
//! plugin         describe, invoke; calls: the messages of each plugin
//! dataset        open, query, fill, close; label_maps, sample_table, sample_failure
//! untrusted_text texts of plugins, made safe to print
//! ```
//!
//! `medcoss-caller` provides the checked shapes, the guarded buffers and the checks of answers, which the conformance
//! rules share. Unsafe code is in `contracts`, `library` and `process_guard`.

#![deny(clippy::undocumented_unsafe_blocks)]

mod acceptance;
mod account;
mod calls;
mod contracts;
mod dataset;
mod digest;
mod error;
mod failed_allocation;
mod grids;
mod label_maps;
mod library;
mod library_file;
mod location;
mod nearest;
mod options;
mod plugin;
mod plugin_info;
mod probe;
mod probe_cache;
mod probe_child;
mod probe_outcome;
mod process_guard;
mod registry;
mod sample_failure;
mod sample_table;
mod search;
mod symbols;
mod untrusted_text;
pub mod user_file;
mod writers;

pub use acceptance::{Acceptance, NewLibrary};
pub use account::{DataFiles, LeftOutFiles};
pub use calls::{OpenProgress, PLUGIN_TARGET, watch_progress};
pub use contracts::{CONTRACTS, Contract, V1};
pub use dataset::{OpenDataset, Rendered, Tokens};
pub use error::{Fault, PluginError};
pub use failed_allocation::allocation_failed;
pub use label_maps::LabelMap;
pub use library::v1_header_of;
pub use library_file::LibraryFile;
pub use location::{LoadError, PluginLocation};
pub use medcoss_abi::Builtin;
pub use medcoss_caller::options::with_present_names;
pub use medcoss_caller::{Batch, MAX_TOKENS, MAX_VALUES, MAX_VOCABULARY, Shape, View};
pub use nearest::{did_you_mean, nearest};
pub use options::{PluginOption, check_names, list as options_of_schema};
pub use plugin::Plugin;
pub use plugin_info::PluginInfo;
pub use probe::{PROBE_VARIABLE, Probe};
pub use probe_child::{ProbeServer, serve_if_asked};
pub use process_guard::{catch_crashes, original_stdout};
pub use registry::{
    FoundPlugin, Loading, OpenedPlugin, PluginRegistry, PluginUnavailable, ShadowedPlugin, UnknownModality,
};
pub use sample_failure::{FailureKind, SampleFailure};
pub use sample_table::{EntryFacts, SampleTable};
pub use search::{Folder, MissingFolder, Origin, Search, SearchEnvironment, user_folder};
pub use untrusted_text::{steers_terminal, untrusted_bytes, untrusted_text};
