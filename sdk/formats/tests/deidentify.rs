//! De-identified copies: their pixels are equal to the bit for every kind of file, and planted names are gone.

use std::path::{Path, PathBuf};

use dicom_core::{DataElement, PrimitiveValue, Tag, VR, value::DataSetSequence};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use image::codecs::jpeg::JpegEncoder;
use image::{GrayImage, RgbImage};
use medcoss_formats::deidentify::Deidentifier;
use medcoss_formats::dicom::slide::DicomSlide;
use medcoss_formats::dicom::{read_image, read_values};
use medcoss_formats::image_file;
use medcoss_formats::volume_source::{ScanRules, VolumeSource, find_volumes};
use medcoss_sdk::image::Region;
use medcoss_sdk::{Error, FoundFile, code, find_files};
use medcoss_test_support::data;

use crate::dicom_file::{BIG_ENDIAN, EXPLICIT, IMPLICIT, RAMP, RLE, bytes, compressed, run_lengths};
use crate::dicom_series::{enhanced, save};
use crate::dicom_slide::Written;
use crate::slide::{File, Tag as TiffTag, page, with};

/// A name, a number and a date, which are planted in files.
const PLANTED: [&str; 3] = ["Plantagenet", "7739120", "19470816"];

fn planted() -> String {
    PLANTED.join(" ")
}

fn found(path: &Path) -> FoundFile {
    let metadata = std::fs::metadata(path).unwrap();
    FoundFile {
        path: path.into(),
        id: "file".into(),
        entry: 0,
        bytes: metadata.len(),
        modified: metadata.modified().ok(),
    }
}

#[track_caller]
fn assert_clean(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    for planted in PLANTED {
        let is_there = bytes.windows(planted.len()).any(|window| window.eq_ignore_ascii_case(planted.as_bytes()));
        assert!(!is_there, "{} holds {planted}", path.display());
    }
    let name = path.to_string_lossy();
    assert!(PLANTED.iter().all(|planted| !name.contains(planted)), "{name}");
}

/// Copies one file that holds the planted texts, and checks that the copy does not.
#[track_caller]
fn copied(path: &Path, folder: &Path) -> PathBuf {
    let before = std::fs::read(path).unwrap();
    for planted in PLANTED {
        assert!(before.windows(planted.len()).any(|window| window == planted.as_bytes()), "{planted} was not planted");
    }
    let copy = folder.join(Deidentifier::default().copy(&found(path), 7, folder).unwrap());
    assert_clean(&copy);
    copy
}

