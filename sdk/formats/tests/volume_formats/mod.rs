//! MetaImage, NRRD, NumPy, FreeSurfer and HDF5 files as volumes. The tests write nearly every file themselves, byte by byte.
//! Expectations are computed by hand, are those of NIfTI, or come from other libraries, which are named beside them.

mod finding;
mod hdf5;
mod masks;
mod meta_image;
mod mgh;
mod nrrd;
mod numpy;

use std::path::Path;

use medcoss_formats::nifti_write::{NiftiFile, NumberType, Placement, in_file_order};
use medcoss_formats::volume_source::{Decoded, GzipIndex, ScanRules, VolumeInfo, VolumeSource, find_volumes};
use medcoss_sdk::volume::Volume;
use medcoss_sdk::{Error, code};

/// Matrix of an oblique sagittal scan, an axis of the file a row, in left, posterior, superior.
const OBLIQUE: &str = "0.199007438 -0.895533471 0.398014876 -0.097034259 0.38613633 0.917323873 -0.975182235 \
                       -0.221175352 -0.010053425";
/// Numbers of 5x4x3 voxels in the order of the file.
fn golden_numbers() -> Vec<i16> {
    (0..60).map(|at| (at * 37 % 1009) as i16).collect()
}

/// Places of voxels of which another library's values are known: slice, row, column.
const GOLDEN_PLACES: [[usize; 3]; 6] = [[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0], [3, 4, 2], [1, 2, 1]];
/// Values there of the oblique scan of [`golden_numbers`] in left, posterior, superior.
const GOLDEN_VALUES: [f32; 6] = [619.0, 888.0, 582.0, 804.0, 555.0, 999.0];

/// Asserts the size, spacing and voxels of the oblique scan.
fn assert_golden(volume: &Volume, values: [f32; 6], what: &str) {
    assert_eq!(volume.size(), [4, 5, 3], "{what}");
    let spacing = volume.spacing_mm();
    assert!(spacing.iter().zip([0.75, 0.5, 2.5]).all(|(a, b)| (a - b).abs() < 1e-6), "{what}: {spacing:?}");
    let found = GOLDEN_PLACES.map(|[slice, row, column]| volume.voxels()[(slice * 5 + row) * 3 + column]);
    assert_eq!(found, values, "{what}");
}

