//! One scan is one volume: what tells scans apart, and what is left out. The crate's writer makes the files and tests
//! change them. Slices of a scan have values of their own, so that a mixed volume shows.

use std::path::{Path, PathBuf};

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use medcoss_formats::dicom::write::{DicomFile, Modality, Place};
use medcoss_formats::volume_source::{FoundVolumes, MissingRescale, ScanRules, VolumeSource, find_volumes};

use crate::dicom_series::save;

const AXIAL: [[f64; 3]; 2] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
const SAGITTAL: [[f64; 3]; 2] = [[0.0, 1.0, 0.0], [0.0, 0.0, -1.0]];

/// Elements of a slice, in text; representations are those of the dictionary or do not matter.
pub(crate) type Elements<'a> = &'a [(Tag, &'a str)];

/// A slice of 3 x 4 pixels of one value, with these elements.
pub(crate) fn slice(
    modality: Modality,
    value: i32,
    number: usize,
    height: f64,
    elements: Elements<'_>,
) -> InMemDicomObject {
    let place = Place { position: [1.0, 2.0, height], directions: AXIAL, spacing_mm: [0.8, 0.7], thickness_mm: 2.0 };
    let file = DicomFile {
        modality,
        series: "2.25.4711",
        number,
        size: [3, 4],
        stored: &[value; 12],
        bits_stored: 16,
        signed: true,
        inverted: false,
        rescale: Some([1.0, 0.0]),
        window: None,
        place: Some(place),
    };
    let mut object = file.data_set();
    for &(tag, text) in elements {
        put(&mut object, tag, text);
    }
    object
}

pub(crate) fn put(object: &mut InMemDicomObject, tag: Tag, text: &str) {
    object.put(DataElement::new(tag, VR::LO, PrimitiveValue::from(text)));
}

/// Writes a scan of `n` slices, 2 mm apart from `first` on, of the values `value`, `value + 1`, ...; numbers begin with
/// `number`.
fn write_scan(folder: &Path, name: &str, n: usize, [first, value, number]: [usize; 3], elements: Elements<'_>) {
    write_scan_of(Modality::Ct, folder, name, n, [first, value, number], elements);
}

fn write_scan_of(
    modality: Modality,
    folder: &Path,
    name: &str,
    n: usize,
    [first, value, number]: [usize; 3],
    elements: Elements<'_>,
) {
    for at in 0..n {
        let object = slice(modality, (value + at) as i32, number + at, 2.0 * (first + at) as f64, elements);
        save(object, &folder.join(format!("{name}{at:02}.dcm")));
    }
}

fn found(folder: &Path, rules: &ScanRules) -> FoundVolumes {
    find_volumes(folder, &[PathBuf::from(".")], rules).unwrap()
}

/// Id and value of each slice of the volumes; a volume that cannot be read has the first line of its error.
pub(crate) fn volumes(folder: &Path, rules: &ScanRules) -> Vec<(String, Vec<f32>)> {
    found(folder, rules).sources.iter().map(read).collect()
}

fn read(source: &VolumeSource) -> (String, Vec<f32>) {
    let volume = source.read().unwrap().volume;
    let [_, rows, columns] = volume.size();
    let planes = volume.voxels().chunks_exact(rows * columns);
    let same = |plane: &[f32]| {
        assert!(plane.iter().all(|value| *value == plane[0]), "{}: {plane:?}", source.id());
        plane[0]
    };
    (source.id().to_owned(), planes.map(same).collect())
}

pub(crate) fn left_out(folder: &Path, rules: &ScanRules) -> Vec<(String, String)> {
    let left = found(folder, rules).account;
    left.left_out().map(|(file, reason)| (file.to_owned(), reason.to_owned())).collect()
}

pub(crate) fn counted(from: usize, n: usize) -> Vec<f32> {
    (from..from + n).map(|value| value as f32).collect()
}

/// Two scans of one series UID that differ by an element become two volumes with these ids.
fn two(modality: Modality, [one, other]: [Elements<'_>; 2], shift: usize, ids: [&str; 2]) {
    let rules = if modality == Modality::Ct { ScanRules::CT } else { ScanRules::MR };
    let folder = tempfile::tempdir().unwrap();
    write_scan_of(modality, folder.path(), "b", 5, [0, 100, 1], one);
    write_scan_of(modality, folder.path(), "a", 5, [shift, 500, 1], other);
    let found = volumes(folder.path(), &rules);
    let expected = [(ids[0].to_owned(), counted(100, 5)), (ids[1].to_owned(), counted(500, 5))];
    assert!(found.len() == 2 && expected.iter().all(|scan| found.contains(scan)), "{found:?}");
    assert_eq!(left_out(folder.path(), &rules), []);
}

#[test]
fn patients_studies_kernels_echoes_and_kinds_are_never_mixed() {
    let id = |words: &str| format!("series=2254711;{words}");
    let cases: &[(Modality, Tag, [&str; 2], [&str; 2])] = &[
        (Modality::Ct, tags::PATIENT_ID, ["A", "B"], ["patient=1", "patient=2"]),
        (Modality::Ct, tags::PATIENT_NAME, ["Roe^Jane", "Doe^John"], ["patient=2", "patient=1"]),
        (Modality::Ct, tags::STUDY_INSTANCE_UID, ["2.25.1", "2.25.2"], ["study=1", "study=2"]),
        (Modality::Ct, tags::SERIES_NUMBER, ["3", "4"], ["series_number=3", "series_number=4"]),
        (Modality::Ct, tags::CONVOLUTION_KERNEL, ["B30f", "B70f"], ["kernel=B30f", "kernel=B70f"]),
        (Modality::Mr, tags::ECHO_TIME, ["2.3", "4.60"], ["echo_time=2.3", "echo_time=4.6"]),
        (Modality::Mr, tags::ECHO_NUMBERS, ["1", "2"], ["echo=1", "echo=2"]),
        (
            Modality::Mr,
            tags::COMPLEX_IMAGE_COMPONENT,
            ["MAGNITUDE", "PHASE"],
            ["component=MAGNITUDE", "component=PHASE"],
        ),
        (Modality::Mr, tags::TEMPORAL_POSITION_IDENTIFIER, ["1", "2"], ["phase=1", "phase=2"]),
        (Modality::Mr, tags::DIFFUSION_B_VALUE, ["0", "1000"], ["b=0", "b=1000"]),
    ];
    for &(modality, tag, [one, other], words) in cases {
        let ids = words.map(id);
        // At the same positions, and between them.
        for shift in [0, 3] {
            two(modality, [&[(tag, one)], &[(tag, other)]], shift, [&ids[0], &ids[1]]);
        }
        // An element that is absent is a value of its own.
        if tag != tags::PATIENT_NAME && tag != tags::PATIENT_ID && tag != tags::STUDY_INSTANCE_UID {
            two(
                modality,
                [&[(tag, one)], &[]],
                0,
                [&ids[0], &id(&format!("{}=none", words[0].split('=').next().unwrap()))],
            );
        }
    }
    let kinds = ["ORIGINAL\\PRIMARY\\M\\ND", "ORIGINAL\\PRIMARY\\P\\ND"];
    let [one, other] = kinds.map(|kind| [(tags::IMAGE_TYPE, kind)]);
    two(Modality::Mr, [&one, &other], 0, ["series=2254711;kind=1", "series=2254711;kind=2"]);
}

#[test]
fn a_patient_s_name_is_one_in_any_spelling_and_not_in_an_id() {
    let folder = tempfile::tempdir().unwrap();
    let name = |text| [(tags::PATIENT_NAME, text), (tags::PATIENT_ID, "7")];
    write_scan(folder.path(), "a", 2, [0, 10, 1], &name("Roe^Jane"));
    write_scan(folder.path(), "b", 2, [2, 12, 3], &name("ROE^JANE^^"));
    write_scan(folder.path(), "c", 2, [4, 14, 5], &name("Roe^Jane=..."));
    assert_eq!(volumes(folder.path(), &ScanRules::CT), [("series=2254711".to_owned(), counted(10, 6))]);
}

#[test]
fn phases_are_distinguished_where_positions_repeat() {
    let id = |words: &str| format!("series=2254711;{words}");
    let cases: &[(Tag, [&str; 2], [&str; 2])] = &[
        (tags::ACQUISITION_NUMBER, ["1", "2"], ["acquisition=1", "acquisition=2"]),
        (tags::TRIGGER_TIME, ["0", "350.5"], ["trigger=0", "trigger=350.5"]),
        (tags::INVERSION_TIME, ["100", "2500"], ["inversion_time=100", "inversion_time=2500"]),
        (tags::KVP, ["80", "140"], ["kvp=80", "kvp=140"]),
        (tags::ACQUISITION_TIME, ["100000", "100010"], ["acquisition_time=1", "acquisition_time=2"]),
        (tags::CONTENT_TIME, ["100000.5", "100010"], ["content_time=1", "content_time=2"]),
        (tags::SERIES_DESCRIPTION, ["arterial Roe", "venous Roe"], ["description=1", "description=2"]),
    ];
    for &(tag, [one, other], words) in cases {
        let ids = words.map(id);
        two(Modality::Mr, [&[(tag, one)], &[(tag, other)]], 0, [&ids[0], &ids[1]]);
    }
}

#[test]
fn elements_that_vary_from_slice_to_slice_do_not_cut_a_scan() {
    for tag in [
        tags::ACQUISITION_NUMBER,
        tags::ACQUISITION_TIME,
        tags::CONTENT_TIME,
        tags::TRIGGER_TIME,
        tags::TEMPORAL_POSITION_IDENTIFIER,
        tags::SERIES_DESCRIPTION,
    ] {
        let folder = tempfile::tempdir().unwrap();
        for at in 0..6 {
            let value = (100_000 + at).to_string();
            let object = slice(Modality::Mr, at, 1 + at as usize, f64::from(at), &[(tag, &value)]);
            save(object, &folder.path().join(format!("{at}.dcm")));
        }
        let expected = [("series=2254711".to_owned(), counted(0, 6))];
        assert_eq!(volumes(folder.path(), &ScanRules::MR), expected, "{tag}");
        // A slice that was acquired again is not a scan of its own.
        save(slice(Modality::Mr, 77, 9, 3.0, &[(tag, "100777")]), &folder.path().join("again.dcm"));
        assert_eq!(volumes(folder.path(), &ScanRules::MR), expected, "{tag}");
        let reason = "at the position of another slice of its scan, from which its number alone tells it apart";
        assert_eq!(left_out(folder.path(), &ScanRules::MR), [("again.dcm".to_owned(), reason.to_owned())], "{tag}");
    }
    // Step and shoot: four slices an acquisition, of which one is at the place of the next one's first.
    let folder = tempfile::tempdir().unwrap();
    for (number, at) in [0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9].into_iter().enumerate() {
        let acquisition = (number / 4).to_string();
        let elements = [(tags::ACQUISITION_NUMBER, acquisition.as_str())];
        save(
            slice(Modality::Ct, at, number, f64::from(at), &elements),
            &folder.path().join(format!("{number:02}.dcm")),
        );
    }
    assert_eq!(volumes(folder.path(), &ScanRules::CT), [("series=2254711".to_owned(), counted(0, 10))]);
    assert_eq!(left_out(folder.path(), &ScanRules::CT).len(), 2);
}

#[test]
fn reconstructions_of_two_thicknesses_are_two_scans_and_parts_of_one_are_one() {
    let thickness = |mm| [(tags::SLICE_THICKNESS, mm)];
    let ids = ["series=2254711;thickness=2", "series=2254711;thickness=5"];
    two(Modality::Ct, [&thickness("2"), &thickness("5.0")], 0, ids);
    // Every other slice of one lies between two of the other.
    let folder = tempfile::tempdir().unwrap();
    for at in 0..8 {
        let elements = thickness(if at % 2 == 0 { "2" } else { "5" });
        let object = slice(Modality::Ct, 100 * (at % 2) + at, 1 + at as usize, f64::from(at), &elements);
        save(object, &folder.path().join(format!("{at}.dcm")));
    }
    let found: Vec<_> = volumes(folder.path(), &ScanRules::CT).into_iter().map(|(_, values)| values).collect();
    assert_eq!(found, [vec![0.0, 2.0, 4.0, 6.0], vec![101.0, 103.0, 105.0, 107.0]]);
    // A head: thin slices at the base of the skull, thick ones above.
    let folder = tempfile::tempdir().unwrap();
    write_scan(folder.path(), "a", 5, [0, 100, 1], &thickness("2"));
    write_scan(folder.path(), "b", 5, [5, 105, 6], &thickness("5"));
    assert_eq!(volumes(folder.path(), &ScanRules::CT), [("series=2254711".to_owned(), counted(100, 10))]);
}

#[test]
fn time_points_with_a_time_for_each_slice_follow_one_another() {
    let folder = tempfile::tempdir().unwrap();
    for at in 0..12 {
        let time = (100_000 + at).to_string();
        let object =
            slice(Modality::Mr, 100 * (at / 4) + at % 4, 1, f64::from(at % 4), &[(tags::ACQUISITION_TIME, &time)]);
        save(object, &folder.path().join(format!("{:02}.dcm", (at * 5) % 12)));
    }
    let expected = [0, 100, 200].map(|first| counted(first, 4));
    let found = volumes(folder.path(), &ScanRules::MR);
    let ids: Vec<_> = found.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, [1, 2, 3].map(|n| format!("series=2254711;acquisition_time={n}")));
    assert_eq!(found.into_iter().map(|(_, values)| values).collect::<Vec<_>>(), expected);
}

#[test]
fn a_private_element_tells_magnitude_and_phase_of_ge_apart() {
    let write = |folder: &Path, creator: &str, block: u16, kind: i16, unknown: bool| {
        for at in 0..4 {
            let value = 100 * i32::from(kind) + at;
            let mut object = slice(Modality::Mr, value, at as usize + 1, f64::from(at), &[]);
            put(&mut object, Tag(0x0043, block), creator);
            let (vr, number) = match unknown {
                false => (VR::SS, PrimitiveValue::from(kind)),
                true => (VR::UN, PrimitiveValue::from(kind.to_le_bytes().to_vec())),
            };
            object.put(DataElement::new(Tag(0x0043, block << 8 | 0x2f), vr, number));
            save(object, &folder.join(format!("{kind}_{at}.dcm")));
        }
    };
    for (block, unknown) in [(0x10, false), (0x12, true)] {
        let folder = tempfile::tempdir().unwrap();
        (0..4).for_each(|kind| write(folder.path(), "GEMS_PARM_01", block, kind, unknown));
        let expected = [("IMAGINARY", 300), ("MAGNITUDE", 0), ("PHASE", 100), ("REAL", 200)]
            .map(|(word, value)| (format!("series=2254711;component={word}"), counted(value, 4)));
        assert_eq!(volumes(folder.path(), &ScanRules::MR), expected);
    }
    // The same number of another creator is something else, and the scans stay refused.
    let folder = tempfile::tempdir().unwrap();
    (0..2).for_each(|kind| write(folder.path(), "GEMS_ACQU_01", 0x10, kind, false));
    let error = found(folder.path(), &ScanRules::MR).sources[0].info().unwrap_err();
    assert!(error.message().contains("several slices at one place"), "{error}");
}

#[test]
fn the_private_image_type_of_siemens_xa_counts_where_positions_repeat() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, height: f64, value: i32, kind: &str| {
        let mut object = slice(Modality::Mr, value, 1, height, &[]);
        put(&mut object, Tag(0x0021, 0x0010), "SIEMENS MR SDI 02");
        put(&mut object, Tag(0x0021, 0x1075), kind);
        save(object, &folder.path().join(name));
    };
    // One scan: its texts differ, and no position repeats.
    write("a.dcm", 0.0, 10, "M\\DIS2D");
    write("b.dcm", 2.0, 11, "M\\DIS3D");
    assert_eq!(volumes(folder.path(), &ScanRules::MR), [("series=2254711".to_owned(), counted(10, 2))]);
    write("b.dcm", 2.0, 11, "M\\DIS2D");
    write("c.dcm", 0.0, 50, "P\\DIS2D");
    write("d.dcm", 2.0, 51, "P\\DIS2D");
    let found: Vec<_> = volumes(folder.path(), &ScanRules::MR).into_iter().map(|(_, values)| values).collect();
    assert_eq!(found, [counted(10, 2), counted(50, 2)]);
}

#[test]
fn phases_of_unequal_length_and_products_of_elements_are_separated() {
    let folder = tempfile::tempdir().unwrap();
    let acquisition = |n| [(tags::ACQUISITION_NUMBER, n)];
    write_scan(folder.path(), "a", 4, [3, 100, 1], &acquisition("1"));
    write_scan(folder.path(), "b", 12, [0, 500, 1], &acquisition("2"));
    let found = volumes(folder.path(), &ScanRules::CT);
    assert_eq!(found.iter().map(|(_, values)| values.clone()).collect::<Vec<_>>(), [counted(100, 4), counted(500, 12)]);

    let folder = tempfile::tempdir().unwrap();
    let mut at = 0;
    for b in ["0", "800"] {
        for direction in ["1", "2", "3"] {
            let elements = [(tags::DIFFUSION_B_VALUE, b), (tags::ACQUISITION_NUMBER, direction)];
            write_scan_of(Modality::Mr, folder.path(), &format!("{b}_{direction}_"), 3, [0, at, 1], &elements);
            at += 10;
        }
    }
    let found = volumes(folder.path(), &ScanRules::MR);
    let ids: Vec<_> = found.iter().map(|(id, _)| id.as_str()).collect();
    let words = ["b=0;acquisition=1", "b=0;acquisition=2", "b=0;acquisition=3", "b=800;acquisition=1"];
    assert_eq!(ids[..4], words.map(|words| format!("series=2254711;{words}")));
    assert_eq!(found[4].1, counted(40, 3));
}

#[test]
fn slices_at_one_place_that_nothing_tells_apart_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_scan(folder.path(), "a", 4, [0, 100, 1], &[]);
    write_scan(folder.path(), "b", 4, [0, 500, 1], &[]);
    let error = found(folder.path(), &ScanRules::CT).sources[0].info().unwrap_err();
    assert!(error.message().starts_with("series=2254711 has several slices at one place"), "{error}");
    assert!(error.message().contains("\nhint: "), "{error}");
    // Numbers that go on show which slices came first.
    let folder = tempfile::tempdir().unwrap();
    write_scan(folder.path(), "b", 4, [0, 100, 1], &[]);
    write_scan(folder.path(), "a", 4, [0, 500, 5], &[]);
    assert_eq!(volumes(folder.path(), &ScanRules::CT), [("series=2254711".to_owned(), counted(100, 4))]);
    assert_eq!(left_out(folder.path(), &ScanRules::CT).len(), 4);
}

