//! Files that hold several slices of scans: enhanced objects, whose frames are distinguished like files, and mosaics.

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use medcoss_formats::dicom::write::Modality;
use medcoss_formats::volume_source::{ScanRules, find_volumes};

use crate::dicom_scans::{counted, left_out, put, slice, volumes};
use crate::dicom_series::save;

/// A frame: value, height, and elements in functional groups.
type Frame<'a> = (i32, f64, &'a [(Tag, Tag, &'a str)]);

fn sequence(items: Vec<InMemDicomObject>, tag: Tag) -> DataElement<InMemDicomObject> {
    DataElement::new(tag, VR::SQ, DataSetSequence::from(items))
}

/// An enhanced object.
fn enhanced(frames: &[Frame<'_>]) -> InMemDicomObject {
    let mut object = slice(Modality::Mr, 0, 1, 0.0, &[]);
    put(&mut object, tags::SOP_CLASS_UID, uids::ENHANCED_MR_IMAGE_STORAGE);
    put(&mut object, tags::NUMBER_OF_FRAMES, &frames.len().to_string());
    let pixels: Vec<u16> = frames.iter().flat_map(|(value, ..)| [*value as u16; 12]).collect();
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(pixels.into())));
    object.remove_element(tags::IMAGE_POSITION_PATIENT);
    let group = |(_, height, elements): &Frame<'_>| {
        let mut position = InMemDicomObject::new_empty();
        put(&mut position, tags::IMAGE_POSITION_PATIENT, &format!("1\\2\\{height}"));
        let mut frame = InMemDicomObject::from_element_iter([sequence(vec![position], tags::PLANE_POSITION_SEQUENCE)]);
        for &(group, tag, text) in *elements {
            let mut item = InMemDicomObject::new_empty();
            put(&mut item, tag, text);
            frame.put(sequence(vec![item], group));
        }
        frame
    };
    object.put(sequence(frames.iter().map(group).collect(), tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE));
    object
}

#[test]
fn frames_of_an_enhanced_object_are_distinguished_like_files() {
    let cases: &[(Tag, Tag, [&str; 2], [&str; 2])] = &[
        (tags::FRAME_CONTENT_SEQUENCE, tags::TEMPORAL_POSITION_INDEX, ["1", "2"], ["phase=1", "phase=2"]),
        (tags::FRAME_CONTENT_SEQUENCE, tags::STACK_ID, ["1", "2"], ["stack=1", "stack=2"]),
        (tags::FRAME_CONTENT_SEQUENCE, tags::DIMENSION_INDEX_VALUES, ["1\\1", "1\\2"], ["index_2=1", "index_2=2"]),
        (tags::MR_ECHO_SEQUENCE, tags::EFFECTIVE_ECHO_TIME, ["4.6", "9.2"], ["echo_time=4.6", "echo_time=9.2"]),
        (
            tags::MR_IMAGE_FRAME_TYPE_SEQUENCE,
            tags::COMPLEX_IMAGE_COMPONENT,
            ["MAGNITUDE", "PHASE"],
            ["component=MAGNITUDE", "component=PHASE"],
        ),
        (
            tags::MR_IMAGE_FRAME_TYPE_SEQUENCE,
            tags::FRAME_TYPE,
            ["ORIGINAL\\PRIMARY\\DIXON\\WATER", "DERIVED\\PRIMARY\\DIXON\\FAT"],
            ["kind=2", "kind=1"],
        ),
        (
            tags::CARDIAC_SYNCHRONIZATION_SEQUENCE,
            tags::NOMINAL_CARDIAC_TRIGGER_DELAY_TIME,
            ["0", "40"],
            ["trigger=0", "trigger=40"],
        ),
        (tags::CT_RECONSTRUCTION_SEQUENCE, tags::CONVOLUTION_KERNEL, ["soft", "bone"], ["kernel=soft", "kernel=bone"]),
        (tags::MR_DIFFUSION_SEQUENCE, tags::DIFFUSION_B_VALUE, ["0", "1000"], ["b=0", "b=1000"]),
    ];
    for &(group, tag, [one, other], words) in cases {
        let (one, other) = ([(group, tag, one)], [(group, tag, other)]);
        let (one, other) = (one.as_slice(), other.as_slice());
        // Frames of both take turns.
        let frames =
            [(10, 0.0, one), (50, 0.0, other), (11, 2.0, one), (51, 2.0, other), (12, 4.0, one), (52, 4.0, other)];
        let folder = tempfile::tempdir().unwrap();
        save(enhanced(&frames), &folder.path().join("a.dcm"));
        let found = volumes(folder.path(), &ScanRules::MR);
        let expected =
            [(format!("a.dcm#{}", words[0]), counted(10, 3)), (format!("a.dcm#{}", words[1]), counted(50, 3))];
        assert!(found.len() == 2 && expected.iter().all(|scan| found.contains(scan)), "{found:?}");
    }
}

