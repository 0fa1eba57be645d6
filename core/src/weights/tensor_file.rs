//! Files of named tensors: PyTorch checkpoints and safetensors. Opening one reads names and shapes; values are read one tensor at a
//! time, so that memory holds the largest tensor and not the file twice.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use pytorch_reader::{DType, PickleValue, PytorchReader};
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use crate::confined_path::ConfinedPath;
use crate::{Error, Result, WeightsError};

/// Maximum header size of a safetensors file in bytes, as in the format's own library.
const MAX_HEADER: u64 = 100_000_000;
/// Number of bytes of the header's length, before the header.
const LENGTH_BYTES: u64 = 8;

/// File of named tensors: PyTorch checkpoint or safetensors.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    /// The open file; `None` for a PyTorch checkpoint.
    file: Option<File>,
    tensors: BTreeMap<String, StoredTensor>,
    others: BTreeMap<String, String>,
    note: Option<String>,
}

/// Length of the header in bytes, if a file begins like a safetensors file.
fn safetensors_header(file: &File) -> std::io::Result<Option<u64>> {
    let mut first = Vec::new();
    file.take(LENGTH_BYTES + 1).read_to_end(&mut first)?;
    Ok(match first.split_first_chunk::<8>() {
        Some((length, [b'{'])) => Some(u64::from_le_bytes(*length)),
        _ => None,
    })
}

/// A tensor with its values.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Name of the tensor.
    pub name: String,
    /// Sizes of the tensor, outermost first.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Vec<f32>,
}

/// Tensor in a file, before its values are read.
#[derive(Debug)]
pub struct StoredTensor {
    /// Sizes of the tensor, outermost first.
    pub shape: Vec<usize>,
    kind: Kind,
    place: Place,
}

/// Element types whose values can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    U8,
    I8,
    Bool,
    Other(&'static str),
}

#[derive(Debug)]
enum Place {
    /// Tensor in a PyTorch container.
    Torch(pytorch_reader::Tensor),
    /// Bytes of a safetensors file.
    Bytes { start: u64, n: usize },
}

impl StoredTensor {
    /// Name of the element type, in PyTorch's terms.
    pub fn dtype(&self) -> &'static str {
        match self.kind {
            Kind::F64 => "float64",
            Kind::F32 => "float32",
            Kind::F16 => "float16",
            Kind::BF16 => "bfloat16",
            Kind::I64 => "int64",
            Kind::I32 => "int32",
            Kind::U8 => "uint8",
            Kind::I8 => "int8",
            Kind::Bool => "bool",
            Kind::Other(name) => name,
        }
    }

    /// Whether the elements are floating-point numbers.
    pub fn is_float(&self) -> bool {
        matches!(self.kind, Kind::F64 | Kind::F32 | Kind::F16 | Kind::BF16)
    }
}

impl TensorFile {
    /// Opens a file. Its content and not its name determines the kind.
    ///
    /// Pickles are read as data: classes that they name are neither imported nor called, and appear in [`TensorFile::others`].
    ///
    /// # Errors
    /// A path that is missing, not a file, or empty; a file of another kind, cut short or damaged; sparse and quantised
    /// tensors.
    pub fn open(path: &Path) -> Result<Self> {
        let metadata = fs::metadata(path).map_err(Error::file("cannot read", path))?;
        let unfit = |found: &str| Err(WeightsError::UnknownFile { path: path.into(), found: found.to_string() }.into());
        if !metadata.is_file() {
            return unfit("is no file");
        }
        if metadata.len() == 0 {
            return unfit("is empty");
        }
        let file = File::open(path).map_err(Error::file("cannot read", path))?;
        match safetensors_header(&file).map_err(Error::file("cannot read", path))? {
            Some(n_header) => Self::safetensors(path, file, n_header, metadata.len()),
            None => Self::torch(path, metadata.len()),
        }
    }

    /// Opens a safetensors file of a run.
    ///
    /// # Errors
    /// As [`TensorFile::open`]; a link, a special file, a file of another kind.
    pub fn open_confined(path: &ConfinedPath) -> Result<Self> {
        let (file, path) = (path.open()?, path.path());
        let cannot = |error: std::io::Error| Error::file("cannot read", &path)(error);
        let n_bytes = file.metadata().map_err(cannot)?.len();
        match safetensors_header(&file).map_err(cannot)? {
            Some(n_header) => Self::safetensors(&path, file, n_header, n_bytes),
            None => Err(Error::damaged(&path, "it is no safetensors file")),
        }
    }

