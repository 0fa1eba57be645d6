//! DICOM series: grouping, order and distances of files. The crate's writers make the files and tests change them;
//! expectations are computed by hand.

use std::path::{Path, PathBuf};

use dicom_core::{DataElement, PrimitiveValue, VR, value::DataSetSequence};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use medcoss_formats::dicom::write::{DicomFile, Modality, Place};
use medcoss_formats::dicom_series_write::DicomSeries;
use medcoss_formats::volume_source::{FoundVolumes, ScanRules, VolumeSource, find_volumes};
use medcoss_sdk::volume::Volume;
use medcoss_sdk::{Fingerprint, code};

const SIZE: [usize; 3] = [5, 7, 9];
const SPACING: [f32; 3] = [2.5, 0.8, 0.7];
const UPRIGHT: [[f64; 3]; 2] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];

fn numbered() -> Volume {
    let voxels = (0..SIZE.iter().product()).map(|v: usize| v as f32 - 100.0).collect();
    Volume::new(SIZE, SPACING, voxels).unwrap()
}

fn write(folder: &Path, facing: &str, series: &str) {
    let volume = numbered();
    std::fs::create_dir_all(folder).unwrap();
    let rescale = [1.0, -1024.0];
    DicomSeries { volume: &volume, facing, modality: Modality::Ct, series, rescale }.write(folder).unwrap();
}

/// A slice of 3 x 4 pixels that all are `value`, at a height in millimetres.
fn slice(value: &i32, number: usize, height: f64) -> DicomFile<'_> {
    let place =
        Place { position: [10.0, -20.0, height], directions: UPRIGHT, spacing_mm: [0.8, 0.7], thickness_mm: 9.0 };
    DicomFile {
        modality: Modality::Ct,
        series: "2.25.123456789",
        number,
        size: [3, 4],
        stored: std::slice::from_ref(value),
        bits_stored: 16,
        signed: true,
        inverted: false,
        rescale: Some([1.0, 0.0]),
        window: None,
        place: Some(place),
    }
}

/// Writes slices of one value each: file name, value, number and height.
fn write_slices(folder: &Path, slices: &[(&str, i32, usize, f64)]) {
    for &(name, value, number, height) in slices {
        let pixels = [value; 12];
        DicomFile { stored: &pixels, ..slice(&value, number, height) }.write(&folder.join(name)).unwrap();
    }
}

pub(crate) fn save(object: InMemDicomObject, path: &Path) {
    let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    object.with_meta(meta).unwrap().write_to_file(path).unwrap();
}

fn find(folder: &Path) -> Vec<VolumeSource> {
    find_volumes(folder, &[PathBuf::from(".")], &ScanRules::CT).unwrap().sources
}

/// The only volume of a folder: the first value of each slice, the spacing and the notes.
fn only(folder: &Path) -> (Vec<f32>, [f32; 3], Vec<&'static str>) {
    let sources = find(folder);
    let [source] = sources.as_slice() else { panic!("{} volumes", sources.len()) };
    let info = source.info().unwrap();
    let volume = source.read().unwrap().volume;
    assert_eq!(volume.size(), info.size);
    assert_eq!(volume.spacing_mm(), info.spacing_mm);
    let [_, rows, columns] = volume.size();
    (volume.voxels().chunks_exact(rows * columns).map(|plane| plane[0]).collect(), info.spacing_mm, info.notes)
}

#[test]
fn all_48_orders_of_slices_rows_and_columns_give_the_same_volume() {
    let mut n_tried = 0;
    for axes in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for corner in 0..8 {
            let letters = [["L", "R"], ["P", "A"], ["S", "I"]];
            let facing: String = axes.iter().map(|&axis| letters[axis][corner >> axis & 1]).collect();
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), &facing, "2.25.77");
            let sources = find(folder.path());
            assert_eq!(sources.len(), 1, "{facing}");
            let decoded = sources[0].read().unwrap();
            assert_eq!(decoded.volume.size(), SIZE, "{facing}");
            assert_eq!(decoded.volume.voxels(), numbered().voxels(), "{facing}");
            let near = decoded.volume.spacing_mm().iter().zip(SPACING).all(|(a, b)| (a - b).abs() < 1e-4);
            assert!(near, "{facing}: {:?}", decoded.volume.spacing_mm());
            assert_eq!(sources[0].info().unwrap().notes, [""; 0], "{facing}");
            let VolumeSource::Dicom(series) = &sources[0] else { panic!("{facing}") };
            let (slab, _) = series.read_slab(1..4).unwrap();
            assert_eq!(slab.voxels(), &numbered().voxels()[63..4 * 63], "{facing}");
            assert!(series.read_slab(3..6).is_err() && series.read_slab(2..2).is_err());
            n_tried += 1;
        }
    }
    assert_eq!(n_tried, 48);
}

