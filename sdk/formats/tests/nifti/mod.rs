//! NIfTI reading: orientations, types, scaling, damage. `nifti_write` makes the files; expectations are computed by
//! hand.

mod pairs;
mod real_files;
mod slabs;

use medcoss_formats::nifti::{Decoded, GzipIndex, read_header, read_slab, read_volume};
use medcoss_formats::nifti_write::{NiftiFile, NumberType, Placement, in_file_order};
use medcoss_sdk::{Error, code};
use pairs::version_2;

/// Voxels of the test body towards right, anterior and superior, and their spacing.
const BODY: [usize; 3] = [9, 7, 5];
const SPACING: [f32; 3] = [0.7, 0.8, 2.5];

const PLAIN: NiftiFile<'_> = NiftiFile {
    size: &[3, 2, 2],
    stored_values: &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0],
    datatype: NumberType::I16,
    // First file axis to the left, second to posterior, third to superior: values keep their order.
    placement: Placement::Sform([[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]]),
    scaling: [1.0, 0.0],
    big_endian: false,
};

fn read_bytes(bytes: &[u8]) -> Result<Decoded, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scan.nii");
    std::fs::write(&path, bytes).unwrap();
    read_volume(&path, 0.0)
}

fn read(file: &NiftiFile<'_>) -> Decoded {
    read_bytes(&file.to_bytes()).unwrap()
}

/// A header with some bytes changed.
fn changed(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = PLAIN.to_bytes();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

fn refused(bytes: &[u8], code: i32, says: &str) {
    let error = read_bytes(bytes).unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

/// The body as a file whose axis `a` runs along body axis `axes[a]`, against it where `signs[a]` is negative. The value
/// of a voxel is its position in the body.
fn body_file(axes: [usize; 3], signs: [i32; 3]) -> (Vec<u16>, Vec<f64>) {
    let size = axes.map(|axis| BODY[axis]);
    let mut values = Vec::new();
    for k in 0..size[2] {
        for j in 0..size[1] {
            for i in 0..size[0] {
                let mut at = [0; 3];
                for (a, index) in [i, j, k].into_iter().enumerate() {
                    at[axes[a]] = if signs[a] > 0 { index } else { size[a] - 1 - index };
                }
                values.push((100 * at[0] + 10 * at[1] + at[2]) as f64);
            }
        }
    }
    (size.map(|n| n as u16).to_vec(), values)
}

/// Asserts that a volume holds the body in canonical order.
fn assert_canonical(decoded: &Decoded, what: &str) {
    let volume = &decoded.volume;
    assert_eq!(volume.size(), [BODY[2], BODY[1], BODY[0]], "{what}");
    let spacing = volume.spacing_mm();
    assert!(spacing.iter().zip([2.5, 0.8, 0.7]).all(|(a, b)| (a - b).abs() < 1e-6), "{what}: {spacing:?}");
    for (at, &value) in volume.voxels().iter().enumerate() {
        let (slice, row, column) = (at / 63, at / 9 % 7, at % 9);
        let (right, anterior, superior) = (8 - column, 6 - row, slice);
        assert_eq!(value, (100 * right + 10 * anterior + superior) as f32, "{what}, voxel {at}");
    }
}

#[test]
fn all_48_orientations_of_an_sform_give_the_same_volume() {
    let mut n_tried = 0;
    for axes in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for corner in 0..8 {
            let signs = [0, 1, 2].map(|bit| if corner >> bit & 1 == 0 { 1 } else { -1 });
            let (size, values) = body_file(axes, signs);
            let mut steps = [[0.0; 3]; 3];
            for a in 0..3 {
                // Tilted by some degrees: the nearest axis still wins, and the spacing is the length of the step.
                let tilt = 0.2_f32;
                steps[a][axes[a]] = SPACING[axes[a]] * signs[a] as f32 * tilt.cos();
                steps[a][axes[(a + 1) % 3]] = SPACING[axes[a]] * tilt.sin();
            }
            let placement = Placement::Sform(steps);
            let file = NiftiFile { size: &size, stored_values: &values, placement, ..PLAIN };
            assert_canonical(&read(&file), &format!("{axes:?} {signs:?}"));
            n_tried += 1;
        }
    }
    assert_eq!(n_tried, 48);
}

#[test]
fn all_48_orientations_of_a_qform_give_the_same_volume() {
    let mut seen = std::collections::BTreeSet::new();
    for quaternion in octahedral_quaternions() {
        for handedness in [1.0, -1.0] {
            let mut steps = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]].map(|v| rotate(quaternion, v));
            steps[2] = steps[2].map(|part| part * handedness);
            let axes = steps.map(|step| step.iter().position(|part| part.abs() > 0.9).unwrap());
            let signs = [0, 1, 2].map(|a| steps[a][axes[a]].round() as i32);
            seen.insert((axes, signs));

            let (size, values) = body_file(axes, signs);
            let [_, b, c, d] = quaternion.map(|part| part as f32);
            let placement = Placement::Qform([b, c, d], handedness as f32, axes.map(|axis| SPACING[axis]));
            let file = NiftiFile { size: &size, stored_values: &values, placement, ..PLAIN };
            assert_canonical(&read(&file), &format!("{quaternion:?} {handedness}"));
        }
    }
    assert_eq!(seen.len(), 48);
}

