//! Safetensors files, written tensor by tensor: values go to disk as they are produced, and the file gets its name when
//! it is complete.

use std::collections::HashMap;
use std::io::{BufWriter, Write};
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::tensor_file::NOTE;
use crate::confined_path::ConfinedPath;
use crate::run::finish_partial;
use crate::{Error, Result};

/// Header entry of a tensor in a safetensors file: name, shape and element type.
#[derive(Debug, Clone)]
pub struct TensorOut {
    /// Name of the tensor.
    pub name: String,
    /// Sizes of the tensor, outermost first.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: Dtype,
}

/// Writes a safetensors file with the tensors in the given order; `values` writes the bytes of all of them, one after another and each in row-major
/// order. `note` is the metadata of the file.
///
/// # Errors
/// Errors of `values`, more or fewer bytes than the shapes state, a file that cannot be written. The unfinished file is
/// then removed, and an older one is untouched.
pub fn write_safetensors(
    path: &ConfinedPath,
    tensors: &[TensorOut],
    note: &str,
    values: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    write_with_entry(path, tensors, [NOTE, note], values)
}

/// Writes a file as [`write_safetensors`] does, with the metadata that libraries of PyTorch ask for.
///
/// # Errors
/// Those of [`write_safetensors`].
pub(super) fn write_for_pytorch(
    path: &ConfinedPath,
    tensors: &[TensorOut],
    values: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    write_with_entry(path, tensors, ["format", "pt"], values)
}

/// Metadata have one entry, a name and a text: the library would write several in no fixed order.
fn write_with_entry(
    path: &ConfinedPath,
    tensors: &[TensorOut],
    entry: [&str; 2],
    values: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let (partial, file) = path.create_partial()?;
    finish_partial(path, &partial, || {
        let path = path.path();
        let cannot = |error: std::io::Error| Error::file("cannot write", &path)(error);
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let header = header(&path, tensors, entry)?;
        out.write_all(&(header.len() as u64).to_le_bytes()).and_then(|()| out.write_all(&header)).map_err(cannot)?;
        values(&mut out)?;
        let file = out.into_inner().map_err(|error| cannot(error.into_error()))?;
        let (found, expected) = (file.metadata().map_err(cannot)?.len(), 8 + header.len() as u64 + n_bytes(tensors));
        if found != expected {
            return Err(Error::damaged(&path, format!("{found} bytes were written, its header describes {expected}")));
        }
        file.sync_all().map_err(cannot)
    })
}

fn n_bytes(tensors: &[TensorOut]) -> u64 {
    tensors.iter().map(|tensor| (tensor.shape.iter().product::<usize>() * tensor.dtype.bitsize() / 8) as u64).sum()
}

fn header(path: &Path, tensors: &[TensorOut], entry: [&str; 2]) -> Result<Vec<u8>> {
    let mut start = 0;
    let infos = tensors.iter().map(|tensor| {
        let n = tensor.shape.iter().product::<usize>() * tensor.dtype.bitsize() / 8;
        let data_offsets = (start, start + n);
        start += n;
        (tensor.name.clone(), TensorInfo { dtype: tensor.dtype, shape: tensor.shape.clone(), data_offsets })
    });
    let infos = infos.collect();
    let entry = HashMap::from([entry.map(String::from).into()]);
    let metadata = Metadata::new(Some(entry), infos).map_err(|error| Error::damaged(path, error))?;
    let mut header = serde_json::to_vec(&metadata).map_err(|error| Error::damaged(path, error))?;
    // Values begin at a multiple of eight bytes.
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

/// Little-endian bytes of float32 values.
pub fn floats_to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
