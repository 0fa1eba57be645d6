//! Crops of scans: grids that cover them, random places, the foreground, whole scans.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use medcoss_formats::crop::Crop;
use medcoss_formats::foreground::Foreground;
use medcoss_formats::nifti_write::{NiftiFile, NumberType, in_file_order};
use medcoss_formats::sub_volumes::{SubVolumeSettings, SubVolumes};
use medcoss_formats::volume_source::ScanRules;
use medcoss_sdk::volume::{Sampling, Volume};
use medcoss_sdk::{Error, View, find_files, sample_rng};

const SETTINGS: SubVolumeSettings = SubVolumeSettings {
    size: [16, 32, 48],
    crop: Crop::Grid,
    stride: None,
    stride_in_plane: None,
    spacing_mm: None,
    foreground: Foreground::Above(0.5),
    drop_ends_ratio: 0.0,
    cache_mb: 64,
    scans: ScanRules::CT,
};
const SPACING: [f32; 3] = [2.0, 1.5, 0.75];

fn write(path: &Path, volume: &Volume, facing: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let (size, values, placement) = in_file_order(volume, facing).unwrap();
    let (datatype, scaling, big_endian) = (NumberType::F32, [1.0, 0.0], false);
    NiftiFile { size: &size, stored_values: &values, datatype, placement, scaling, big_endian }.write(path).unwrap();
}

/// A scan whose voxels are numbered from 1 on.
fn numbered(size: [usize; 3]) -> Volume {
    Volume::new(size, SPACING, (1..=size.iter().product()).map(|at: usize| at as f32).collect()).unwrap()
}

fn folder(volume: &Volume) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("images/a.nii.gz"), volume, "RAS");
    folder
}

fn open(folder: &Path, settings: SubVolumeSettings) -> Result<SubVolumes, Error> {
    SubVolumes::open(folder, &[PathBuf::from("images")], settings)
}

fn ids(samples: &SubVolumes) -> Vec<String> {
    let suffix = |index| samples.id(index).strip_prefix("images/a.nii.gz").unwrap().to_owned();
    (0..samples.len()).map(suffix).collect()
}

#[test]
fn a_grid_covers_every_voxel_of_a_scan() {
    let size = [20, 40, 50];
    let folder = folder(&numbered(size));
    for cache_mb in [64, 0] {
        let samples = open(folder.path(), SubVolumeSettings { cache_mb, ..SETTINGS }).unwrap();
        let mut found = HashSet::new();
        for index in 0..samples.len() {
            let part = samples.read(index).unwrap();
            assert_eq!(part.values.len(), 16 * 32 * 48, "nothing of it lies outside");
            found.extend(part.values.iter().map(|&value| value as usize));
        }
        assert_eq!(found.len(), size.iter().product::<usize>());
        let expected =
            ["#z=0000,y=0000,x=0000", "#z=0000,y=0000,x=0002", "#z=0000,y=0008,x=0000", "#z=0000,y=0008,x=0002"];
        assert_eq!((samples.len(), &ids(&samples)[..4]), (8, expected.map(String::from).as_slice()));
        assert_eq!(samples.account().notices(), []);
    }
    let close = SubVolumeSettings { stride: Some(3), stride_in_plane: Some([5, 2]), ..SETTINGS };
    let samples = open(folder.path(), close).unwrap();
    assert_eq!(samples.len(), 3 * 3 * 2, "slices 0, 3, 4; rows 0, 5, 8; columns 0, 2");
    assert_eq!(ids(&samples)[17], "#z=0004,y=0008,x=0002");
}

