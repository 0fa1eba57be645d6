//! What files hold. Which file holds what is decided in `read`.

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A document a line.
    Lines,
    /// One document.
    Document,
    /// A document a row.
    Table,
    /// A document a JSON object.
    Objects,
    /// Abstracts in labelled sentences.
    Abstracts,
    /// Questions with answers.
    Questions,
}

impl Kind {
    /// Whether its documents have columns by name.
    pub fn has_columns(self) -> bool {
        matches!(self, Self::Table | Self::Objects)
    }
}
