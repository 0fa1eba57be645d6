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
    /// A description of axes that does not fit the grid.
    #[error("family {family} describes axes that do not fit its grid {grid:?}")]
    FamilyAxes {
        /// Token family.
        family: String,
        /// Its grid.
        grid: Vec<usize>,
    },
    /// A grid whose positions the family does not have.
    #[error("modality {modality} does not fit the positions of family {family}: {what}")]
    Position {
        /// The modality.
        modality: String,
        /// Token family.
        family: String,
        /// What the modality has and the family does not.
        what: String,
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
    /// More token families than a model can have.
    #[error("the model has {found} token families, expected at most {expected}")]
    TooManyFamilies {
        /// Number of families.
        found: usize,
        /// Maximum number of families.
        expected: usize,
    },
    /// Two families of one name.
    #[error("family {family} is named twice in the model")]
    FamilyTwice {
        /// Token family.
        family: String,
    },
    /// A family without a name, or with a name that is too long or not printable.
    #[error(
        "a family's name of {length} bytes begins with {start:?}, expected 1 to {expected} bytes without control characters"
    )]
    FamilyName {
        /// Start of the name.
        start: String,
        /// Length of the name in bytes.
        length: usize,
        /// Maximum length in bytes.
        expected: usize,
    },
    /// A size of a family out of range.
    #[error("family {family} has {found} {what}, expected {least} to {most}")]
    FamilySize {
        /// Token family.
        family: String,
        /// Noun of the size: `positions`, `decoder positions`, `values in a token` or `token ids`.
        what: &'static str,
        /// The found size.
        found: usize,
        /// Smallest permitted size.
        least: usize,
        /// Largest permitted size.
        most: usize,
    },
    /// More parameters than a model can have.
    #[error("the model has {found} parameters or more, expected at most {expected}")]
    TooManyParameters {
        /// Number of parameters.
        found: u64,
        /// Maximum number of parameters.
        expected: u64,
    },
}