#[test]
fn slices_are_ordered_by_position_and_their_distance_is_not_their_thickness() {
    let folder = tempfile::tempdir().unwrap();
    write_slices(folder.path(), &[("a.dcm", 30, 1, 7.5), ("b", 10, 2, 2.5), ("c.IMA", 20, 9, 5.0), ("d.x", 0, 4, 0.0)]);
    let (values, spacing, notes) = only(folder.path());
    assert_eq!(values, [0.0, 10.0, 20.0, 30.0]);
    assert_eq!(spacing, [2.5, 0.8, 0.7]);
    assert_eq!(notes, [""; 0]);
}

#[test]
fn each_slice_is_rescaled_by_its_own_slope_and_intercept() {
    let folder = tempfile::tempdir().unwrap();
    for (number, rescale) in [[1.0, -1024.0], [0.5, 3.0], [2.0, 0.0]].into_iter().enumerate() {
        let pixels = [100; 12];
        let file = DicomFile { stored: &pixels, rescale: Some(rescale), ..slice(&0, number, number as f64) };
        file.write(&folder.path().join(format!("{number}.dcm"))).unwrap();
    }
    assert_eq!(only(folder.path()).0, [-924.0, 53.0, 200.0]);
}

#[test]
fn of_several_slices_at_one_position_the_first_by_number_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let slices = [("a.dcm", 1, 12, 0.0), ("b.dcm", 2, 3, 0.00004), ("c.dcm", 3, 4, 2.0), ("d.dcm", 4, 13, 2.0)];
    write_slices(folder.path(), &slices);
    let (values, spacing, notes) = only(folder.path());
    assert_eq!(values, [2.0, 3.0]);
    assert!((spacing[0] - 2.0).abs() < 1e-3);
    assert_eq!(notes.len(), 1);
    assert!(notes[0].contains("same place"), "{notes:?}");
    let (mut whole, mut less) = (Fingerprint::default(), Fingerprint::default());
    find(folder.path())[0].add_to(&mut whole);
    std::fs::remove_file(folder.path().join("a.dcm")).unwrap();
    find(folder.path())[0].add_to(&mut less);
    assert_ne!(whole.hex(), less.hex(), "files that are not used count as well");
}

#[test]
fn gaps_uneven_distances_and_shifts_are_reported() {
    let cases: [(&[f64], &str, f32); 3] = [
        (&[0.0, 2.0, 4.0, 8.0, 10.0], "lack slices", 2.0),
        (&[0.0, 2.0, 4.4, 6.4], "uneven", 2.0),
        (&[0.0, 2.0, 4.0001, 6.0], "", 2.0),
    ];
    for (heights, says, usual) in cases {
        let folder = tempfile::tempdir().unwrap();
        for (number, &height) in heights.iter().enumerate() {
            write_slices(folder.path(), &[(&format!("{number}.dcm"), number as i32, number, height)]);
        }
        let (values, spacing, notes) = only(folder.path());
        assert_eq!(values.len(), heights.len());
        assert!((spacing[0] - usual).abs() < 1e-3, "{spacing:?}");
        match says {
            "" => assert_eq!(notes, [""; 0]),
            says => assert!(notes.len() == 1 && notes[0].contains(says), "{notes:?}"),
        }
    }

    let folder = tempfile::tempdir().unwrap();
    for number in 0..4 {
        let pixels = [0; 12];
        let mut file = DicomFile { stored: &pixels, ..slice(&0, number, number as f64 * 3.0) };
        if let Some(place) = &mut file.place {
            place.position[1] += number as f64;
        }
        file.write(&folder.path().join(format!("{number}.dcm"))).unwrap();
    }
    let (_, spacing, notes) = only(folder.path());
    assert_eq!(spacing[0], 3.0);
    assert!(notes.len() == 1 && notes[0].contains("tilted gantry"), "{notes:?}");
}

