//! What a stage leaves behind: model, buffer, metrics and state, written so that a reader never meets half a file.

mod checkpoint;
mod files;
mod metrics;
mod state;

pub(crate) use checkpoint::{Checkpoints, Restored, load_model, save_model};
pub use files::{read_json, sha256_of, write_atomically};
pub(crate) use files::{read_lines, to_json_line};
pub(crate) use metrics::MetricsLog;
pub use metrics::{EpochMetrics, read_metrics};
pub use state::{FORMAT, StageFolder, StageState};
