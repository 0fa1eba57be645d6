//! The device.

use clap::Args;

/// Where a command computes.
#[derive(Debug, Clone, Args)]
pub(crate) struct DeviceArgs {
    /// Where to compute: cpu, cuda or cuda:N
    #[arg(long = "device", value_name = "DEVICE", default_value = "cpu")]
    pub(crate) name: String,
}
