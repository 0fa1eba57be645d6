//! Argument for the device.

use clap::Args;

/// Argument for the device that computes.
#[derive(Debug, Clone, Args)]
pub(crate) struct DeviceArgs {
    /// Device that computes: cpu, cuda, rocm or wgpu; the second one is cuda:1 and so on
    #[arg(long = "device", value_name = "DEVICE", default_value = "cpu")]
    pub(crate) name: String,
}