#[test]
fn a_grid_covers_a_scan_at_another_spacing_and_pads_what_is_short() {
    let folder = folder(&numbered([20, 40, 50]));
    // 20 slices of 2 mm become 40, 40 rows of 1.5 mm 60, 50 columns of 0.75 mm 38, which are padded to 48.
    let settings = SubVolumeSettings { spacing_mm: Some([1.0, 1.0, 1.0]), ..SETTINGS };
    let samples = open(folder.path(), settings).unwrap();
    let expected: Vec<String> =
        [0, 16, 24].iter().flat_map(|z| [0, 28].map(|y| format!("#z={z:04},y={y:04},x=0000"))).collect();
    assert_eq!(ids(&samples), expected);
    let whole = numbered([20, 40, 50])
        .resampled([
            Sampling::centred(20, 40, 0.5),
            Sampling::centred(40, 60, 1.0 / 1.5),
            Sampling::centred(50, 38, 1.0 / 0.75),
        ])
        .unwrap()
        .padded(0.0);
    // The last sample: slices 24 to 39, rows 28 to 59, with five columns of padding before the first.
    let last = samples.read(5).unwrap().padded(-1.0);
    for (at, &found) in last.iter().enumerate() {
        let [z, y, x] = [at / (32 * 48) + 24, at / 48 % 32 + 28, at % 48];
        let expected = if (5..43).contains(&x) { whole[(z * 60 + y) * 38 + x - 5] } else { -1.0 };
        assert!((found - expected).abs() < 0.05, "at {z} {y} {x}: {found} instead of {expected}");
    }
    let notices: Vec<_> = samples.account().notices().iter().map(|notice| notice.what.as_str()).collect();
    assert_eq!(
        notices,
        ["scans have fewer than size[1] x size[2] (32 x 48) rows or columns at spacing_mm and are padded"]
    );
}

#[test]
fn a_random_crop_is_any_place_of_the_scan_in_training_and_the_centre_in_evaluation() {
    let size = [40, 40, 60];
    let folder = folder(&numbered(size));
    let samples = open(folder.path(), SubVolumeSettings { crop: Crop::Random, ..SETTINGS }).unwrap();
    assert_eq!(ids(&samples), ["#z=0000", "#z=0016", "#z=0024"], "those of crop = centre");
    let first = |view, seed| {
        let (part, place) = samples.read_view(1, view, &mut sample_rng(seed)).unwrap();
        let first = part.values[0] as usize - 1;
        let [z, y, x] = [first / (40 * 60), first / 60 % 40, first % 60];
        // Axes of the file are columns to the right, rows to anterior, slices.
        let [i, j, k] = place.applied([0.0; 3]);
        assert_eq!([k, 40.0 - j, 60.0 - i], [z as f64, y as f64, x as f64]);
        [z, y, x]
    };
    assert_eq!([0, 7, 8].map(|seed| first(View::Evaluation, seed)), [[16, 4, 6]; 3]);
    let places: Vec<[usize; 3]> = (0..300).map(|seed| first(View::Training, seed)).collect();
    assert_eq!(places[5], first(View::Training, 5));
    for (axis, last) in [(0, 24), (1, 8), (2, 12)] {
        let along: HashSet<usize> = places.iter().map(|place| place[axis]).collect();
        assert_eq!(along, (0..=last).collect(), "axis {axis}");
    }
    let small = open(folder.path(), SubVolumeSettings { size: [48, 48, 64], crop: Crop::Random, ..SETTINGS }).unwrap();
    let part = small.read_view(0, View::Training, &mut sample_rng(3)).unwrap().0;
    assert_eq!(part, small.read(0).unwrap(), "a scan that is smaller is centred");
}

#[test]
fn a_whole_scan_is_one_sample_and_is_read_in_parts_where_it_is_large() {
    let volume = numbered([35, 44, 51]);
    let folder = folder(&volume);
    let settings = SubVolumeSettings { crop: Crop::Whole, ..SETTINGS };
    let samples = open(folder.path(), settings.clone()).unwrap();
    assert_eq!(ids(&samples), [""]);
    let stretched = [Sampling::stretched(35, 16), Sampling::stretched(44, 32), Sampling::stretched(51, 48)];
    let expected = volume.resampled(stretched).unwrap();
    assert!(samples.read(0).unwrap() == expected);
    assert!(open(folder.path(), SubVolumeSettings { cache_mb: 0, ..settings }).unwrap().read(0).unwrap() == expected);
}

