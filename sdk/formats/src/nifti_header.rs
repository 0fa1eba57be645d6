//! Checked NIfTI headers: size, type, scaling, orientation.
//!
//! Every value of an untrusted header is checked here, before memory is claimed. [`crate::nifti_fields`] parses the
//! fields, and [`crate::nifti_voxels`] reads the voxels.

use std::path::Path;

use medcoss_sdk::Error;
use nifti::{NiftiHeader, NiftiType, Unit};

use crate::nifti_fields::Fields;
use crate::orientation::Orientation;

/// Length in bytes of the field between header and voxels that says whether extensions follow.
const EXTENDER_BYTES: usize = 4;
/// Largest volume in voxels that is read at once: 4 GiB as `f32`.
pub const MAX_VOXELS: u64 = 1 << 30;
/// Largest side in voxels: all that NIfTI-1 can state, and far beyond any scan.
const MAX_SIDE: i64 = u16::MAX as i64;
/// Largest ratio of Deflate: 258 bytes in two bits.
const MAX_GZIP_RATIO: u64 = 1032;
/// Largest offset of the voxels in a compressed file. The bytes before them are decompressed and not used; extensions
/// have some KiB.
const MAX_COMPRESSED_OFFSET: u64 = 1 << 28;
/// Plausible distances between voxels in millimetres.
const PLAUSIBLE_MM: std::ops::RangeInclusive<f64> = 1e-3..=1e2;
/// Intent codes of CIFTI files.
const CIFTI: std::ops::Range<i32> = 3000..3100;

/// Note on a file of several volumes.
const SEVERAL_VOLUMES: &str = "holds several volumes; only the first is used";
/// Note on a file without a usable sform or qform.
pub(crate) const NO_ORIENTATION: &str =
    "does not state its orientation; its axes are taken for right, anterior, superior";
/// Note on a spacing that is absent or not plausible.
const NO_SPACING: &str = "does not state a plausible voxel spacing; 1 mm is assumed";

/// A checked NIfTI header.
#[derive(Debug, Clone)]
pub struct Header {
    /// `[depth, rows, columns]` of the volume.
    pub size: [usize; 3],
    /// Distance between neighbouring voxels in the same order, in millimetres.
    pub spacing_mm: [f32; 3],
    /// Notes for the user, each the end of a sentence that begins with the file's name.
    pub notes: Vec<&'static str>,
    /// `vox_offset`: byte of the file at which the voxels begin.
    pub(crate) offset: u64,
    pub(crate) n_volumes: u64,
    pub(crate) file_size: [usize; 3],
    pub(crate) orientation: Orientation,
    pub(crate) scaling: Option<[f64; 2]>,
    pub(crate) datatype: NiftiType,
    pub(crate) big_endian: bool,
}

/// The file that holds the voxels: that of the header, or a separate one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VoxelFile {
    pub bytes: u64,
    pub compressed: bool,
}

impl Header {
    /// Checks the fields of a header against the file with its voxels.
    ///
    /// # Errors
    /// A damaged header, voxels that are not real numbers (colours, complex), a side above 65535, a file too small for
    /// its volume.
    pub(crate) fn check(path: &Path, fields: &Fields, voxels: VoxelFile) -> Result<Self, Error> {
        let (file_size, n_volumes) = dimensions(path, fields)?;
        if fields.n_bytes == crate::nifti_fields::BYTES_2 && CIFTI.contains(&fields.intent) {
            return Err(Error::unsupported(format!(
                "{} is a CIFTI file: values of places on a surface, no volume; NIfTI is read",
                path.display()
            )));
        }
        let datatype = datatype(path, fields)?;
        let offset = offset(path, fields)?;
        check_bytes(path, file_size, datatype, offset, voxels)?;

        let mut notes = Vec::new();
        if n_volumes > 1 {
            notes.push(SEVERAL_VOLUMES);
        }
        let orientation = orientation(fields, &mut notes);
        let units = NiftiHeader { xyzt_units: fields.units, ..NiftiHeader::default() };
        let unit_mm = match units.xyzt_to_space() {
            Ok(Unit::Meter) => 1e3,
            Ok(Unit::Micron) => 1e-3,
            _ => 1.0,
        };
        let mut spacing_mm = orientation.spacing.map(|step| step * unit_mm);
        if !spacing_mm.iter().all(|mm| PLAUSIBLE_MM.contains(mm)) {
            notes.push(NO_SPACING);
            spacing_mm = [1.0; 3];
        }
        let [slope, inter] = fields.scaling;
        let scales = slope != 0.0 && slope.is_finite() && inter.is_finite() && (slope, inter) != (1.0, 0.0);
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
            big_endian: fields.big_endian,
        })
    }

    /// The header in stored order, see [`Orientation::in_stored_order`].
    pub(crate) fn in_stored_order(mut self) -> Self {
        // `spacing_mm` is checked and in millimetres; the spacing of the orientation is neither.
        let spacing = self.spacing_mm.map(f64::from);
        self.orientation = Orientation { spacing, ..self.orientation }.in_stored_order();
        self.spacing_mm = self.orientation.spacing.map(|mm| mm as f32);
        self.size = self.orientation.size(self.file_size);
        self.notes.retain(|note| *note != NO_ORIENTATION);
        self
    }

    /// Whether voxels are integers: an integer type without scaling.
    pub(crate) fn is_integer(&self) -> bool {
        self.scaling.is_none() && !matches!(self.datatype, NiftiType::Float32 | NiftiType::Float64)
    }

    /// Number of voxels in the volume.
    pub(crate) fn n_voxels(&self) -> u64 {
        // Each side is below 2^16.
        self.file_size.iter().map(|&n| n as u64).product()
    }
}

