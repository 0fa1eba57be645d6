//! Devices: names, kinds, what they can, index tensors.

pub use burn::tensor::Device;
use burn::tensor::{DType, DeviceType, Int, Tensor, TensorData};

use crate::precision::Precision;
use crate::{DeviceError, Error, Result};

/// The device of a name in settings: `cpu`, `cuda`, `cuda:1`, `rocm`, `rocm:1`, `wgpu`, `wgpu:1`. A name without an index means index 0.
///
/// # Errors
/// An unknown name; a kind that this build does not have, or a device that this machine does not have.
pub fn by_name(name: &str) -> Result<Device> {
    let (kind, index) = match name.split_once(':') {
        Some((kind, index)) => (kind, index.parse().map_err(|_| unknown(name))?),
        None => (name, 0),
    };
    match kind {
        "cpu" if name == kind => Ok(Device::flex()),
        "cuda" => of_kind("cuda", index),
        "rocm" => of_kind("rocm", index),
        "wgpu" => of_kind("wgpu", index),
        _ => Err(unknown(name)),
    }
}

/// Checks that a device computes products in the number format of a precision.
///
/// # Errors
/// A device that does not.
pub fn check_precision(device: &Device, precision: Precision) -> Result<()> {
    // The CPU backend converts what it has no products for.
    let supported = match precision {
        Precision::Float32 => true,
        Precision::Bfloat16 => is_cpu(device) || device.supports_dtype(DType::BF16),
    };
    if supported {
        return Ok(());
    }
    Err(DeviceError::Precision {
        device: format!("{:?}", device.clone().without_autodiff()),
        precision: precision.name().into(),
    }
    .into())
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

/// Names of the devices of a kind (`cuda`, `rocm`, `wgpu`) on this machine; none where this build does not have the kind.
pub fn names_of_kind(kind: &str) -> Option<Vec<String>> {
    let n_devices = Device::enumerate(type_of(kind)?).into_vec().len();
    Some((0..n_devices).map(|index| format!("{kind}:{index}")).collect())
}

/// Burn's type of a kind of devices, where this build has it.
fn type_of(kind: &str) -> Option<DeviceType> {
    match kind {
        #[cfg(feature = "cuda")]
        "cuda" => Some(DeviceType::Cuda),
        #[cfg(feature = "rocm")]
        "rocm" => Some(DeviceType::Rocm),
        #[cfg(feature = "wgpu")]
        "wgpu" => Some(DeviceType::Wgpu),
        _ => None,
    }
}

/// The device of an index among those of a kind. Devices are listed first: using one that is missing panics inside of its driver's bindings.
fn of_kind(kind: &'static str, index: usize) -> Result<Device> {
    let Some(of_type) = type_of(kind) else { return Err(DeviceError::NotInBuild { kind, index }.into()) };
    let devices = Device::enumerate(of_type).into_vec();
    let n_devices = devices.len();
    devices.into_iter().nth(index).ok_or_else(|| DeviceError::NotFound { kind, index, n_devices }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_device_are_refused() {
        for name in ["gpu", "cpu:0", "cpu:1", "cuda:", "cuda:-1", "wgpu:x", "", ":0", "CPU"] {
            let error = by_name(name).unwrap_err();
            assert!(
                matches!(&error, Error::Device(DeviceError::UnknownName { name: named }) if named == name),
                "{error}"
            );
        }
    }

    #[test]
    fn a_device_that_is_missing_is_refused_with_the_number_of_those_there() {
        for kind in ["cuda", "rocm", "wgpu"] {
            let error = by_name(&format!("{kind}:99")).unwrap_err();
            let expected = match error {
                Error::Device(DeviceError::NotInBuild { index: 99, .. }) => format!("this build has no {kind}"),
                Error::Device(DeviceError::NotFound { index: 99, n_devices, .. }) => {
                    format!("this machine has {n_devices} {kind} devices")
                }
                _ => panic!("{error}"),
            };
            assert!(error.to_string().contains(&expected), "{error}");
        }
    }

    #[test]
    fn the_cpu_computes_in_each_precision() {
        for precision in [Precision::Float32, Precision::Bfloat16] {
            check_precision(&Device::flex().autodiff(), precision).unwrap();
        }
    }
}