/// A body in a corner of the planes, and what is in it.
fn body() -> Volume {
    let inside = |at: usize| {
        let [y, x] = [at / 90 % 80, at % 90];
        (9..31).contains(&y) && (48..86).contains(&x)
    };
    let value = |at: usize| if inside(at) { 1.0 + (at / (80 * 90)) as f32 } else { 0.0 };
    Volume::new([24, 80, 90], SPACING, (0..24 * 80 * 90).map(value).collect()).unwrap()
}

#[test]
fn the_foreground_is_in_the_middle_of_the_planes_and_labels_follow() {
    let folder = folder(&body());
    let labels = body().into_voxels().into_iter().map(|value| f32::from(value > 0.0)).collect();
    write(&folder.path().join("labels/a.nii.gz"), &Volume::new([24, 80, 90], SPACING, labels).unwrap(), "LPI");
    let masks = find_files(folder.path(), &[PathBuf::from("labels")], |_| true, "all").unwrap().files;
    for (cache_mb, foreground) in
        [(64, Foreground::Above(0.5)), (0, Foreground::Above(0.5)), (0, Foreground::AbovePercentile(85.0))]
    {
        let settings = SubVolumeSettings { crop: Crop::Foreground, cache_mb, foreground, ..SETTINGS };
        let samples = open(folder.path(), settings).unwrap();
        assert_eq!(ids(&samples), ["#z=0000", "#z=0008"]);
        let voxels = samples.read(1).unwrap().padded(-1.0);
        // 22 rows and 38 columns of the body in the middle of 32 x 48: rows 5 to 26, columns 5 to 42.
        let is_there = |at: usize| (5..27).contains(&(at / 48 % 32)) && (5..43).contains(&(at % 48));
        for (at, &found) in voxels.iter().enumerate() {
            let expected = if is_there(at) { 9.0 + (at / (32 * 48)) as f32 } else { 0.0 };
            // The crop reaches a column beyond the scan.
            assert!(found == expected || found == -1.0 && at % 48 == 47, "voxel {at}: {found} instead of {expected}");
        }
        let map = samples.label_map(1, &masks[0]).unwrap();
        assert!(map.values().iter().enumerate().all(|(at, &label)| label == u16::from(is_there(at))), "{foreground:?}");
    }
    let settings = SubVolumeSettings { crop: Crop::Foreground, foreground: Foreground::Above(100.0), ..SETTINGS };
    let nothing = open(folder.path(), settings).unwrap().read(0).unwrap();
    let centred = SubVolumeSettings { crop: Crop::Random, ..SETTINGS };
    assert!(nothing == open(folder.path(), centred).unwrap().read(0).unwrap(), "without foreground it is the centre");
}

#[test]
fn settings_that_have_no_part_in_a_crop_are_refused_by_name() {
    let folder = folder(&numbered([20, 40, 50]));
    for (settings, expected) in [
        (SubVolumeSettings { crop: Crop::Centre, stride_in_plane: Some([8, 8]), ..SETTINGS }, "stride_in_plane is set"),
        (SubVolumeSettings { stride_in_plane: Some([8, 0]), ..SETTINGS }, "stride_in_plane is [8, 0]"),
        (
            SubVolumeSettings { crop: Crop::Whole, spacing_mm: Some([1.0; 3]), ..SETTINGS },
            "spacing_mm is set, and crop is",
        ),
        (SubVolumeSettings { crop: Crop::Whole, stride: Some(4), ..SETTINGS }, "stride is set, and crop is"),
    ] {
        let error = open(folder.path(), settings).unwrap_err();
        assert!(error.message().starts_with(expected), "{error}");
    }
    let endless = SubVolumeSettings { size: [1, 1, 1], spacing_mm: Some([0.05; 3]), ..SETTINGS };
    let error = open(folder.path(), endless).unwrap_err();
    assert!(error.message().contains("samples; at most 1048576 are cut"), "{error}");
}
