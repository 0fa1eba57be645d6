//! NumPy arrays.

use super::*;

/// An array of version 1 as NumPy 2.4.6 writes it: the header is padded to 64 bytes.
fn array(descr: &str, fortran_order: bool, shape: &str, numbers: &[u8]) -> Vec<u8> {
    let order = if fortran_order { "True" } else { "False" };
    let dictionary = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}");
    let length = (10 + dictionary.len() + 1).next_multiple_of(64) - 10;
    let head = [b"\x93NUMPY\x01\x00".as_slice(), &(length as u16).to_le_bytes()].concat();
    [&head, format!("{dictionary:<0$}\n", length - 1).as_bytes(), numbers].concat()
}

fn of(descr: &str, shape: &str, numbers: &[u8]) -> Vec<u8> {
    array(&format!("'{descr}'"), false, shape, numbers)
}

/// The body as an array `[slices, rows, columns]`, by rows or by columns.
fn body_array(fortran_order: bool) -> Vec<u8> {
    let (volume, mut numbers) = (body(), Vec::new());
    let mut add = |slice: usize, row: usize, column: usize| {
        numbers.extend((volume.voxels()[(slice * 7 + row) * 9 + column] as i16).to_le_bytes());
    };
    match fortran_order {
        false => (0..5).for_each(|slice| (0..7).for_each(|row| (0..9).for_each(|column| add(slice, row, column)))),
        true => (0..9).for_each(|column| (0..7).for_each(|row| (0..5).for_each(|slice| add(slice, row, column)))),
    }
    array("'<i2'", fortran_order, "(5, 7, 9)", &numbers)
}

/// A zip archive of stored or deflated entries, with CRC-32.
fn archive(entries: &[(&str, &[u8])], deflated: bool) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let stored = match deflated {
            false => content.to_vec(),
            true => {
                let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
                std::io::Write::write_all(&mut encoder, content).unwrap();
                encoder.finish().unwrap()
            }
        };
        let mut common = [20_u16, 0, if deflated { 8 } else { 0 }, 0, 0x21].map(u16::to_le_bytes).concat();
        common.extend([crc.sum(), stored.len() as u32, content.len() as u32].map(u32::to_le_bytes).concat());
        common.extend([name.len() as u16, 0].map(u16::to_le_bytes).concat());
        let start = file.len() as u32;
        file.extend([b"PK\x03\x04", common.as_slice(), name.as_bytes(), &stored].concat());
        let place = [[0; 10].as_slice(), &start.to_le_bytes()].concat();
        directory.extend([b"PK\x01\x02\x14\x00", common.as_slice(), &place, name.as_bytes()].concat());
    }
    let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
    end.extend([entries.len() as u16; 2].map(u16::to_le_bytes).concat());
    end.extend([directory.len() as u32, file.len() as u32].map(u32::to_le_bytes).concat());
    [file, directory, end, vec![0, 0]].concat()
}

