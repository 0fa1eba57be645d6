//! NIfTI-1 files (`.nii`, `.nii.gz`) as volumes.
//!
//! Any integer or floating point type up to 64 bit, either byte order, scaled as the header says, turned to the axes of
//! [`Volume`]. Content decides whether a file is compressed, not its name. Of several volumes the first is read. Voxels
//! come row by row, so that only the result is held in memory. What is refused, and why, is in [`Header`].

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use medcoss_sdk::Error;
use medcoss_sdk::volume::Volume;
use nifti::{DataElement, InMemNiftiVolume, NiftiError, NiftiType, StreamedNiftiVolume};

use crate::nifti_header::HEADER_BYTES;
pub use crate::nifti_header::{Header, MAX_VOXELS};

/// The kinds that are read, for people.
pub const KINDS: &str = "NIfTI-1 (.nii, .nii.gz)";
const GZIP: [u8; 2] = [0x1f, 0x8b];
const BUFFER_BYTES: usize = 1 << 16;

/// Whether a lower-case file name ends like a NIfTI file.
pub fn has_known_name(lower_case_name: &str) -> bool {
    lower_case_name.ends_with(".nii") || lower_case_name.ends_with(".nii.gz")
}

/// A volume as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The volume.
    pub volume: Volume,
    /// Voxels that were infinite or no number; they became 0.
    pub n_replaced: usize,
}

/// Reads and checks a file's header, and none of its voxels.
///
/// # Errors
/// A file that is missing, damaged, or of a kind that is not read.
pub fn read_header(path: &Path) -> Result<Header, Error> {
    open(path).map(|opened| opened.header)
}

/// Reads the volume of a file.
///
/// # Errors
/// Those of [`read_header`], voxels that are damaged or missing, a volume without a single finite voxel.
pub fn read_volume(path: &Path) -> Result<Decoded, Error> {
    let Opened { header, mut source, compressed } = open(path)?;
    let failed = |error: io::Error| explain(path, &error);
    let gap = header.offset - HEADER_BYTES as u64;
    let skipped = io::copy(&mut source.by_ref().take(gap), &mut io::sink()).map_err(failed)?;
    if skipped < gap {
        return Err(Error::corrupt(format!("{} ends before its voxels", path.display())));
    }
    let mut voxels = read_voxels(path, &header, &mut source)?;
    if compressed && header.n_volumes == 1 {
        // The decompressor compares its checksum at the very end.
        io::copy(&mut source, &mut io::sink()).map_err(failed)?;
    }

    let mut n_replaced = 0;
    for voxel in voxels.iter_mut().filter(|voxel| !voxel.is_finite()) {
        *voxel = 0.0;
        n_replaced += 1;
    }
    if n_replaced == voxels.len() {
        return Err(Error::corrupt(format!("{} has no finite voxel", path.display())));
    }
    Ok(Decoded { volume: Volume::new(header.size, header.spacing_mm, voxels)?, n_replaced })
}

struct Opened {
    header: Header,
    /// The file just behind its header.
    source: Box<dyn Read>,
    compressed: bool,
}

fn open(path: &Path) -> Result<Opened, Error> {
    let failed = |error: io::Error| explain(path, &error);
    let file = File::open(path).map_err(failed)?;
    let file_bytes = file.metadata().map_err(failed)?.len();
    let mut file = BufReader::with_capacity(BUFFER_BYTES, file);
    let compressed = file.fill_buf().map_err(failed)?.starts_with(&GZIP);
    let mut source: Box<dyn Read> = if compressed {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    };
    let mut bytes = [0; HEADER_BYTES];
    source.read_exact(&mut bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            Error::corrupt(format!("{} ends within the {HEADER_BYTES} bytes of its header", path.display()))
        }
        _ => explain(path, &error),
    })?;
    Ok(Opened { header: Header::parse(path, &bytes, file_bytes, compressed)?, source, compressed })
}

/// The first volume, scaled, as `[depth, rows, columns]`.
fn read_voxels(path: &Path, header: &Header, source: impl Read) -> Result<Vec<f32>, Error> {
    let explained = |error: NiftiError| match &error {
        NiftiError::Io(error) => explain(path, error),
        _ => Error::corrupt(format!("{} has damaged voxels", path.display())).caused_by(&error),
    };
    let [n_i, n_j, n_k] = header.file_size;
    let n_voxels = n_i * n_j * n_k;
    let mut voxels = Vec::new();
    voxels.try_reserve_exact(n_voxels).map_err(|error| {
        Error::unsupported(format!("{} needs {} MiB of memory", path.display(), n_voxels >> 18)).caused_by(&error)
    })?;
    voxels.resize(n_voxels, 0.0);

    let (first, [along_i, along_j, along_k]) = header.orientation.strides(header.file_size);
    let mut rows = StreamedNiftiVolume::from_reader_rank(source, &header.parsed, 1).map_err(explained)?;
    for k in 0..n_k {
        for j in 0..n_j {
            let row = rows.read_slice().and_then(|row| numbers(row, header.datatype)).map_err(explained)?;
            let start = first.wrapping_add_signed(k as isize * along_k + j as isize * along_j);
            for (i, value) in row.into_iter().enumerate() {
                let value = header.scaling.map_or(value, |[slope, inter]| value * slope + inter);
                voxels[start.wrapping_add_signed(i as isize * along_i)] = value as f32;
            }
        }
    }
    Ok(voxels)
}

fn numbers(row: InMemNiftiVolume, datatype: NiftiType) -> Result<Vec<f64>, NiftiError> {
    fn typed<T: DataElement>(row: InMemNiftiVolume, number: impl Fn(T) -> f64) -> Result<Vec<f64>, NiftiError> {
        Ok(row.into_nifti_typed_data::<T>()?.into_iter().map(number).collect())
    }
    match datatype {
        NiftiType::Uint8 => typed::<u8>(row, f64::from),
        NiftiType::Int8 => typed::<i8>(row, f64::from),
        NiftiType::Uint16 => typed::<u16>(row, f64::from),
        NiftiType::Int16 => typed::<i16>(row, f64::from),
        NiftiType::Uint32 => typed::<u32>(row, f64::from),
        NiftiType::Int32 => typed::<i32>(row, f64::from),
        NiftiType::Uint64 => typed::<u64>(row, |value| value as f64),
        NiftiType::Int64 => typed::<i64>(row, |value| value as f64),
        NiftiType::Float32 => typed::<f32>(row, f64::from),
        NiftiType::Float64 => typed::<f64>(row, |value| value),
        other => Err(NiftiError::UnsupportedDataType(other)),
    }
}

fn explain(path: &Path, error: &io::Error) -> Error {
    let path = path.display();
    let explained = match error.kind() {
        // The decompressor says InvalidInput where it means InvalidData.
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Error::corrupt(format!("{path} is damaged")),
        io::ErrorKind::UnexpectedEof => Error::corrupt(format!("{path} ends before its last voxel")),
        _ => Error::unreadable(format!("{path} cannot be read")),
    };
    explained.caused_by(error)
}