/// Plants texts in elements of many kinds: text, dates, private elements, sequences, and elements for numbers and code
/// words.
fn plant(object: &mut InMemDicomObject) {
    let text = |tag, vr, value: &str| DataElement::new(tag, vr, PrimitiveValue::from(value));
    let all = planted();
    for (tag, vr) in [
        (tags::PATIENT_NAME, VR::PN),
        (tags::PATIENT_ID, VR::LO),
        (tags::INSTITUTION_NAME, VR::LO),
        (tags::STUDY_DESCRIPTION, VR::LO),
        (tags::IMAGE_COMMENTS, VR::LT),
        (tags::STATION_NAME, VR::SH),
        (Tag(0x0029, 0x1010), VR::LO),
        (Tag(0x6000, 0x0022), VR::LO),
        (tags::WINDOW_CENTER_WIDTH_EXPLANATION, VR::LO),
    ] {
        object.put(text(tag, vr, &all));
    }
    object.put(text(tags::PATIENT_BIRTH_DATE, VR::DA, PLANTED[2]));
    object.put(text(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3.7739120.19470816"));
    object.put(text(tags::SOP_INSTANCE_UID, VR::UI, "1.2.3.7739120.1"));
    object.put(text(tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3.7739120.2"));
    object.put(text(tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PLANTAGENET\\VOLUME"));
    object.put(text(tags::BURNED_IN_ANNOTATION, VR::CS, "YES"));
    let item = InMemDicomObject::from_element_iter([text(tags::PATIENT_NAME, VR::PN, &all)]);
    for tag in [tags::REQUEST_ATTRIBUTES_SEQUENCE, tags::REFERENCED_IMAGE_SEQUENCE] {
        object.put(DataElement::new(tag, VR::SQ, DataSetSequence::from(vec![item.clone()])));
    }
}

#[test]
fn dicom_copies_of_every_encoding_keep_their_pixels_and_no_planted_text() {
    let stored = [-1, -2048, 2047, 5, 0, -7];
    let file = crate::dicom_file::RAMP;
    let file = medcoss_formats::dicom::write::DicomFile {
        stored: &stored,
        signed: true,
        rescale: Some([0.5, -3.0]),
        window: Some([40.0, 400.0]),
        ..file
    };
    for syntax in [EXPLICIT, IMPLICIT, BIG_ENDIAN] {
        let folder = tempfile::tempdir().unwrap();
        let mut object = file.data_set();
        plant(&mut object);
        // Unused bits.
        object.put(DataElement::new(
            tags::PIXEL_DATA,
            VR::OW,
            PrimitiveValue::U16([0xafff, 0x5800, 0xf7ff, 0x3005, 0x1000, 0x6ff9].as_slice().into()),
        ));
        let whole = bytes(object, syntax);
        let data_set = whole.windows(4).rposition(|w| w == [8, 0, 0x08, 0] || w == [0, 8, 0, 0x08]).unwrap();
        // With and without meta information.
        for (name, content) in [("7739120.dcm", whole.as_slice()), ("Plantagenet.ima", &whole[data_set..])] {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            let out = tempfile::tempdir().unwrap();
            let copy = copied(&path, out.path());
            assert_eq!(read_values(&copy, 0).unwrap(), read_values(&path, 0).unwrap(), "{syntax}");
            assert_eq!(read_image(&copy).unwrap(), read_image(&path).unwrap(), "{syntax}");
            let pixels = std::fs::read(&copy).unwrap();
            let pixels = &pixels[pixels.len() - 12..];
            assert!(pixels.chunks(2).all(|word| word[usize::from(syntax != BIG_ENDIAN)] < 16), "{pixels:?}");
            // Copying again changes nothing.
            let again = tempfile::tempdir().unwrap();
            let second = again.path().join(Deidentifier::default().copy(&found(&copy), 7, again.path()).unwrap());
            assert_eq!(read_values(&second, 0).unwrap(), read_values(&path, 0).unwrap());
            assert_eq!(std::fs::read(second).unwrap(), std::fs::read(&copy).unwrap());
        }
    }
}

#[test]
fn text_in_elements_for_numbers_and_code_words_does_not_stay() {
    let folder = tempfile::tempdir().unwrap();
    let mut object = RAMP.data_set();
    plant(&mut object);
    let text = |tag, vr, value: &str| DataElement::new(tag, vr, PrimitiveValue::from(value));
    object.put(text(tags::WINDOW_CENTER, VR::LO, "40\\Plantagenet"));
    object.put(text(tags::WINDOW_WIDTH, VR::LO, "400\\x"));
    object.put(text(tags::SLICE_LOCATION, VR::LO, "Plantagenet"));
    object.put(text(tags::VOILUT_FUNCTION, VR::CS, "Plantagenet"));
    object.put(text(tags::MODALITY, VR::CS, "Plantagenet"));
    let path = folder.path().join("a.dcm");
    std::fs::write(&path, bytes(object, EXPLICIT)).unwrap();
    let out = tempfile::tempdir().unwrap();
    let copy = copied(&path, out.path());
    assert_eq!(read_image(&copy).unwrap(), read_image(&path).unwrap());
}

#[test]
fn compressed_frames_stay_and_their_comments_do_not() {
    let grey = GrayImage::from_fn(16, 8, |x, y| image::Luma([(x * 13 + y * 5) as u8]));
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 95).encode_image(&grey).unwrap();
    let comment = planted();
    let mut commented = jpeg[..2].to_vec();
    for marker in [0xfe, 0xe1, 0xe5] {
        commented.extend([0xff, marker, 0, comment.len() as u8 + 2]);
        commented.extend(comment.as_bytes());
    }
    commented.extend(&jpeg[2..]);
    commented.resize(commented.len().next_multiple_of(2), 0);
    let file = medcoss_formats::dicom::write::DicomFile { size: [8, 16], stored: &[0; 128], bits_stored: 8, ..RAMP };
    const JPEG: &str = "1.2.840.10008.1.2.4.50";
    let middle = commented.len() / 2;
    let run_lengths = run_lengths(&[&[127; 4]]);
    for (syntax, fragments) in [
        (JPEG, vec![commented.as_slice()]),
        (JPEG, vec![&commented[..20], &commented[20..middle], &commented[middle..]]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.dcm");
        std::fs::write(&path, compressed(&file, syntax, &fragments)).unwrap();
        let out = tempfile::tempdir().unwrap();
        let copy = copied(&path, out.path());
        assert_eq!(read_values(&copy, 0).unwrap(), read_values(&path, 0).unwrap());
    }
    assert!(run_lengths.len() > 64 && !RLE.is_empty());
}

/// The volumes of a folder as training sees them: size, spacing, voxels.
fn volumes(folder: &Path) -> Vec<([usize; 3], [f32; 3], Vec<f32>)> {
    let read = |source: &VolumeSource| {
        let volume = source.read().unwrap().volume;
        (volume.size(), volume.spacing_mm(), volume.voxels().to_vec())
    };
    let mut found: Vec<_> =
        find_volumes(folder, &[PathBuf::from(".")], &ScanRules::CT).unwrap().sources.iter().map(read).collect();
    found.sort_by(|a, b| a.2.partial_cmp(&b.2).unwrap());
    found
}

fn copy_all(from: &Path, to: &Path) {
    let mut deidentifier = Deidentifier::default();
    let files = find_files(from, &[PathBuf::from(".")], |name| name.ends_with(".dcm"), "DICOM").unwrap().files;
    for (position, file) in files.iter().enumerate() {
        assert_clean(&to.join(deidentifier.copy(file, position, to).unwrap()));
    }
}

#[test]
fn series_and_enhanced_objects_keep_their_grouping_order_and_geometry() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // Two series whose files are mixed, with positions in another order than file names.
    for (series, first) in [("1.2.7739120.1", 0), ("1.2.7739120.2", 100)] {
        for number in 0..4_usize {
            let height = [6.0, 2.0, 4.0, 0.0][number];
            let value = first + number as i32;
            let place = medcoss_formats::dicom::write::Place {
                position: [10.0, -20.0, height],
                directions: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
                spacing_mm: [0.8, 0.7],
                thickness_mm: 9.0,
            };
            let file = medcoss_formats::dicom::write::DicomFile {
                modality: medcoss_formats::dicom::write::Modality::Ct,
                series,
                number,
                size: [3, 4],
                stored: &[value; 12],
                bits_stored: 16,
                signed: true,
                rescale: Some([1.0, -1024.0]),
                place: Some(place),
                ..RAMP
            };
            let mut object = file.data_set();
            plant(&mut object);
            object.put(DataElement::new(tags::SERIES_INSTANCE_UID, VR::UI, PrimitiveValue::from(series)));
            save(object, &folder.path().join(format!("{number}{first}.dcm")));
        }
    }
    let mut object = enhanced(&[(5, 6.0, 0.0), (6, 2.0, 100.0), (7, 4.0, -1000.0)], true);
    plant(&mut object);
    save(object, &folder.path().join("enhanced.dcm"));
    copy_all(folder.path(), out.path());
    let (before, after) = (volumes(folder.path()), volumes(out.path()));
    assert_eq!(before.len(), 3);
    assert_eq!(before, after);
}

#[test]
fn copies_of_dicom_slides_keep_levels_frame_positions_and_colours() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sparse = Written { is_sparse: true, series: "1.2.7739120", ..Written::full([24, 13]) };
    sparse.write(&folder.path().join("a.dcm"));
    Written { series: "1.2.7739120", ..Written::full([12, 7]) }.write(&folder.path().join("b.dcm"));
    Written { series: "1.2.7739120", flavour: "LABEL", ..Written::full([12, 6]) }.write(&folder.path().join("c.dcm"));
    copy_all(folder.path(), out.path());
    let mut before = DicomSlide::open(&folder.path().join("a.dcm")).unwrap();
    let mut after = DicomSlide::open(&out.path().join("000000.dcm")).unwrap();
    assert_eq!(before.levels(), after.levels());
    assert_eq!(before.levels().len(), 2);
    for level in before.levels().to_vec() {
        let whole = Region { left: 0, top: 0, width: level.width, height: level.height };
        assert_eq!(before.read_region(level, whole).unwrap(), after.read_region(level, whole).unwrap());
    }
}

#[test]
fn png_and_jpeg_keep_pixels_and_orientation() {
    let colours = RgbImage::from_fn(32, 16, |x, y| image::Rgb([(x * 7) as u8, (y * 15) as u8, 99]));
    let exif = {
        // The artist, then orientation 6.
        let all = planted();
        let mut exif = b"MM\0\x2a\0\0\0\x08\0\x02".to_vec();
        exif.extend([0x01, 0x3b, 0, 2, 0, 0, 0, all.len() as u8, 0, 0, 0, 38]);
        exif.extend([0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0]);
        exif.extend(all.as_bytes());
        exif
    };
    let folder = tempfile::tempdir().unwrap();
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 90).encode_image(&colours).unwrap();
    let mut turned = jpeg[..2].to_vec();
    turned.extend([0xff, 0xe1, 0, exif.len() as u8 + 8]);
    turned.extend(b"Exif\0\0");
    turned.extend(&exif);
    turned.extend(&jpeg[2..]);
    turned.extend(planted().as_bytes());
    std::fs::write(folder.path().join("Plantagenet.JPG"), &turned).unwrap();

    let mut encoder = png::Encoder::new(Vec::new(), 32, 16);
    encoder.set_color(png::ColorType::Rgb);
    encoder.add_text_chunk("Patient".into(), planted()).unwrap();
    encoder.add_itxt_chunk("Comment".into(), planted()).unwrap();
    let mut info = png::Info::with_size(32, 16);
    info.color_type = png::ColorType::Rgb;
    info.exif_metadata = Some(exif.clone().into());
    info.uncompressed_latin1_text.push(png::text_metadata::TEXtChunk { keyword: "Patient".into(), text: planted() });
    let mut file = Vec::new();
    let mut writer = png::Encoder::with_info(&mut file, info).unwrap().write_header().unwrap();
    writer.write_image_data(colours.as_raw()).unwrap();
    writer.finish().unwrap();
    file.extend(planted().as_bytes());
    std::fs::write(folder.path().join("a.png"), file).unwrap();

    for name in ["Plantagenet.JPG", "a.png"] {
        let path = folder.path().join(name);
        let out = tempfile::tempdir().unwrap();
        let copy = copied(&path, out.path());
        let image = image_file::read_decoded(&path).unwrap();
        assert_eq!(image_file::read_decoded(&copy).unwrap(), image, "{name}");
        assert_eq!(medcoss_sdk::image::Resizable::height(&image), 32, "{name}: it is turned");
    }
}

#[test]
fn tiff_copies_keep_only_the_first_page() {
    for (big, big_endian) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut file = File::new(big, big_endian);
        // A label image of the slide, on a later page.
        let label = page(&mut file, 16, 16);
        let label = with(label, vec![(270, TiffTag::Text("Plantagenet 7739120 19470816"))]);
        let second = file.directory(&label, 0);
        let tags = page(&mut file, 80, 50);
        let more = vec![
            (270, TiffTag::Text("Aperio |Patient = Plantagenet 7739120 19470816")),
            (306, TiffTag::Text("19470816")),
            (315, TiffTag::Text("Plantagenet")),
            (330, TiffTag::Place(vec![second])),
            (65000, TiffTag::Text("Plantagenet 7739120")),
        ];
        let first = file.directory(&with(tags, more), second);
        let (_folder, path) = file.write(first);
        let out = tempfile::tempdir().unwrap();
        let copy = copied(&path, out.path());
        assert_eq!(
            image_file::read_image(&copy).unwrap(),
            image_file::read_image(&path).unwrap(),
            "{big} {big_endian}"
        );
        assert!(!medcoss_formats::tiff_file::TiffFile::open(&copy).unwrap().has_next());
    }
}

#[test]
fn damaged_files_are_refused_and_nothing_panics() {
    let folder = tempfile::tempdir().unwrap();
    let mut object = RAMP.data_set();
    plant(&mut object);
    let mut tiff = File::new(false, false);
    let tags = page(&mut tiff, 20, 20);
    let first = tiff.directory(&tags, 0);
    let (_tiff_folder, tiff) = tiff.write(first);
    let mut png = Vec::new();
    GrayImage::from_pixel(3, 3, image::Luma([7]))
        .write_to(&mut std::io::Cursor::new(&mut png), image::ImageFormat::Png)
        .unwrap();
    for (name, content) in [("a.dcm", bytes(object, EXPLICIT)), ("a.tif", std::fs::read(tiff).unwrap()), ("a.png", png)]
    {
        for end in (0..content.len()).step_by(7) {
            let path = folder.path().join(name);
            std::fs::write(&path, &content[..end]).unwrap();
            let out = tempfile::tempdir().unwrap();
            let outcome: Result<PathBuf, Error> = Deidentifier::default().copy(&found(&path), 0, out.path());
            // The directory of a TIFF file may lie before the end of its pixels.
            assert!(outcome.is_err() || name == "a.tif", "{name} {end}");
        }
    }
    let path = folder.path().join("a.txt");
    std::fs::write(&path, "no image at all").unwrap();
    let error = Deidentifier::default().copy(&found(&path), 0, folder.path()).unwrap_err();
    assert_eq!(error.code(), code::CORRUPT, "{error}");
}

/// Reads a file of any kind with all readers.
fn read_all(path: &Path) -> [Option<Vec<f32>>; 3] {
    let values: Option<Vec<_>> = read_values(path, 0).ok().map(|first| {
        let last = if first.n_frames > 1 { read_values(path, first.n_frames - 1).ok() } else { None };
        first.values.into_iter().chain(last.into_iter().flat_map(|last| last.values)).collect()
    });
    let display = read_image(path).ok().map(|display| display.image.pixels().to_vec());
    [values, display, image_file::read_image(path).ok().map(|image| image.pixels().to_vec())]
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn copies_of_real_files_decode_to_the_same_bits() {
    let mut n_same = 0;
    let mut failed = Vec::new();
    for folder in ["conformance/dicom", "conformance/tiff", "xray"] {
        let files = find_files(&data(""), &[PathBuf::from(folder)], |_| true, "any").unwrap().files;
        for file in files.iter().take(2000) {
            let before = read_all(&file.path);
            if before == [None, None, None] {
                continue;
            }
            let out = tempfile::tempdir().unwrap();
            match Deidentifier::default().copy(file, 0, out.path()) {
                Err(error) => failed.push(format!("{}: {error}", file.id)),
                Ok(name) if read_all(&out.path().join(&name)) == before => n_same += 1,
                Ok(_) => failed.push(format!("{}: another image", file.id)),
            }
        }
    }
    println!("{n_same} files come back to the bit");
    assert!(failed.is_empty(), "{n_same} the same, but {}", failed.join("\n"));
    assert!(n_same > 100, "{n_same}");
}
