//! Writer of NIfTI-1 files, for synthetic samples and tests.
//!
//! Writes one volume in a few types and either byte order, with its orientation as sform, qform or not at all. The
//! `nifti` crate's own writer wants an ndarray and sets the scaling to 1.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use medcoss_sdk::Error;
use medcoss_sdk::volume::Volume;

pub use crate::number_type::NumberType;

/// Orientation and spacing as a file states them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Placement {
    /// The step of each file axis in (right, anterior, superior), in millimetres.
    Sform([[f32; 3]; 3]),
    /// A quaternion's b, c and d, the handedness (1 or -1), and the length of each step in millimetres.
    Qform([f32; 3], f32, [f32; 3]),
    /// Only the length of each step in millimetres.
    Unstated([f32; 3]),
}

/// A volume in the order of a file: size, values and placement of a [`NiftiFile`].
///
/// `facing` has a letter for the direction of each file axis: right or left, anterior or posterior, superior or
/// inferior. `LPS` keeps the order of the volume.
///
/// # Errors
/// Letters that do not name three axes, sides above 65535.
pub fn in_file_order(volume: &Volume, facing: &str) -> Result<(Vec<u16>, Vec<f64>, Placement), Error> {
    let wrong = || Error::bad_request(format!("{facing:?} does not name the three axes of a file"));
    let letters: Vec<char> = facing.chars().collect();
    let letters: [char; 3] = letters.try_into().map_err(|_| wrong())?;
    // For each file axis: the axis of the volume, whether both run in the same direction, and the step in (right,
    // anterior, superior).
    let mut axes = [(0, true, [0.0; 3]); 3];
    for (found, letter) in axes.iter_mut().zip(letters) {
        *found = match letter {
            'S' => (0, true, [0.0, 0.0, 1.0]),
            'I' => (0, false, [0.0, 0.0, -1.0]),
            'P' => (1, true, [0.0, -1.0, 0.0]),
            'A' => (1, false, [0.0, 1.0, 0.0]),
            'L' => (2, true, [-1.0, 0.0, 0.0]),
            'R' => (2, false, [1.0, 0.0, 0.0]),
            _ => return Err(wrong()),
        };
    }
    let [a, b, c] = axes.map(|(axis, ..)| axis);
    if a == b || b == c || a == c {
        return Err(wrong());
    }
    let sizes = axes.map(|(axis, ..)| volume.size()[axis]);
    let [_, rows, columns] = volume.size();
    let mut values = Vec::with_capacity(volume.voxels().len());
    for k in 0..sizes[2] {
        for j in 0..sizes[1] {
            for i in 0..sizes[0] {
                let mut at = [0; 3];
                for ((axis, alike, _), (index, n)) in axes.into_iter().zip([i, j, k].into_iter().zip(sizes)) {
                    at[axis] = if alike { index } else { n - 1 - index };
                }
                values.push(f64::from(volume.voxels()[(at[0] * rows + at[1]) * columns + at[2]]));
            }
        }
    }
    let size = sizes.iter().map(|&n| u16::try_from(n)).collect::<Result<_, _>>().map_err(|_| wrong())?;
    let steps = axes.map(|(axis, _, step)| step.map(|part| part * volume.spacing_mm()[axis]));
    Ok((size, values, Placement::Sform(steps)))
}

/// A NIfTI file to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct NiftiFile<'a> {
    /// Voxels along each file axis; the first is the fastest. Up to seven axes of up to 65535.
    pub size: &'a [u16],
    /// Values in the order of the file, before scaling. Integers are rounded and clipped to their range.
    pub stored_values: &'a [f64],
    /// Type of the stored voxels. NIfTI has no floats of 16 bit; they are written in 32.
    pub datatype: NumberType,
    /// Orientation and spacing.
    pub placement: Placement,
    /// `[slope, intercept]`: value = stored value * slope + intercept.
    pub scaling: [f32; 2],
    /// Byte order.
    pub big_endian: bool,
}

