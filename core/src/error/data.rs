//! Datasets and samples that cannot be used.

/// Errors of datasets and samples.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A dataset without samples.
    #[error("modality {modality} has no samples")]
    NoSamples {
        /// The modality.
        modality: String,
    },
    /// A dataset whose samples all have the weight 0.
    #[error("all samples of modality {modality} have the weight 0: none is ever drawn")]
    NothingToDraw {
        /// The modality.
        modality: String,
    },
    /// An epoch in which no sample of the stage's own modality was learned.
    #[error(
        "no sample of {modality} was learned in an epoch: {n_skipped} had nothing to learn, {n_invalid} could not be read"
    )]
    NothingLearned {
        /// The modality.
        modality: String,
        /// Samples that were skipped in the epoch, each time that they were drawn.
        n_skipped: usize,
        /// Invalid samples of the run so far.
        n_invalid: usize,
    },
    /// Too many invalid samples.
    #[error(
        "{modality}: {n_invalid} of {n_samples} samples could not be read, more than data.max_invalid_fraction allows; the latest: {latest}"
    )]
    TooManyInvalid {
        /// The modality.
        modality: String,
        /// Invalid samples.
        n_invalid: usize,
        /// Samples in the dataset.
        n_samples: usize,
        /// Reason of the latest invalid sample.
        latest: String,
    },
    /// Samples that must be valid and are not.
    #[error("{n_invalid} of {n_samples} samples of {modality} could not be read")]
    Invalid {
        /// The modality.
        modality: String,
        /// Invalid samples.
        n_invalid: usize,
        /// Number of requested samples.
        n_samples: usize,
    },
    /// A sample that an earlier pass over the dataset could read.
    #[error("sample {id} could be read before and now cannot: {reason}")]
    NoLongerValid {
        /// Sample id.
        id: String,
        /// Reason why the sample is invalid.
        reason: String,
    },
    /// A buffer sample that its dataset does not have.
    #[error("buffer sample {id} of {modality} is not in its dataset")]
    MissingBufferSample {
        /// Sample id.
        id: String,
        /// The modality.
        modality: String,
    },
    /// A dataset whose samples cannot be materialised.
    #[error("modality {modality} cannot keep samples in the run")]
    CannotMaterialise {
        /// The modality.
        modality: String,
    },
    /// Samples whose targets are not their tokens, so that predictions are no sample.
    #[error("modality {modality} learns targets that are not its tokens: predictions are no samples")]
    TargetsAreNoTokens {
        /// The modality.
        modality: String,
    },
    /// A result of the model that is not finite.
    #[error("a {what} is {value}")]
    NotFinite {
        /// Name of the result: `feature of ct` or `prediction`.
        what: String,
        /// The value that is not finite.
        value: f32,
    },
    /// A thread that reads samples and panicked, which is a fault of this program.
    #[error("a thread that reads samples panicked")]
    LoaderPanicked,
    /// No features to select a buffer from.
    #[error("there are no features to choose the buffer from")]
    NoFeatures,
    /// Points that cannot be clustered.
    #[error("k-means: {detail}")]
    Clustering {
        /// The found and the expected points.
        detail: String,
    },
}
