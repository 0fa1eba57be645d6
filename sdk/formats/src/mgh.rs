//! FreeSurfer's volumes: `.mgh`, and `.mgz`, which is gzipped.
//!
//! A header of 284 bytes and its voxels, both with the highest byte first. Of several frames the first is read. What
//! stands behind the voxels (parameters of the scan, tags) is not looked at.

use std::io::{self, Read};
use std::path::Path;

use medcoss_sdk::Error;

use crate::file_axes::to_ras;
use crate::number_type::NumberType;
use crate::orientation::{Orientation, STORED_ORDER};
use crate::stored_file::{FASTEST_FIRST, StoredFile};
use crate::stored_volume::{Content, Stated, StoredVolume, axes};
use crate::stored_voxels::explain;
use crate::voxel_stream::VoxelStream;

/// Supported file formats, for display.
pub const FILE_FORMATS: &str = "FreeSurfer (.mgh, .mgz)";

/// Length in bytes of the header, most of it unused.
const HEADER_BYTES: usize = 284;
/// Note on a file without directions.
pub(crate) const NO_ORIENTATION: &str =
    "do not state their orientation; their axes are taken for left, inferior, anterior at 1 mm, as in FreeSurfer";
/// Directions that FreeSurfer takes for a file without: coronal slices.
const CORONAL: [[f64; 3]; 3] = [[-1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]];

/// Opens a file at its voxels.
///
/// # Errors
/// A file that is missing, damaged or of another version.
pub(crate) fn open(path: &Path) -> Result<StoredFile<'static>, Error> {
    let (mut source, bytes) = VoxelStream::open(path).map_err(|error| explain(path, &error))?;
    let shown = path.display();
    let mut header = [0; HEADER_BYTES];
    source.read_exact(&mut header).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            Error::corrupt(format!("{shown} ends within the {HEADER_BYTES} bytes of its header"))
        }
        _ => explain(path, &error),
    })?;
    let at = Numbers(&header);
    let [version, size @ .., code] = [0, 4, 8, 12, 16, 20].map(|start| at.i32(start));
    if version != 1 {
        return Err(Error::corrupt(format!("{shown} has the version {version}, where a file of FreeSurfer has 1")));
    }
    let Some(sizes) = size.map(|n| u64::try_from(n).ok().filter(|&n| n > 0)).into_iter().collect::<Option<Vec<_>>>()
    else {
        return Err(Error::corrupt(format!("{shown} states the sizes {size:?}; each is at least 1")));
    };
    let (file_size, n_volumes) = axes(path, &sizes)?;
    let number = match code {
        0 => NumberType::U8,
        1 => NumberType::I32,
        3 => NumberType::F32,
        4 => NumberType::I16,
        10 => NumberType::U16,
        _ => {
            return Err(Error::unsupported(format!(
                "{shown} has voxels of type {code}; 0 (8 bit), 1 (32 bit), 3 (float), 4 and 10 (16 bit) are read"
            )));
        }
    };
    let mut notes = Vec::new();
    let stated = (at.i16(28) != 0).then(|| {
        let spacing = [30, 34, 38].map(|start| at.f32(start));
        let directions = [42, 54, 66].map(|start| [0, 4, 8].map(|part| at.f32(start + part)));
        let turned = Orientation::nearest(directions)?;
        let steps = [0, 1, 2].map(|axis| directions[axis].map(|part| part * spacing[axis]));
        // The header states the place of the voxel in the middle, whose index is half of the size.
        let half = |axis: usize| file_size[axis] as f64 / 2.0;
        let first = [0, 1, 2]
            .map(|part| at.f32(78 + 4 * part) - (0..3).map(|axis| steps[axis][part] * half(axis)).sum::<f64>());
        let orientation = Orientation { spacing: turned.axis.map(|axis| spacing[axis]), ..turned };
        Some((orientation, Some(to_ras(steps, first))))
    });
    let stated = stated.flatten().or_else(|| {
        notes.push(NO_ORIENTATION);
        Some((Orientation::nearest(CORONAL)?, None))
    });
    let (orientation, to_ras_mm) = stated.unwrap_or_else(|| (Orientation::unstated([1.0; 3]), None));
    let offset = HEADER_BYTES as u64;
    let (n_components, big_endian, scaling) = (1, true, None);
    let stated = Stated {
        file_size,
        n_volumes,
        n_components,
        number,
        big_endian,
        scaling,
        orientation,
        to_ras_mm,
        offset,
        notes,
    };
    let content = Content { bytes, compressed: source.is_compressed() };
    let states_spacing = stated.to_ras_mm.is_some();
    let volume = StoredVolume::check(path, stated, content)?;
    let volume = if states_spacing { volume } else { volume.without_stated_spacing() };
    let gzip_offset = content.compressed.then_some(offset);
    // The source is behind the header.
    Ok(StoredFile {
        volume,
        voxels: path.to_owned(),
        source,
        ahead: 0,
        gzip_offset,
        stored_order: STORED_ORDER,
        index_order: FASTEST_FIRST,
        outside: 0.0,
    })
}

/// Numbers of a header, by byte offset, which is a constant of the layout.
struct Numbers<'a>(&'a [u8; HEADER_BYTES]);

impl Numbers<'_> {
    fn bytes<const N: usize>(&self, start: usize) -> [u8; N] {
        std::array::from_fn(|byte| self.0[start + byte])
    }

    fn i16(&self, start: usize) -> i16 {
        i16::from_be_bytes(self.bytes(start))
    }

    fn i32(&self, start: usize) -> i32 {
        i32::from_be_bytes(self.bytes(start))
    }

    fn f32(&self, start: usize) -> f64 {
        f32::from_be_bytes(self.bytes(start)).into()
    }
}
