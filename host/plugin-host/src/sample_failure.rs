//! A sample that a plugin could not deliver.

/// A sample that a plugin could not deliver. Its part of the batch is void and must not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleFailure {
    /// Position of the sample in the request.
    pub slot: usize,
    /// Id of the sample.
    pub id: String,
    /// Finding and expectation. The message begins with the plugin and names the sample.
    pub message: String,
}
