//! Sides of a split.

/// Side of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Samples that are learned from.
    Train,
    /// Samples that a choice between models is made with.
    Validation,
    /// Samples that a model is measured with.
    Test,
}

impl Side {
    /// Name of the side, as in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// The side with one of the names in use: `train`, `training`, `tr`; `val`, `valid`, `validation`, `dev`; `test`, `testing`, `ts`.
    pub fn of_name(name: &str) -> Option<Self> {
        match name.trim().to_lowercase().as_str() {
            "train" | "training" | "tr" => Some(Self::Train),
            "val" | "valid" | "validate" | "validation" | "dev" => Some(Self::Validation),
            "test" | "testing" | "ts" => Some(Self::Test),
            _ => None,
        }
    }
}