/// The 24 rotations of a cube, each once, with a real part of 0 or more.
fn octahedral_quaternions() -> Vec<[f64; 4]> {
    let mut all: Vec<[f64; 4]> = Vec::new();
    let parts = [-1, 0, 1];
    for a in [0, 1] {
        for (b, c, d) in parts.iter().flat_map(|&b| parts.iter().flat_map(move |&c| parts.map(|d| (b, c, d)))) {
            let raw = [a, b, c, d].map(f64::from);
            let squared: f64 = raw.iter().map(|part| part * part).sum();
            let unit = raw.map(|part| part / squared.sqrt());
            let same = |other: &[f64; 4]| {
                let product: f64 = other.iter().zip(unit).map(|(p, q)| p * q).sum();
                product.abs() > 0.999
            };
            // Three equal parts without a fourth would turn by 180 degrees about a diagonal: no rotation of the cube.
            if [1.0, 2.0, 4.0].contains(&squared) && !all.iter().any(same) {
                all.push(unit);
            }
        }
    }
    assert_eq!(all.len(), 24);
    all
}

/// `q v q*`, by the cross products.
fn rotate([a, b, c, d]: [f64; 4], v: [f64; 3]) -> [f64; 3] {
    let cross =
        |p: [f64; 3], q: [f64; 3]| [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]];
    let u = [b, c, d];
    let t = cross(u, v).map(|part| 2.0 * part);
    let ut = cross(u, t);
    [0, 1, 2].map(|i| v[i] + a * t[i] + ut[i])
}

