//! HDF5 files: those of h5py 3.16.0 (HDF5 2.0.0) in `golden`, whose numbers are a formula, and small ones of the library that reads them.

use hdf5_pure::FileBuilder;
use medcoss_formats::sub_volumes::{SubVolumeSettings, SubVolumes};
use medcoss_formats::volume_source::{Hdf5Rules, SliceAxis};
use medcoss_sdk::FoundFile;

use super::masks::SETTINGS;
use super::*;

/// Sides of the datasets: x, y, z.
const SIZE: [usize; 3] = [6, 5, 4];

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)).unwrap()
}

fn number(x: usize, y: usize, z: usize) -> f32 {
    (x + 10 * y + 100 * z) as f32
}

/// Numbers of a volume of 4 slices, 5 rows and 6 columns.
fn volume_of(value: impl Fn(usize, usize, usize) -> f32) -> Vec<f32> {
    let rows = (0..4).flat_map(|z| (0..5).map(move |y| (y, z)));
    rows.flat_map(|(y, z)| (0..6).map(move |x| (x, y, z))).map(|(x, y, z)| value(x, y, z)).collect()
}

fn rules(dataset: Option<&str>, slice_axis: SliceAxis) -> ScanRules {
    let hdf5 = Hdf5Rules { dataset: dataset.map(str::to_owned), mask_dataset: None, slice_axis };
    ScanRules { hdf5, ..ScanRules::MR }
}

/// The volume of a file, of which a dataset is named.
fn source(folder: &Path, name: &str, bytes: &[u8], rules: &ScanRules) -> Result<VolumeSource, Error> {
    std::fs::write(folder.join(name), bytes).unwrap();
    Ok(find_volumes(folder, &[name.into()], rules)?.sources.remove(0))
}

fn named(file: &str, dataset: &str) -> Result<Decoded, Error> {
    let folder = tempfile::tempdir().unwrap();
    source(folder.path(), "scan.h5", &golden(file), &rules(Some(dataset), SliceAxis::Last))?.read()
}

#[test]
fn a_named_dataset_is_read_along_its_last_axis() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = golden("hdf5_left_atrium.h5");
    let source = source(folder.path(), "mri_norm2.h5", &bytes, &rules(Some("image"), SliceAxis::Last)).unwrap();
    let info = source.info().unwrap();
    assert_eq!((info.size, info.spacing_mm, info.is_integer), ([4, 5, 6], [1.0; 3], Some(false)));
    assert!(info.notes.len() == 1 && info.notes[0].contains("[x, y, slice]"), "{:?}", info.notes);
    assert_eq!((info.file_axes.size, info.file_axes.axis, info.file_axes.spacing_mm), (SIZE, [2, 1, 0], None));
    let volume = source.read().unwrap().volume;
    assert_eq!(volume.voxels(), volume_of(|x, y, z| number(x, y, z) / 8.0));
    assert_slabs(&source, "gzip, shuffle");
    // As the reference takes arrays: [i, j, k] become [k, i, j].
    let stored = source.read_stored().unwrap().volume;
    assert_eq!((stored.size(), stored.voxels()[..2].to_vec()), ([4, 6, 5], vec![0.0, 10.0 / 8.0]));
    assert_eq!(source.stored_info().unwrap().size, [4, 6, 5]);
}

#[test]
fn slices_may_be_the_first_axis() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = golden("hdf5_left_atrium.h5");
    let source = source(folder.path(), "a.hdf5", &bytes, &rules(Some("/image"), SliceAxis::First)).unwrap();
    let info = source.info().unwrap();
    assert_eq!((info.size, info.file_axes.size, info.file_axes.axis), (SIZE, SIZE, [0, 1, 2]));
    assert!(info.notes[0].contains("[slice, row, column]"), "{:?}", info.notes);
    let expected: Vec<f32> =
        (0..6).flat_map(|a| (0..5).flat_map(move |b| (0..4).map(move |c| number(a, b, c) / 8.0))).collect();
    assert_eq!(source.read().unwrap().volume.voxels(), expected);
    assert!(!source.needs_whole_file());
    assert_slabs(&source, "first");
}

