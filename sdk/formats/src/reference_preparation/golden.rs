//! Tests of the preparation steps against arrays of the reference implementation.

use medcoss_sdk::serde_json::{self, Value};
use medcoss_sdk::volume::Volume;
use medcoss_test_support::GoldenArrays;

use super::{ct, mri};

fn golden() -> GoldenArrays {
    GoldenArrays::below("sdk/formats/tests/golden")
}

/// Turns an array of `[z, y, x]` to `[k, i, j]`, or back.
fn turned(shape: &[usize], values: &[f32]) -> ([usize; 3], Vec<f32>) {
    let &[depth, rows, columns] = shape else { panic!("{shape:?}") };
    let plane = |slice: usize| {
        (0..columns).flat_map(move |column| (0..rows).map(move |row| (slice * rows + row) * columns + column))
    };
    let voxels = (0..depth).flat_map(plane).map(|at| values[at]).collect();
    ([depth, columns, rows], voxels)
}

/// Largest difference, and the fraction of values that differ.
fn differences(found: &[f32], expected: &[f32]) -> (f32, f64) {
    assert_eq!(found.len(), expected.len());
    let apart = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs());
    let n_off = apart.clone().filter(|&difference| difference > 0.0).count();
    (apart.fold(0.0, f32::max), n_off as f64 / found.len() as f64)
}

fn every(step: [usize; 3], shape: [usize; 3], values: &[f32]) -> Vec<f32> {
    let [depth, rows, columns] = shape;
    let mut some = Vec::new();
    for slice in (0..depth).step_by(step[0]) {
        for row in (0..rows).step_by(step[1]) {
            some.extend((0..columns).step_by(step[2]).map(|column| values[(slice * rows + row) * columns + column]));
        }
    }
    some
}

#[test]
fn a_scan_is_brought_to_millimetres() {
    let (shape, values) = golden().array("ct_small", "volume");
    let (size, voxels) = turned(&shape, &values);
    // The file states x, y and z; the volume's order is z, x, y.
    let volume = Volume::new(size, [5.0, 0.7, 0.75], voxels).unwrap();
    let found = ct::to_millimetres(volume, [-1024.0, 1024.0]).unwrap();
    let (shape, values) = golden().array("ct_small", "mm");
    let (size, expected) = turned(&shape, &values);
    assert_eq!(found.size(), size);
    let (largest, off) = differences(found.voxels(), &expected);
    println!("ct_small.mm: largest difference {largest}, {off:.2e} of the voxels off");
    assert!(largest <= 1.0 && off < 1e-3, "{largest} {off}");

    let tiles = ct::tiles(found.size()[0]);
    assert_eq!(tiles, [0..24, 12..36, 21..45]);
    let squeezed = ct::sample(&found, 21..45, [16, 192, 192]);
    let (shape, values) = golden().array("ct_small", "last_tile_squeezed_every_8th");
    let (_, expected) = turned(&shape, &values);
    let (largest, off) = differences(&every([1, 8, 8], [16, 192, 192], &squeezed), &expected);
    println!("ct_small.last_tile_squeezed: largest difference {largest}, {off:.2e} of the voxels off");
    assert!(largest <= 1.0 && off < 1e-3, "{largest} {off}");
}

#[test]
fn a_large_scan_is_brought_to_millimetres() {
    let file = golden().file("ct.nii.gz");
    let volume = crate::nifti::read_stored_volume(&file, 0.0).unwrap().volume;
    assert_eq!((volume.size(), volume.spacing_mm()), ([8, 170, 165], [3.75, 2.0, 2.0]));
    let found = ct::to_millimetres(volume, [-1024.0, 1024.0]).unwrap();
    assert_eq!(found.size(), [30, 340, 330]);
    let (shape, values) = golden().array("ct_mm", "mm_every_5th");
    let (_, expected) = turned(&shape, &values);
    let (largest, off) = differences(&every([2, 5, 5], found.size(), found.voxels()), &expected);
    println!("ct.mm: largest difference {largest}, {off:.2e} of the voxels off");
    assert!(largest <= 1.0 && off < 1e-3, "{largest} {off}");
}

fn range(value: &Value) -> std::ops::Range<usize> {
    let [start, end] = [0, 1].map(|at| value[at].as_u64().unwrap() as usize);
    start..end
}

#[test]
fn tiles_are_those_of_the_reference() {
    let places: Value = serde_json::from_slice(&std::fs::read(golden().file("places.json")).unwrap()).unwrap();
    for place in places["ct_places"].as_array().unwrap() {
        let side = |name: &str| place[name].as_u64().unwrap() as usize;
        let expected: Vec<_> = place["slices"].as_array().unwrap().iter().map(range).collect();
        assert_eq!(ct::tiles(side("depth")), expected, "{place}");
        if !expected.is_empty() {
            let kept = ct::without_border([side("columns"), side("rows")]);
            assert_eq!(kept, [range(&place["columns_kept"]), range(&place["rows_kept"])], "{place}");
        }
    }
    for place in places["mri_places"].as_array().unwrap() {
        let depth = place["depth"].as_u64().unwrap() as usize;
        assert_eq!(ct::inner(depth), range(&place["kept"]), "{place}");
        let starts: Vec<_> = mri::tiles(depth, 16).unwrap().iter().map(|tile| tile.start as u64).collect();
        assert_eq!(serde_json::json!(starts), place["starts_in_the_volume"], "{place}");
    }
    assert_eq!([19, 18].map(|depth| mri::tiles(depth, 16).map(|tiles| tiles.len())), [Some(1), None]);
}
