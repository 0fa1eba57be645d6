//! Devices that are missing or fail.

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// A name that is none.
    #[error("unknown device {name:?}, expected cpu, cuda or cuda:N")]
    UnknownName {
        /// The name.
        name: String,
    },
    /// A CUDA device that the machine does not have.
    #[error("device cuda:{index} not found; this machine has {n_devices} CUDA devices")]
    CudaNotFound {
        /// Its index.
        index: usize,
        /// CUDA devices of the machine.
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
        /// Which results, in plural.
        what: String,
        /// Why.
        reason: String,
    },
    /// A step of a benchmark that failed.
    #[error("benchmark step failed: {detail}")]
    Benchmark {
        /// How.
        detail: String,
    },
}

impl DeviceError {
    /// Results that cannot be read back.
    pub(crate) fn read_back(what: impl Into<String>, reason: impl std::fmt::Debug) -> Self {
        Self::ReadBack { what: what.into(), reason: format!("{reason:?}") }
    }
}