#[test]
fn a_slice_of_another_size_is_a_volume_of_its_own_and_one_across_a_stack_is_a_localiser() {
    let folder = tempfile::tempdir().unwrap();
    write_slices(folder.path(), &[("a.dcm", 1, 1, 0.0), ("b.dcm", 2, 2, 1.0)]);
    let pixels = [7; 30];
    DicomFile { stored: &pixels, size: [5, 6], ..slice(&0, 3, 2.0) }.write(&folder.path().join("c.dcm")).unwrap();
    let pixels = [8; 12];
    let mut sagittal = DicomFile { stored: &pixels, ..slice(&0, 4, 2.0) };
    if let Some(place) = &mut sagittal.place {
        place.directions = [[0.0, 1.0, 0.0], [0.0, 0.0, -1.0]];
    }
    sagittal.write(&folder.path().join("d.dcm")).unwrap();
    let FoundVolumes { sources, account } = find_volumes(folder.path(), &[PathBuf::from(".")], &ScanRules::CT).unwrap();
    let found: Vec<_> = sources.iter().map(|source| (source.id(), source.info().unwrap().size)).collect();
    assert_eq!(found, [("c.dcm", [1, 5, 6]), ("series=225123456789", [2, 3, 4])]);
    assert_eq!(account.left_out().collect::<Vec<_>>(), [("d.dcm", "a localiser (scout)")]);
    // The distance of a single slice is its thickness.
    assert_eq!(sources[0].info().unwrap().spacing_mm, [9.0, 0.8, 0.7]);
    // A file that the user names is read whatever it shows.
    let named = [PathBuf::from("a.dcm"), PathBuf::from("b.dcm"), PathBuf::from("d.dcm")];
    let named = find_volumes(folder.path(), &named, &ScanRules::CT).unwrap().sources;
    assert_eq!(named[0].id(), "d.dcm");
    assert_eq!(named[0].info().unwrap().size, [3, 4, 1]);
    assert_eq!(named[0].info().unwrap().spacing_mm, [0.8, 0.7, 9.0]);
}

#[test]
fn directions_that_differ_by_rounding_are_one() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..4 {
        let pixels = [number; 12];
        let mut file = DicomFile { stored: &pixels, ..slice(&0, number as usize, f64::from(number)) };
        if let Some(place) = &mut file.place {
            // Tilts that rounding to any number of digits would separate.
            let tilt = 0.125 + 1e-4 * f64::from(number % 2);
            place.directions = [[1.0, 0.0, 0.0], [0.0, (1.0 - tilt * tilt).sqrt(), tilt]];
        }
        file.write(&folder.path().join(format!("{number}.dcm"))).unwrap();
    }
    assert_eq!(only(folder.path()).0, [0.0, 1.0, 2.0, 3.0]);
}

#[test]
fn files_without_a_series_uid_are_grouped_by_position_and_folder() {
    let folder = tempfile::tempdir().unwrap();
    for (name, height) in [("x/a", Some(0.0)), ("x/b", Some(1.0)), ("x/c", None), ("x/d", None), ("y/e", Some(2.0))] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let pixels = [1; 12];
        let mut file = DicomFile { stored: &pixels, ..slice(&0, 1, height.unwrap_or_default()) };
        file.place = file.place.filter(|_| height.is_some());
        let mut object = file.data_set();
        object.remove_element(tags::SERIES_INSTANCE_UID);
        save(object, &path);
    }
    let sources = find(folder.path());
    let ids: Vec<_> = sources.iter().map(VolumeSource::id).collect();
    assert_eq!(ids, ["x#series=unnamed", "x/c", "x/d", "y/e"]);
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn every_conformance_file_is_a_volume_or_refused_with_a_reason() {
    let folder = medcoss_test_support::data("conformance");
    let mut n_read = 0;
    for rules in [ScanRules { missing_rescale: None, ..ScanRules::CT }, ScanRules::MR] {
        let modality = rules.modality;
        for source in find_volumes(&folder, &[PathBuf::from("dicom")], &rules).unwrap().sources {
            match source.info().and_then(|info| Ok((info, source.read()?))) {
                Ok((info, decoded)) => {
                    assert_eq!(decoded.volume.size(), info.size, "{}", source.id());
                    println!("{modality} {}: {:?} {:?}", source.id(), info.size, info.notes);
                    n_read += 1;
                }
                Err(error) => {
                    assert!([code::CORRUPT, code::UNSUPPORTED].contains(&error.code()), "{}: {error}", source.id());
                    println!("{modality} {}: {error}", source.id());
                }
            }
        }
    }
    // Secondary captures without a place in the body are no scans.
    assert!(n_read > 15, "{n_read} volumes");
}