#[test]
fn indices_of_slices_do_not_cut_a_scan_and_equal_frames_are_refused() {
    let index = |text| [(tags::FRAME_CONTENT_SEQUENCE, tags::DIMENSION_INDEX_VALUES, text)];
    let (one, two, three) = (index("1\\1"), index("1\\2"), index("1\\3"));
    let folder = tempfile::tempdir().unwrap();
    let frames: [Frame<'_>; 3] = [(11, 2.0, &two), (10, 0.0, &one), (12, 4.0, &three)];
    save(enhanced(&frames), &folder.path().join("a.dcm"));
    assert_eq!(volumes(folder.path(), &ScanRules::MR), [("a.dcm".to_owned(), counted(10, 3))]);
    let frames: [Frame<'_>; 4] = [(11, 2.0, &[]), (10, 0.0, &[]), (51, 2.0, &[]), (50, 0.0, &[])];
    save(enhanced(&frames), &folder.path().join("a.dcm"));
    let sources = find_volumes(folder.path(), &[".".into()], &ScanRules::MR).unwrap().sources;
    assert!(sources[0].info().unwrap_err().message().contains("several slices at one place"));
}

/// Number of slices and direction from one to the next in a CSA header of version 2.
fn csa_header(n_slices: &str, normal: [&str; 3]) -> Vec<u8> {
    let number = |n: usize| (n as u32).to_le_bytes();
    let mut bytes = [&b"SV10\x04\x03\x02\x01"[..], &number(2), &number(77)].concat();
    for (name, values) in [("NumberOfImagesInMosaic", &[n_slices][..]), ("SliceNormalVector", &normal[..])] {
        let mut padded = name.as_bytes().to_vec();
        padded.resize(64, 0);
        bytes.extend(padded);
        bytes.extend([&number(values.len())[..], b"FD\0\0", &number(4), &number(values.len()), &number(77)].concat());
        for value in values {
            let mut text = value.as_bytes().to_vec();
            bytes.extend([number(0), number(text.len()), number(77), number(0)].concat());
            text.resize(text.len().next_multiple_of(4), 0);
            bytes.extend(text);
        }
    }
    bytes
}

/// A mosaic of five slices of 3 x 4 pixels, of the values `value`, ..., `value + 4`, in tiles of three by three.
fn mosaic(value: u16, number: usize, header: Option<Vec<u8>>) -> InMemDicomObject {
    let mut object = slice(Modality::Mr, 0, number, 0.0, &[(tags::IMAGE_TYPE, "ORIGINAL\\PRIMARY\\M\\ND\\MOSAIC")]);
    let pixel = |row: usize, column: usize| {
        let tile = row / 3 * 3 + column / 4;
        if tile < 5 { value + tile as u16 } else { 0 }
    };
    let pixels: Vec<u16> = (0..9).flat_map(|row| (0..12).map(move |column| pixel(row, column))).collect();
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(pixels.into())));
    object.put(DataElement::new(tags::ROWS, VR::US, PrimitiveValue::from(9_u16)));
    object.put(DataElement::new(tags::COLUMNS, VR::US, PrimitiveValue::from(12_u16)));
    if let Some(header) = header {
        put(&mut object, Tag(0x0029, 0x0010), "SIEMENS CSA HEADER");
        object.put(DataElement::new(Tag(0x0029, 0x1010), VR::OB, PrimitiveValue::from(header)));
    }
    object
}

