//! Run folders that cannot be continued.

use std::path::PathBuf;

use super::Error;

/// Why a run cannot be continued.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Another process that writes the run.
    #[error("{run} is being written by {holder}")]
    Locked {
        /// The run's folder.
        run: PathBuf,
        /// `process 1234`, or `another process`.
        holder: String,
    },
    /// A checkpoint of other data, another modality or another seed.
    #[error("{stage} was written with {field} {found}, now it is {expected}")]
    CheckpointMismatch {
        /// Stage name.
        stage: String,
        /// `data fingerprint`, `modality` or `seed`.
        field: &'static str,
        /// As the checkpoint has it.
        found: String,
        /// As it is now.
        expected: String,
    },
    /// Checkpoints of which none is valid.
    #[error("none of the checkpoints of {stage} is valid; the latest: {latest}")]
    NoValidCheckpoint {
        /// Stage name.
        stage: String,
        /// What is wrong with the latest.
        latest: Box<Error>,
    },
}