#[test]
fn ids_are_the_folder_and_the_end_of_the_series_uid_and_differ() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("ct/one"), "LPS", "2.25.111222333444555");
    write(&folder.path().join("ct/two"), "LPS", "2.25.999222333444555");
    // A series in two folders, and one whose name ends like another's in the same folder.
    write_slices(folder.path(), &[("ct/one/x.dcm", 1, 1, 0.0), ("ct/two/x.dcm", 2, 2, 1.0)]);
    let volume = numbered();
    let rescale = [1.0, 0.0];
    let other = folder.path().join("ct/three");
    std::fs::create_dir_all(&other).unwrap();
    DicomSeries { volume: &volume, facing: "RAS", modality: Modality::Ct, series: "2.25.5222333444555", rescale }
        .write(&other)
        .unwrap();
    for entry in std::fs::read_dir(&other).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("other_{}", path.file_name().unwrap().to_str().unwrap());
        std::fs::rename(&path, folder.path().join("ct/one").join(name)).unwrap();
    }
    let sources = find_volumes(folder.path(), &[PathBuf::from("ct")], &ScanRules::CT).unwrap().sources;
    let ids: Vec<_> = sources.iter().map(VolumeSource::id).collect();
    assert_eq!(
        ids,
        [
            "ct#series=225123456789",
            "ct/one#series=222333444555",
            "ct/one#series=222333444555.2",
            "ct/two#series=222333444555"
        ]
    );
}

#[test]
fn slices_without_a_position_are_ordered_by_number_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    for (name, number) in [("a.dcm", 3), ("b.dcm", 1), ("c.dcm", 2)] {
        let pixels = [number; 12];
        let file = DicomFile { stored: &pixels, place: None, ..slice(&0, number as usize, 0.0) };
        file.write(&folder.path().join(name)).unwrap();
    }
    let (values, spacing, notes) = only(folder.path());
    assert_eq!(values, [1.0, 2.0, 3.0]);
    assert_eq!(spacing, [1.0; 3]);
    assert_eq!(notes.len(), 3, "{notes:?}");
}

/// An enhanced object with frames of 3 x 4 pixels: value, height and intercept of each.
pub(crate) fn enhanced(frames: &[(u16, f64, f64)], positioned: bool) -> InMemDicomObject {
    let decimals = |tag, values: &str| DataElement::new(tag, VR::DS, PrimitiveValue::from(values));
    let sequence = |tag, items: Vec<InMemDicomObject>| DataElement::new(tag, VR::SQ, DataSetSequence::from(items));
    let group = |tag, elements: Vec<DataElement<InMemDicomObject>>| {
        sequence(tag, vec![InMemDicomObject::from_element_iter(elements)])
    };
    let mut object = slice(&0, 1, 0.0).data_set();
    object.put(DataElement::new(tags::SOP_CLASS_UID, VR::UI, uids::ENHANCED_CT_IMAGE_STORAGE));
    object.put(DataElement::new(tags::NUMBER_OF_FRAMES, VR::IS, frames.len().to_string().as_str()));
    let pixels: Vec<u16> = frames.iter().flat_map(|(value, ..)| [*value; 12]).collect();
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(pixels.into())));
    if !positioned {
        return object;
    }
    for tag in [tags::IMAGE_POSITION_PATIENT, tags::IMAGE_ORIENTATION_PATIENT, tags::PIXEL_SPACING] {
        object.remove_element(tag);
    }
    let shared = vec![
        group(tags::PLANE_ORIENTATION_SEQUENCE, vec![decimals(tags::IMAGE_ORIENTATION_PATIENT, "1\\0\\0\\0\\1\\0")]),
        group(
            tags::PIXEL_MEASURES_SEQUENCE,
            vec![decimals(tags::PIXEL_SPACING, "0.8\\0.7"), decimals(tags::SLICE_THICKNESS, "9")],
        ),
    ];
    object.put(sequence(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![InMemDicomObject::from_element_iter(shared)]));
    let own = |&(_, height, intercept): &(u16, f64, f64)| {
        let position = format!("1\\2\\{height}");
        InMemDicomObject::from_element_iter(vec![
            group(tags::PLANE_POSITION_SEQUENCE, vec![decimals(tags::IMAGE_POSITION_PATIENT, &position)]),
            group(
                tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE,
                vec![decimals(tags::RESCALE_SLOPE, "2"), decimals(tags::RESCALE_INTERCEPT, &intercept.to_string())],
            ),
        ])
    };
    object.put(sequence(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, frames.iter().map(own).collect()));
    object
}

