//! Devices that are missing or fail.

/// Errors of devices.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// A device name that is unknown.
    #[error("unknown device {name:?}, expected cpu, cuda or cuda:N")]
    UnknownName {
        /// The unknown name.
        name: String,
    },
    /// A CUDA device that the machine does not have.
    #[error("device cuda:{index} not found; this machine has {n_devices} CUDA devices")]
    CudaNotFound {
        /// Index of the device.
        index: usize,
        /// Number of CUDA devices of the machine.
        n_devices: usize,
    },
    /// A build without CUDA.
    #[error("device cuda:{index} asked for, but this build has no CUDA")]
    NoCudaSupport {
        /// Index of the device.
        index: usize,
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