#[test]
fn copies_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    write_scan(folder.path(), "a", 4, [0, 100, 1], &[]);
    write_scan(folder.path(), "b", 4, [0, 100, 1], &[]);
    assert_eq!(volumes(folder.path(), &ScanRules::CT), [("series=2254711".to_owned(), counted(100, 4))]);
    let left = left_out(folder.path(), &ScanRules::CT);
    assert_eq!(left[0], ("b00.dcm".to_owned(), "a copy of another slice of its scan".to_owned()));
    assert_eq!((left.len(), found(folder.path(), &ScanRules::CT).account.n_used()), (4, 4));
}

#[test]
fn slices_without_a_position_are_distinguished_by_number() {
    let write = |folder: &Path, name: &str, value: i32, elements: Elements<'_>| {
        for at in 0..3 {
            let mut object = slice(Modality::Ct, value + at, 1 + at as usize, 0.0, elements);
            object.remove_element(tags::IMAGE_POSITION_PATIENT);
            save(object, &folder.join(format!("{name}{at}.dcm")));
        }
    };
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a", 100, &[(tags::ACQUISITION_NUMBER, "1")]);
    write(folder.path(), "b", 500, &[(tags::ACQUISITION_NUMBER, "2")]);
    let values: Vec<_> = volumes(folder.path(), &ScanRules::CT).into_iter().map(|(_, values)| values).collect();
    assert_eq!(values, [counted(100, 3), counted(500, 3)]);
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a", 100, &[]);
    write(folder.path(), "b", 500, &[]);
    assert!(found(folder.path(), &ScanRules::CT).sources[0].info().is_err());
}

