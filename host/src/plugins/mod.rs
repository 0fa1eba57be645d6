//! Plugins: where they are looked for, how they are loaded, and what of their answers is believed.
//!
//! ```text
//! search      which folders, in which order
//! symbols     which plugins a file carries, read from its symbol table; nothing of it runs
//! discovery   which file or built-in answers for which id
//! library     dlopen, the header's checks, attach; the host's only unsafe code
//! plugin      describe, invoke, open
//! dataset     query, fill, close
//! shape       sizes, checked once;  answers, batch: everything else that is checked
//! ```

mod answers;
mod batch;
mod builtin;
mod dataset;
mod discovery;
mod error;
mod library;
mod plugin;
mod search;
mod shape;
mod source;
mod symbols;
mod text;

pub use batch::SampleFailure;
pub use dataset::{OpenDataset, Rendered, Tokens};
pub use discovery::{Catalogue, Found, NoSuchModality, Shadowed};
pub use error::{Fault, PluginError};
pub(crate) use library::header_of;
pub use medcoss_core::data::{RawBatch as Batch, View};
pub use plugin::Plugin;
pub use search::{Folder, MissingFolder, Origin, Search, Surroundings};
pub use shape::{MAX_TOKENS, MAX_VALUES, MAX_VOCABULARY, Shape};
pub use source::{Refusal, Source};
pub(crate) use text::foreign_text;
