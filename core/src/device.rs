//! Devices: names, kinds, index tensors.

pub use burn::tensor::Device;
use burn::tensor::{Int, Tensor, TensorData};

use crate::{DeviceError, Error, Result};

/// The device of a name in settings: `cpu`, `cuda`, `cuda:1`.
///
/// # Errors
/// An unknown name; CUDA in a build without it, or on a machine without such a GPU.
pub fn by_name(name: &str) -> Result<Device> {
    match name.split_once(':').unwrap_or((name, "0")) {
        ("cpu", "0") => Ok(Device::flex()),
        ("cuda", index) => match index.parse() {
            Ok(index) => cuda(index),
            Err(_) => Err(unknown(name)),
        },
        _ => Err(unknown(name)),
    }
}

/// Whether a device is the CPU.
pub(crate) fn is_cpu(device: &Device) -> bool {
    device.clone().without_autodiff() == Device::flex()
}

/// A tensor of indices on the device.
pub(crate) fn indices(values: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), device)
}

fn unknown(name: &str) -> Error {
    DeviceError::UnknownName { name: name.into() }.into()
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<Device> {
    use burn::tensor::DeviceType;
    // The number of devices is checked first: using a missing CUDA device panics inside the driver's bindings.
    let n_devices = Device::enumerate(DeviceType::Cuda).into_vec().len();
    if index < n_devices {
        return Ok(Device::cuda(index));
    }
    Err(DeviceError::CudaNotFound { index, n_devices }.into())
}

#[cfg(not(feature = "cuda"))]
fn cuda(index: usize) -> Result<Device> {
    Err(DeviceError::NoCudaSupport { index }.into())
}
