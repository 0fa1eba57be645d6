//! Files of a run: model, buffer, metrics and state of each stage, written atomically.
//!
//! Every file is covered by a checksum: JSON and TOML files carry one of their own, the others are named with theirs in
//! the `state.json` beside them, or in the `manifest.json` of their folder.

mod checkpoint;
mod checksum;
mod document;
mod files;
mod layout;
mod lock;
mod manifest;
mod metrics;
mod stage_folder;
mod stage_state;
mod stored_model;

pub(crate) use checkpoint::{Checkpoints, RestoredState};
pub use checksum::{CHECKSUM_PLACEHOLDER, insert_checksum, verify_checksum};
pub use document::FORMAT;
pub(crate) use document::{read_document, write_document};
pub use files::{
    FileCheck, is_partial, read_json, read_text, remove_partial, remove_partial_below, sha256_of, sha256_of_content,
    write_atomically, write_folder,
};
pub(crate) use files::{check_file, finish_partial, remove_folder};
pub use layout::{RunLayout, check_modality};
pub use lock::{FolderLock, RunLock};
pub use manifest::{check_manifest, write_manifest};
pub(crate) use metrics::MetricsLog;
pub use metrics::{EpochMetrics, LossSums, read_metrics};
pub use stage_folder::StageFolder;
pub use stage_state::{EpochSoFar, StageState};
pub use stored_model::StoredModel;
pub(crate) use stored_model::{load_new_model, save_model};
