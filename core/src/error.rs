//! What can go wrong while learning. Messages name the thing, what was found and what was expected; a remedy stands
//! on a line of its own.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Shorthand.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a stage could not be set up, run or continued.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting out of range, or settings that contradict each other.
    #[error("{0}")]
    Setting(String),
    /// Data that do not fit the model or the run.
    #[error("{0}")]
    Data(String),
    /// A dataset that failed as a whole.
    #[error("{0}")]
    Source(String),
    /// Too many samples could not be read.
    #[error(
        "{modality}: {n_invalid} of {n_samples} samples could not be read, more than data.max_invalid_fraction allows; the latest: {latest}\n\
         hint: repair or remove them, or raise data.max_invalid_fraction"
    )]
    TooManyInvalidSamples {
        /// Modality.
        modality: String,
        /// Samples that failed.
        n_invalid: usize,
        /// Samples in the dataset.
        n_samples: usize,
        /// The latest failure.
        latest: String,
    },
    /// A loss that is not a number.
    #[error(
        "stage {stage}, epoch {epoch}, step {step}: the {kind} loss of {modality} is {value}\n\
         hint: lower the learning rate or lengthen the warm-up; {checkpoint}"
    )]
    NotFinite {
        /// Stage name.
        stage: String,
        /// Epoch, from 1.
        epoch: usize,
        /// Step within the epoch, from 1.
        step: usize,
        /// Modality of the batch.
        modality: String,
        /// `pretext` or `distillation`.
        kind: &'static str,
        /// The value.
        value: f32,
        /// What can be gone back to.
        checkpoint: String,
    },
    /// A file of the run folder that cannot be read or written.
    #[error("{action} {path}: {reason}{}", remedy(.reason.kind()))]
    File {
        /// What was tried: `cannot write`.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
    /// A file of the run folder whose content is not what it should be.
    #[error("{path} is damaged or from another version: {detail}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What was found and expected.
        detail: String,
    },
    /// Checkpoints of which none can be used.
    #[error(
        "none of the checkpoints of {stage} is sound; the latest: {latest}\n\
         hint: copy the run from a backup, or remove its folder {stage} to learn the stage again from its beginning"
    )]
    NoSoundCheckpoint {
        /// Stage name.
        stage: String,
        /// What is wrong with the latest.
        latest: Box<Error>,
    },
    /// Someone asked to stop.
    #[error("stopped as asked: {place}; {checkpoint}")]
    Interrupted {
        /// Stage, epoch and step.
        place: String,
        /// What can be gone on from.
        checkpoint: String,
    },
    /// A device that is not there.
    #[error("{0}")]
    Device(String),
}

impl Error {
    /// Names the file that an input or output error concerns.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |reason| Self::File { action, path, reason }
    }

    /// A sample that an earlier pass over the dataset could read.
    pub(crate) fn no_longer_valid(id: &str, reason: &str) -> Self {
        Self::Data(format!("sample {id} could be read before and now cannot: {reason}"))
    }

    /// A file with the wrong content.
    pub(crate) fn damaged(path: &Path, detail: impl std::fmt::Display) -> Self {
        Self::Damaged { path: path.to_path_buf(), detail: detail.to_string() }
    }
}

/// What to do about a file system that takes no more.
fn remedy(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "\nhint: make room on its file system and go on with the run; nothing that was complete is lost"
        }
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
            "\nhint: make the folder writable for this user and go on with the run; nothing that was complete is lost"
        }
        _ => "",
    }
}
