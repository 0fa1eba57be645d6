//! Run folders that cannot be continued.

use std::path::PathBuf;

use super::Error;

/// Errors of run folders.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A run folder that another process writes.
    #[error("{run} is being written by {holder}")]
    Locked {
        /// Folder of the run.
        run: PathBuf,
        /// Holder of the lock: `process 1234`, or `another process`.
        holder: String,
    },
    /// A checkpoint of other data, another modality or another seed.
    #[error("{stage} was written with {field} {found}, now it is {expected}")]
    CheckpointMismatch {
        /// Stage name.
        stage: String,
        /// Name of the differing field: `data fingerprint`, `modality` or `seed`.
        field: &'static str,
        /// Value in the checkpoint.
        found: String,
        /// Value of the stage.
        expected: String,
    },
    /// Checkpoints of which none is valid.
    #[error("none of the checkpoints of {stage} is valid; the latest: {latest}")]
    NoValidCheckpoint {
        /// Stage name.
        stage: String,
        /// Error of the latest checkpoint.
        latest: Box<Error>,
    },
}