#[test]
fn frames_of_an_enhanced_object_are_placed_and_rescaled_by_their_functional_groups() {
    let folder = tempfile::tempdir().unwrap();
    let frames = [(5, 6.0, 0.0), (6, 2.0, 100.0), (7, 4.0, -1000.0)];
    save(enhanced(&frames, true), &folder.path().join("a.dcm"));
    let (values, spacing, notes) = only(folder.path());
    assert_eq!(values, [112.0, -986.0, 10.0]);
    assert_eq!(spacing, [2.0, 0.8, 0.7]);
    assert_eq!(notes, [""; 0]);
    assert_eq!(find(folder.path())[0].id(), "a.dcm");
}

#[test]
fn frames_of_an_older_object_keep_their_order() {
    let folder = tempfile::tempdir().unwrap();
    save(enhanced(&[(5, 0.0, 0.0), (9, 0.0, 0.0), (7, 0.0, 0.0)], false), &folder.path().join("a.dcm"));
    let (values, spacing, notes) = only(folder.path());
    assert_eq!(values, [5.0, 9.0, 7.0]);
    assert_eq!(spacing, [9.0, 0.8, 0.7]);
    assert!(notes.len() == 1 && notes[0].contains("order of their numbers"), "{notes:?}");
}

#[test]
fn other_modalities_and_objects_without_an_image_are_left_out_of_folders() {
    let folder = tempfile::tempdir().unwrap();
    write_slices(folder.path(), &[("a.dcm", 1, 1, 0.0), ("b.dcm", 2, 2, 1.0)]);
    let pixels = [3; 12];
    let mr = DicomFile { stored: &pixels, modality: Modality::Mr, ..slice(&0, 3, 2.0) };
    mr.write(&folder.path().join("mr.dcm")).unwrap();
    let mut report = slice(&0, 4, 3.0).data_set();
    report.put(DataElement::new(tags::SOP_CLASS_UID, VR::UI, uids::BASIC_TEXT_SR_STORAGE));
    save(report, &folder.path().join("report.dcm"));
    let mut screen = slice(&0, 5, 4.0).data_set();
    screen.put(DataElement::new(tags::SAMPLES_PER_PIXEL, VR::US, PrimitiveValue::from(3_u16)));
    screen.put(DataElement::new(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "RGB"));
    save(screen, &folder.path().join("screen.dcm"));
    std::fs::write(folder.path().join("notes.txt"), "no DICOM file").unwrap();
    assert_eq!(find(folder.path()).len(), 1);
    assert_eq!(only(folder.path()).0, [1.0, 2.0]);

    // A file that the user names is read whatever its modality.
    let named = find_volumes(folder.path(), &[PathBuf::from("mr.dcm")], &ScanRules::CT).unwrap().sources;
    assert_eq!(named[0].read().unwrap().volume.size(), [1, 3, 4]);
    let named = find_volumes(folder.path(), &[PathBuf::from("report.dcm")], &ScanRules::CT).unwrap().sources;
    let error = named[0].info().unwrap_err();
    assert_eq!(error.code(), code::UNSUPPORTED);
    assert!(error.message().contains("Basic Text SR"), "{error}");

    let named = find_volumes(folder.path(), &[PathBuf::from("screen.dcm")], &ScanRules::CT).unwrap().sources;
    assert!(named[0].info().unwrap_err().message().contains("in colour"));

    for name in ["a.dcm", "b.dcm"] {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    let error = find_volumes(folder.path(), &[PathBuf::from(".")], &ScanRules::CT).unwrap_err();
    assert!(error.message().contains("1 DICOM without an image, 1 DICOM of modality MR, 1 DICOM in colour"), "{error}");
}

#[test]
fn a_damaged_file_is_a_series_that_fails_and_the_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    write_slices(folder.path(), &[("a.dcm", 1, 1, 0.0), ("b.dcm", 2, 2, 1.0), ("c.dcm", 3, 3, 2.0)]);
    let bytes = std::fs::read(folder.path().join("b.dcm")).unwrap();
    std::fs::write(folder.path().join("b.dcm"), &bytes[..300]).unwrap();
    let sources = find(folder.path());
    let ids: Vec<_> = sources.iter().map(VolumeSource::id).collect();
    assert_eq!(ids, ["b.dcm", "series=225123456789"]);
    assert_eq!(sources[0].read().unwrap_err().code(), code::CORRUPT);
    assert_eq!(sources[1].read().unwrap().volume.size(), [2, 3, 4]);
}