#[test]
fn what_is_no_scan_is_left_out_by_image_type_and_sop_class() {
    let folder = tempfile::tempdir().unwrap();
    write_scan(folder.path(), "scan", 3, [0, 100, 1], &[(tags::IMAGE_TYPE, "ORIGINAL\\PRIMARY\\AXIAL")]);
    let kinds = [
        ("dose", "DERIVED\\SECONDARY\\DOSE_INFO", "a page with doses or the protocol"),
        ("page", "DERIVED\\SECONDARY\\OTHER\\CT_SOM5 PROT", "a page with doses or the protocol"),
        ("reformat", "DERIVED\\SECONDARY\\MPR", "a reformat or projection (derived); reformats = true takes them"),
        ("scout", "ORIGINAL\\PRIMARY\\LOCALIZER", "a localiser (scout)"),
        ("screen", "DERIVED\\SECONDARY\\SCREEN SAVE", "a screen capture"),
        ("top", "ORIGINAL\\PRIMARY\\LOCALIZER\\CT_SOM5 TOP", "a localiser (scout)"),
        (
            "z_mip",
            "DERIVED\\SECONDARY\\PROJECTION IMAGE\\CSA MIP",
            "a reformat or projection (derived); reformats = true takes them",
        ),
    ];
    for (name, kind, _) in kinds {
        let mut object = slice(Modality::Ct, 9, 9, 40.0, &[(tags::IMAGE_TYPE, kind)]);
        put(&mut object, tags::SERIES_INSTANCE_UID, &format!("2.25.{}", name.len()));
        save(object, &folder.path().join(format!("{name}.dcm")));
    }
    let mut capture = slice(Modality::Ct, 9, 9, 50.0, &[]);
    put(&mut capture, tags::SOP_CLASS_UID, uids::SECONDARY_CAPTURE_IMAGE_STORAGE);
    // A converter's scan states how it lies.
    put(&mut capture, tags::SERIES_INSTANCE_UID, "2.25.98");
    save(capture.clone(), &folder.path().join("converted.dcm"));
    capture.remove_element(tags::IMAGE_POSITION_PATIENT);
    save(capture, &folder.path().join("capture.dcm"));
    let expected: Vec<_> = [("capture", "", "a screen capture")]
        .iter()
        .chain(&kinds)
        .map(|(name, _, reason)| (format!("{name}.dcm"), (*reason).to_owned()))
        .collect();
    assert_eq!(left_out(folder.path(), &ScanRules::CT), expected);
    let ids =
        |rules: &ScanRules| found(folder.path(), rules).sources.iter().map(|s| s.id().to_owned()).collect::<Vec<_>>();
    assert_eq!(ids(&ScanRules::CT), ["converted.dcm", "series=2254711"]);
    let all = ScanRules { reformats: true, ..ScanRules::CT };
    assert_eq!(ids(&all), ["converted.dcm", "reformat.dcm", "series=2254711", "z_mip.dcm"]);
    // Files that the user names stay.
    let named = find_volumes(folder.path(), &[PathBuf::from("scout.dcm")], &ScanRules::CT).unwrap();
    assert_eq!(read(&named.sources[0]), ("scout.dcm".to_owned(), vec![9.0]));
}

