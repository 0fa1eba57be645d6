//! Single DICOM files: displayed values, encodings, and hostile files. The crate's writer makes the files and tests
//! change them; expectations are computed by hand.

use std::path::Path;
use std::time::{Duration, Instant};

use dicom_core::{DataElement, PrimitiveValue, Tag, VR, value::DataSetSequence};
use dicom_dictionary_std::tags;
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use medcoss_formats::dicom::write::{DicomFile, Modality};
use medcoss_formats::dicom::{Candidate, candidate, read_image, read_values};
use medcoss_sdk::{Error, code};

pub(crate) const EXPLICIT: &str = "1.2.840.10008.1.2.1";
pub(crate) const IMPLICIT: &str = "1.2.840.10008.1.2";
pub(crate) const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
pub(crate) const RLE: &str = "1.2.840.10008.1.2.5";

pub(crate) const RAMP: DicomFile<'_> = DicomFile {
    modality: Modality::Radiography,
    series: "2.25.1",
    number: 1,
    size: [2, 3],
    stored: &[0, 819, 1638, 2457, 3276, 4095],
    bits_stored: 12,
    signed: false,
    inverted: false,
    rescale: None,
    window: None,
    place: None,
};

/// Bytes of a file with a data set, in a transfer syntax without compression.
pub(crate) fn bytes(object: InMemDicomObject, syntax: &str) -> Vec<u8> {
    let meta = FileMetaTableBuilder::new().transfer_syntax(syntax);
    let mut file = Vec::new();
    object.with_meta(meta).unwrap().write_all(&mut file).unwrap();
    file
}

fn with_file<T>(bytes: &[u8], read: impl Fn(&Path) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.dcm");
    std::fs::write(&path, bytes).unwrap();
    read(&path)
}

fn grey(object: InMemDicomObject) -> Vec<f32> {
    let image = with_file(&bytes(object, EXPLICIT), read_image).unwrap();
    image.image.into_grey().pixels().to_vec()
}

fn values(bytes: &[u8]) -> Result<Vec<f32>, Error> {
    with_file(bytes, |path| read_values(path, 0)).map(|values| values.values)
}

fn refused(bytes: &[u8], code: i32, says: &str) {
    let error = with_file(bytes, read_image).unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

fn words(tag: Tag, values: &[u16]) -> DataElement<InMemDicomObject> {
    DataElement::new(tag, VR::US, PrimitiveValue::U16(values.into()))
}

fn near(found: &[f32], expected: &[f32]) {
    let close = found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4);
    assert!(close, "{found:?}, expected {expected:?}");
}

