//! The two views of a sample.

use medcoss_abi::{VIEW_PLAIN, VIEW_TRAIN};

/// A view of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Neither augmented nor masked.
    Evaluation,
    /// Augmented and masked.
    Training,
}

impl View {
    /// Both views.
    pub const ALL: [Self; 2] = [Self::Evaluation, Self::Training];

    /// The number of the view in the contract.
    pub fn code(self) -> u32 {
        match self {
            Self::Evaluation => VIEW_PLAIN,
            Self::Training => VIEW_TRAIN,
        }
    }
}

/// `evaluation view` or `training view`.
impl std::fmt::Display for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Evaluation => "evaluation view",
            Self::Training => "training view",
        })
    }
}