#[test]
fn types_byte_orders_chunks_and_filters_of_h5py_are_read() {
    for dataset in ["volumes/raw", "volumes/half", "volumes/scaled"] {
        let volume = named("hdf5_kinds.h5", dataset).unwrap().volume;
        assert_eq!(volume.voxels(), volume_of(number), "{dataset}");
    }
    let truth = named("hdf5_kinds.h5", "volumes/bool").unwrap().volume;
    assert_eq!(truth.voxels(), volume_of(|x, y, z| number(x, y, z) % 2.0));
    // Chunks that were never written have the fill value.
    let partial = named("hdf5_kinds.h5", "volumes/partial").unwrap().volume;
    assert_eq!(partial.voxels(), volume_of(|x, y, z| if x < 3 { -1.0 } else { number(x, y, z) }));
}

#[test]
fn what_is_no_volume_is_refused_by_name() {
    for (dataset, says) in [
        ("mask", "has no dataset \"mask\"; it has \"complex\" (2x2x2, structures), \"four\""),
        ("volumes", "has no dataset \"volumes\""),
        ("line", "has the dataset \"line\" (3, f64); datasets of three axes of integers"),
        ("four", "(1x2x2x2, f32)"),
        ("text", "(one value, texts or lists)"),
        ("complex", "(2x2x2, structures)"),
        ("written_nothing", "whose numbers are not in this file"),
        // Links by name are not followed, into this file or others.
        ("soft", "has no dataset \"soft\""),
        ("outside", "has no dataset \"outside\""),
    ] {
        let error = named("hdf5_kinds.h5", dataset).unwrap_err();
        assert!(error.to_string().contains(says), "{dataset}: {error}");
    }
}

#[test]
fn several_datasets_are_refused_unless_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = golden("hdf5_left_atrium.h5");
    let several = source(folder.path(), "a.h5", &bytes, &rules(None, SliceAxis::Last)).unwrap();
    let error = several.info().unwrap_err();
    assert_eq!(error.code(), code::BAD_REQUEST);
    let says = error.to_string();
    let all = "has 2 datasets of three axes: \"image\" (6x5x4, f32), \"label\" (6x5x4, u8)";
    assert!(says.contains(all) && says.contains("hint: name one by the option dataset"), "{says}");
    // A mask that is scored comes without options.
    let error = medcoss_formats::mask::read_mask(&folder.path().join("a.h5"), "a.h5").unwrap_err();
    assert!(error.to_string().contains("into a file of its own"), "{error}");
    let mut one = FileBuilder::new();
    one.create_dataset("labels").with_u8_data(&[0, 1, 2, 3, 4, 5]).with_shape(&[3, 2, 1]);
    one.create_dataset("names").with_f64_data(&[1.0, 2.0]);
    std::fs::write(folder.path().join("one.h5"), one.finish().unwrap()).unwrap();
    let mask = medcoss_formats::mask::read_mask(&folder.path().join("one.h5"), "one.h5").unwrap();
    assert_eq!((mask.shape, mask.labels), (vec![1, 2, 3], vec![0, 2, 4, 1, 3, 5]));
}

#[test]
fn a_mask_may_be_a_dataset_of_the_file_of_its_scan() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("case/mri_norm2.h5");
    std::fs::create_dir(folder.path().join("case")).unwrap();
    std::fs::write(&path, golden("hdf5_left_atrium.h5")).unwrap();
    let hdf5 =
        Hdf5Rules { dataset: Some("image".into()), mask_dataset: Some("label".into()), slice_axis: SliceAxis::Last };
    let settings = SubVolumeSettings { size: [4, 5, 6], scans: ScanRules { hdf5, ..ScanRules::MR }, ..SETTINGS };
    let samples = SubVolumes::open(folder.path(), &["case".into()], settings.clone()).unwrap();
    assert_eq!((samples.len(), samples.file_id(0)), (1, "case/mri_norm2.h5"));
    let mask = FoundFile { path, id: "case/mri_norm2.h5".into(), entry: 0, bytes: 0, modified: None };
    let labels: Vec<f32> = samples.label_map(0, &mask).unwrap().values().iter().map(|&label| label.into()).collect();
    assert_eq!(labels, volume_of(|x, y, z| ((x + y + z) % 3) as f32));
    // In slabs they are the same.
    let slabs =
        SubVolumes::open(folder.path(), &["case".into()], SubVolumeSettings { cache_mb: 0, ..settings }).unwrap();
    assert!(slabs.read(0).unwrap() == samples.read(0).unwrap());
}

