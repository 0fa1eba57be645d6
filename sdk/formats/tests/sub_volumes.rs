//! Sub-volumes: their list and their contents, which do not depend on the cache.

use std::path::{Path, PathBuf};

use medcoss_formats::crop::Crop;
use medcoss_formats::foreground::Foreground;
use medcoss_formats::nifti_write::{NiftiFile, NumberType, Placement, in_file_order};
use medcoss_formats::sub_volumes::{SubVolumeSettings, SubVolumes};
use medcoss_formats::volume_source::ScanRules;
use medcoss_sdk::volume::Volume;
use medcoss_sdk::{Error, code};

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
const UPRIGHT: Placement = Placement::Sform([[-1.5, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 2.0]]);

/// A scan of `slices` slices of 32 x 48 voxels, every voxel the number of its slice plus `offset`.
fn write_scan(folder: &Path, name: &str, slices: u16, offset: f64) {
    let plane = 32 * 48;
    let values: Vec<f64> = (0..usize::from(slices) * plane).map(|at| (at / plane) as f64 + offset).collect();
    NiftiFile {
        size: &[48, 32, slices],
        stored_values: &values,
        datatype: NumberType::F32,
        placement: UPRIGHT,
        scaling: [1.0, 0.0],
        big_endian: false,
    }
    .write(&folder.join(name))
    .unwrap();
}

fn open(folder: &Path, settings: SubVolumeSettings) -> Result<SubVolumes, Error> {
    SubVolumes::open(folder, &[PathBuf::from(".")], settings)
}

/// First slices of the sub-volumes of one scan.
fn windows(slices: u16, settings: SubVolumeSettings) -> Vec<usize> {
    let folder = tempfile::tempdir().unwrap();
    write_scan(folder.path(), "scan.nii", slices, 0.0);
    let sub_volumes = open(folder.path(), settings).unwrap();
    let first = |index| sub_volumes.id(index).rsplit_once("#z=").unwrap().1.parse().unwrap();
    (0..sub_volumes.len()).map(first).collect()
}

#[test]
fn windows_follow_the_stride_and_the_last_ends_with_the_scan() {
    assert_eq!(windows(48, SETTINGS), [0, 16, 32]);
    assert_eq!(windows(41, SETTINGS), [0, 16, 25]);
    assert_eq!(windows(16, SETTINGS), [0]);
    assert_eq!(windows(5, SETTINGS), [0]);
    assert_eq!(windows(31, SubVolumeSettings { stride: Some(6), ..SETTINGS }), [0, 6, 12, 15]);
    assert_eq!(windows(60, SubVolumeSettings { stride: Some(40), ..SETTINGS }), [0, 40, 44]);
}

#[test]
fn ends_are_dropped_only_where_a_whole_sub_volume_remains() {
    let settings = SubVolumeSettings { drop_ends_ratio: 0.1, ..SETTINGS };
    assert_eq!(windows(35, settings.clone()), [3, 16]);
    assert_eq!(windows(20, settings.clone()), [2]);
    assert_eq!(windows(17, settings), [0, 1]);
}

#[test]
fn resampling_counts_the_new_slices() {
    // 24 slices of 2 mm are 48 of 1 mm, or 16 of 3 mm.
    assert_eq!(windows(24, SubVolumeSettings { spacing_mm: Some([1.0, 1.0, 1.0]), ..SETTINGS }), [0, 16, 32]);
    assert_eq!(windows(24, SubVolumeSettings { spacing_mm: Some([3.0, 1.0, 1.0]), ..SETTINGS }), [0]);
}

#[test]
fn a_sub_volume_holds_the_slices_that_its_id_names() {
    let folder = tempfile::tempdir().unwrap();
    write_scan(folder.path(), "scan.nii.gz", 41, 0.0);
    let sub_volumes = open(folder.path(), SETTINGS).unwrap();
    assert_eq!(sub_volumes.id(2), "scan.nii.gz#z=0025");
    let voxels = sub_volumes.read(2).unwrap().padded(-1.0);
    for (slice, plane) in voxels.chunks_exact(32 * 48).enumerate() {
        assert!(plane.iter().all(|&value| value == (25 + slice) as f32), "slice {slice}");
    }
}

#[test]
fn a_short_scan_stands_in_the_middle_of_its_padding() {
    let folder = tempfile::tempdir().unwrap();
    write_scan(folder.path(), "scan.nii", 5, 100.0);
    let part = open(folder.path(), SETTINGS).unwrap().read(0).unwrap();
    assert_eq!(part.values.len(), 5 * 32 * 48);
    let slices: Vec<f32> = part.padded(-1.0).chunks_exact(32 * 48).map(|plane| plane[700]).collect();
    let mut expected = [-1.0; 16];
    expected[5..10].copy_from_slice(&[100.0, 101.0, 102.0, 103.0, 104.0]);
    assert_eq!(slices, expected);
}