#[test]
fn a_slice_that_changes_after_opening_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_slices(folder.path(), &[("a.dcm", 1, 1, 0.0), ("b.dcm", 2, 2, 1.0)]);
    let sources = find(folder.path());
    let pixels = [7; 30];
    DicomFile { stored: &pixels, size: [5, 6], ..slice(&0, 2, 1.0) }.write(&folder.path().join("b.dcm")).unwrap();
    let error = sources[0].read().unwrap_err();
    assert!(error.message().contains("changed"), "{error}");
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn a_real_series_equals_that_of_simple_itk() {
    let folder = medcoss_test_support::data("mri/hippocampus_dicom");
    let sources = find_volumes(&folder, &[PathBuf::from(".")], &ScanRules::MR).unwrap().sources;
    assert_eq!(sources.len(), 1);
    assert_eq!(sources[0].id(), "Study1/13_HCropVolume#series=153146185462");
    assert_eq!(sources[0].info().unwrap().notes, [""; 0]);
    let volume = sources[0].read().unwrap().volume;
    assert_eq!((volume.size(), volume.spacing_mm()), ([32, 51, 35], [1.0; 3]));
    // The file's axes are those of the volume, so indices are the same.
    let at = |slice: usize, row: usize, column: usize| volume.voxels()[(slice * 51 + row) * 35 + column];
    assert_eq!([at(3, 17, 29), at(31, 50, 34), at(16, 25, 17)], [87.0, 100.0, 27.0]);
    let mean = |values: &mut dyn Iterator<Item = f32>| {
        let values: Vec<f64> = values.map(f64::from).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    let means = [
        mean(&mut volume.voxels().iter().copied()),
        mean(&mut volume.voxels()[..51 * 35].iter().copied()),
        mean(&mut volume.voxels()[31 * 51 * 35..].iter().copied()),
        mean(&mut (0..32).flat_map(|slice| (0..35).map(move |column| (slice, column))).map(|(s, c)| at(s, 0, c))),
        mean(&mut (0..32).flat_map(|slice| (0..51).map(move |row| (slice, row))).map(|(s, r)| at(s, r, 0))),
    ];
    let expected = [58.59035364, 46.59719888, 63.24817927, 46.83482143, 56.26286765];
    assert!(means.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{means:?}");
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn frames_are_the_same_however_they_are_compressed() {
    let folder = medcoss_test_support::data("conformance/dicom/pydicom-data");
    let read = |name: &str| {
        let sources = find_volumes(&folder, &[PathBuf::from(name)], &ScanRules::MR).unwrap().sources;
        sources[0].read().unwrap().volume
    };
    let plain = read("emri_small.dcm");
    for name in ["RLE", "big_endian", "jpeg_2k_lossless", "jpeg_2k_lossless_too_short", "jpeg_ls_lossless"] {
        assert_eq!(read(&format!("emri_small_{name}.dcm")), plain, "{name}");
    }
}
