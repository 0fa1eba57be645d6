//! A sample that a plugin could not deliver.

/// A sample that could not be delivered. Its part of the batch is void and must not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleFailure {
    /// Position in the request.
    pub slot: usize,
    /// Sample id.
    pub id: String,
    /// What was found and what was expected; begins with the plugin and names the sample.
    pub message: String,
}