#[test]
fn slices_across_a_stack_are_localisers() {
    let across = |folder: &Path, name: &str, study: &str, series: &str, at: f64| {
        let mut object = slice(Modality::Ct, 9, 9, at, &[(tags::STUDY_INSTANCE_UID, study), (tags::PATIENT_ID, "A")]);
        put(&mut object, tags::SERIES_INSTANCE_UID, series);
        let directions: Vec<String> = SAGITTAL.as_flattened().iter().map(f64::to_string).collect();
        put(&mut object, tags::IMAGE_ORIENTATION_PATIENT, &directions.join("\\"));
        save(object, &folder.join(name));
    };
    let folder = tempfile::tempdir().unwrap();
    let of_study = [(tags::STUDY_INSTANCE_UID, "2.25.1"), (tags::PATIENT_ID, "A")];
    write_scan(folder.path(), "scan", 3, [0, 100, 1], &of_study);
    across(folder.path(), "same_series.dcm", "2.25.1", "2.25.4711", 0.0);
    across(folder.path(), "same_study.dcm", "2.25.1", "2.25.8", 0.0);
    across(folder.path(), "another_study.dcm", "2.25.2", "2.25.9", 0.0);
    let left: Vec<_> = left_out(folder.path(), &ScanRules::CT).into_iter().map(|(file, _)| file).collect();
    assert_eq!(left, ["same_series.dcm", "same_study.dcm"]);
}

