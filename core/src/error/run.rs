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
        /// Name of the differing field: `data fingerprint`, `modality`, `seed`, or a count of epochs or batches.
        field: &'static str,
        /// Value in the checkpoint.
        found: String,
        /// Value of the stage.
        expected: String,
    },
    /// A link or a special file within a run folder.
    #[error("{path} is {what}; a run folder holds regular files and folders only")]
    NotAFile {
        /// Path of the entry.
        path: PathBuf,
        /// Kind of the entry: `a link`, `a named pipe`.
        what: &'static str,
    },
    /// A name that leads out of its folder, or is none.
    #[error("{path:?} is no plain path below its folder")]
    BadName {
        /// The path.
        path: PathBuf,
    },
    /// A modality whose name cannot be part of a folder's name.
    #[error(
        "modality {name:?} is no valid name, expected lowercase letters, digits and _, a letter first, 64 bytes at most"
    )]
    BadModality {
        /// The name.
        name: String,
    },
    /// A file that is larger than any valid one.
    #[error("{path} has {found} bytes, more than the {limit} that a valid one has")]
    TooLarge {
        /// Path of the file.
        path: PathBuf,
        /// Size of the file in bytes.
        found: u64,
        /// Largest valid size in bytes.
        limit: u64,
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
