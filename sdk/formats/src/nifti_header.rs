//! Headers of NIfTI-1 files, checked: size, type, scaling, orientation.
//!
//! Everything that a hostile header could do harm with is settled here, before memory is claimed; the voxels themselves
//! are read in [`crate::nifti`]. Analyze, pairs of `.hdr` and `.img`, and NIfTI-2 are named and refused.

use std::path::Path;

use medcoss_sdk::Error;
use nifti::{NiftiHeader, NiftiType, Unit};

use crate::orientation::Orientation;

/// Bytes of a NIfTI-1 header.
pub(crate) const HEADER_BYTES: usize = 348;
/// Bytes before the voxels in a file without extensions.
const SINGLE_FILE_OFFSET: u64 = 352;
/// Largest volume: 4 GiB as `f32`.
pub const MAX_VOXELS: u64 = 1 << 30;
/// Deflate cannot compress better: 258 bytes for two bits.
const MAX_GZIP_RATIO: u64 = 1032;
/// Distances of voxels that are believed, in millimetres.
const PLAUSIBLE_MM: std::ops::RangeInclusive<f64> = 1e-3..=1e2;

/// The first of several volumes was taken.
const SEVERAL_VOLUMES: &str = "holds several volumes; only the first is used";
/// Neither sform nor qform could be used.
const NO_ORIENTATION: &str = "does not state its orientation; its axes are taken for right, anterior, superior";
/// Spacing that is absent, or no spacing of a body part.
const NO_SPACING: &str = "does not state a plausible voxel spacing; 1 mm is assumed";

/// A checked header.
#[derive(Debug, Clone)]
pub struct Header {
    /// `[depth, rows, columns]` of the volume that the file gives.
    pub size: [usize; 3],
    /// Distance of neighbouring voxels in the same order.
    pub spacing_mm: [f32; 3],
    /// What a user should know of the file, as the end of a sentence that begins with its name.
    pub notes: Vec<&'static str>,
    /// Where in the file the voxels begin.
    pub(crate) offset: u64,
    pub(crate) n_volumes: u64,
    pub(crate) file_size: [usize; 3],
    pub(crate) orientation: Orientation,
    pub(crate) scaling: Option<[f64; 2]>,
    pub(crate) datatype: NiftiType,
    /// What the crate makes rows from: the first volume, not scaled.
    pub(crate) parsed: NiftiHeader,
}

impl Header {
    /// Checks the first bytes of a file of `file_bytes`.
    ///
    /// # Errors
    /// Another format, a damaged header, values that are not numbers (colours, complex), a volume above [`MAX_VOXELS`],
    /// a file too small for its volume.
    pub(crate) fn parse(
        path: &Path,
        bytes: &[u8; HEADER_BYTES],
        file_bytes: u64,
        compressed: bool,
    ) -> Result<Self, Error> {
        let mut parsed = parse_fields(path, bytes)?;
        let (file_size, n_volumes) = dimensions(path, &parsed)?;
        let datatype = datatype(path, &parsed)?;
        let offset = offset(path, &parsed)?;
        check_bytes(path, file_size, datatype, offset, if compressed { MAX_GZIP_RATIO } else { 1 }, file_bytes)?;

        let mut notes = Vec::new();
        if n_volumes > 1 {
            notes.push(SEVERAL_VOLUMES);
        }
        let orientation = orientation(&parsed, &mut notes);
        let unit_mm = match parsed.xyzt_to_space() {
            Ok(Unit::Meter) => 1e3,
            Ok(Unit::Micron) => 1e-3,
            _ => 1.0,
        };
        let mut spacing_mm = orientation.spacing.map(|step| step * unit_mm);
        if !spacing_mm.iter().all(|mm| PLAUSIBLE_MM.contains(mm)) {
            notes.push(NO_SPACING);
            spacing_mm = [1.0; 3];
        }
        let (slope, inter) = (f64::from(parsed.scl_slope), f64::from(parsed.scl_inter));
        let scales = slope != 0.0 && slope.is_finite() && inter.is_finite() && (slope, inter) != (1.0, 0.0);
        parsed.dim = [3, parsed.dim[1], file_size[1] as u16, file_size[2] as u16, 1, 1, 1, 1];
        Ok(Self {
            size: orientation.size(file_size),
            spacing_mm: spacing_mm.map(|mm| mm as f32),
            notes,
            offset,
            n_volumes,
            file_size,
            orientation,
            scaling: scales.then_some([slope, inter]),
            datatype,
            parsed,
        })
    }
}

fn parse_fields(path: &Path, bytes: &[u8; HEADER_BYTES]) -> Result<NiftiHeader, Error> {
    let path = path.display();
    let [a, b, c, d, ..] = *bytes;
    let stated = [i32::from_le_bytes([a, b, c, d]), i32::from_be_bytes([a, b, c, d])];
    if stated.contains(&540) {
        return Err(Error::unsupported(format!(
            "{path} is a NIfTI-2 file; NIfTI-1 is read\nhint: convert it, with nifti_tool or nibabel"
        )));
    }
    if !stated.contains(&348) {
        return Err(Error::corrupt(format!(
            "{path} is no NIfTI file; it begins with \"{}\"",
            bytes[..4].escape_ascii()
        )));
    }
    match &bytes[344..] {
        b"n+1\0" => {}
        b"ni1\0" => {
            return Err(Error::unsupported(format!(
                "{path} is the header of a NIfTI pair (.hdr and .img); single files are read\nhint: convert it to .nii"
            )));
        }
        other => {
            let magic = other.escape_ascii();
            return Err(Error::corrupt(format!("{path} has \"{magic}\" where a NIfTI-1 file has \"n+1\"")));
        }
    }
    let parsed = NiftiHeader::from_reader(bytes.as_slice())
        .map_err(|error| Error::corrupt(format!("{path} has a damaged NIfTI header")).caused_by(&error))?;
    // The crate tells the byte order by the number of dimensions; the two must agree.
    if parsed.sizeof_hdr != 348 {
        let found = parsed.dim[0];
        return Err(Error::corrupt(format!("{path} states {found} dimensions; a NIfTI file has 1 to 7")));
    }
    Ok(parsed)
}

