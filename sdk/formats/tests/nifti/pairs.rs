//! NIfTI version 2, and pairs of a header and a file of voxels.

use super::*;

/// A file of version 2 with the same content.
pub fn version_2(file: &NiftiFile<'_>) -> Vec<u8> {
    let old = file.to_bytes();
    let mut new = vec![0; 544];
    // Numbers of the old file, lowest byte first, and back.
    let big_endian = file.big_endian;
    let number = |at: usize, n: usize| {
        let mut bytes = old[at..at + n].to_vec();
        if big_endian {
            bytes.reverse();
        }
        bytes
    };
    let mut put = |at: usize, mut bytes: Vec<u8>| {
        if big_endian {
            bytes.reverse();
        }
        new[at..at + bytes.len()].copy_from_slice(&bytes);
    };
    let widened = |at: usize| f64::from(f32::from_le_bytes(number(at, 4).try_into().unwrap())).to_le_bytes().to_vec();
    put(0, 540_i32.to_le_bytes().to_vec());
    put(12, number(70, 2));
    put(14, number(72, 2));
    for axis in 0..8 {
        let n = i16::from_le_bytes(number(40 + 2 * axis, 2).try_into().unwrap());
        put(16 + 8 * axis, i64::from(n).to_le_bytes().to_vec());
        put(104 + 8 * axis, widened(76 + 4 * axis));
    }
    put(168, 544_i64.to_le_bytes().to_vec());
    put(176, widened(112));
    put(184, widened(116));
    for (at, old_at) in [(344, 252), (348, 254)] {
        let code = i16::from_le_bytes(number(old_at, 2).try_into().unwrap());
        put(at, i32::from(code).to_le_bytes().to_vec());
    }
    for part in 0..3 {
        put(352 + 8 * part, widened(256 + 4 * part));
    }
    for part in 0..12 {
        put(400 + 8 * part, widened(280 + 4 * part));
    }
    put(500, i32::from(old[123]).to_le_bytes().to_vec());
    new[4..12].copy_from_slice(b"n+2\0\r\n\x1a\n");
    new.extend(&old[352..]);
    new
}

#[test]
pub fn version_2_gives_what_version_1_gives() {
    let (size, values) = body_file([1, 2, 0], [1, -1, 1]);
    let turned = Placement::Sform([[0.0, 0.8, 0.0], [0.0, 0.0, -2.5], [0.7, 0.0, 0.0]]);
    let quaternion = Placement::Qform([0.5, 0.5, 0.5], -1.0, [0.8, 2.5, 0.7]);
    for placement in [turned, quaternion, Placement::Unstated(SPACING)] {
        for (datatype, big_endian) in [(NumberType::I16, false), (NumberType::U16, true), (NumberType::F64, true)] {
            let scaling = [0.25, -3.0];
            let file = NiftiFile { size: &size, stored_values: &values, datatype, placement, scaling, big_endian };
            assert_eq!(read_bytes(&version_2(&file)).unwrap(), read(&file), "{placement:?} {datatype:?} {big_endian}");
        }
    }
}

#[test]
fn a_version_2_file_that_was_transferred_as_text_says_so() {
    let mut bytes = version_2(&PLAIN);
    bytes[8..12].copy_from_slice(b"\n\x1a\n\0");
    refused(&bytes, code::CORRUPT, "as text");
    bytes[4..8].copy_from_slice(b"n+1\0");
    refused(&bytes, code::CORRUPT, "n+2");
    refused(&version_2(&PLAIN)[..500], code::CORRUPT, "540 bytes");
    let whole = version_2(&PLAIN);
    refused(&whole[..whole.len() - 1], code::CORRUPT, "too few");
}

#[test]
fn header_extensions_are_skipped() {
    let mut bytes = changed(108, &384_f32.to_le_bytes());
    bytes.splice(352..352, [32, 0, 0, 0, 6, 0, 0, 0].into_iter().chain([b'x'; 24]));
    bytes[348] = 1;
    assert_eq!(read_bytes(&bytes).unwrap(), read(&PLAIN));
}

/// Header and voxels of a pair, of either version.
fn pair(version: usize) -> (Vec<u8>, Vec<u8>) {
    let whole = if version == 2 { version_2(&PLAIN) } else { PLAIN.to_bytes() };
    let voxels = whole.len() - 24;
    let mut header = whole[..voxels].to_vec();
    if version == 2 {
        header[4..8].copy_from_slice(b"ni2\0");
        header[168..176].fill(0);
    } else {
        header[344..348].copy_from_slice(b"ni1\0");
        header[108..112].fill(0);
    }
    (header, whole[voxels..].to_vec())
}

pub fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_pair_is_read_by_either_name_whichever_file_is_compressed() {
    for version in [1, 2] {
        for corner in 0..4 {
            let folder = tempfile::tempdir().unwrap();
            let (header, voxels) = pair(version);
            let write = |name: &str, bytes: &[u8], compressed: bool| {
                let path = folder.path().join(if compressed { format!("{name}.gz") } else { name.to_owned() });
                std::fs::write(&path, if compressed { gzipped(bytes) } else { bytes.to_vec() }).unwrap();
                path
            };
            let header = write("scan.hdr", &header, corner & 1 == 1);
            let voxels = write("scan.img", &voxels, corner & 2 == 2);
            assert_eq!(read_volume(&header, 0.0).unwrap(), read(&PLAIN));
            assert_eq!(read_volume(&voxels, 0.0).unwrap(), read(&PLAIN));
        }
    }
}

#[test]
fn voxels_of_a_pair_may_begin_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scan.hdr");
    let (mut header, voxels) = pair(1);
    header[108..112].copy_from_slice(&7_f32.to_le_bytes());
    std::fs::write(&path, &header[..348]).unwrap();
    std::fs::write(folder.path().join("scan.img"), [vec![9; 7], voxels.clone()].concat()).unwrap();
    assert_eq!(read_volume(&path, 0.0).unwrap(), read(&PLAIN));
    std::fs::write(folder.path().join("scan.img"), &voxels).unwrap();
    assert!(read_volume(&path, 0.0).unwrap_err().message().contains("too few"));
}

#[test]
fn half_a_pair_and_analyze_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (header, voxels) = pair(1);
    let at = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        read_volume(&path, 0.0).unwrap_err()
    };
    let error = at("header.hdr", &header);
    assert!(error.code() == code::UNREADABLE && error.message().contains("no voxels beside it"), "{error}");
    let error = at("voxels.img", &voxels);
    assert!(error.code() == code::UNREADABLE && error.message().contains("no header beside it"), "{error}");
    let error = at("analyze.hdr", &changed(344, &[0; 4])[..348]);
    assert!(error.code() == code::UNSUPPORTED && error.message().contains("Analyze 7.5"), "{error}");
}
