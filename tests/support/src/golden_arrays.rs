//! Golden arrays that the reference implementation computed, in files beside the tests of a crate.

use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};

use crate::repository;

/// A folder of golden arrays beside a crate's tests, such as `sdk/formats/tests/golden`. It has a README.
#[derive(Debug)]
pub struct GoldenArrays(PathBuf);

impl GoldenArrays {
    /// The golden arrays in a folder, given from the root of the repository.
    pub fn below(folder: &str) -> Self {
        Self(repository().join(folder))
    }

    /// Path of the folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Path of a file of the folder, which is part of the repository.
    ///
    /// # Panics
    /// Where the file is missing.
    pub fn file(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        assert!(path.is_file(), "{} is missing; it is part of the repository", path.display());
        path
    }

    /// Shape and values of an array of a file, `<file>.safetensors`.
    ///
    /// # Panics
    /// Where the array does not exist, or its numbers are neither integers of 8, 16 or 64 bits nor `f32`.
    pub fn array(&self, file: &str, name: &str) -> (Vec<usize>, Vec<f32>) {
        let content = std::fs::read(self.file(&format!("{file}.safetensors"))).expect("the file can be read");
        let tensors = SafeTensors::deserialize(&content).expect("the file is one of arrays");
        let array = tensors.tensor(name).unwrap_or_else(|error| panic!("{name} of {file}: {error}"));
        let bytes = array.data();
        let values = match array.dtype() {
            Dtype::U8 => bytes.iter().map(|&byte| byte.into()).collect(),
            Dtype::I16 => bytes.as_chunks().0.iter().map(|&bytes| i16::from_le_bytes(bytes).into()).collect(),
            Dtype::I64 => bytes.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes) as f32).collect(),
            Dtype::F32 => bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
            other => panic!("{name} of {file} is of type {other:?}"),
        };
        (array.shape().to_vec(), values)
    }
}
