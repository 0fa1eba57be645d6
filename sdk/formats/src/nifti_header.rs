//! Checked NIfTI headers: size, type, scaling, orientation.
//!
//! [`crate::nifti_fields`] parses the fields. What they state is checked here, and against the file in
//! [`crate::stored_volume`].

use std::path::Path;

use medcoss_sdk::Error;
use nifti::{NiftiHeader, NiftiType, Unit};

use crate::file_axes::{ToRas, to_ras};
use crate::nifti_fields::Fields;
use crate::number_type::NumberType;
use crate::orientation::Orientation;
use crate::stored_volume::{NO_ORIENTATION, Stated, axes};

/// Length in bytes of the field between header and voxels that says whether extensions follow.
const EXTENDER_BYTES: usize = 4;
/// Intent codes of CIFTI files.
const CIFTI: std::ops::Range<i32> = 3000..3100;

/// What the fields of a header state.
///
/// # Errors
/// A damaged header, voxels that are not real numbers (colours, complex), a side above 65535.
pub(crate) fn stated(path: &Path, fields: &Fields) -> Result<Stated, Error> {
    let (file_size, n_volumes) = dimensions(path, fields)?;
    if fields.n_bytes == crate::nifti_fields::BYTES_2 && CIFTI.contains(&fields.intent) {
        return Err(Error::unsupported(format!(
            "{} is a CIFTI file: values of places on a surface, no volume; NIfTI is read",
            path.display()
        )));
    }
    let number = number_type(path, fields)?;
    let offset = offset(path, fields)?;
    let mut notes = Vec::new();
    let (orientation, to_ras_mm) = orientation(fields, &mut notes);
    let units = NiftiHeader { xyzt_units: fields.units, ..NiftiHeader::default() };
    let unit_mm = match units.xyzt_to_space() {
        Ok(Unit::Meter) => 1e3,
        Ok(Unit::Micron) => 1e-3,
        _ => 1.0,
    };
    let orientation = Orientation { spacing: orientation.spacing.map(|step| step * unit_mm), ..orientation };
    let [slope, inter] = fields.scaling;
    let scales = slope != 0.0 && slope.is_finite() && inter.is_finite() && (slope, inter) != (1.0, 0.0);
    Ok(Stated {
        file_size,
        n_volumes,
        n_components: 1,
        number,
        big_endian: fields.big_endian,
        scaling: scales.then_some([slope, inter]),
        orientation,
        to_ras_mm: to_ras_mm.map(|rows| rows.map(|row| row.map(|part| part * unit_mm))),
        offset,
        notes,
    })
}

/// Sizes of the three axes in space, and the number of volumes.
fn dimensions(named: &Path, fields: &Fields) -> Result<([usize; 3], u64), Error> {
    let path = named.display();
    let [n_axes, sizes @ ..] = fields.dim;
    let sizes = usize::try_from(n_axes).ok().filter(|&n| n > 0).and_then(|n| sizes.get(..n));
    let Some(sizes) = sizes.filter(|sizes| sizes.iter().all(|&n| n > 0)) else {
        return Err(Error::corrupt(format!(
            "{path} states the dimensions {:?}; they are 1 to 7, each at least 1",
            fields.dim
        )));
    };
    let sizes: Vec<u64> = sizes.iter().map(|n| n.unsigned_abs()).collect();
    axes(named, &sizes)
}

fn number_type(path: &Path, fields: &Fields) -> Result<NumberType, Error> {
    let path = path.display();
    // The crate maps codes to types only as part of its header.
    let found = (NiftiHeader { datatype: fields.datatype, ..NiftiHeader::default() })
        .data_type()
        .map_err(|_| Error::corrupt(format!("{path} states the unknown voxel type {}", fields.datatype)))?;
    Ok(match found {
        NiftiType::Uint8 => NumberType::U8,
        NiftiType::Int8 => NumberType::I8,
        NiftiType::Uint16 => NumberType::U16,
        NiftiType::Int16 => NumberType::I16,
        NiftiType::Uint32 => NumberType::U32,
        NiftiType::Int32 => NumberType::I32,
        NiftiType::Uint64 => NumberType::U64,
        NiftiType::Int64 => NumberType::I64,
        NiftiType::Float32 => NumberType::F32,
        NiftiType::Float64 => NumberType::F64,
        other => {
            return Err(Error::unsupported(format!(
                "{path} has voxels of type {other:?}; integers and floating point numbers up to 64 bit are read"
            )));
        }
    })
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

/// The orientation, in the standard's order of preference: sform, else qform, else the file's axes.
fn orientation(fields: &Fields, notes: &mut Vec<&'static str>) -> (Orientation, Option<ToRas>) {
    let spacing = [1, 2, 3].map(|axis| fields.pixdim[axis].abs());
    let sform = (fields.sform_code > 0).then(|| sform_steps(fields)).and_then(Orientation::nearest);
    if let Some(sform) = sform {
        return (sform, Some(fields.sform));
    }
    let directions = (fields.qform_code > 0).then(|| qform_directions(fields));
    if let Some((directions, turned)) = directions.and_then(|found| Some((found, Orientation::nearest(found)?))) {
        let steps = [0, 1, 2].map(|axis| directions[axis].map(|part| part * spacing[axis]));
        let qform = Orientation { spacing: turned.axis.map(|axis| spacing[axis]), ..turned };
        return (qform, Some(to_ras(steps, fields.quaternion_offset)));
    }
    notes.push(NO_ORIENTATION);
    (Orientation::unstated(spacing), None)
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
