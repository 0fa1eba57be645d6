//! MetaImage.

use super::*;

/// A header with these lines changed, added or, with an empty value, left out; ElementDataFile comes last.
fn header(changes: &[(&str, &str)]) -> String {
    let mut fields: Vec<(&str, &str)> = vec![
        ("ObjectType", "Image"),
        ("NDims", "3"),
        ("BinaryData", "True"),
        ("BinaryDataByteOrderMSB", "False"),
        ("CompressedData", "False"),
        ("TransformMatrix", "1 0 0 0 1 0 0 0 1"),
        ("Offset", "10 -20 30"),
        ("CenterOfRotation", "0 0 0"),
        ("AnatomicalOrientation", "RAI"),
        ("ElementSpacing", "0.5 0.75 2.5"),
        ("DimSize", "5 4 3"),
        ("ElementType", "MET_SHORT"),
        ("ElementDataFile", "LOCAL"),
    ];
    for &(name, value) in changes {
        match fields.iter_mut().find(|(field, _)| *field == name) {
            Some(field) => field.1 = value,
            None => fields.insert(fields.len() - 1, (name, value)),
        }
    }
    let lines = fields.iter().filter(|(_, value)| !value.is_empty());
    lines.map(|(name, value)| format!("{name} = {value}\n")).collect()
}

fn golden_bytes() -> Vec<u8> {
    golden_numbers().into_iter().flat_map(i16::to_le_bytes).collect()
}

fn file(changes: &[(&str, &str)], voxels: &[u8]) -> Vec<u8> {
    [header(changes).as_bytes(), voxels].concat()
}