#[test]
fn spacing_is_kept_in_all_directions() {
    let folder = tempfile::tempdir().unwrap();
    write_scan(folder.path(), "scan.nii", 24, 0.0);
    // Rows of 1 mm to 2 mm: 32 become 16 in the middle of 32. Columns of 1.5 mm to 1 mm: 48 become 72, cropped to 48.
    let settings = SubVolumeSettings { spacing_mm: Some([1.0, 2.0, 1.0]), ..SETTINGS };
    let part = open(folder.path(), settings).unwrap().read(1).unwrap();
    assert_eq!(part.values.len(), 16 * 16 * 48);
    let voxels = part.padded(-1.0);
    for (at, &value) in voxels.iter().enumerate() {
        let (slice, row) = (at / (32 * 48), at / 48 % 32);
        // New slice 16 + s lies at (16 + s + 0.5) / 2 - 0.5 of the old ones.
        let expected = if (8..24).contains(&row) { (16.5 + slice as f32) / 2.0 - 0.5 } else { -1.0 };
        assert!((value - expected).abs() < 1e-4, "slice {slice}, row {row}: {value}");
    }
}

#[test]
fn the_cache_does_not_change_samples() {
    let folder = tempfile::tempdir().unwrap();
    for (name, slices) in [("a.nii", 41), ("b.nii.gz", 33), ("c.nii", 200)] {
        write_scan(folder.path(), name, slices, f64::from(slices));
    }
    // A cache for no volume, for some (c takes 1.2 MiB), for all.
    let all: Vec<Vec<Vec<f32>>> = [0, 1, 64]
        .into_iter()
        .map(|cache_mb| {
            let sub_volumes = open(folder.path(), SubVolumeSettings { cache_mb, ..SETTINGS }).unwrap();
            let order = (0..sub_volumes.len()).map(|i| (i * 7) % sub_volumes.len());
            order.map(|i| sub_volumes.read(i).unwrap().padded(0.0)).collect()
        })
        .collect();
    assert!(all[0] == all[1] && all[1] == all[2]);
}

#[test]
fn volumes_that_are_read_in_slabs_give_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let voxels = (0..37 * 30 * 44).map(|at: usize| ((at * 7919) % 4099) as f32 - 1024.0).collect();
    let volume = Volume::new([37, 30, 44], [2.5, 1.25, 0.75], voxels).unwrap();
    // Depth along every axis of the file, in both directions.
    for (number, facing) in ["LPS", "RAI", "LSP", "RIA", "SPL", "IAR"].into_iter().enumerate() {
        let (size, stored_values, placement) = in_file_order(&volume, facing).unwrap();
        let (datatype, scaling) = (NumberType::I16, [1.0, 0.0]);
        let big_endian = number % 2 == 1;
        let file = NiftiFile { size: &size, stored_values: &stored_values, datatype, placement, scaling, big_endian };
        for extension in ["nii", "nii.gz"] {
            file.write(&folder.path().join(format!("{facing}.{extension}"))).unwrap();
        }
    }
    for spacing_mm in [None, Some([3.0, 1.0, 1.0]), Some([9.0, 1.5, 2.0])] {
        let settings = SubVolumeSettings { spacing_mm, stride: Some(7), drop_ends_ratio: 0.05, ..SETTINGS };
        let whole = open(folder.path(), settings.clone()).unwrap();
        let slabs = open(folder.path(), SubVolumeSettings { cache_mb: 0, ..settings }).unwrap();
        assert_eq!(whole.len(), slabs.len());
        for index in 0..whole.len() {
            let (expected, found) = (whole.read(index).unwrap(), slabs.read(index).unwrap());
            assert!(expected == found, "{} at {spacing_mm:?}", whole.id(index));
        }
        // All files hold the same body.
        let per_file = whole.len() / 12;
        for index in 0..whole.len() {
            assert!(whole.read(index).unwrap() == whole.read(index % per_file).unwrap(), "{}", whole.id(index));
        }
    }
}

#[test]
fn a_large_volume_that_changed_after_opening_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_scan(folder.path(), "a.nii", 40, 0.0);
    let sub_volumes = open(folder.path(), SubVolumeSettings { cache_mb: 0, ..SETTINGS }).unwrap();
    write_scan(folder.path(), "a.nii", 41, 0.0);
    let error = sub_volumes.read(1).unwrap_err();
    assert!(error.message().contains("changed"), "{error}");
}

