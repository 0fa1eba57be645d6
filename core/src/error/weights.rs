//! Weight files that cannot be imported or exported.

use std::path::PathBuf;

/// Why weights cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// A file of another kind.
    #[error("{path} {found}; expected a PyTorch checkpoint (.pth, .pt) or a .safetensors file")]
    UnknownFile {
        /// Which file.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// A PyTorch checkpoint that cannot be read.
    #[error("{path} is damaged or from another version: {reason}")]
    Checkpoint {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A checkpoint of another model.
    #[error("{path} is no MedCoSS checkpoint: {missing} is missing; its first keys: {found}")]
    NotMedcoss {
        /// Which file.
        path: PathBuf,
        /// The key that is missing.
        missing: String,
        /// The first keys of the file.
        found: String,
    },
    /// A tensor that the file does not have.
    #[error("{path}: tensor {name} is missing")]
    NoTensor {
        /// Which file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Tensors that the file has: the first of them, or those beside it.
        others: Vec<String>,
    },
    /// An entry that is no tensor.
    #[error("{path}: {name} is no tensor: {found}")]
    NotATensor {
        /// Which file.
        path: PathBuf,
        /// The entry.
        name: String,
        /// What it is.
        found: String,
    },
    /// A tensor with another content than expected.
    #[error("{path}: tensor {name} has {found}, expected {expected}")]
    Tensor {
        /// Which file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A size that the shapes of a checkpoint do not tell.
    #[error("{path}: the number of {what} is not in the shapes of a checkpoint")]
    UnknownSize {
        /// Which file.
        path: PathBuf,
        /// `heads` or `decoder heads`.
        what: String,
    },
    /// A given size that contradicts the checkpoint.
    #[error("{path}: {name} is given as {given}, the checkpoint has {found}")]
    SizeConflict {
        /// Which file.
        path: PathBuf,
        /// The size.
        name: String,
        /// As it was given.
        given: usize,
        /// As the checkpoint has it.
        found: String,
    },
    /// A family that the published layout cannot hold.
    #[error("family {family} has {tokens}, which are no {expected} that the published layout could hold")]
    NotPublishable {
        /// Token family.
        family: String,
        /// Its tokens.
        tokens: String,
        /// What the layout holds.
        expected: &'static str,
    },
    /// A padding mask for a family without padding.
    #[error("family {family} has no padding")]
    NoPadding {
        /// Token family.
        family: String,
    },
    /// A file of ours whose metadata cannot be read.
    #[error("{path} was written by medcoss but holds no weights: {reason}")]
    Metadata {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}