/// Sizes of the three axes in space, and the number of volumes.
fn dimensions(path: &Path, fields: &Fields) -> Result<([usize; 3], u64), Error> {
    let path = path.display();
    let [n_axes, sizes @ ..] = fields.dim;
    let sizes = usize::try_from(n_axes).ok().filter(|&n| n > 0).and_then(|n| sizes.get(..n));
    let Some(sizes) = sizes.filter(|sizes| sizes.iter().all(|&n| n > 0)) else {
        return Err(Error::corrupt(format!(
            "{path} states the dimensions {:?}; they are 1 to 7, each at least 1",
            fields.dim
        )));
    };
    let side = |axis: usize| sizes.get(axis).copied().unwrap_or(1);
    let space = [side(0), side(1), side(2)];
    if let Some(found) = space.into_iter().find(|&n| n > MAX_SIDE) {
        return Err(Error::unsupported(format!("{path} has a side of {found} voxels; at most {MAX_SIDE} are read")));
    }
    let n_volumes = sizes.iter().skip(3).fold(1, |n: u64, &more| n.saturating_mul(more.unsigned_abs()));
    Ok((space.map(|n| n as usize), n_volumes))
}

fn datatype(path: &Path, fields: &Fields) -> Result<NiftiType, Error> {
    use NiftiType::{Float32, Float64, Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64};
    let path = path.display();
    // The crate maps codes to types only as part of its header.
    match (NiftiHeader { datatype: fields.datatype, ..NiftiHeader::default() }).data_type() {
        Ok(kind @ (Uint8 | Int8 | Uint16 | Int16 | Uint32 | Int32 | Uint64 | Int64 | Float32 | Float64)) => Ok(kind),
        Ok(other) => Err(Error::unsupported(format!(
            "{path} has voxels of type {other:?}; integers and floating point numbers up to 64 bit are read"
        ))),
        Err(_) => Err(Error::corrupt(format!("{path} states the unknown voxel type {}", fields.datatype))),
    }
}

/// Offset of the voxels in their file, in bytes.
fn offset(path: &Path, fields: &Fields) -> Result<u64, Error> {
    let stated = fields.offset;
    let least = if fields.separate { 0 } else { fields.n_bytes + EXTENDER_BYTES };
    // Some writers leave 0, which is the header and cannot be meant.
    if stated == 0.0 {
        return Ok(least as u64);
    }
    if !(stated.is_finite() && stated >= least as f64 && stated.fract() == 0.0) {
        let path = path.display();
        return Err(Error::corrupt(format!(
            "{path} states that its voxels begin at byte {stated}; they begin at {least} or later"
        )));
    }
    Ok(stated as u64)
}

/// Checks that the file can hold the volume.
fn check_bytes(
    path: &Path,
    file_size: [usize; 3],
    datatype: NiftiType,
    offset: u64,
    voxels: VoxelFile,
) -> Result<(), Error> {
    let [i, j, k] = file_size;
    // Each is below 2^16, so three of them and a type of 8 bytes stay below 2^52.
    let n_voxels = file_size.iter().map(|&n| n as u64).product::<u64>();
    let needed = (n_voxels * datatype.size_of() as u64).saturating_add(offset);
    let (found, ratio) = (voxels.bytes, if voxels.compressed { MAX_GZIP_RATIO } else { 1 });
    if voxels.compressed && offset > MAX_COMPRESSED_OFFSET {
        let (path, most) = (path.display(), MAX_COMPRESSED_OFFSET >> 20);
        return Err(Error::unsupported(format!(
            "{path} has {} MiB before its voxels; of a compressed file at most {most} MiB are skipped",
            offset >> 20
        )));
    }
    if needed > found.saturating_mul(ratio) {
        let path = path.display();
        return Err(Error::corrupt(format!(
            "{path} has {found} bytes, too few for {i}x{j}x{k} voxels of type {datatype:?} from byte {offset} on"
        )));
    }
    Ok(())
}

/// The orientation, in the standard's order of preference: sform, else qform, else the file's axes.
fn orientation(fields: &Fields, notes: &mut Vec<&'static str>) -> Orientation {
    let spacing = [1, 2, 3].map(|axis| fields.pixdim[axis].abs());
    let sform = (fields.sform_code > 0).then(|| sform_steps(fields)).and_then(Orientation::nearest);
    let qform = || {
        let turned = (fields.qform_code > 0).then(|| qform_directions(fields)).and_then(Orientation::nearest)?;
        Some(Orientation { spacing: turned.axis.map(|axis| spacing[axis]), ..turned })
    };
    sform.or_else(qform).unwrap_or_else(|| {
        notes.push(NO_ORIENTATION);
        Orientation::unstated(spacing)
    })
}

fn sform_steps(fields: &Fields) -> [[f64; 3]; 3] {
    [0, 1, 2].map(|axis| fields.sform.map(|row| row[axis]))
}

/// Unit steps of the axes from the quaternion, as `nifti1_io.c` computes them.
fn qform_directions(fields: &Fields) -> [[f64; 3]; 3] {
    let [mut b, mut c, mut d] = fields.quaternion;
    let rest = 1.0 - (b * b + c * c + d * d);
    let a = if rest < 1e-7 {
        let length = (b * b + c * c + d * d).sqrt();
        [b, c, d] = [b / length, c / length, d / length];
        0.0
    } else {
        rest.sqrt()
    };
    let handedness = if fields.pixdim[0] < 0.0 { -1.0 } else { 1.0 };
    [
        [a * a + b * b - c * c - d * d, 2.0 * (b * c + a * d), 2.0 * (b * d - a * c)],
        [2.0 * (b * c - a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d + a * b)],
        [2.0 * (b * d + a * c), 2.0 * (c * d - a * b), a * a + d * d - c * c - b * b].map(|part| part * handedness),
    ]
}