#[test]
fn a_pair_is_one_scan_and_lone_voxels_are_one_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    write_scan(folder.path(), "a.nii", 16, 0.0);
    let whole = std::fs::read(folder.path().join("a.nii")).unwrap();
    let mut header = whole[..352].to_vec();
    header[344..348].copy_from_slice(b"ni1\0");
    header[108..112].fill(0);
    std::fs::write(folder.path().join("b.hdr"), &header).unwrap();
    std::fs::write(folder.path().join("b.img"), &whole[352..]).unwrap();
    std::fs::write(folder.path().join("c.img"), &whole[352..]).unwrap();
    let sub_volumes = open(folder.path(), SETTINGS).unwrap();
    let ids: Vec<_> = (0..sub_volumes.len()).map(|i| sub_volumes.id(i)).collect();
    assert_eq!(ids, ["a.nii#z=0000", "b.hdr#z=0000", "c.img#z=0000"]);
    assert_eq!(sub_volumes.read(0).unwrap(), sub_volumes.read(1).unwrap());
    assert!(sub_volumes.read(2).unwrap_err().message().contains("no header beside it"));

    // The voxels are part of the data, though not listed.
    let before = sub_volumes.fingerprint().hex();
    std::fs::write(folder.path().join("b.img"), [&whole[352..], &[0; 3]].concat()).unwrap();
    assert_ne!(before, open(folder.path(), SETTINGS).unwrap().fingerprint().hex());
}

#[test]
fn a_damaged_file_is_one_sample_that_fails_and_the_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    write_scan(folder.path(), "a.nii", 20, 0.0);
    std::fs::write(folder.path().join("b.nii"), b"no scan").unwrap();
    write_scan(folder.path(), "c.nii", 16, 0.0);
    let sub_volumes = open(folder.path(), SETTINGS).unwrap();
    let ids: Vec<_> = (0..sub_volumes.len()).map(|i| sub_volumes.id(i)).collect();
    assert_eq!(ids, ["a.nii#z=0000", "a.nii#z=0004", "b.nii#z=0000", "c.nii#z=0000"]);
    assert_eq!(sub_volumes.read(2).unwrap_err().code(), code::CORRUPT);
    sub_volumes.read(3).unwrap();

    std::fs::remove_file(folder.path().join("a.nii")).unwrap();
    std::fs::remove_file(folder.path().join("c.nii")).unwrap();
    assert_eq!(open(folder.path(), SETTINGS).unwrap_err().code(), code::CORRUPT);
}

#[test]
fn a_file_that_changed_after_opening_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_scan(folder.path(), "a.nii", 40, 0.0);
    let sub_volumes = open(folder.path(), SETTINGS).unwrap();
    write_scan(folder.path(), "a.nii", 30, 0.0);
    let error = sub_volumes.read(2).unwrap_err();
    assert!(error.message().contains("changed"), "{error}");
}

#[test]
fn fingerprints_change_with_the_files() {
    let folder = tempfile::tempdir().unwrap();
    write_scan(folder.path(), "a.nii", 40, 0.0);
    let one = open(folder.path(), SETTINGS).unwrap().fingerprint().hex();
    assert_eq!(one, open(folder.path(), SETTINGS).unwrap().fingerprint().hex());
    write_scan(folder.path(), "b.nii", 40, 0.0);
    assert_ne!(one, open(folder.path(), SETTINGS).unwrap().fingerprint().hex());
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    write_scan(folder.path(), "a.nii", 20, 0.0);
    let wrong = [
        (SubVolumeSettings { stride: Some(0), ..SETTINGS }, "stride"),
        (SubVolumeSettings { spacing_mm: Some([1.0, 0.0, 1.0]), ..SETTINGS }, "spacing_mm"),
        (SubVolumeSettings { spacing_mm: Some([1.0, f32::NAN, 1.0]), ..SETTINGS }, "spacing_mm"),
        (SubVolumeSettings { drop_ends_ratio: 0.5, ..SETTINGS }, "drop_ends_ratio"),
        (SubVolumeSettings { drop_ends_ratio: f64::NAN, ..SETTINGS }, "drop_ends_ratio"),
        (SubVolumeSettings { cache_mb: usize::MAX, ..SETTINGS }, "cache_mb"),
    ];
    for (settings, name) in wrong {
        let error = open(folder.path(), settings).unwrap_err();
        assert!(error.code() == code::BAD_REQUEST && error.message().starts_with(name), "{error}");
    }
}
