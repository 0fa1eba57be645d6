//! What the columns of a table of labels hold.

/// What a column of the table holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Column {
    Label,
    Group,
    Pair,
    Weight,
    Metadata(String),
}

impl Column {
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Label => "labels".into(),
            Self::Group => "groups".into(),
            Self::Pair => "pairs".into(),
            Self::Weight => "weights".into(),
            Self::Metadata(name) => format!("values of {name}"),
        }
    }
}