/// The volume of a folder that holds these files.
fn source_of(folder: &Path, files: &[(&str, &[u8])]) -> Result<VolumeSource, Error> {
    for (name, bytes) in files {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    let mut found = find_volumes(folder, &[".".into()], &ScanRules::MR)?.sources;
    assert_eq!(found.len(), 1, "{found:?}");
    Ok(found.remove(0))
}

fn read_files(files: &[(&str, &[u8])]) -> Result<Decoded, Error> {
    let folder = tempfile::tempdir().unwrap();
    source_of(folder.path(), files)?.read()
}

fn read(name: &str, bytes: &[u8]) -> Result<Decoded, Error> {
    read_files(&[(name, bytes)])
}

fn info(name: &str, bytes: &[u8]) -> VolumeInfo {
    let folder = tempfile::tempdir().unwrap();
    source_of(folder.path(), &[(name, bytes)]).unwrap().info().unwrap()
}

/// Asserts that a file is refused with this code, when it is described and when it is read, and what the error says.
fn refused(name: &str, bytes: &[u8], code: i32, says: &str) {
    refused_files(&[(name, bytes)], code, says);
}

fn refused_files(files: &[(&str, &[u8])], code: i32, says: &str) {
    let folder = tempfile::tempdir().unwrap();
    let source = source_of(folder.path(), files).unwrap();
    for error in [source.info().unwrap_err(), source.read().unwrap_err(), source.read_stored().unwrap_err()] {
        assert!(error.code() == code && error.to_string().contains(says), "{says}: {}: {error}", error.code());
    }
}

/// All ways in which the axes of a file may face.
fn facings() -> Vec<String> {
    let axes = [["R", "L"], ["A", "P"], ["S", "I"]];
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let of = |order: [usize; 3], signs: usize| [0, 1, 2].map(|at| axes[order[at]][signs >> at & 1]).concat();
    orders.into_iter().flat_map(|order| (0..8).map(move |signs| of(order, signs))).collect()
}

/// A body of 5 slices, 7 rows and 9 columns, whose values are those of 16 bit.
fn body() -> Volume {
    let values = (0..5 * 7 * 9).map(|at| (at * 7 % 1000) as f32 - 300.0).collect();
    Volume::new([5, 7, 9], [2.5, 0.75, 0.5], values).unwrap()
}

/// A volume as it stands in a file.
struct Body {
    size: [usize; 3],
    values: Vec<f64>,
    /// In right, anterior, superior, millimetres.
    steps: [[f64; 3]; 3],
    nifti: Vec<u8>,
}

impl Body {
    fn facing(facing: &str) -> Self {
        let (size, values, placement) = in_file_order(&body(), facing).unwrap();
        let Placement::Sform(steps) = placement else { panic!("{placement:?}") };
        let datatype = NumberType::I16;
        let file = NiftiFile {
            size: &size,
            stored_values: &values,
            datatype,
            placement,
            scaling: [1.0, 0.0],
            big_endian: false,
        };
        let nifti = file.to_bytes();
        let size = [0, 1, 2].map(|axis| usize::from(size[axis]));
        Self { size, steps: steps.map(|step| step.map(f64::from)), nifti, values }
    }

    fn bytes(&self) -> Vec<u8> {
        self.values.iter().flat_map(|&value| (value as i16).to_le_bytes()).collect()
    }

    fn big_endian_bytes(&self) -> Vec<u8> {
        self.values.iter().flat_map(|&value| (value as i16).to_be_bytes()).collect()
    }
}

/// Asserts that files give what the body's NIfTI file gives: as a whole, in stored order, and in slabs.
fn assert_as_nifti(body: &Body, files: &[(&str, &[u8])], what: &str) {
    let (nifti_folder, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = source_of(nifti_folder.path(), &[("scan.nii", &body.nifti)]).unwrap();
    let found = source_of(folder.path(), files).unwrap();
    assert_eq!(found.read().unwrap(), expected.read().unwrap(), "{what}");
    assert_eq!(found.read_stored().unwrap(), expected.read_stored().unwrap(), "{what}");
    assert_eq!(without_origin(found.info()), without_origin(expected.info()), "{what}");
    assert_eq!(without_origin(found.stored_info()), without_origin(expected.stored_info()), "{what}");
    assert_slabs(&found, what);
}

/// What headers state, but for the place of the first voxel, which is 0 in the NIfTI file alone.
fn without_origin(info: Result<VolumeInfo, Error>) -> VolumeInfo {
    let mut info = info.unwrap();
    info.file_axes.to_ras_mm.iter_mut().flatten().for_each(|row| row[3] = 0.0);
    info
}

/// Asserts that the slices of a volume are the same one by one.
fn assert_slabs(source: &VolumeSource, what: &str) {
    let whole = source.read().unwrap().volume;
    let [n_slices, rows, columns] = whole.size();
    let slices = whole.voxels().chunks_exact(rows * columns);
    for (at, expected) in (0..n_slices).zip(slices) {
        let slab = source.read_slab(whole.size(), at..at + 1, &GzipIndex::new(0)).unwrap().volume;
        assert_eq!(slab.voxels(), expected, "{what}, slice {at}");
    }
}

/// Compresses bytes as zlib does.
fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

/// Asserts that no changed byte of a file, and no cut, makes reading panic; every tenth byte of the voxels.
fn assert_no_panic(name: &str, file: &[u8], n_header: usize) {
    let folder = tempfile::tempdir().unwrap();
    let source = source_of(folder.path(), &[(name, file)]).unwrap();
    let path = folder.path().join(name);
    let places = (0..n_header).chain((n_header..file.len()).step_by(10));
    for at in places {
        for bytes in [0, 1, 0x20, 0x31, 0x7f, 0xff].map(|byte| {
            let mut changed = file.to_vec();
            changed[at] = byte;
            changed
        }) {
            std::fs::write(&path, bytes).unwrap();
            if let Ok(decoded) = source.read() {
                assert!(decoded.volume.spacing_mm().iter().all(|mm| (1e-3..=1e2).contains(mm)));
            }
        }
        std::fs::write(&path, &file[..at]).unwrap();
        assert!(source.read().is_err(), "{name} of {at} bytes");
    }
}