impl NiftiFile<'_> {
    /// Writes the file, compressed if its name ends in `.gz`. The same content gives the same bytes.
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let failed =
            |error: io::Error| Error::unreadable(format!("{} cannot be written", path.display())).caused_by(&error);
        let bytes = self.to_bytes();
        let mut file = BufWriter::new(File::create(path).map_err(failed)?);
        if path.extension().is_some_and(|extension| extension == "gz") {
            let mut encoder = GzEncoder::new(&mut file, Compression::default());
            encoder.write_all(&bytes).map_err(failed)?;
            encoder.finish().map_err(failed)?;
        } else {
            file.write_all(&bytes).map_err(failed)?;
        }
        file.flush().map_err(failed)
    }

    /// The uncompressed file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut fields = Fields { bytes: vec![0; 352], big_endian: self.big_endian };
        fields.put(0, 348_i32.to_le_bytes());
        fields.put(40, (self.size.len() as u16).to_le_bytes());
        for (axis, n) in self.size.iter().take(7).enumerate() {
            fields.put(42 + 2 * axis, n.to_le_bytes());
        }
        let (code, n_bytes) = code(self.datatype);
        fields.put(70, code.to_le_bytes());
        fields.put(72, (8 * n_bytes).to_le_bytes());
        fields.put(108, 352_f32.to_le_bytes());
        fields.put(112, self.scaling[0].to_le_bytes());
        fields.put(116, self.scaling[1].to_le_bytes());
        fields.bytes[123] = 2; // millimetres
        self.placement.put(&mut fields);
        fields.bytes[344..348].copy_from_slice(b"n+1\0");
        for &value in self.stored_values {
            push(self.datatype, value, &mut fields);
        }
        fields.bytes
    }
}

impl Placement {
    fn put(&self, fields: &mut Fields) {
        let (spacing, handedness) = match *self {
            Self::Sform(steps) => (steps.map(|step| step.iter().map(|part| part * part).sum::<f32>().sqrt()), 1.0),
            Self::Qform(_, handedness, spacing) => (spacing, handedness),
            Self::Unstated(spacing) => (spacing, 1.0),
        };
        fields.put(76, handedness.to_le_bytes());
        for (axis, step) in spacing.iter().enumerate() {
            fields.put(80 + 4 * axis, step.to_le_bytes());
        }
        match *self {
            Self::Sform(steps) => {
                fields.put(254, 1_i16.to_le_bytes());
                for (axis, step) in steps.iter().enumerate() {
                    for (body, part) in step.iter().enumerate() {
                        fields.put(280 + 16 * body + 4 * axis, part.to_le_bytes());
                    }
                }
            }
            Self::Qform(quaternion, ..) => {
                fields.put(252, 1_i16.to_le_bytes());
                for (at, part) in quaternion.iter().enumerate() {
                    fields.put(256 + 4 * at, part.to_le_bytes());
                }
            }
            Self::Unstated(_) => {}
        }
    }
}

/// Code of a type in the standard, and bytes per voxel.
fn code(number: NumberType) -> (i16, i16) {
    match number {
        NumberType::U8 => (2, 1),
        NumberType::I8 => (256, 1),
        NumberType::U16 => (512, 2),
        NumberType::I16 => (4, 2),
        NumberType::U32 => (768, 4),
        NumberType::I32 => (8, 4),
        NumberType::U64 => (1280, 8),
        NumberType::I64 => (1024, 8),
        NumberType::F16 | NumberType::F32 => (16, 4),
        NumberType::F64 => (64, 8),
    }
}

fn push(number: NumberType, value: f64, fields: &mut Fields) {
    // `as` clips to the range of the target.
    let rounded = value.round();
    match number {
        NumberType::U8 => fields.push((rounded as u8).to_le_bytes()),
        NumberType::I8 => fields.push((rounded as i8).to_le_bytes()),
        NumberType::U16 => fields.push((rounded as u16).to_le_bytes()),
        NumberType::I16 => fields.push((rounded as i16).to_le_bytes()),
        NumberType::U32 => fields.push((rounded as u32).to_le_bytes()),
        NumberType::I32 => fields.push((rounded as i32).to_le_bytes()),
        NumberType::U64 => fields.push((rounded as u64).to_le_bytes()),
        NumberType::I64 => fields.push((rounded as i64).to_le_bytes()),
        NumberType::F16 | NumberType::F32 => fields.push((value as f32).to_le_bytes()),
        NumberType::F64 => fields.push(value.to_le_bytes()),
    }
}

/// Bytes of a file that is being written.
struct Fields {
    bytes: Vec<u8>,
    big_endian: bool,
}

impl Fields {
    fn ordered<const N: usize>(&self, mut little_endian: [u8; N]) -> [u8; N] {
        if self.big_endian {
            little_endian.reverse();
        }
        little_endian
    }

    fn put<const N: usize>(&mut self, at: usize, little_endian: [u8; N]) {
        let bytes = self.ordered(little_endian);
        self.bytes[at..at + N].copy_from_slice(&bytes);
    }

    fn push<const N: usize>(&mut self, little_endian: [u8; N]) {
        let bytes = self.ordered(little_endian);
        self.bytes.extend(bytes);
    }
}
