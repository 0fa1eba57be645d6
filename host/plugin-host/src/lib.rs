//! Plugins: where they are looked for, how they are loaded, and what of their answers is believed.
//!
//! ```text
//! search      which folders, in which order
//! symbols     which plugins a file carries, read from its symbol table; nothing of it runs
//! discovery   which file or built-in answers for which id
//! first_contact   a child process loads the file first;  contact_memory: what came of it;  described: what is known then
//! contracts   which versions of the contract are spoken
//! library     dlopen, the header's checks, attach;  process: what a plugin can do to it. The host's only unsafe code
//! plugin      describe, invoke, open
//! dataset     query, fill, close
//! shape       sizes, checked once;  answers, batch: everything else that is checked
//! ```

mod answers;
mod batch;
mod calls;
mod contact_memory;
mod contracts;
mod dataset;
mod described;
mod digest;
mod discovery;
mod error;
mod first_contact;
mod label_maps;
mod library;
mod nearest;
mod options;
mod plugin;
mod process;
mod search;
mod shape;
mod source;
mod symbols;
mod text;
pub mod user_file;

pub use batch::{Batch, SampleFailure, View};
pub use calls::PLUGIN_TARGET;
pub use contracts::{CONTRACTS, Contract, V1};
pub use dataset::{OpenDataset, Rendered, Tokens};
pub use described::Described;
pub use discovery::{Catalogue, Found, NoSuchModality, Shadowed};
pub use error::{Fault, PluginError};
pub use first_contact::FirstContact;
pub use first_contact::{CHILD, child};
pub use label_maps::LabelMap;
pub use library::v1_header_of;
pub use medcoss_abi::Builtin;
pub use nearest::{did_you_mean, nearest};
pub use options::{PluginOption, check_names, list as options_of_schema};
pub use plugin::Plugin;
pub use process::results;
pub use search::user_folder;
pub use search::{Folder, MissingFolder, Origin, Search, Surroundings};
pub use shape::{MAX_TOKENS, MAX_VALUES, MAX_VOCABULARY, Shape};
pub use source::{Refusal, Source};
pub use text::{foreign_bytes, foreign_text};