/// Sizes of the three axes in space, and the number of volumes.
fn dimensions(path: &Path, parsed: &NiftiHeader) -> Result<([usize; 3], u64), Error> {
    let dim = parsed.dim().map_err(|error| {
        Error::corrupt(format!("{} states the dimensions {:?}", path.display(), parsed.dim)).caused_by(&error)
    })?;
    let sizes: Vec<usize> = dim.iter().map(|&n| usize::from(n)).chain([1; 2]).collect();
    let n_volumes = dim.iter().skip(3).map(|&n| u64::from(n)).product();
    Ok(([sizes[0], sizes[1], sizes[2]], n_volumes))
}

fn datatype(path: &Path, parsed: &NiftiHeader) -> Result<NiftiType, Error> {
    use NiftiType::{Float32, Float64, Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64};
    let path = path.display();
    match parsed.data_type() {
        Ok(kind @ (Uint8 | Int8 | Uint16 | Int16 | Uint32 | Int32 | Uint64 | Int64 | Float32 | Float64)) => Ok(kind),
        Ok(other) => Err(Error::unsupported(format!(
            "{path} has voxels of type {other:?}; integers and floating point numbers up to 64 bit are read"
        ))),
        Err(_) => Err(Error::corrupt(format!("{path} states the unknown voxel type {}", parsed.datatype))),
    }
}

fn offset(path: &Path, parsed: &NiftiHeader) -> Result<u64, Error> {
    let stated = parsed.vox_offset;
    // Some writers leave 0, which cannot be meant: the header is there.
    if stated == 0.0 {
        return Ok(SINGLE_FILE_OFFSET);
    }
    if !(stated.is_finite() && stated >= SINGLE_FILE_OFFSET as f32 && stated.fract() == 0.0) {
        let path = path.display();
        return Err(Error::corrupt(format!(
            "{path} states that its voxels begin at byte {stated}; they begin at {SINGLE_FILE_OFFSET} or later"
        )));
    }
    Ok(stated as u64)
}

/// That the volume is not too large, and that the file can hold it.
fn check_bytes(
    path: &Path,
    file_size: [usize; 3],
    datatype: NiftiType,
    offset: u64,
    ratio: u64,
    file_bytes: u64,
) -> Result<(), Error> {
    let [i, j, k] = file_size;
    // Each is below 2^16, so three of them and a type of 8 bytes stay below 2^52.
    let n_voxels = file_size.iter().map(|&n| n as u64).product::<u64>();
    let path = path.display();
    if n_voxels > MAX_VOXELS {
        return Err(Error::unsupported(format!(
            "{path} has {i}x{j}x{k} voxels; at most {MAX_VOXELS} are read at once"
        )));
    }
    let needed = (n_voxels * datatype.size_of() as u64).saturating_add(offset);
    if needed > file_bytes.saturating_mul(ratio) {
        return Err(Error::corrupt(format!(
            "{path} has {file_bytes} bytes, too few for {i}x{j}x{k} voxels of type {datatype:?} from byte {offset} on"
        )));
    }
    Ok(())
}

/// The standard's order: sform, else qform, else the file's axes.
fn orientation(parsed: &NiftiHeader, notes: &mut Vec<&'static str>) -> Orientation {
    let spacing = [1, 2, 3].map(|axis| f64::from(parsed.pixdim[axis]).abs());
    let sform = (parsed.sform_code > 0).then(|| sform_steps(parsed)).and_then(Orientation::nearest);
    let qform = || {
        let turned = (parsed.qform_code > 0).then(|| qform_directions(parsed)).and_then(Orientation::nearest)?;
        Some(Orientation { spacing: turned.axis.map(|axis| spacing[axis]), ..turned })
    };
    sform.or_else(qform).unwrap_or_else(|| {
        notes.push(NO_ORIENTATION);
        Orientation::unstated(spacing)
    })
}

fn sform_steps(parsed: &NiftiHeader) -> [[f64; 3]; 3] {
    let rows = [parsed.srow_x, parsed.srow_y, parsed.srow_z];
    [0, 1, 2].map(|axis| rows.map(|row| f64::from(row[axis])))
}

/// Unit steps from the quaternion, as `nifti1_io.c` makes them.
fn qform_directions(parsed: &NiftiHeader) -> [[f64; 3]; 3] {
    let [mut b, mut c, mut d] = [parsed.quatern_b, parsed.quatern_c, parsed.quatern_d].map(f64::from);
    let rest = 1.0 - (b * b + c * c + d * d);
    let a = if rest < 1e-7 {
        let length = (b * b + c * c + d * d).sqrt();
        [b, c, d] = [b / length, c / length, d / length];
        0.0
    } else {
        rest.sqrt()
    };
    let handedness = if parsed.pixdim[0] < 0.0 { -1.0 } else { 1.0 };
    [
        [a * a + b * b - c * c - d * d, 2.0 * (b * c + a * d), 2.0 * (b * d - a * c)],
        [2.0 * (b * c - a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d + a * b)],
        [2.0 * (b * d + a * c), 2.0 * (c * d - a * b), a * a + d * d - c * c - b * b].map(|part| part * handedness),
    ]
}
