//! Errors of training and evaluation: an enum for each area. Messages say what was found and what was expected. Remedies are the caller's, which
//! knows its own options.

mod data;
mod device;
mod evaluation;
mod model;
mod run;
mod setting;
mod weights;

use std::path::{Path, PathBuf};

pub use data::DataError;
pub use device::DeviceError;
pub use evaluation::EvaluationError;
pub use model::ModelError;
pub use run::RunError;
pub use setting::SettingError;
pub use weights::WeightsError;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting that cannot be used.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// Data that cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A model that cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A device that cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Weights that cannot be read or written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A task that cannot be measured.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// A run that cannot be continued.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A dataset that failed as a whole; the message is the dataset's.
    #[error("{0}")]
    Dataset(String),
    /// A fault in the code that reads a dataset; the message is the dataset's.
    #[error("{0}")]
    DatasetFault(String),
    /// A callback of the caller that failed, such as one that receives results; the message is the caller's.
    #[error("{0}")]
    Caller(String),
    /// A training loss that is not finite.
    #[error("stage {stage}, epoch {epoch}, step {step}: the {kind} loss of {modality} is {value}; {checkpoint}")]
    NotFinite {
        /// Stage name.
        stage: String,
        /// Epoch, from 1.
        epoch: usize,
        /// Step within the epoch, from 1.
        step: usize,
        /// Modality of the batch.
        modality: String,
        /// Objective of the batch: `pretext` or `distillation`.
        kind: &'static str,
        /// Value of the loss.
        value: f32,
        /// Description of the latest checkpoint, as a sentence.
        checkpoint: String,
    },
    /// A file that cannot be read or written.
    #[error("{action} {path}: {reason}")]
    File {
        /// Failed action: `cannot write`.
        action: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        reason: std::io::Error,
    },
    /// A damaged file, with other content than expected.
    #[error("{path} is damaged or from another version: {detail}")]
    Damaged {
        /// Path of the file.
        path: PathBuf,
        /// The found and the expected content.
        detail: String,
    },
    /// Another rank of a distributed training that failed.
    #[error("rank {rank} failed: {message}")]
    Rank {
        /// Number of the rank, from 0.
        rank: usize,
        /// Its error.
        message: String,
    },
    /// Ranks that differ in something that must be equal.
    #[error("rank {rank} has other {what} than rank 0: {found}, expected {expected}")]
    RanksDiffer {
        /// What differs.
        what: &'static str,
        /// Number of the rank.
        rank: usize,
        /// Its value.
        found: String,
        /// The root's value.
        expected: String,
    },
    /// A connection between ranks that broke.
    #[error("the connection between ranks broke: {0}")]
    Communication(String),
    /// A stage that was stopped on request.
    #[error("stopped as asked: {place}; {checkpoint}")]
    Interrupted {
        /// Stage, epoch and step.
        place: String,
        /// Description of the checkpoint to continue from, as a sentence.
        checkpoint: String,
    },
}

impl Error {
    /// An input or output error, with the path of its file.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |reason| Self::File { action, path, reason }
    }

    /// An error of the connection between ranks.
    pub(crate) fn communication(reason: impl std::fmt::Display) -> Self {
        Self::Communication(reason.to_string())
    }

    /// An error for a file with the wrong content.
    pub(crate) fn damaged(path: &Path, detail: impl std::fmt::Display) -> Self {
        Self::Damaged { path: path.to_path_buf(), detail: detail.to_string() }
    }

    /// An error for a sample that an earlier pass over the dataset could read.
    pub(crate) fn no_longer_valid(id: &str, reason: &str) -> Self {
        DataError::NoLongerValid { id: id.into(), reason: reason.into() }.into()
    }
}