#[test]
fn a_volume_written_in_any_order_comes_back() {
    let (size, values) = body_file([0, 1, 2], [1, 1, 1]);
    let placement = Placement::Unstated(SPACING);
    let volume = read(&NiftiFile { size: &size, stored_values: &values, placement, ..PLAIN }).volume;
    for facing in ["LPS", "RAS", "LAS", "ASL", "IPR", "SRA", "PIL"] {
        let (size, values, placement) = in_file_order(&volume, facing).unwrap();
        let file = NiftiFile { size: &size, stored_values: &values, placement, ..PLAIN };
        assert_canonical(&read(&file), facing);
    }
    for wrong in ["LP", "LPR", "LPX", "LPSS", ""] {
        assert!(in_file_order(&volume, wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_file_without_orientation_is_taken_for_right_anterior_superior_and_says_so() {
    let (size, values) = body_file([0, 1, 2], [1, 1, 1]);
    let file = NiftiFile { size: &size, stored_values: &values, placement: Placement::Unstated(SPACING), ..PLAIN };
    assert_canonical(&read(&file), "unstated");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scan.nii");
    file.write(&path).unwrap();
    let notes = read_header(&path).unwrap().notes;
    assert!(notes.len() == 1 && notes[0].contains("orientation"), "{notes:?}");
}

#[test]
fn every_type_and_byte_order_is_read_and_scaled() {
    let limits = |low: f64, high: f64| vec![low, high, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
    let types = [
        (NumberType::U8, limits(0.0, 255.0)),
        (NumberType::I8, limits(-128.0, 127.0)),
        (NumberType::U16, limits(0.0, 65535.0)),
        (NumberType::I16, limits(-32768.0, 32767.0)),
        (NumberType::U32, limits(0.0, 4294967295.0)),
        (NumberType::I32, limits(-2147483648.0, 2147483647.0)),
        (NumberType::U64, limits(0.0, 2_f64.powi(64))),
        (NumberType::I64, limits(-2_f64.powi(63), 2_f64.powi(62))),
        (NumberType::F32, limits(-1.5e30, 0.375)),
        (NumberType::F64, limits(-1e-20, 1.0 / 3.0)),
    ];
    for (datatype, values) in types {
        for big_endian in [false, true] {
            for [slope, inter] in [[1.0, 0.0], [0.5, -1024.0]] {
                let file = NiftiFile { stored_values: &values, datatype, big_endian, scaling: [slope, inter], ..PLAIN };
                let decoded = read(&file);
                let expected: Vec<f32> =
                    values.iter().map(|&v| (v * f64::from(slope) + f64::from(inter)) as f32).collect();
                assert_eq!(decoded.volume.voxels(), expected, "{datatype:?} {big_endian} {slope}");
            }
        }
    }
}

#[test]
fn compressed_files_are_recognised_by_their_content() {
    let folder = tempfile::tempdir().unwrap();
    let (compressed, misnamed) = (folder.path().join("scan.nii.gz"), folder.path().join("scan.nii"));
    PLAIN.write(&compressed).unwrap();
    std::fs::copy(&compressed, &misnamed).unwrap();
    let bytes = std::fs::read(&compressed).unwrap();
    assert_eq!(bytes[..2], [0x1f, 0x8b]);
    let expected = read(&PLAIN);
    assert_eq!(read_volume(&compressed, 0.0).unwrap(), expected);
    assert_eq!(read_volume(&misnamed, 0.0).unwrap(), expected);
}

#[test]
fn slopes_of_zero_or_nan_do_not_scale() {
    for scaling in [[0.0, 50.0], [f32::NAN, 50.0], [f32::INFINITY, 0.0], [2.0, f32::NAN]] {
        assert_eq!(read(&NiftiFile { scaling, ..PLAIN }), read(&PLAIN), "{scaling:?}");
    }
}

#[test]
fn the_first_of_several_volumes_is_read() {
    let values: Vec<f64> = (0..36).map(f64::from).collect();
    let file = NiftiFile { size: &[3, 2, 2, 3], stored_values: &values, ..PLAIN };
    assert_eq!(read(&file), read(&PLAIN));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scan.nii");
    file.write(&path).unwrap();
    assert!(read_header(&path).unwrap().notes[0].contains("several volumes"));
}

#[test]
fn an_image_is_a_volume_of_one_slice() {
    let file = NiftiFile { size: &[3, 2], stored_values: &PLAIN.stored_values[..6], ..PLAIN };
    let volume = read(&file).volume;
    assert_eq!((volume.size(), volume.voxels()), ([1, 2, 3], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0].as_slice()));
}

#[test]
fn units_other_than_millimetres_are_converted() {
    let metres = read_bytes(&changed(123, &[1])).unwrap_or_else(|error| panic!("{error}"));
    // Steps of 1 m are not plausible as a spacing.
    assert_eq!(metres.volume.spacing_mm(), [1.0; 3]);
    let placement = Placement::Sform([[-0.002, 0.0, 0.0], [0.0, -0.003, 0.0], [0.0, 0.0, 0.005]]);
    let mut bytes = NiftiFile { placement, ..PLAIN }.to_bytes();
    bytes[123] = 1;
    assert_eq!(read_bytes(&bytes).unwrap().volume.spacing_mm(), [5.0, 3.0, 2.0]);
}

#[test]
fn voxels_that_are_no_numbers_become_0_and_are_counted() {
    let mut values = PLAIN.stored_values.to_vec();
    [values[3], values[7], values[8]] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let decoded = read(&NiftiFile { stored_values: &values, datatype: NumberType::F32, ..PLAIN });
    assert_eq!(decoded.n_replaced, 3);
    assert_eq!(decoded.volume.voxels(), [0.0, 1.0, 2.0, 0.0, 4.0, 5.0, 6.0, 0.0, 0.0, 9.0, 10.0, 11.0]);
    let nothing = NiftiFile { stored_values: &[f64::NAN; 12], datatype: NumberType::F64, ..PLAIN };
    refused(&nothing.to_bytes(), code::CORRUPT, "no finite voxel");
}

#[test]
fn headers_that_cannot_be_right_are_refused() {
    refused(b"", code::CORRUPT, "ends within");
    refused(&PLAIN.to_bytes()[..300], code::CORRUPT, "ends within");
    refused(&changed(0, b"%PDF"), code::CORRUPT, "%PDF");
    refused(&changed(344, &[0; 4]), code::CORRUPT, "n+1");
    refused(&changed(40, &[9, 0]), code::CORRUPT, "dimensions");
    refused(&changed(40, &[0, 0]), code::CORRUPT, "dimensions");
    refused(&changed(44, &[0, 0]), code::CORRUPT, "dimensions");
    refused(&changed(70, &[99, 0]), code::CORRUPT, "99");
    for offset in [f32::NAN, f32::INFINITY, -352.0, 351.0, 352.5] {
        refused(&changed(108, &offset.to_le_bytes()), code::CORRUPT, "begin at");
    }
    refused(&changed(108, &1e30_f32.to_le_bytes()), code::CORRUPT, "too few");
}

#[test]
fn valid_files_of_unsupported_kinds_are_named() {
    for (datatype, name) in [(128_i16, "Rgb24"), (2304, "Rgba32"), (32, "Complex64"), (1536, "Float128")] {
        refused(&changed(70, &datatype.to_le_bytes()), code::UNSUPPORTED, name);
    }
    let mut surface = version_2(&PLAIN);
    surface[504..508].copy_from_slice(&3001_i32.to_le_bytes());
    refused(&surface, code::UNSUPPORTED, "CIFTI");
}

#[test]
fn a_volume_that_the_file_cannot_hold_is_refused_before_memory_is_claimed() {
    let full = PLAIN.to_bytes();
    refused(&full[..full.len() - 1], code::CORRUPT, "too few");
    // 65535^3 voxels, then 1000^3, of a file of 376 bytes.
    refused(&changed(42, &[255; 6]), code::CORRUPT, "too few");
    let thousand = [1000_u16.to_le_bytes(); 3].concat();
    refused(&changed(42, &thousand), code::CORRUPT, "too few");
    let mut wide = version_2(&PLAIN);
    wide[24..32].copy_from_slice(&65_536_i64.to_le_bytes());
    refused(&wide, code::UNSUPPORTED, "side of 65536");
    wide[24..32].copy_from_slice(&i64::MIN.to_le_bytes());
    refused(&wide, code::CORRUPT, "dimensions");
}

#[test]
fn a_volume_that_is_too_large_for_memory_is_read_in_part_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scan.nii");
    // A hole of 1 GiB, which takes no space on disk.
    let mut bytes = changed(42, &[1025_u16, 1024, 1024].map(u16::to_le_bytes).concat());
    bytes[70..74].copy_from_slice(&[2, 0, 8, 0]);
    std::fs::write(&path, bytes).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(352 + (1025 << 20)).unwrap();
    let error = read_volume(&path, 0.0).unwrap_err();
    assert!(error.code() == code::UNSUPPORTED && error.message().contains("at once"), "{error}");
    let slab = read_slab(&path, [1024, 1024, 1025], 1021..1023, &GzipIndex::new(0), 0.0).unwrap().volume;
    assert_eq!(slab.size(), [2, 1024, 1025]);
    assert!(slab.voxels().iter().all(|&voxel| voxel == 0.0));
}

#[test]
fn no_byte_of_a_header_can_make_reading_panic() {
    let folder = tempfile::tempdir().unwrap();
    for (big_endian, version) in [(false, 1), (true, 1), (false, 2), (true, 2)] {
        let file = NiftiFile { big_endian, ..PLAIN };
        let valid = if version == 2 { version_2(&file) } else { file.to_bytes() };
        for at in 0..valid.len() - 24 {
            for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let mut bytes = valid.clone();
                bytes[at] = value;
                // A new file each time, because overwriting one waits for the disk.
                let path = folder.path().join(format!("{big_endian}_{version}_{at}_{value}.nii"));
                std::fs::write(&path, &bytes).unwrap();
                if let Ok(decoded) = read_volume(&path, 0.0) {
                    assert!(decoded.volume.voxels().iter().all(|voxel| voxel.is_finite()));
                    assert!(decoded.volume.spacing_mm().iter().all(|mm| (1e-3..=1e2).contains(mm)));
                }
            }
        }
    }
}
