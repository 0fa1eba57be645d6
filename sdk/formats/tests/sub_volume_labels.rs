//! Masks of scans are transformed like their scans: whatever the order of a file's axes, through every crop and
//! resampling.

use std::path::{Path, PathBuf};

use medcoss_formats::crop::Crop;
use medcoss_formats::foreground::Foreground;
use medcoss_formats::nifti_write::{NiftiFile, NumberType, Placement, in_file_order};
use medcoss_formats::sub_volumes::{SubVolumeSettings, SubVolumes};
use medcoss_formats::volume_source::ScanRules;
use medcoss_sdk::label_map::LabelMap;
use medcoss_sdk::volume::Volume;
use medcoss_sdk::{Error, find_files};

const SETTINGS: SubVolumeSettings = SubVolumeSettings {
    size: [16, 32, 48],
    crop: Crop::Centre,
    stride_in_plane: None,
    foreground: Foreground::Above(0.0),
    stride: None,
    spacing_mm: None,
    drop_ends_ratio: 0.0,
    cache_mb: 64,
    scans: ScanRules::CT,
};
const SIZE: [usize; 3] = [19, 27, 31];
const SPACING: [f32; 3] = [2.0, 1.5, 0.75];

/// Two organs that touch neither each other nor a border; the second is the smaller.
fn label(at: usize) -> u16 {
    let place = [at / (27 * 31), at / 31 % 27, at % 31].map(|n| n as f64);
    let inside = |centre: [f64; 3], radii: [f64; 3]| {
        (0..3).map(|axis| ((place[axis] - centre[axis]) / radii[axis]).powi(2)).sum::<f64>() < 1.0
    };
    match () {
        () if inside([8.0, 9.0, 9.0], [5.0, 6.0, 7.0]) => 1,
        () if inside([12.0, 18.0, 22.0], [4.0, 5.0, 6.0]) => 2,
        () => 0,
    }
}

fn write(
    path: &Path,
    values: impl Fn(usize) -> f32,
    facing: &str,
    datatype: NumberType,
    spacing: [f32; 3],
    size: [usize; 3],
) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let voxels = (0..size.iter().product()).map(values).collect();
    let (file_size, values, placement) = in_file_order(&Volume::new(size, spacing, voxels).unwrap(), facing).unwrap();
    let (scaling, big_endian) = ([1.0, 0.0], false);
    NiftiFile { size: &file_size, stored_values: &values, datatype, placement, scaling, big_endian }
        .write(path)
        .unwrap();
}

/// A scan and its mask, in files with different axes.
fn pair(facing: [&str; 2]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("images/a.nii");
    write(&image, |at| [0.0, 100.0, -100.0][usize::from(label(at))], facing[0], NumberType::I16, SPACING, SIZE);
    write(&folder.path().join("labels/a.nii.gz"), |at| f32::from(label(at)), facing[1], NumberType::U8, SPACING, SIZE);
    folder
}

fn label_map(folder: &Path, settings: SubVolumeSettings, index: usize) -> Result<LabelMap, Error> {
    let sub_volumes = SubVolumes::open(folder, &[PathBuf::from("images")], settings)?;
    let masks = find_files(folder, &[PathBuf::from("labels")], |_| true, "all")?.files;
    sub_volumes.label_map(index, &masks[0])
}

#[test]
fn labels_are_aligned_with_their_scan_whatever_the_axes_of_the_files() {
    for facing in [["LPS", "LPS"], ["RAS", "LPS"], ["PIR", "ASL"], ["SRA", "SRA"], ["LPS", "IAL"]] {
        let folder = pair(facing);
        for spacing_mm in [None, Some([2.0, 1.5, 0.75]), Some([1.3, 2.0, 1.0])] {
            let settings = SubVolumeSettings { spacing_mm, ..SETTINGS };
            let sub_volumes = SubVolumes::open(folder.path(), &[PathBuf::from("images")], settings.clone()).unwrap();
            for index in 0..sub_volumes.len() {
                assert_eq!(sub_volumes.file_id(index), "images/a.nii");
                let map = label_map(folder.path(), settings.clone(), index).unwrap();
                assert_eq!(map.shape(), settings.size);
                // The scan shows the organs: its linear interpolation tells the organ of each voxel, except at borders.
                let scan = sub_volumes.read(index).unwrap().padded(0.0);
                let sure = |value: f32| (0..3u16).find(|at| (value - [0.0, 100.0, -100.0][*at as usize]).abs() < 12.0);
                let settled: Vec<(u16, u16)> =
                    scan.iter().zip(map.values()).filter_map(|(v, &l)| Some((sure(*v)?, l))).collect();
                let n_wrong = settled.iter().filter(|(shown, label)| shown != label).count();
                let n_inside = map.values().iter().filter(|label| **label > 0).count();
                assert!(settled.len() > scan.len() * 3 / 4 && n_inside > 100, "{} {n_inside}", settled.len());
                assert!(n_wrong * 100 <= n_inside, "{facing:?} {spacing_mm:?}: {n_wrong} of {n_inside}");
            }
        }
    }
}

