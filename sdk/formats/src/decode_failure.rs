//! Reason why compressed pixels were not decoded. The caller adds the file.

/// Why pixels were not decoded; the text is the end of "... has".
#[derive(Debug)]
pub(crate) enum Failure {
    /// Valid, but of an unsupported kind.
    Unsupported(String),
    /// Damaged.
    Corrupt(String),
}