#[test]
fn an_array_is_slices_rows_and_columns_in_either_order_and_says_what_is_assumed() {
    // With the orientation that is assumed, NIfTI gives the same. Its spacing is stated.
    let nifti = Body::facing("LPS").nifti;
    let (nifti_folder, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = source_of(nifti_folder.path(), &[("scan.nii", &nifti)]).unwrap();
    for (name, bytes) in [
        ("scan.npy", body_array(false)),
        ("scan.npy", body_array(true)),
        ("scan.npz", archive(&[("scan.npy", &body_array(false))], false)),
        ("scan.npz", archive(&[("notes.txt", b"x"), ("arr_0.npy", &body_array(true))], true)),
    ] {
        let found = source_of(folder.path(), &[(name, &bytes)]).unwrap();
        for (a, b) in [(found.read(), expected.read()), (found.read_stored(), expected.read_stored())] {
            let (a, b) = (a.unwrap().volume, b.unwrap().volume);
            assert_eq!((a.size(), a.voxels(), a.spacing_mm()), (b.size(), b.voxels(), [1.0; 3]));
        }
        let info = found.info().unwrap();
        assert!(info.notes.len() == 1 && info.notes[0].contains("neither spacing nor orientation"), "{info:?}");
        assert_eq!((info.size, info.spacing_mm, info.is_integer), ([5, 7, 9], [1.0; 3], Some(true)));
        assert_eq!(found.stored_info().unwrap().size, [5, 9, 7]);
        assert_slabs(&found, name);
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
}

#[test]
fn every_type_and_byte_order_is_read() {
    // Halves by NumPy 2.4.6: np.array([1.5, -2.25, 65504], "<f2").tobytes().
    let types: [(&str, Vec<u8>, f32); 14] = [
        ("|b1", vec![1], 1.0),
        ("|u1", vec![200], 200.0),
        ("|i1", vec![200], -56.0),
        ("<u2", 60_000_u16.to_le_bytes().to_vec(), 60_000.0),
        (">u2", 60_000_u16.to_be_bytes().to_vec(), 60_000.0),
        ("<i2", (-3000_i16).to_le_bytes().to_vec(), -3000.0),
        (">i4", (-70_000_i32).to_be_bytes().to_vec(), -70_000.0),
        ("<u4", 3_000_000_000_u32.to_le_bytes().to_vec(), 3e9),
        ("<u8", (1_u64 << 40).to_le_bytes().to_vec(), (1_u64 << 40) as f32),
        (">i8", (-(1_i64 << 40)).to_be_bytes().to_vec(), -((1_u64 << 40) as f32)),
        ("<f2", vec![0x80, 0xc0], -2.25),
        (">f2", vec![0x7b, 0xff], 65504.0),
        ("<f4", 0.25_f32.to_le_bytes().to_vec(), 0.25),
        (">f8", (-1.5e3_f64).to_be_bytes().to_vec(), -1.5e3),
    ];
    for (descr, bytes, value) in types {
        let found = read("scan.npy", &of(descr, "(2, 3, 4)", &bytes.repeat(24))).unwrap();
        assert_eq!(found.volume.voxels(), [value; 24], "{descr}");
    }
    let numbers = [0x3e00_u16, 0x7c00, 0x7e00].map(u16::to_le_bytes).concat();
    let halves = read("scan.npy", &of("<f2", "(1, 1, 3)", &numbers)).unwrap();
    assert_eq!((halves.n_replaced, halves.volume.voxels()), (2, [1.5, 0.0, 0.0].as_slice()));
}

#[test]
fn an_archive_of_numpy_is_read() {
    // NumPy 2.4.6: savez_compressed(file, scan=(arange(60) * 37 % 1009).astype("<i2").reshape(3, 4, 5)), with its
    // sizes in the extra field of 64 bit. The checksum is 0xce7a632a.
    let content = of("<i2", "(3, 4, 5)", &golden_numbers().into_iter().flat_map(i16::to_le_bytes).collect::<Vec<_>>());
    let mut crc = flate2::Crc::new();
    crc.update(&content);
    assert_eq!((content.len(), crc.sum()), (248, 0xce7a_632a));
    let head = "504b03042d0000000000000021002a637aceffffffffffffffff080014007363616e2e6e7079";
    let extra = "01001000f800000000000000f800000000000000";
    let directory =
        "504b01022d032d0000000000000021002a637acef8000000f80000000800000000000000000000008001000000007363616e2e6e7079";
    let end = "504b050600000000010001003600000032010000\
               0000";
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    };
    let archive = [hex(head), hex(extra), content.clone(), hex(directory), hex(end)].concat();
    assert_eq!(read("scan.npz", &archive).unwrap(), read("scan.npy", &content).unwrap());
}

#[test]
fn damage_in_an_archive_is_noticed() {
    let whole = archive(&[("scan.npy", &body_array(false))], true);
    let expected = read("scan.npz", &whole).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let source = source_of(folder.path(), &[("scan.npz", &whole)]).unwrap();
    let mut n_noticed = 0;
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x41;
        std::fs::write(folder.path().join("scan.npz"), changed).unwrap();
        match source.read() {
            Ok(decoded) => assert_eq!(decoded, expected, "byte {at}"),
            Err(_) => n_noticed += 1,
        }
    }
    assert!(n_noticed > whole.len() / 2, "{n_noticed} of {}", whole.len());
}