#[test]
fn whole_steps_copy_labels_and_the_background_surrounds_them() {
    let folder = pair(["LPS", "PIR"]);
    let settings = SubVolumeSettings { size: [32, 48, 64], spacing_mm: Some(SPACING), ..SETTINGS };
    let map = label_map(folder.path(), settings, 0).unwrap();
    assert_eq!(map.spacing_mm().unwrap(), [2.0, 1.5, 0.75]);
    // 19, 27 and 31 voxels in the middle of 32, 48 and 64; halves are rounded up.
    for (at, &found) in map.values().iter().enumerate() {
        let [z, y, x] = [(at / 3072) as isize - 6, (at / 64 % 48) as isize - 10, (at % 64) as isize - 16];
        let inside = (0..19).contains(&z) && (0..27).contains(&y) && (0..31).contains(&x);
        let expected = if inside { label(((z * 27 + y) * 31 + x) as usize) } else { 0 };
        assert_eq!(found, expected, "{z} {y} {x}");
    }
}

#[test]
fn a_mask_is_read_by_slices_where_its_scan_is() {
    let folder = pair(["RAS", "IAL"]);
    let few = SubVolumeSettings { cache_mb: 0, ..SETTINGS };
    for index in 0..2 {
        let whole = label_map(folder.path(), SETTINGS, index).unwrap();
        assert_eq!(label_map(folder.path(), few.clone(), index).unwrap(), whole);
        assert_eq!(whole.spacing_mm().unwrap(), [2.0, 1.5 * 27.0 / 32.0, 0.75 * 31.0 / 48.0]);
    }
}

#[test]
fn a_mask_of_another_geometry_is_refused_and_both_files_are_named() {
    let error_of = |spacing, size| {
        let folder = pair(["LPS", "LPS"]);
        write(&folder.path().join("labels/a.nii.gz"), |_| 1.0, "LPS", NumberType::U8, spacing, size);
        label_map(folder.path(), SETTINGS, 0).unwrap_err().message().to_owned()
    };
    let message = error_of(SPACING, [19, 31, 27]);
    assert!(message.starts_with("mask labels/a.nii.gz is 19x31x27, and images/a.nii is 19x27x31; both"), "{message}");
    let message = error_of([2.0, 1.5, 0.8], SIZE);
    assert!(message.starts_with("mask labels/a.nii.gz has a spacing of [2.0, 1.5, 0.8] mm"), "{message}");
    assert!(message.contains("images/a.nii of [2.0, 1.5, 0.75] mm"), "{message}");

    let folder = pair(["LPS", "LPS"]);
    let values = vec![1.0; SIZE.iter().product()];
    let size = [31, 27, 19];
    let placement = Placement::Unstated([0.75, 1.5, 2.0]);
    let (datatype, scaling, big_endian) = (NumberType::U8, [1.0, 0.0], false);
    NiftiFile { size: &size, stored_values: &values, datatype, placement, scaling, big_endian }
        .write(&folder.path().join("labels/a.nii.gz"))
        .unwrap();
    let error = label_map(folder.path(), SETTINGS, 0).unwrap_err();
    assert!(error.message().contains("does not state its orientation, and images/a.nii does"), "{error}");
}

#[test]
fn numbers_that_are_no_labels_are_refused() {
    let label_map_of = |values: fn(usize) -> f32, datatype| {
        let folder = pair(["LPS", "LPS"]);
        write(&folder.path().join("labels/a.nii.gz"), values, "LPS", datatype, SPACING, SIZE);
        label_map(folder.path(), SETTINGS, 0).map_err(|error| error.message().to_owned())
    };
    // Whole numbers may be stored as floating point.
    let map = label_map_of(|at| f32::from(label(at)) * 30_000.0, NumberType::F64).unwrap();
    assert!(map.values().contains(&60_000));
    let half = label_map_of(|at| f32::from(label(at)) * 0.5, NumberType::F32).unwrap_err();
    assert_eq!(half, "mask labels/a.nii.gz has a voxel of 0.5; labels are whole numbers from 0 to 65535");
    assert!(label_map_of(|_| -1.0, NumberType::I8).unwrap_err().contains("a voxel of -1;"));
    assert!(
        label_map_of(|at| if at == 5000 { f32::NAN } else { 0.0 }, NumberType::F32)
            .unwrap_err()
            .contains("1 voxels that are")
    );
}