/// Header fields of a body: unit directions in left, posterior, superior.
fn fields_of(body: &Body) -> [(&'static str, String); 3] {
    let text = |numbers: &[f64]| numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
    let lengths = body.steps.map(|step| step.iter().map(|part| part * part).sum::<f64>().sqrt());
    let directions = [0, 1, 2].map(|axis| {
        let [right, anterior, superior] = body.steps[axis].map(|part| part / lengths[axis]);
        [-right, -anterior, superior]
    });
    let sizes = body.size.map(|n| n as f64);
    [
        ("TransformMatrix", text(directions.as_flattened())),
        ("ElementSpacing", text(&lengths)),
        ("DimSize", text(&sizes)),
    ]
}

#[test]
fn every_orientation_gives_what_nifti_gives() {
    for facing in facings() {
        let body = Body::facing(&facing);
        let fields = fields_of(&body);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_as_nifti(&body, &[("scan.mha", &file(&fields, &body.bytes()))], &facing);
    }
}

#[test]
fn compressed_detached_and_big_endian_voxels_are_those_of_nifti() {
    let body = Body::facing("PIR");
    let (own, bytes) = (fields_of(&body), body.bytes());
    let with = |more: &[(&'static str, &'static str)]| {
        let fields = own.iter().map(|(name, value)| (*name, value.as_str()));
        header(&fields.chain(more.iter().copied()).collect::<Vec<_>>()).into_bytes()
    };
    let local = |more: &[(&'static str, &'static str)], voxels: &[u8]| [with(more), voxels.to_vec()].concat();
    let msb = [("BinaryDataByteOrderMSB", "True")];
    assert_as_nifti(&body, &[("scan.mha", &local(&msb, &body.big_endian_bytes()))], "big-endian");
    let other_name = [("BinaryDataByteOrderMSB", ""), ("ElementByteOrderMSB", "True")];
    assert_as_nifti(&body, &[("scan.mha", &local(&other_name, &body.big_endian_bytes()))], "ElementByteOrderMSB");
    let compressed = [("CompressedData", "True")];
    assert_as_nifti(&body, &[("scan.mha", &local(&compressed, &zlib(&bytes)))], "zlib");
    // MetaIO's inflate takes both.
    assert_as_nifti(&body, &[("scan.mha", &local(&compressed, &gzip(&bytes)))], "gzip");
    let raw = [("ElementDataFile", "voxels.raw")];
    assert_as_nifti(&body, &[("scan.mhd", &with(&raw)), ("voxels.raw", &bytes)], "detached");
    let zraw = [("CompressedData", "True"), ("ElementDataFile", "voxels.zraw")];
    assert_as_nifti(&body, &[("scan.mhd", &with(&zraw)), ("voxels.zraw", &zlib(&bytes))], "detached and compressed");
    let long = [&[7; 11], bytes.as_slice()].concat();
    for size in ["11", "-1"] {
        let skipped = [("ElementDataFile", "voxels.raw"), ("HeaderSize", size)];
        assert_as_nifti(&body, &[("scan.mhd", &with(&skipped)), ("voxels.raw", &long)], size);
    }
    let local_end = [("HeaderSize", "-1")];
    assert_as_nifti(&body, &[("scan.mha", &local(&local_end, &long))], "at the end of the same file");
}

#[test]
fn an_oblique_scan_is_that_of_simpleitk() {
    // SimpleITK 2.5.7: DICOMOrient(ReadImage(file), "LPS").
    let oblique = file(&[("TransformMatrix", OBLIQUE)], &golden_bytes());
    assert_golden(&read("scan.mha", &oblique).unwrap().volume, GOLDEN_VALUES, "TransformMatrix");
    for name in ["Orientation", "Rotation"] {
        let other = file(&[("TransformMatrix", ""), (name, OBLIQUE)], &golden_bytes());
        assert_golden(&read("scan.mha", &other).unwrap().volume, GOLDEN_VALUES, name);
    }
}

#[test]
fn a_header_without_matrix_or_spacing_is_taken_as_itk_takes_it_and_says_so() {
    let plain = read("scan.mha", &file(&[], &golden_bytes())).unwrap().volume;
    let bare = file(&[("TransformMatrix", "")], &golden_bytes());
    assert_eq!(read("scan.mha", &bare).unwrap().volume, plain);
    let notes = |changes: &[(&str, &str)]| info("scan.mha", &file(changes, &golden_bytes())).notes;
    assert_eq!(notes(&[]), [""; 0]);
    assert!(notes(&[("TransformMatrix", "")])[0].contains("left, posterior, superior"));
    assert!(notes(&[("TransformMatrix", "1 0 0 1 0 0 0 0 1")])[0].contains("left, posterior, superior"));
    assert!(notes(&[("TransformMatrix", "nan 0 0 0 1 0 0 0 1")])[0].contains("left, posterior, superior"));
    for spacing in ["", "0 0 0", "nan 1 1", "inf 1 1", "1e-9 1 1"] {
        let found = info("scan.mha", &file(&[("ElementSpacing", spacing)], &golden_bytes()));
        assert!(found.notes[0].contains("spacing") && found.spacing_mm == [1.0; 3], "{spacing}: {found:?}");
    }
    // SimpleITK 2.5.7 takes ElementSize where there is no ElementSpacing, and a negative spacing turns its axis.
    let sizes = info("scan.mha", &file(&[("ElementSpacing", ""), ("ElementSize", "3 4 5")], &golden_bytes()));
    assert_eq!((sizes.spacing_mm, sizes.notes), ([5.0, 4.0, 3.0], vec![]));
    let turned = read("scan.mha", &file(&[("ElementSpacing", "-0.5 0.75 2.5")], &golden_bytes())).unwrap().volume;
    assert_eq!(turned.spacing_mm(), plain.spacing_mm());
    assert_eq!(turned.voxels()[..5], [148.0, 111.0, 74.0, 37.0, 0.0]);
    let micrometres = [("ElementSpacing", "500 750 2500"), ("DistanceUnits", "um")];
    assert_eq!(info("scan.mha", &file(&micrometres, &golden_bytes())).spacing_mm, [2.5, 0.75, 0.5]);
}

#[test]
fn every_type_is_read() {
    // SimpleITK 2.5.7: MET_LONG has 32 bit, MET_LONG_LONG 64.
    let types: [(&str, Vec<u8>, f32); 12] = [
        ("MET_UCHAR", vec![200], 200.0),
        ("MET_CHAR", vec![200], -56.0),
        ("MET_USHORT", 60_000_u16.to_le_bytes().to_vec(), 60_000.0),
        ("MET_SHORT", (-3000_i16).to_le_bytes().to_vec(), -3000.0),
        ("MET_UINT", 3_000_000_000_u32.to_le_bytes().to_vec(), 3e9),
        ("MET_INT", (-70_000_i32).to_le_bytes().to_vec(), -70_000.0),
        ("MET_ULONG", 3_000_000_000_u32.to_le_bytes().to_vec(), 3e9),
        ("MET_LONG", (-70_000_i32).to_le_bytes().to_vec(), -70_000.0),
        ("MET_ULONG_LONG", (1_u64 << 40).to_le_bytes().to_vec(), (1_u64 << 40) as f32),
        ("MET_LONG_LONG", (-(1_i64 << 40)).to_le_bytes().to_vec(), -((1_u64 << 40) as f32)),
        ("MET_FLOAT", 0.25_f32.to_le_bytes().to_vec(), 0.25),
        ("MET_DOUBLE", (-1.5e3_f64).to_le_bytes().to_vec(), -1.5e3),
    ];
    for (name, bytes, value) in types {
        let voxels = bytes.repeat(60);
        let found = file(&[("ElementType", name)], &voxels);
        assert_eq!(read("scan.mha", &found).unwrap().volume.voxels(), [value; 60], "{name}");
        assert_eq!(info("scan.mha", &found).is_integer, Some(!matches!(name, "MET_FLOAT" | "MET_DOUBLE")), "{name}");
    }
}

#[test]
fn the_first_of_several_volumes_is_read_and_an_image_is_one_slice() {
    let identity = "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1";
    let four = [
        ("NDims", "4"),
        ("DimSize", "5 4 3 2"),
        ("TransformMatrix", identity),
        ("Offset", "0 0 0 0"),
        ("ElementSpacing", "0.5 0.75 2.5 1"),
    ];
    let several = file(&four, &golden_bytes().repeat(2));
    let one = read("scan.mha", &file(&[], &golden_bytes())).unwrap();
    assert_eq!(read("scan.mha", &several).unwrap(), one);
    assert!(info("scan.mha", &several).notes[0].contains("several volumes"));
    let two = [("NDims", "2"), ("DimSize", "5 4"), ("TransformMatrix", "1 0 0 1"), ("ElementSpacing", "0.5 0.75")];
    let image = read("scan.mha", &file(&two, &golden_bytes())).unwrap().volume;
    assert_eq!((image.size(), image.spacing_mm()), ([1, 4, 5], [1.0, 0.75, 0.5]));
    assert_eq!(image.voxels(), &one.volume.voxels()[..20]);
}

#[test]
fn voxels_that_are_not_finite_become_0_and_are_counted() {
    let mut voxels = 1.5_f32.to_le_bytes().repeat(60);
    voxels[4..8].copy_from_slice(&f32::NAN.to_le_bytes());
    voxels[8..12].copy_from_slice(&f32::NEG_INFINITY.to_le_bytes());
    let decoded = read("scan.mha", &file(&[("ElementType", "MET_FLOAT")], &voxels)).unwrap();
    assert_eq!((decoded.n_replaced, &decoded.volume.voxels()[..4]), (2, [1.5, 0.0, 0.0, 1.5].as_slice()));
}

#[test]
fn bytes_behind_the_voxels_are_noted() {
    let surplus = [golden_bytes(), vec![0]].concat();
    let files: [(&str, &[u8]); 2] =
        [("scan.mhd", &file(&[("ElementDataFile", "voxels.raw")], &[])), ("voxels.raw", &surplus)];
    let folder = tempfile::tempdir().unwrap();
    let source = source_of(folder.path(), &files).unwrap();
    assert!(source.info().unwrap().notes[0].contains("more bytes than the header accounts for"));
    assert_eq!(source.read().unwrap(), read("scan.mha", &file(&[], &golden_bytes())).unwrap());
}

#[test]
fn what_is_not_read_is_named() {
    let numbers = golden_bytes();
    let is_refused = |changes: &[(&str, &str)], code: i32, says: &str| {
        refused("scan.mha", &file(changes, &numbers), code, says);
    };
    is_refused(&[("ElementDataFile", "LIST")], code::UNSUPPORTED, "many files");
    is_refused(&[("ElementDataFile", "slice%03d.raw 1 3 1")], code::UNSUPPORTED, "many files");
    is_refused(&[("ElementNumberOfChannels", "3")], code::UNSUPPORTED, "3 channels");
    is_refused(&[("BinaryData", "False")], code::UNSUPPORTED, "in text");
    is_refused(&[("ObjectType", "Mesh")], code::UNSUPPORTED, "Mesh");
    is_refused(&[("ElementType", "MET_STRING")], code::UNSUPPORTED, "MET_STRING");
    is_refused(&[("ElementToIntensityFunctionSlope", "2")], code::UNSUPPORTED, "ElementToIntensityFunctionSlope = 2");
    for name in ["../voxels.raw", "/etc/hostname", "below/voxels.raw"] {
        is_refused(&[("ElementDataFile", name)], code::UNSUPPORTED, "folder of the header alone");
    }
    is_refused(&[("ElementDataFile", "none.raw")], code::UNREADABLE, "none.raw");
}

#[test]
fn headers_that_cannot_be_right_are_refused() {
    let numbers = golden_bytes();
    let is_refused = |changes: &[(&str, &str)], says: &str| {
        refused("scan.mha", &file(changes, &numbers), code::CORRUPT, says);
    };
    is_refused(&[("DimSize", "5 4 4")], "too few");
    is_refused(&[("DimSize", "65535 65535 65535")], "too few");
    is_refused(&[("DimSize", "5 -4 3")], "DimSize");
    is_refused(&[("DimSize", "5 4")], "DimSize");
    is_refused(&[("DimSize", "5 0 3")], "at least 1");
    is_refused(&[("NDims", "99")], "99");
    is_refused(&[("ElementSpacing", "a b c")], "ElementSpacing");
    is_refused(&[("TransformMatrix", "1 0 0")], "TransformMatrix");
    is_refused(&[("HeaderSize", "-2")], "HeaderSize");
    is_refused(&[("HeaderSize", "5")], "HeaderSize");
    is_refused(&[("HeaderSize", "9223372036854775807")], "too few");
    is_refused(&[("HeaderSize", "-1"), ("CompressedData", "True")], "HeaderSize");
    is_refused(&[("CompressedData", "True"), ("DimSize", "60000 60000 60000")], "too few");
    is_refused(&[("DimSize", "")], "without the field DimSize");
    refused("scan.mha", &file(&[("DimSize", "70000 1 1")], &[0; 140_000]), code::UNSUPPORTED, "side of 70000");
    refused("scan.mha", b"ObjectType = Image\n", code::CORRUPT, "ElementDataFile");
    refused("scan.mha", &[0x89; 5000], code::CORRUPT, "no MetaImage header");
    refused("scan.mha", &b"NDims = 3\n".repeat(2), code::CORRUPT, "NDims twice");
    refused("scan.mha", &[b"NDims = 3\n".as_slice(), &[b'x'; 2 << 20]].concat(), code::CORRUPT, "more than");
    // Damaged streams.
    let compressed = |stream: &[u8]| file(&[("CompressedData", "True")], stream);
    let stream = zlib(&numbers);
    let mut flipped = stream.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for (stream, says) in [(&stream[..stream.len() / 2], "ends before"), (flipped.as_slice(), "damaged")] {
        let error = read("scan.mha", &compressed(stream)).unwrap_err();
        assert!(error.code() == code::CORRUPT && error.message().contains(says), "{error}");
    }
}

#[test]
fn no_byte_of_a_file_can_make_reading_panic() {
    let (header, numbers) = (header(&[("TransformMatrix", OBLIQUE)]), golden_bytes());
    assert_no_panic("scan.mha", &[header.as_bytes(), &numbers].concat(), header.len());
}