#[test]
fn what_is_not_read_is_named() {
    let byte = |descr: &str| array(descr, false, "(2, 3, 4)", &[0; 1000]);
    let refused_explicitly = |bytes: &[u8], says: &str| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("scan.npy"), bytes).unwrap();
        let source = find_volumes(folder.path(), &["scan.npy".into()], &ScanRules::MR).unwrap().sources.remove(0);
        let error = source.read().unwrap_err();
        assert!(error.code() == code::UNSUPPORTED && error.to_string().contains(says), "{error}");
    };
    for (descr, says) in [
        ("'|O'", "pickled objects"),
        ("[('a', '<f4'), ('b', '<i2')]", "structures"),
        ("'<c8'", "<c8"),
        ("'<U4'", "<U4"),
        ("'=f4'", "=f4"),
        ("'<f16'", "<f16"),
    ] {
        refused("scan.npy", &byte(descr), code::UNSUPPORTED, says);
    }
    for shape in ["(24,)", "()", "(4, 6)", "(1, 2, 3, 4)"] {
        refused_explicitly(&of("|u1", shape, &[0; 24]), "slices, rows and columns");
    }
    let several = archive(&[("scan.npy", &body_array(false)), ("mask.npy", &body_array(false))], false);
    refused("scan.npz", &several, code::UNSUPPORTED, "2 arrays (scan.npy, mask.npy)");
    refused("scan.npz", &archive(&[("notes.txt", b"")], false), code::UNSUPPORTED, "0 arrays");
}

#[test]
fn headers_that_cannot_be_right_are_refused() {
    for shape in ["(5, 7, 10)", "(65535, 65535, 65535)"] {
        refused("scan.npy", &of("<i2", shape, &[0; 630]), code::CORRUPT, "too few");
    }
    refused("scan.npy", &of("<i2", "(2, 0, 4)", &[0; 630]), code::CORRUPT, "at least 1");
    refused("scan.npy", &of("<i2", "(2, 99999, 4)", &[0; 630]), code::UNSUPPORTED, "side of 99999");
    refused("scan.npy", &of("<i2", "(2, -3, 4)", &[0; 630]), code::CORRUPT, "no valid NumPy array");
    refused("scan.npy", b"\x93NUMPY\x01\x00\xff\xff{", code::CORRUPT, "no valid NumPy array");
    refused("scan.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", code::CORRUPT, "no valid NumPy array");
    refused("scan.npy", b"PK\x03\x04", code::CORRUPT, "no valid .npz archive");
    let deflated = archive(&[("a.npy", &of("<i2", "(60000, 60000, 60000)", &[0; 630]))], true);
    refused("scan.npz", &deflated, code::CORRUPT, "too few");
}

#[test]
fn an_archive_of_many_entries_or_without_a_directory_is_refused_before_it_takes_memory() {
    let entries = vec![("a", b"".as_slice()); 60_000];
    let mut many = archive(&entries, false);
    refused("scan.npz", &many, code::UNSUPPORTED, "0 arrays");
    let long = "a".repeat(300);
    many = archive(&vec![(long.as_str(), b"".as_slice()); 60_000], false);
    assert!(many.len() > 38 << 20);
    refused("scan.npz", &many, code::CORRUPT, "no valid .npz archive");
    let endless = [b"PK\x03\x04".as_slice(), &b"PK\x05\x06".repeat(5 << 20)].concat();
    refused("scan.npz", &endless, code::CORRUPT, "no valid .npz archive");
}

#[test]
fn no_byte_of_a_file_can_make_reading_panic() {
    assert_no_panic("scan.npy", &of("<i2", "(2, 3, 4)", &[1; 48]), 128);
}