#[test]
fn numbers_with_a_decimal_comma_are_numbers_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let commas =
        [(tags::RESCALE_INTERCEPT, "-1024,0"), (tags::RESCALE_SLOPE, "0,5"), (tags::PIXEL_SPACING, "0,8\\0,7")];
    write_scan(folder.path(), "a", 3, [0, 100, 1], &commas);
    assert_eq!(volumes(folder.path(), &ScanRules::CT)[0].1, [-974.0, -973.5, -973.0]);
    let FoundVolumes { sources, account } = found(folder.path(), &ScanRules::CT);
    assert_eq!(sources[0].info().unwrap().spacing_mm, [2.0, 0.8, 0.7]);
    let notice = &account.notices()[0];
    assert_eq!((notice.n, notice.of), (3, 3));
    assert!(notice.what.contains("decimal comma"), "{}", notice.what);
}

#[test]
fn ct_without_a_usable_rescale_is_refused_or_taken_as_stored() {
    let slope = |text| (tags::RESCALE_SLOPE, text);
    let intercept = |text| (tags::RESCALE_INTERCEPT, text);
    let cases: &[(Elements<'_>, &str, f32)] = &[
        (&[slope(""), intercept("")], "neither Rescale Slope (0028,1053) nor Rescale Intercept", 100.0),
        (&[slope("0"), intercept("-1024")], "Rescale Slope (0028,1053) is 0", -924.0),
        (&[slope("one"), intercept("-1024")], "Rescale Slope (0028,1053) is no number", -924.0),
        (&[slope("1"), intercept("NaN")], "Rescale Intercept (0028,1052) is no number", 100.0),
        (&[slope("")], "they have no Rescale Slope", 100.0),
        (&[(tags::RESCALE_TYPE, "Z_EFF")], "Rescale Type (0028,1054) is not HU", 100.0),
    ];
    for &(elements, reason, stored) in cases {
        let folder = tempfile::tempdir().unwrap();
        write_scan(folder.path(), "a", 2, [0, 100, 1], &[]);
        write_scan(folder.path(), "b", 1, [2, 100, 3], elements);
        let error = found(folder.path(), &ScanRules::CT).sources[0].info().unwrap_err();
        assert!(error.message().starts_with("series=2254711 has 1 of 3 slices"), "{error}");
        assert!(error.message().contains(reason) && error.message().contains("\nhint: set missing_rescale"), "{error}");
        let taken = ScanRules { missing_rescale: Some(MissingRescale::StoredValues), ..ScanRules::CT };
        assert_eq!(volumes(folder.path(), &taken)[0].1, [100.0, 101.0, stored], "{reason}");
        let notices = found(folder.path(), &taken).account.notices().to_vec();
        assert!(notices[0].n == 1 && notices[0].what.contains("stored numbers are taken"), "{notices:?}");
        // Numbers of MRI have no unit.
        let folder = tempfile::tempdir().unwrap();
        write_scan_of(Modality::Mr, folder.path(), "b", 1, [2, 100, 3], elements);
        assert_eq!(volumes(folder.path(), &ScanRules::MR)[0].1, [stored], "{reason}");
    }
}

#[test]
fn padding_is_outside_of_the_scan() {
    let folder = tempfile::tempdir().unwrap();
    let mut object = slice(Modality::Ct, 0, 1, 0.0, &[]);
    let pixels = [50_i16, 2000, 2001, 2002, -2000, -1999, 0, 1, 2, 3, 4, 5];
    object.put(DataElement::new(
        tags::PIXEL_DATA,
        VR::OW,
        PrimitiveValue::U16(pixels.map(|p| p as u16).into_iter().collect()),
    ));
    let number = |tag, value: u16| DataElement::new(tag, VR::US, PrimitiveValue::from(value));
    object.put(number(tags::PIXEL_PADDING_VALUE, 2002));
    object.put(number(tags::PIXEL_PADDING_RANGE_LIMIT, 2001));
    save(object.clone(), &folder.path().join("a.dcm"));
    let rules = ScanRules { outside: -500.0, ..ScanRules::CT };
    let read = || {
        let FoundVolumes { sources, account } = found(folder.path(), &rules);
        let what: Vec<_> = account.notices().iter().map(|notice| (notice.n, notice.what.clone())).collect();
        (sources[0].read().unwrap().volume.voxels().to_vec(), what)
    };
    let (voxels, notices) = read();
    assert_eq!(voxels[..6], [50.0, 2000.0, -500.0, -500.0, -2000.0, -1999.0]);
    assert!(notices.len() == 1 && notices[0].0 == 1 && notices[0].1.contains("read as -500"), "{notices:?}");
    // A negative value as an unsigned one; it is below the air of the range, so that nothing is to be said.
    object.put(number(tags::PIXEL_PADDING_VALUE, 63536));
    object.remove_element(tags::PIXEL_PADDING_RANGE_LIMIT);
    save(object, &folder.path().join("a.dcm"));
    let (voxels, notices) = read();
    assert_eq!(voxels[..6], [50.0, 2000.0, 2001.0, 2002.0, -500.0, -1999.0]);
    assert_eq!(notices, []);
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn scans_that_users_reported_are_one_patient_and_one_phase_each() {
    let folder = medcoss_test_support::data("reports");
    for name in ["51-one-series-id-two-patients", "09-two-phases"] {
        let found = volumes(&folder.join(name), &ScanRules::CT);
        // One value in all slices of a scan, as its maker gave it.
        assert!(
            found.iter().all(|(_, values)| values.len() == 16 && values.iter().all(|v| *v == values[0])),
            "{found:?}"
        );
        assert!(
            found.iter().any(|(_, values)| values[0] == 100.0) && found.iter().any(|(_, values)| values[0] == 500.0)
        );
    }
}