    fn safetensors(path: &Path, mut file: File, n_header: u64, n_file: u64) -> Result<Self> {
        let wrong = |detail: String| Error::damaged(path, detail);
        let n_data = n_file.checked_sub(LENGTH_BYTES).and_then(|n| n.checked_sub(n_header));
        let Some(n_data) = n_data.filter(|_| n_header <= MAX_HEADER) else {
            return Err(wrong(format!("its header claims {n_header} bytes, the file has {n_file}")));
        };
        let mut header = vec![0; n_header as usize];
        file.seek(SeekFrom::Start(LENGTH_BYTES))
            .and_then(|_| file.read_exact(&mut header))
            .map_err(Error::file("cannot read", path))?;
        // The library checks as it reads the header: offsets have no gaps or overlaps, and sizes fit shapes.
        let metadata: Metadata =
            serde_json::from_slice(&header).map_err(|error| wrong(format!("its header: {error}")))?;
        if metadata.data_len() as u64 != n_data {
            return Err(wrong(format!(
                "its header describes {} bytes of values, {n_data} follow",
                metadata.data_len()
            )));
        }
        let data = LENGTH_BYTES + n_header;
        let tensors = metadata.tensors().into_iter().map(|(name, info)| {
            let (start, end) = info.data_offsets;
            let place = Place::Bytes { start: data + start as u64, n: end - start };
            (name, StoredTensor { shape: info.shape.clone(), kind: Kind::of_safetensors(info.dtype), place })
        });
        let note = metadata.metadata().as_ref().and_then(|entries| entries.get(NOTE).cloned());
        Ok(Self { path: path.into(), file: Some(file), tensors: tensors.collect(), others: BTreeMap::new(), note })
    }

    fn torch(path: &Path, n_file: u64) -> Result<Self> {
        let wrong = |error: pytorch_reader::PytorchError| Error::damaged(path, error.to_string());
        let reader = PytorchReader::new(path).map_err(wrong)?;
        // A view may repeat its storage endlessly; saved weights do not.
        if let Some((name, tensor)) = reader.tensors().iter().find(|(_, tensor)| tensor.byte_len() as u64 > n_file) {
            let claimed = tensor.byte_len();
            return Err(Error::damaged(path, format!("tensor {name} claims {claimed} bytes, the file has {n_file}")));
        }
        let tensors = reader.into_tensors().into_iter().map(|(name, tensor)| {
            (
                name,
                StoredTensor {
                    shape: tensor.shape().to_vec(),
                    kind: tensor.dtype().into(),
                    place: Place::Torch(tensor),
                },
            )
        });
        let tensors = tensors.collect();
        let mut others = BTreeMap::new();
        if let PickleValue::Dict(entries) = PytorchReader::read_pickle_data(path, None).map_err(wrong)? {
            for (name, value) in entries.into_iter().filter(|(name, _)| name != "_metadata") {
                list_others(name, &value, &mut others);
            }
        }
        Ok(Self { path: path.into(), file: None, tensors, others, note: None })
    }

    /// Path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tensors of the file, by name.
    pub fn tensors(&self) -> &BTreeMap<String, StoredTensor> {
        &self.tensors
    }

    /// Entries of a checkpoint that are not tensors: description by name.
    pub fn others(&self) -> &BTreeMap<String, String> {
        &self.others
    }

    /// Metadata that [`super::write_safetensors`] wrote beside the tensors.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Removes a prefix from every name that has it.
    pub(crate) fn strip_prefix(&mut self, prefix: &str) {
        self.rename(&|name| name.strip_prefix(prefix).unwrap_or(name).to_string());
    }

    /// Gives every tensor and entry another name.
    pub(crate) fn rename(&mut self, renamed: &dyn Fn(&str) -> String) {
        let tensors = std::mem::take(&mut self.tensors);
        self.tensors = tensors.into_iter().map(|(name, tensor)| (renamed(&name), tensor)).collect();
        let others = std::mem::take(&mut self.others);
        self.others = others.into_iter().map(|(name, kind)| (renamed(&name), kind)).collect();
    }

