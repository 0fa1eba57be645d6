//! Checks of the names and shapes of tensors, before any value is read.

use super::tensor_file::TensorFile;
use crate::{Error, Result, WeightsError};

/// Number of layers below a prefix: one more than the largest layer number.
pub(super) fn n_layers(file: &TensorFile, prefix: &str) -> usize {
    let number = |key: &String| key.strip_prefix(prefix)?.split('.').next()?.parse::<usize>().ok();
    // A number that claims more layers than there are tensors comes from a damaged name; the error lists the missing keys.
    file.tensors().keys().filter_map(number).max().map_or(0, |last| last.min(file.tensors().len()) + 1)
}

/// The two sizes of a matrix.
pub(super) fn two(file: &TensorFile, key: &str, shape: &[usize]) -> Result<(usize, usize)> {
    match *shape {
        [rows, columns] => Ok((rows, columns)),
        _ => Err(wrong_shape(file, key, shape, "two sizes")),
    }
}

/// Error for a tensor of another shape.
pub(super) fn wrong_shape(file: &TensorFile, key: &str, found: &[usize], expected: impl std::fmt::Display) -> Error {
    WeightsError::Tensor {
        path: file.path().into(),
        name: key.into(),
        found: format!("shape {found:?}"),
        expected: expected.to_string(),
    }
    .into()
}

/// Error for a tensor that the file lacks.
pub(super) fn missing(file: &TensorFile, key: &str) -> Error {
    if let Some(kind) = file.others().get(key) {
        return WeightsError::NotATensor { path: file.path().into(), name: key.into(), found: kind.to_string() }.into();
    }
    let near = key.rsplit_once('.').map(|(before, _)| before);
    let beside = file.tensors().keys().filter(|other| near.is_some_and(|near| other.starts_with(near)));
    let others = beside.take(3).cloned().collect();
    WeightsError::NoTensor { path: file.path().into(), name: key.into(), others }.into()
}

/// Checks that a tensor is present and has the shape `expected`.
pub(super) fn check_shape(file: &TensorFile, key: &str, expected: &[usize]) -> Result<()> {
    match file.tensors().get(key) {
        None => Err(missing(file, key)),
        Some(tensor) if tensor.shape != expected => {
            Err(wrong_shape(file, key, &tensor.shape, format_args!("{expected:?}")))
        }
        Some(_) => Ok(()),
    }
}