#[test]
fn without_a_window_grey_spans_the_image_and_monochrome1_is_turned_about() {
    near(&grey(RAMP.data_set()), &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
    near(&grey(DicomFile { inverted: true, ..RAMP }.data_set()), &[1.0, 0.8, 0.6, 0.4, 0.2, 0.0]);
}

#[test]
fn a_window_is_of_rescaled_values_and_the_first_of_several_counts() {
    // Values 10 times 0, 819, ... minus 1000; the window from 7190 to 23570.
    let file = DicomFile { rescale: Some([10.0, -1000.0]), window: Some([15380.5, 16381.0]), ..RAMP };
    near(&grey(file.data_set()), &[0.0, 0.0, 0.5, 1.0, 1.0, 1.0]);
    let mut object = file.data_set();
    object.put(DataElement::new(tags::WINDOW_CENTER, VR::DS, "15380.5\\0"));
    object.put(DataElement::new(tags::WINDOW_WIDTH, VR::DS, "16381\\5"));
    near(&grey(object), &[0.0, 0.0, 0.5, 1.0, 1.0, 1.0]);
}

#[test]
fn the_voi_lut_function_of_a_window_is_applied() {
    let with_shape = |shape: &str| {
        let mut object = DicomFile { window: Some([1638.0, 3276.0]), ..RAMP }.data_set();
        object.put(DataElement::new(tags::VOILUT_FUNCTION, VR::CS, shape));
        grey(object)
    };
    near(&with_shape("LINEAR_EXACT"), &[0.0, 0.25, 0.5, 0.75, 1.0, 1.0]);
    let sigmoid = [-2.0_f32, -1.0, 0.0, 1.0, 2.0, 3.0].map(|x| 1.0 / (1.0 + (-x).exp()));
    near(&with_shape("SIGMOID"), &sigmoid);
}

#[test]
fn modality_luts_and_voi_luts_are_applied() {
    let table = |descriptor: &[u16], data: &[u16]| {
        let item =
            InMemDicomObject::from_element_iter([words(tags::LUT_DESCRIPTOR, descriptor), words(tags::LUT_DATA, data)]);
        DataSetSequence::from(vec![item])
    };
    let mut object = DicomFile { stored: &[3, 4, 5, 6, 7, 8], ..RAMP }.data_set();
    // Entries for 4 to 6: 100, 200, 300; numbers beyond either end have that end's entry.
    object.put(DataElement::new(tags::MODALITY_LUT_SEQUENCE, VR::SQ, table(&[3, 4, 16], &[100, 200, 300])));
    assert_eq!(values(&bytes(object.clone(), EXPLICIT)).unwrap(), [100.0, 100.0, 200.0, 300.0, 300.0, 300.0]);
    // Entries from 200 on, of 12 bits: 0, then the largest.
    let mut data = vec![0; 50];
    data.resize(101, 4095);
    object.put(DataElement::new(tags::VOILUT_SEQUENCE, VR::SQ, table(&[101, 200, 12], &data)));
    near(&grey(object), &[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
}

fn table(descriptor: &[u16], data: &[u16]) -> InMemDicomObject {
    InMemDicomObject::from_element_iter([words(tags::LUT_DESCRIPTOR, descriptor), words(tags::LUT_DATA, data)])
}

#[test]
fn a_lut_without_values_counts_as_not_stated() {
    let file = DicomFile { window: Some([2048.0, 4096.0]), ..RAMP };
    let windowed = grey(file.data_set());
    let with_items = |items: Vec<InMemDicomObject>| {
        let mut object = file.data_set();
        object.put(DataElement::new(tags::VOILUT_SEQUENCE, VR::SQ, DataSetSequence::from(items.clone())));
        object.put(DataElement::new(tags::PRESENTATION_LUT_SEQUENCE, VR::SQ, DataSetSequence::from(items)));
        bytes(object, EXPLICIT)
    };
    let empty = || {
        InMemDicomObject::from_element_iter([
            DataElement::empty(tags::LUT_DESCRIPTOR, VR::US),
            DataElement::empty(tags::LUT_DATA, VR::OW),
        ])
    };
    for items in
        [vec![], vec![InMemDicomObject::new_empty()], vec![empty()], vec![empty(), InMemDicomObject::new_empty()]]
    {
        let found = with_file(&with_items(items), read_image).unwrap().image;
        assert_eq!(found.pixels(), windowed);
    }
    // The same with the Modality LUT: the rescale counts.
    let rescaled = DicomFile { rescale: Some([2.0, -5.0]), ..RAMP };
    let expected = values(&bytes(rescaled.data_set(), EXPLICIT)).unwrap();
    for items in [vec![InMemDicomObject::new_empty()], vec![empty()]] {
        let mut object = rescaled.data_set();
        object.put(DataElement::new(tags::MODALITY_LUT_SEQUENCE, VR::SQ, DataSetSequence::from(items)));
        assert_eq!(values(&bytes(object, EXPLICIT)).unwrap(), expected);
    }
    let mut object = DicomFile { stored: &[3, 4, 5, 6, 7, 8], ..RAMP }.data_set();
    let items = vec![empty(), table(&[3, 4, 16], &[100, 200, 300])];
    object.put(DataElement::new(tags::MODALITY_LUT_SEQUENCE, VR::SQ, DataSetSequence::from(items)));
    assert_eq!(values(&bytes(object, EXPLICIT)).unwrap(), [100.0, 100.0, 200.0, 300.0, 300.0, 300.0]);
    // The first item with values is applied; one that is damaged is refused.
    let mut object = file.data_set();
    let items = vec![empty(), table(&[2, 1000, 8], &[0, 255])];
    object.put(DataElement::new(tags::VOILUT_SEQUENCE, VR::SQ, DataSetSequence::from(items)));
    near(&grey(object), &[0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
    refused(&with_items(vec![table(&[2, 1000], &[0, 255])]), code::CORRUPT, "damaged lookup table");
    refused(&with_items(vec![table(&[2, 1000, 8], &[])]), code::CORRUPT, "damaged lookup table");
}

#[test]
fn the_presentation_lut_comes_after_the_window_and_its_shape_turns_grey_about_once() {
    let shown = |inverted: bool, shape: &str| {
        let mut object = DicomFile { inverted, ..RAMP }.data_set();
        object.put(DataElement::new(tags::PRESENTATION_LUT_SHAPE, VR::CS, shape));
        grey(object)
    };
    let (rising, falling) = ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [1.0, 0.8, 0.6, 0.4, 0.2, 0.0]);
    near(&shown(false, "IDENTITY"), &rising);
    near(&shown(false, "INVERSE"), &falling);
    near(&shown(true, "INVERSE"), &falling);
    near(&shown(true, "IDENTITY"), &falling);
    // Six entries of 8 bits: black, a step to half, and white; it states where black is, so that MONOCHROME1 does not.
    for inverted in [false, true] {
        let mut object = DicomFile { inverted, ..RAMP }.data_set();
        let items = vec![table(&[6, 0, 8], &[0, 51, 51, 102, 255, 0])];
        object.put(DataElement::new(tags::PRESENTATION_LUT_SEQUENCE, VR::SQ, DataSetSequence::from(items)));
        near(&grey(object), &[0.0, 0.2, 0.2, 0.4, 1.0, 0.0]);
    }
}

#[test]
fn segmented_palettes_are_read() {
    let mut object = DicomFile { stored: &[0, 1, 2, 3, 4, 9], bits_stored: 8, ..RAMP }.data_set();
    object.put(DataElement::new(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "PALETTE COLOR"));
    // Five entries of 16 bits: a line from 0 to 65535; values; and a value with a line that stays.
    for (descriptor, data, segments) in [
        (
            tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
            tags::SEGMENTED_RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
            &[0, 1, 0, 1, 4, 65535][..],
        ),
        (
            tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
            tags::SEGMENTED_GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
            &[0, 5, 65535, 0, 13107, 0, 26214],
        ),
        (
            tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
            tags::SEGMENTED_BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
            &[0, 1, 13107, 1, 4, 13107],
        ),
    ] {
        object.put(words(descriptor, &[5, 0, 16]));
        object.put(DataElement::new(data, VR::OW, PrimitiveValue::U16(segments.into())));
    }
    let expected =
        [[0.0, 1.0, 0.2], [0.25, 0.0, 0.2], [0.5, 0.2, 0.2], [0.75, 0.0, 0.2], [1.0, 0.4, 0.2], [1.0, 0.4, 0.2]];
    let image = with_file(&bytes(object.clone(), EXPLICIT), read_image).unwrap().image;
    near(image.pixels(), expected.as_flattened());
    let image = with_file(&bytes(object.clone(), BIG_ENDIAN), read_image).unwrap().image;
    near(image.pixels(), expected.as_flattened());
    // An empty element is none, and segments without a start are damaged.
    let red = tags::SEGMENTED_RED_PALETTE_COLOR_LOOKUP_TABLE_DATA;
    object.put(DataElement::empty(red, VR::OW));
    refused(&bytes(object.clone(), EXPLICIT), code::CORRUPT, "no valid palette");
    object.put(DataElement::new(red, VR::OW, PrimitiveValue::U16([1, 4, 7].as_slice().into())));
    refused(&bytes(object, EXPLICIT), code::CORRUPT, "no valid palette");
}

#[test]
fn padding_is_excluded_from_the_range_of_grey() {
    let mut object =
        DicomFile { stored: &[-2000, 0, 100, 200, 300, 400], bits_stored: 16, signed: true, ..RAMP }.data_set();
    object.put(DataElement::new(tags::PIXEL_PADDING_VALUE, VR::SS, PrimitiveValue::from(-2000_i16)));
    near(&grey(object), &[0.0, 0.0, 0.25, 0.5, 0.75, 1.0]);
}

#[test]
fn palettes_and_colours_become_images_of_three_channels() {
    let mut object = DicomFile { stored: &[0, 1, 2, 3, 1, 9], bits_stored: 8, ..RAMP }.data_set();
    object.put(DataElement::new(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "PALETTE COLOR"));
    // Entries from 1 on, three colours: red, green, blue.
    for (descriptor, data, entries) in [
        (tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA, [65535, 0, 0]),
        (tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA, [0, 65535, 0]),
        (tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA, [0, 0, 65535]),
    ] {
        object.put(words(descriptor, &[3, 1, 16]));
        object.put(words(data, &entries));
    }
    let image = with_file(&bytes(object, EXPLICIT), read_image).unwrap().image;
    let [red, green, blue] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    assert_eq!(image.pixels(), [red, red, green, blue, red, blue].as_flattened());

    let mut object =
        DicomFile { size: [1, 2], stored: &[0, 51, 102, 153, 204, 255], bits_stored: 8, ..RAMP }.data_set();
    object.put(words(tags::SAMPLES_PER_PIXEL, &[3]));
    object.put(DataElement::new(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "RGB"));
    object.put(words(tags::PLANAR_CONFIGURATION, &[0]));
    let image = with_file(&bytes(object.clone(), EXPLICIT), read_image).unwrap().image;
    near(image.pixels(), &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
    object.put(words(tags::PLANAR_CONFIGURATION, &[1]));
    let image = with_file(&bytes(object, EXPLICIT), read_image).unwrap().image;
    near(image.pixels(), &[0.0, 0.4, 0.8, 0.2, 0.6, 1.0]);
}

#[test]
fn every_encoding_gives_the_same_values() {
    let file = DicomFile { stored: &[-1, -2048, 2047, 5, 0, -7], signed: true, ..RAMP };
    let expected = [-1.0, -2048.0, 2047.0, 5.0, 0.0, -7.0];
    for syntax in [EXPLICIT, IMPLICIT, BIG_ENDIAN] {
        assert_eq!(values(&bytes(file.data_set(), syntax)).unwrap(), expected, "{syntax}");
    }
    // Without preamble, magic and meta information, in each encoding.
    for syntax in [EXPLICIT, IMPLICIT, BIG_ENDIAN] {
        let whole = bytes(file.data_set(), syntax);
        let start =
            whole.windows(4).rposition(|window| window == [8, 0, 0x16, 0] || window == [0, 8, 0, 0x16]).unwrap();
        assert_eq!(values(&whole[start..]).unwrap(), expected, "{syntax}");
    }
    // Bits outside of those in use are not part of the value, and a value may be in the upper bits.
    let mut object = file.data_set();
    object.put(DataElement::new(
        tags::PIXEL_DATA,
        VR::OW,
        PrimitiveValue::U16([0xafff, 0x5800, 0xf7ff, 0x3005, 0x1000, 0x6ff9].as_slice().into()),
    ));
    assert_eq!(values(&bytes(object.clone(), EXPLICIT)).unwrap(), expected);
    object.put(words(tags::HIGH_BIT, &[15]));
    object.put(DataElement::new(
        tags::PIXEL_DATA,
        VR::OW,
        PrimitiveValue::U16([0xffff, 0x8000, 0x7ff3, 0x005a, 0x0009, 0xff91].as_slice().into()),
    ));
    assert_eq!(values(&bytes(object, EXPLICIT)).unwrap(), expected);
}

#[test]
fn frames_of_single_bits_need_not_begin_at_a_byte() {
    let mut object = DicomFile { size: [3, 3], stored: &[0; 9], bits_stored: 8, ..RAMP }.data_set();
    object.put(words(tags::BITS_ALLOCATED, &[1]));
    object.put(words(tags::BITS_STORED, &[1]));
    object.put(words(tags::HIGH_BIT, &[0]));
    object.put(DataElement::new(tags::NUMBER_OF_FRAMES, VR::IS, "2"));
    // Nine bits per frame, the lowest of a byte first.
    object.put(DataElement::new(
        tags::PIXEL_DATA,
        VR::OB,
        PrimitiveValue::from(vec![0b1000_0101_u8, 0b0000_0111, 0b11, 0]),
    ));
    let file = bytes(object, EXPLICIT);
    let frame = |frame| with_file(&file, |path| read_values(path, frame)).unwrap().values;
    assert_eq!(frame(0), [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
    assert_eq!(frame(1), [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
    assert_eq!(with_file(&file, |path| read_values(path, 2)).unwrap_err().code(), code::BAD_REQUEST);
}

/// An explicit little-endian file with these fragments as its pixel data.
pub(crate) fn compressed(file: &DicomFile<'_>, syntax: &str, fragments: &[&[u8]]) -> Vec<u8> {
    let mut object = file.data_set();
    object.remove_element(tags::PIXEL_DATA);
    let mut whole = bytes(object, EXPLICIT);
    // UIDs of transfer syntaxes differ in length; the reader does not use the stated length of the meta information.
    let at = whole.windows(EXPLICIT.len()).position(|window| window == EXPLICIT.as_bytes()).unwrap();
    let mut padded = syntax.as_bytes().to_vec();
    padded.resize(padded.len().next_multiple_of(2), 0);
    whole[at - 2] = padded.len() as u8;
    whole.splice(at..at + EXPLICIT.len().next_multiple_of(2), padded);
    whole.extend([0xe0, 0x7f, 0x10, 0x00, b'O', b'B', 0, 0, 0xff, 0xff, 0xff, 0xff]);
    for fragment in [&[][..]].iter().chain(fragments) {
        whole.extend([0xfe, 0xff, 0x00, 0xe0]);
        whole.extend((fragment.len() as u32).to_le_bytes());
        whole.extend_from_slice(fragment);
    }
    whole.extend([0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0]);
    whole
}

/// A frame of RLE Lossless from its packed segments.
pub(crate) fn run_lengths(planes: &[&[u8]]) -> Vec<u8> {
    let mut frame = (planes.len() as u32).to_le_bytes().to_vec();
    let mut at = 64_u32;
    for plane in planes {
        frame.extend(at.to_le_bytes());
        at += plane.len() as u32;
    }
    frame.resize(64, 0);
    frame.extend(planes.concat());
    frame
}

#[test]
pub(crate) fn run_lengths_are_unpacked_and_short_ones_refused() {
    // High bytes: six times 1. Low bytes: 1, 2, 3 as they are, then three times 9. The control byte -128 does nothing.
    let frame = run_lengths(&[&[0xfb, 1], &[2, 1, 2, 3, 0x80, 0xfe, 9]]);
    let file = compressed(&RAMP, RLE, &[&frame]);
    assert_eq!(values(&file).unwrap(), [257.0, 258.0, 259.0, 265.0, 265.0, 265.0]);
    // In two fragments.
    let file = compressed(&RAMP, RLE, &[&frame[..66], &frame[66..]]);
    assert_eq!(values(&file).unwrap(), [257.0, 258.0, 259.0, 265.0, 265.0, 265.0]);

    refused(&compressed(&RAMP, RLE, &[&run_lengths(&[&[0xfb, 1], &[2, 1, 2, 3]])]), code::CORRUPT, "3 of 6 bytes");
    refused(&compressed(&RAMP, RLE, &[&run_lengths(&[&[0xfb, 1]])]), code::CORRUPT, "1 planes");
    refused(&compressed(&RAMP, RLE, &[&frame[..40]]), code::CORRUPT, "0 planes");
    refused(&compressed(&RAMP, RLE, &[]), code::CORRUPT, "no fragment");
}

#[test]
fn sizes_that_no_file_can_hold_are_refused_before_memory_is_claimed() {
    let changed = |tag: Tag, value: u16| {
        let mut object = RAMP.data_set();
        object.put(words(tag, &[value]));
        object
    };
    refused(&bytes(changed(tags::ROWS, 60000), EXPLICIT), code::CORRUPT, "too few");
    let mut object = changed(tags::ROWS, 60000);
    object.put(words(tags::COLUMNS, &[60000]));
    refused(&bytes(object, EXPLICIT), code::UNSUPPORTED, "above the limit");
    let mut object = RAMP.data_set();
    object.put(DataElement::new(tags::NUMBER_OF_FRAMES, VR::IS, "2000000"));
    refused(&bytes(object, EXPLICIT), code::CORRUPT, "too few");
    let mut object = RAMP.data_set();
    object.put(DataElement::new(tags::NUMBER_OF_FRAMES, VR::IS, "2000000000"));
    refused(&bytes(object, EXPLICIT), code::UNSUPPORTED, "states 2000000000 frames; at most 2097152 are read");
    refused(&bytes(changed(tags::ROWS, 0), EXPLICIT), code::CORRUPT, "3x0");
    refused(&bytes(changed(tags::BITS_ALLOCATED, 12), EXPLICIT), code::UNSUPPORTED, "12 bits");
    refused(&bytes(changed(tags::BITS_STORED, 17), EXPLICIT), code::CORRUPT, "17 bits of 16");
    refused(&bytes(changed(tags::SAMPLES_PER_PIXEL, 3), EXPLICIT), code::UNSUPPORTED, "MONOCHROME2");

    // An element that states four gigabytes, in a file of some hundred bytes.
    let mut file = bytes(RAMP.data_set(), EXPLICIT);
    let at = file.len() - 24;
    file.splice(at..at, [0x30, 0, 0x10, 0, b'U', b'T', 0, 0, 0xf0, 0xff, 0xff, 0xff]);
    let start = Instant::now();
    refused(&file, code::CORRUPT, "remain");
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn sequences_nested_without_end_are_refused() {
    let mut file = bytes(RAMP.data_set(), EXPLICIT);
    let at = file.len() - 24;
    let nested: Vec<u8> = (0..100_000)
        .flat_map(|_| {
            let sequence = [0x40, 0, 0x75, 2, b'S', b'Q', 0, 0, 0xff, 0xff, 0xff, 0xff];
            sequence.into_iter().chain([0xfe, 0xff, 0x00, 0xe0, 0xff, 0xff, 0xff, 0xff])
        })
        .collect();
    file.splice(at..at, nested);
    refused(&file, code::CORRUPT, "nested");
}

#[test]
fn unsupported_transfer_syntaxes_are_named() {
    for (syntax, name) in [
        ("1.2.840.10008.1.2.4.94", "JPIP"),
        ("1.2.840.10008.1.2.4.110", "JPEG XL"),
        ("1.2.840.10008.1.2.4.103", "MPEG-4"),
        ("1.2.3.4.5.6.7.8.9.10.11", "1.2.3.4.5.6.7.8.9.10.11"),
    ] {
        refused(&compressed(&RAMP, syntax, &[&[0, 0]]), code::UNSUPPORTED, name);
    }
}

#[test]
fn files_are_recognised_by_their_magic_or_their_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1.2.840.113619");
    std::fs::write(&path, bytes(RAMP.data_set(), EXPLICIT)).unwrap();
    assert_eq!(candidate(&path, "1.2.840.113619"), Candidate::Image);
    let mut report = RAMP.data_set();
    report.put(DataElement::new(tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.88.22"));
    std::fs::write(&path, bytes(report, EXPLICIT)).unwrap();
    assert_eq!(candidate(&path, "1.2.840.113619"), Candidate::WithoutImage);
    std::fs::write(&path, "no DICOM file").unwrap();
    assert_eq!(candidate(&path, "1.2.840.113619"), Candidate::Other);
    assert_eq!(candidate(&path, "image.ima"), Candidate::Image);
    refused(b"no DICOM file", code::CORRUPT, "is no DICOM file");
    refused(b"", code::CORRUPT, "is no DICOM file");
}

#[test]
fn files_cut_at_any_byte_are_refused() {
    let file = bytes(DicomFile { rescale: Some([1.0, -1000.0]), ..RAMP }.data_set(), EXPLICIT);
    for length in 0..file.len() {
        let error = with_file(&file[..length], read_image).unwrap_err();
        assert_eq!(error.code(), code::CORRUPT, "{length} bytes: {error}");
    }
    with_file(&file, read_image).unwrap();
}

/// Reads many variants of a file with one to four bytes changed; none may panic or take long.
fn survive(file: &[u8], n_variants: u64, path: &Path) {
    // Knuth's generator; its upper bits are random enough to choose positions.
    let mut state = file.len() as u64;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below.max(1)
    };
    for variant in 0..n_variants {
        let mut changed = file.to_vec();
        for _ in 0..=variant % 4 {
            // Half of the changes are in the header.
            let at = if draw(2) == 0 { draw(file.len().min(2048)) } else { draw(file.len()) };
            changed[at] = [0, 0xff, draw(256) as u8, changed[at] ^ 1 << draw(8)][draw(4)];
        }
        if variant % 8 == 7 {
            changed.truncate(draw(file.len()));
        }
        std::fs::write(path, changed).unwrap();
        let start = Instant::now();
        let _ = read_image(path);
        let _ = read_values(path, 0);
        assert!(start.elapsed() < Duration::from_secs(10), "variant {variant} takes {:?}", start.elapsed());
    }
}

#[test]
fn changed_bytes_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed.dcm");
    for syntax in [EXPLICIT, IMPLICIT, BIG_ENDIAN] {
        survive(&bytes(RAMP.data_set(), syntax), 400, &path);
    }
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn changed_bytes_of_real_files_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed.dcm");
    let files = medcoss_test_support::data("conformance/dicom");
    for name in ["pydicom", "pydicom-data", "nibabel"] {
        for entry in std::fs::read_dir(files.join(name)).unwrap() {
            let file = std::fs::read(entry.unwrap().path()).unwrap();
            if !file.is_empty() && file.len() < 100_000 {
                survive(&file, 8, &path);
            }
        }
    }
}
