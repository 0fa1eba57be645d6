//! What a stage leaves behind: model, buffer, metrics and state, written so that a reader never meets half a file.
//!
//! Every file is covered by a checksum: JSON and TOML files carry a [`seal`] of their own, the others are named with theirs in
//! the `state.json` beside them, or in the `manifest.json` of their folder.

mod checkpoint;
mod checksum;
mod document;
mod files;
mod lock;
mod manifest;
mod metrics;
mod state;
mod stored_model;

pub(crate) use checkpoint::{Checkpoints, Restored, load_model, save_model};
pub use checksum::{CHECKSUM_PLACEHOLDER, insert_checksum, verify_checksum};
pub use document::FORMAT;
pub(crate) use document::{read_document, write_document};
pub use files::{PARTIAL, is_partial, read_json, sha256_of, write_atomically, write_folder};
pub(crate) use files::{partial_of, sync_folder};
pub(crate) use files::{read_lines, to_json_line};
pub use lock::{LOCK, RunLock};
pub use manifest::{MANIFEST, check_manifest, write_manifest};
pub(crate) use metrics::MetricsLog;
pub use metrics::{EpochMetrics, LossSums, read_metrics};
pub(crate) use state::check_file;
pub use state::{EpochSoFar, FileCheck, KEPT_SAMPLES, StageFolder, StageState};
pub(crate) use stored_model::MODEL;
pub use stored_model::StoredModel;
