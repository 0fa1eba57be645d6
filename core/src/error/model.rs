//! Models and modalities that do not fit each other.

/// Errors of models and their modalities.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A family that the model does not have.
    #[error("the model has no family {family} for modality {modality}")]
    UnknownFamily {
        /// Token family.
        family: String,
        /// The modality.
        modality: String,
    },
    /// Tokens of another kind or size than those of the family.
    #[error("modality {modality} has {found}, but family {family} of this model has {expected}")]
    Tokens {
        /// The modality.
        modality: String,
        /// Token family.
        family: String,
        /// Description of the modality's tokens.
        found: String,
        /// Description of the family's tokens.
        expected: String,
    },
    /// More tokens than the family has positions.
    #[error("modality {modality} has {found} tokens a sample, but family {family} has {expected} positions")]
    TooManyTokens {
        /// The modality.
        modality: String,
        /// Token family.
        family: String,
        /// Number of tokens in a sample.
        found: usize,
        /// Number of positions of the family.
        expected: usize,
    },
    /// A model whose families are not the first families of another model.
    #[error("a model with the families {found:?} is no earlier one of a model with {expected:?}")]
    NotEarlier {
        /// Families of the model.
        found: Vec<String>,
        /// Families of the later model.
        expected: Vec<String>,
    },
}