    /// The open safetensors file.
    fn file(&self) -> std::io::Result<&File> {
        self.file.as_ref().ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }

    fn tensor(&self, name: &str) -> Result<&StoredTensor> {
        self.tensors.get(name).ok_or_else(|| {
            let others = self.tensors.keys().take(12).cloned().collect();
            WeightsError::NoTensor { path: self.path.clone(), name: name.into(), others }.into()
        })
    }

    /// Sizes of a tensor, outermost first.
    ///
    /// # Errors
    /// A tensor that the file does not have.
    pub fn shape(&self, name: &str) -> Result<&[usize]> {
        Ok(&self.tensor(name)?.shape)
    }

    fn bytes(&self, name: &str, tensor: &StoredTensor) -> Result<Vec<u8>> {
        match &tensor.place {
            Place::Torch(tensor) => tensor.read().map_err(|error| Error::damaged(&self.path, error)),
            Place::Bytes { start, n } => {
                let mut bytes = vec![0; *n];
                let read = self.file().and_then(|file| file.read_exact_at(&mut bytes, *start));
                read.map(|()| bytes).map_err(|error| Error::damaged(&self.path, format!("tensor {name}: {error}")))
            }
        }
    }

    /// Values of a floating-point tensor as float32, in row-major order; other widths are converted.
    ///
    /// # Errors
    /// A tensor that is missing or of another type, values that cannot be read or are not finite.
    pub fn floats(&self, name: &str) -> Result<Vec<f32>> {
        let tensor = self.tensor(name)?;
        let bytes = self.bytes(name, tensor)?;
        let values: Vec<f32> = match tensor.kind {
            Kind::F64 => numbers(&bytes, |b| f64::from_le_bytes(b) as f32),
            Kind::F32 => numbers(&bytes, f32::from_le_bytes),
            Kind::F16 => numbers(&bytes, |b| f16::from_le_bytes(b).to_f32()),
            Kind::BF16 => numbers(&bytes, |b| bf16::from_le_bytes(b).to_f32()),
            _ => return Err(self.wrong_kind(name, tensor, "floating-point numbers")),
        };
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(at) => {
                let value = values[at];
                Err(WeightsError::Tensor {
                    path: self.path.clone(),
                    name: name.into(),
                    found: format!("value {at} = {value}"),
                    expected: "finite values".into(),
                }
                .into())
            }
        }
    }

    /// Values of a float64 tensor, in row-major order.
    ///
    /// # Errors
    /// A tensor that is missing or of another type, values that cannot be read.
    pub fn doubles(&self, name: &str) -> Result<Vec<f64>> {
        let tensor = self.tensor(name)?;
        match tensor.kind {
            Kind::F64 => Ok(numbers(&self.bytes(name, tensor)?, f64::from_le_bytes)),
            _ => Err(self.wrong_kind(name, tensor, "float64")),
        }
    }

    /// Values of an integer tensor, in row-major order.
    ///
    /// # Errors
    /// A tensor that is missing or of another type, values that cannot be read.
    pub fn integers(&self, name: &str) -> Result<Vec<i64>> {
        let tensor = self.tensor(name)?;
        let bytes = self.bytes(name, tensor)?;
        Ok(match tensor.kind {
            Kind::I64 => numbers(&bytes, i64::from_le_bytes),
            Kind::I32 => numbers(&bytes, |b| i64::from(i32::from_le_bytes(b))),
            Kind::U8 | Kind::Bool => bytes.into_iter().map(i64::from).collect(),
            Kind::I8 => bytes.into_iter().map(|byte| i64::from(byte as i8)).collect(),
            _ => return Err(self.wrong_kind(name, tensor, "whole numbers")),
        })
    }

    /// Rows of a tensor in a safetensors file, for reading one at a time; the tensor must have the shape and the element type, in PyTorch's terms.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape or type, a file of another kind or that cannot be opened.
    pub fn rows(&self, name: &str, shape: &[usize], dtype: &str) -> Result<TensorRows> {
        let tensor = self.tensor(name)?;
        let Place::Bytes { start, n } = tensor.place else {
            return Err(Error::damaged(&self.path, "it is no safetensors file"));
        };
        if tensor.shape != shape || tensor.dtype() != dtype {
            let found = format!("tensor {name} is {} {:?}, expected {dtype} {shape:?}", tensor.dtype(), tensor.shape);
            return Err(Error::damaged(&self.path, found));
        }
        let file = self.file().and_then(File::try_clone).map_err(Error::file("cannot read", &self.path))?;
        let n_rows = shape.first().copied().unwrap_or(1);
        Ok(TensorRows { file, start, n_rows, n_bytes: n.checked_div(n_rows).unwrap_or(0) })
    }

    fn wrong_kind(&self, name: &str, tensor: &StoredTensor, expected: &str) -> Error {
        WeightsError::Tensor {
            path: self.path.clone(),
            name: name.into(),
            found: format!("{} elements", tensor.dtype()),
            expected: expected.to_string(),
        }
        .into()
    }
}