#[test]
fn files_without_a_volume_are_left_out_and_damaged_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut weights = FileBuilder::new();
    weights.create_dataset("kernel").with_f32_data(&[0.5; 16]).with_shape(&[2, 2, 2, 2]);
    std::fs::write(folder.path().join("weights.h5"), weights.finish().unwrap()).unwrap();
    std::fs::write(folder.path().join("damaged.h5"), b"\x89HDF\r\n\x1a\nnothing").unwrap();
    std::fs::write(folder.path().join("scan.h5"), golden("hdf5_left_atrium.h5")).unwrap();
    let found = find_volumes(folder.path(), &[".".into()], &ScanRules::MR).unwrap();
    let ids: Vec<&str> = found.sources.iter().map(VolumeSource::id).collect();
    assert_eq!(ids, ["damaged.h5", "scan.h5"]);
    let left_out: Vec<_> = found.account.left_out().collect();
    assert_eq!(left_out, [("weights.h5", "an HDF5 file without a dataset of three axes")]);
    let says = found.sources[0].info().unwrap_err().to_string();
    assert!(says.contains("damaged.h5 cannot be read as HDF5"), "{says}");
    // A file that is named is known by its content.
    let named =
        source(folder.path(), "scan.data", &golden("hdf5_left_atrium.h5"), &rules(Some("label"), SliceAxis::Last));
    assert_eq!(named.unwrap().info().unwrap().is_integer, Some(true));
}

#[test]
fn sizes_that_a_file_only_claims_are_refused() {
    let error = named("hdf5_kinds.h5", "volumes/sparse").unwrap_err();
    let says = error.to_string();
    assert!(error.code() == code::CORRUPT && says.contains("too few for 60000x60000x60000 voxels"), "{says}");
    for (dataset, says) in
        [("volumes/one_chunk", "in chunks of 1000x1000x1000"), ("volumes/other_filter", "compressed by filter 4 SZIP")]
    {
        let error = named("hdf5_kinds.h5", dataset).unwrap_err();
        assert!(error.to_string().contains(says), "{dataset}: {error}");
    }
}

#[test]
fn a_form_that_is_newer_than_the_reader_is_named() {
    let error = named("hdf5_latest.h5", "image").unwrap_err();
    assert_eq!(error.code(), code::UNSUPPORTED, "{error}");
    assert!(error.to_string().contains("layout version: 5\nhint: write it again in an older form"), "{error}");
}

#[test]
fn no_changed_byte_and_no_cut_makes_reading_panic() {
    let mut builder = FileBuilder::new();
    let image = builder.create_dataset("image");
    let numbers: Vec<i16> = (0..60).collect();
    image.with_i16_data(&numbers).with_shape(&[5, 4, 3]).with_chunks(&[2, 4, 3]).with_shuffle().with_deflate(4);
    let bytes = builder.finish().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path(), "a.h5", &bytes, &ScanRules::MR).unwrap();
    let path = folder.path().join("a.h5");
    for at in 0..bytes.len() {
        for byte in [0, 1, 0x7f, 0xff] {
            let mut changed = bytes.clone();
            changed[at] = byte;
            std::fs::write(&path, &changed).unwrap();
            let _ = source.read();
        }
        std::fs::write(&path, &bytes[..at]).unwrap();
        let _ = source.read();
    }
}