#[test]
fn a_mosaic_is_a_volume_whose_private_header_says_how_its_slices_lie() {
    for (normal, expected) in
        [(["0.0", "0.0", "1.0"], [20, 21, 22, 23, 24]), (["0.0", "0.0", "-1.0"], [24, 23, 22, 21, 20])]
    {
        let folder = tempfile::tempdir().unwrap();
        save(mosaic(20, 1, Some(csa_header("5", normal))), &folder.path().join("a.dcm"));
        let expected = expected.map(|value| value as f32).to_vec();
        assert_eq!(volumes(folder.path(), &ScanRules::MR), [("a.dcm".to_owned(), expected)]);
    }
    // Slices of 2.5 mm in planes of 0.8 x 0.7 mm.
    let folder = tempfile::tempdir().unwrap();
    let mut object = mosaic(20, 1, Some(csa_header("5", ["0", "0", "1"])));
    put(&mut object, tags::SPACING_BETWEEN_SLICES, "2.5");
    save(object, &folder.path().join("a.dcm"));
    let found = find_volumes(folder.path(), &[".".into()], &ScanRules::MR).unwrap();
    let info = found.sources[0].info().unwrap();
    assert_eq!((info.size, info.spacing_mm), ([5, 3, 4], [2.5, 0.8, 0.7]));
}

#[test]
fn of_a_time_series_of_mosaics_the_first_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for (name, value, number) in [("a.dcm", 60, 3), ("b.dcm", 20, 1), ("c.dcm", 40, 2)] {
        save(mosaic(value, number, Some(csa_header("5", ["0", "0", "1"]))), &folder.path().join(name));
    }
    assert_eq!(volumes(folder.path(), &ScanRules::MR), [("b.dcm".to_owned(), counted(20, 5))]);
    let left: Vec<_> = left_out(folder.path(), &ScanRules::MR);
    let reason = "a later volume of a time series of mosaics, of which the first is read".to_owned();
    assert_eq!(left, [("a.dcm".to_owned(), reason.clone()), ("c.dcm".to_owned(), reason)]);
}

#[test]
fn without_the_private_header_the_acquisition_matrix_says_the_size_of_a_slice() {
    let matrix = |numbers: [u16; 4]| {
        DataElement::new(tags::ACQUISITION_MATRIX, VR::US, PrimitiveValue::U16(numbers.into_iter().collect()))
    };
    let folder = tempfile::tempdir().unwrap();
    for numbers in [[3, 0, 0, 4], [0, 4, 3, 0]] {
        let mut object = mosaic(20, 1, None);
        object.put(matrix(numbers));
        save(object, &folder.path().join("a.dcm"));
        // Tiles without signal at the end are no slices.
        assert_eq!(volumes(folder.path(), &ScanRules::MR), [("a.dcm".to_owned(), counted(20, 5))]);
    }
    let refused = |object: InMemDicomObject, reason: &str| {
        save(object, &folder.path().join("a.dcm"));
        let found = find_volumes(folder.path(), &[".".into()], &ScanRules::MR).unwrap();
        let error = found.sources[0].info().unwrap_err();
        assert!(error.message().contains("mosaic") && error.message().contains("\nhint: "), "{error}");
        assert!(error.message().contains(reason), "{error}");
    };
    refused(mosaic(20, 1, None), "states neither the number of its slices nor its Acquisition Matrix");
    let mut object = mosaic(20, 1, None);
    object.put(matrix([5, 0, 0, 4]));
    refused(object, "12x9 pixels are not tiles of its Acquisition Matrix, 4x5");
    let mut object = mosaic(20, 1, Some(csa_header("5", ["0", "0", "1"])));
    object.remove_element(tags::IMAGE_ORIENTATION_PATIENT);
    refused(object, "does not say how they lie");
    refused(mosaic(20, 1, Some(csa_header("17", ["0", "0", "1"]))), "states 17 slices; 12x9 pixels are not 5x5 tiles");
}
