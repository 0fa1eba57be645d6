//! What is known of a record before its samples are read, whatever the format of its files.

/// Sampling rate, length and signals of a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RecordInfo {
    /// Samples a second.
    pub sampling_rate_hz: f64,
    /// Samples of each signal.
    pub n_times: usize,
    /// Names of the signals.
    pub signals: Vec<String>,
}