/// Rows of a tensor that stay in their file; many threads may read them at once.
#[derive(Debug)]
pub struct TensorRows {
    file: File,
    start: u64,
    n_rows: usize,
    n_bytes: usize,
}

impl TensorRows {
    /// Bytes of a row, little-endian.
    ///
    /// # Errors
    /// A row that does not exist, a file that cannot be read.
    pub fn read(&self, row: usize) -> std::io::Result<Vec<u8>> {
        if row >= self.n_rows {
            return Err(std::io::Error::other(format!("there is no row {row} among {}", self.n_rows)));
        }
        let mut bytes = vec![0; self.n_bytes];
        self.file.read_exact_at(&mut bytes, self.start + (row * self.n_bytes) as u64)?;
        Ok(bytes)
    }
}

/// Metadata entry of a safetensors file that medcoss wrote. There is only one: the library does not keep the order of several.
pub(crate) const NOTE: &str = "medcoss";

fn numbers<const N: usize, T>(bytes: &[u8], convert: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| convert(*chunk)).collect()
}

/// Lists entries that are not tensors: plain values by their type, objects by the name of their class.
fn list_others(name: String, value: &PickleValue, others: &mut BTreeMap<String, String>) {
    let kind = match value {
        PickleValue::Dict(entries) => {
            // PyTorch keeps versions of modules beside every state dict.
            let listed = entries.iter().filter(|(key, _)| *key != "_metadata");
            return listed.for_each(|(key, value)| list_others(format!("{name}.{key}"), value, others));
        }
        PickleValue::List(_) => return,
        PickleValue::Unsupported(class) if class.contains("Tensor") => return,
        PickleValue::Unsupported(class) => format!("an object of class {class}, which is not executed"),
        PickleValue::None => "None".into(),
        PickleValue::Bool(value) => value.to_string(),
        PickleValue::Int(value) => value.to_string(),
        PickleValue::Float(value) => value.to_string(),
        PickleValue::String(_) => "a text".into(),
        PickleValue::Bytes(_) => "bytes".into(),
    };
    others.insert(name, kind);
}

impl Kind {
    fn of_safetensors(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F64 => Self::F64,
            Dtype::F32 => Self::F32,
            Dtype::F16 => Self::F16,
            Dtype::BF16 => Self::BF16,
            Dtype::I64 => Self::I64,
            Dtype::I32 => Self::I32,
            Dtype::U8 => Self::U8,
            Dtype::I8 => Self::I8,
            Dtype::BOOL => Self::Bool,
            _ => Self::Other("numbers of a type that is not read"),
        }
    }
}

impl From<DType> for Kind {
    fn from(dtype: DType) -> Self {
        match dtype {
            DType::F64 => Self::F64,
            DType::F32 => Self::F32,
            DType::F16 => Self::F16,
            DType::BF16 => Self::BF16,
            DType::I64 => Self::I64,
            DType::I32 => Self::I32,
            DType::U8 => Self::U8,
            DType::I8 => Self::I8,
            DType::Bool => Self::Bool,
            DType::I16 => Self::Other("int16"),
            DType::U64 => Self::Other("uint64"),
            DType::U32 => Self::Other("uint32"),
            DType::U16 => Self::Other("uint16"),
        }
    }
}
