//! Devices that are missing or fail.

/// Errors of devices.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// A device name that is unknown.
    #[error("unknown device {name:?}, expected cpu, cuda, rocm or wgpu, or with an index cuda:N, rocm:N or wgpu:N")]
    UnknownName {
        /// The unknown name.
        name: String,
    },
    /// A device that the machine does not have.
    #[error("device {kind}:{index} not found; this machine has {n_devices} {kind} devices")]
    NotFound {
        /// Kind of the device.
        kind: &'static str,
        /// Index of the device.
        index: usize,
        /// Number of devices of this kind that the machine has.
        n_devices: usize,
    },
    /// A kind of device that this build has no support for.
    #[error("device {kind}:{index} asked for, but this build has no {kind}")]
    NotInBuild {
        /// Kind of the device.
        kind: &'static str,
        /// Index of the device.
        index: usize,
    },
    /// A device that does not compute in the number format of a precision.
    #[error("device {device} does not compute in {precision}")]
    Precision {
        /// The device.
        device: String,
        /// Name of the precision.
        precision: String,
    },
    /// Results that cannot be read back.
    #[error("{what} cannot be read back from the device: {reason}")]
    ReadBack {
        /// Name of the results, in plural.
        what: String,
        /// Reason of the failure.
        reason: String,
    },
    /// A step of a benchmark that failed.
    #[error("benchmark step failed: {detail}")]
    Benchmark {
        /// Reason of the failure.
        detail: String,
    },
}

impl DeviceError {
    /// Results that cannot be read back.
    pub(crate) fn read_back(what: impl Into<String>, reason: impl std::fmt::Debug) -> Self {
        Self::ReadBack { what: what.into(), reason: format!("{reason:?}") }
    }
}
