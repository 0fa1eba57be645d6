//! Weight files that cannot be imported or exported.

use std::path::PathBuf;

/// Errors of weight files.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// A file of an unknown kind.
    #[error(
        "{path} {found}; expected a PyTorch checkpoint (.pth, .pt, .bin), a .safetensors file, or a folder with one"
    )]
    UnknownFile {
        /// Path of the file.
        path: PathBuf,
        /// Description of the found kind.
        found: String,
    },
    /// A PyTorch checkpoint that cannot be read.
    #[error("{path} is damaged or from another version: {reason}")]
    Checkpoint {
        /// Path of the file.
        path: PathBuf,
        /// Reason of the failure.
        reason: String,
    },
    /// A checkpoint of another model.
    #[error(
        "{path} is neither a MedCoSS checkpoint ({missing} is missing) nor a vision transformer; its first keys: {found}"
    )]
    NotMedcoss {
        /// Path of the file.
        path: PathBuf,
        /// The missing key.
        missing: String,
        /// The first keys of the file.
        found: String,
    },
    /// An encoder that has no counterpart here.
    #[error("{path} has {what}, which a model of medcoss cannot represent: {why}")]
    NotRepresentable {
        /// Path of the file.
        path: PathBuf,
        /// The part that was found.
        what: String,
        /// The reason.
        why: String,
    },
    /// A file with more than one encoder.
    #[error("{path} has several encoders, below {prefixes:?}")]
    SeveralEncoders {
        /// Path of the file.
        path: PathBuf,
        /// What precedes the names of each encoder's tensors.
        prefixes: Vec<String>,
    },
    /// Weights of transformers without their configuration.
    #[error("{path} has tensors of transformers, whose heads and epsilon are in a config.json that was not given")]
    NoConfiguration {
        /// Path of the file.
        path: PathBuf,
    },
    /// An entry of a configuration beside the weights.
    #[error("{path}: {name} is {found}, expected {expected}")]
    Configuration {
        /// Path of the configuration.
        path: PathBuf,
        /// Name of the entry.
        name: String,
        /// The found value.
        found: String,
        /// The expected value.
        expected: String,
    },
    /// A tensor that the file does not have.
    #[error("{path}: tensor {name} is missing")]
    NoTensor {
        /// Path of the file.
        path: PathBuf,
        /// Name of the missing tensor.
        name: String,
        /// Other tensors of the file: the first of them, or those with the same prefix.
        others: Vec<String>,
    },
    /// An entry of the file that is no tensor.
    #[error("{path}: {name} is no tensor: {found}")]
    NotATensor {
        /// Path of the file.
        path: PathBuf,
        /// Name of the entry.
        name: String,
        /// Description of the entry.
        found: String,
    },
    /// A tensor with other content than expected.
    #[error("{path}: tensor {name} has {found}, expected {expected}")]
    Tensor {
        /// Path of the file.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
        /// The found content.
        found: String,
        /// The expected content.
        expected: String,
    },
    /// A size that the shapes of a checkpoint do not determine.
    #[error("{path}: the number of {what} is not in the shapes of a checkpoint")]
    UnknownSize {
        /// Path of the file.
        path: PathBuf,
        /// Name of the size: `heads` or `decoder heads`.
        what: String,
    },
    /// A given size that contradicts the checkpoint.
    #[error("{path}: {name} is given as {given}, the checkpoint has {found}")]
    SizeConflict {
        /// Path of the file.
        path: PathBuf,
        /// Name of the size.
        name: String,
        /// The given size.
        given: usize,
        /// The size in the checkpoint.
        found: String,
    },
    /// A family that the published layout cannot hold.
    #[error("family {family} has {tokens}, which are no {expected} that the published layout could hold")]
    NotPublishable {
        /// Token family.
        family: String,
        /// Description of the family's tokens.
        tokens: String,
        /// Description of the tokens that the layout can hold.
        expected: &'static str,
    },
    /// A backbone that the published layout cannot hold.
    #[error("the model has {differences}, which the published layout cannot hold")]
    VariantNotPublishable {
        /// The differences from MedCoSS's backbone.
        differences: String,
    },
    /// A model that timm would compute otherwise.
    #[error("timm's VisionTransformer lacks {}; it would compute other features", lacks.join(", "))]
    NotInTimm {
        /// What timm lacks.
        lacks: Vec<String>,
    },
    /// A padding mask for a family without padding.
    #[error("family {family} has no padding")]
    NoPadding {
        /// Token family.
        family: String,
    },
    /// A file that medcoss wrote, whose metadata cannot be read.
    #[error("{path} was written by medcoss but holds no weights: {reason}")]
    Metadata {
        /// Path of the file.
        path: PathBuf,
        /// Reason of the failure.
        reason: String,
    },
}
