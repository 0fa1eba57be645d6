//! Affines and grids: every voxel of a sample is found again in its file, in whatever order and direction that has its axes.
//!
//! Scans rise linearly along each axis, so that resampling keeps the value of every place, and a value betrays an error of half a voxel.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use medcoss_ct::{Ct, Options, Scans};
use medcoss_formats::crop::Crop;
use medcoss_formats::dicom::write::Modality as DicomModality;
use medcoss_formats::dicom_series_write::DicomSeries;
use medcoss_formats::nifti_write::{NiftiFile, NumberType, in_file_order};
use medcoss_formats::reference_preparation::Preparation;
use medcoss_sdk::volume::Volume;
use medcoss_sdk::{Continuous, Dataset, Geometry, Modality, OpenRequest, Patches, Sample, View, patch, sample_rng};

/// Slices, rows and columns of the scan, and their distances.
const SIZE: [usize; 3] = [40, 50, 70];
const SPACING_MM: [f32; 3] = [2.5, 0.8, 0.7];
/// Hounsfield units from a voxel to the next.
const RISE: [f64; 3] = [12.0, -10.0, 8.0];

fn scan() -> Volume {
    let [_, rows, columns] = SIZE;
    let value = |at: usize| {
        let index = [at / (rows * columns), at / columns % rows, at % columns];
        (-300.0 + index.iter().zip(RISE).map(|(&index, rise)| index as f64 * rise).sum::<f64>()) as f32
    };
    Volume::new(SIZE, SPACING_MM, (0..SIZE.iter().product()).map(value).collect()).unwrap()
}

/// An array of a file, in the file's own index order: its size, and the value between its voxels.
struct Array {
    size: [usize; 3],
    first: f64,
    rise: [f64; 3],
}

impl Array {
    /// Of values in memory order, whose axes have these sizes and strides.
    fn new(size: [usize; 3], stride: [usize; 3], values: &[f64]) -> Self {
        Self { size, first: values[0], rise: stride.map(|stride| values[stride] - values[0]) }
    }

    /// The value at a place that is counted by centres, if it lies so far from the border.
    fn value(&self, index: [f64; 3], margin: f64) -> Option<f64> {
        let is_inside = index.iter().zip(self.size).all(|(&at, n)| at >= margin && at <= n as f64 - 1.0 - margin);
        is_inside.then(|| self.first + index.iter().zip(self.rise).map(|(at, rise)| at * rise).sum::<f64>())
    }
}

fn write_nifti(folder: &Path, facing: &str) -> Array {
    let (size, values, placement) = in_file_order(&scan(), facing).unwrap();
    let file = NiftiFile {
        size: &size,
        stored_values: &values,
        datatype: NumberType::F32,
        placement,
        scaling: [1.0, 0.0],
        big_endian: false,
    };
    file.write(&folder.join("scan.nii.gz")).unwrap();
    let [i, j, k] = [0, 1, 2].map(|axis| usize::from(size[axis]));
    Array::new([i, j, k], [1, i, i * j], &values)
}

/// `along_normal`: whether the slices are written in the order in which a stack is sorted.
fn write_series(folder: &Path, facing: &str, along_normal: bool) -> Array {
    let volume = scan();
    let series =
        DicomSeries { volume: &volume, facing, modality: DicomModality::Ct, series: "1.2.3", rescale: [1.0, -1024.0] };
    series.write(folder).unwrap();
    let (size, values, _) = in_file_order(&volume, facing).unwrap();
    let [columns, rows, slices] = [0, 1, 2].map(|axis| usize::from(size[axis]));
    let Array { size, first, rise: [rise, down, across] } =
        Array::new([slices, rows, columns], [rows * columns, columns, 1], &values);
    match along_normal {
        true => Array { size, first, rise: [rise, down, across] },
        false => Array { size, first: first + rise * (slices as f64 - 1.0), rise: [-rise, down, across] },
    }
}

/// An array `[slices, rows, columns]` in either order of memory.
fn write_numpy(folder: &Path, fortran_order: bool) -> Array {
    let [depth, rows, columns] = SIZE;
    let order = if fortran_order { "True" } else { "False" };
    let dictionary = format!("{{'descr': '<f4', 'fortran_order': {order}, 'shape': ({depth}, {rows}, {columns}), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((dictionary.len() as u16).to_le_bytes());
    bytes.extend(dictionary.as_bytes());
    let volume = scan();
    let at = |z: usize, y: usize, x: usize| volume.voxels()[(z * rows + y) * columns + x];
    for number in 0..depth * rows * columns {
        let value = match fortran_order {
            true => at(number % depth, number / depth % rows, number / (depth * rows)),
            false => volume.voxels()[number],
        };
        bytes.extend(value.to_le_bytes());
    }
    std::fs::write(folder.join("scan.npy"), bytes).unwrap();
    let values: Vec<f64> = volume.voxels().iter().map(|&value| value.into()).collect();
    Array::new(SIZE, [rows * columns, columns, 1], &values)
}

fn open(folder: &Path, options: Options) -> Scans {
    let request = OpenRequest { base: folder.to_owned(), data: vec![PathBuf::from(".")], options, assets: None };
    Ct::open(request).unwrap()
}

/// Voxels of a sample in Hounsfield units, and its affine.
fn load(dataset: &Scans, index: usize, view: View, seed: u64) -> (Vec<f32>, [f32; 12]) {
    let Geometry::Continuous(Continuous { grid, d_token, affines: true, .. }) = dataset.geometry() else {
        panic!("tokens are continuous and have affines")
    };
    let n_tokens: usize = grid.iter().product();
    let (mut tokens, mut mask, mut affine) = (vec![0.0; n_tokens * d_token], vec![0; n_tokens], [0.0; 12]);
    let patches = Patches { tokens: &mut tokens, mask: &mut mask, affine: &mut affine, ..Patches::default() };
    dataset.load(index, view, &mut sample_rng(seed), Sample::Continuous(patches)).unwrap();
    let mut voxels = vec![0.0; tokens.len()];
    let [depth, rows, columns] = [0, 1, 2].map(|axis| 16 * grid[axis]);
    patch::unpatchify_3d(&tokens, [depth, rows, columns, 1], [16; 3], &mut voxels);
    voxels.iter_mut().for_each(|value| *value *= 1024.0);
    (voxels, affine)
}

/// Compares all voxels of a sample that lie in the file; says how many.
fn compared(array: &Array, size: [usize; 3], (voxels, affine): &(Vec<f32>, [f32; 12]), margin: f64) -> usize {
    let mut n_compared = 0;
    for (number, &found) in voxels.iter().enumerate() {
        let at = [number / (size[1] * size[2]), number / size[2] % size[1], number % size[2]];
        let token = at.map(|at| (at as f64 + 0.5) / 16.0);
        let index = [0, 1, 2].map(|axis| {
            let row = &affine[4 * axis..][..4];
            (0..3).map(|from| f64::from(row[from]) * token[from]).sum::<f64>() + f64::from(row[3]) - 0.5
        });
        let Some(expected) = array.value(index, margin) else { continue };
        assert!((f64::from(found) - expected).abs() < 2.5, "voxel {at:?} at {index:?}: {found} instead of {expected}");
        n_compared += 1;
    }
    n_compared
}

fn check(array: &Array, dataset: &Scans, size: [usize; 3], margin: f64, least: usize) {
    assert_eq!(dataset.grid(0).unwrap().shape, array.size);
    let mut n_flipped = 0;
    for index in 0..dataset.len() {
        let evaluation = load(dataset, index, View::Evaluation, 0);
        let n = compared(array, size, &evaluation, margin);
        assert!(n >= least, "sample {index}: {n} voxels");
        for seed in 0..6 {
            let training = load(dataset, index, View::Training, seed);
            assert_eq!(compared(array, size, &training, margin), n);
            n_flipped += usize::from(training.1 != evaluation.1);
        }
    }
    assert!(n_flipped > 0, "none of the training views was flipped");
}

#[test]
fn voxels_of_samples_are_found_in_files_of_any_orientation() {
    for (facing, spacing_mm, size, least) in [
        ("RAS", None, [16, 32, 48], 15_000),
        ("PIR", Some([2.0, 1.0, 0.9]), [16, 32, 48], 15_000),
        ("SLA", Some([2.0, 1.0, 0.9]), [64, 64, 64], 50_000),
        ("IPL", Some([3.0, 0.5, 1.0]), [16, 48, 64], 15_000),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let array = write_nifti(folder.path(), facing);
        let dataset = open(folder.path(), Options { size, spacing_mm, stride: Some(9), ..Options::default() });
        check(&array, &dataset, size, 2.0, least);
        let to_ras_mm = dataset.grid(0).unwrap().to_ras_mm.unwrap();
        // The writer places the first voxel at 0.
        assert_eq!(to_ras_mm.map(|row| row[3]), [0.0; 3], "{facing}");
    }
}

#[test]
fn voxels_of_samples_are_found_in_series_and_arrays() {
    let size = [16, 32, 48];
    // The normal is the cross product of the directions of columns and rows.
    for (facing, along_normal) in [("LPS", true), ("ASR", true), ("IRA", false), ("LPI", false)] {
        let folder = tempfile::tempdir().unwrap();
        let array = write_series(folder.path(), facing, along_normal);
        let options = Options { size, spacing_mm: Some([2.0, 1.0, 0.9]), ..Options::default() };
        check(&array, &open(folder.path(), options), size, 2.0, 10_000);
    }
    for fortran_order in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let array = write_numpy(folder.path(), fortran_order);
        let dataset = open(folder.path(), Options { size, ..Options::default() });
        check(&array, &dataset, size, 2.0, 15_000);
        let grid = dataset.grid(0).unwrap();
        assert_eq!((grid.to_ras_mm, grid.spacing_mm), (None, None), "an array states no spacing");
    }
}

#[test]
fn voxels_of_samples_are_found_in_files_that_the_reference_prepares() {
    let size = [16, 32, 48];
    for facing in ["RAS", "PIR"] {
        let folder = tempfile::tempdir().unwrap();
        let array = write_nifti(folder.path(), facing);
        let options = Options { size, preparation: Preparation::Reference, ..Options::default() };
        check(&array, &open(folder.path(), options), size, 4.0, 5_000);
    }
    // A prepared file has the size of a sample; its axes are rows, columns, slices.
    let folder = tempfile::tempdir().unwrap();
    let (whole, [_, rows, columns]) = (scan(), SIZE);
    let voxels = (0..16 * 32 * 48)
        .map(|at| whole.voxels()[(at / (32 * 48) * rows + at / 48 % 32) * columns + at % 48])
        .collect();
    let (file_size, values, placement) = in_file_order(&Volume::new(size, SPACING_MM, voxels).unwrap(), "PLS").unwrap();
    let file = NiftiFile {
        size: &file_size,
        stored_values: &values,
        datatype: NumberType::F32,
        placement,
        scaling: [1.0, 0.0],
        big_endian: true,
    };
    file.write(&folder.path().join("scan.nii")).unwrap();
    let options = Options { size, preparation: Preparation::Prepared, ..Options::default() };
    check(&Array::new([32, 48, 16], [1, 32, 32 * 48], &values), &open(folder.path(), options), size, 0.0, 16 * 32 * 48);
}

#[test]
fn voxels_of_samples_are_found_however_scans_are_cropped() {
    let (size, spacing_mm) = ([16, 32, 48], Some([2.0, 1.0, 0.9]));
    for (crop, spacing_mm, stride_in_plane) in [
        (Crop::Grid, spacing_mm, Some([20, 31])),
        (Crop::Grid, None, None),
        (Crop::Random, spacing_mm, None),
        (Crop::Random, None, None),
        (Crop::Foreground, spacing_mm, None),
        (Crop::Whole, None, None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let array = write_nifti(folder.path(), "PIR");
        // Above 300 is a corner of the scan.
        let options =
            Options { size, crop, spacing_mm, stride_in_plane, foreground_above: 300.0, ..Options::default() };
        let dataset = open(folder.path(), options);
        let mut places = HashSet::new();
        for index in 0..dataset.len() {
            let (_, evaluation) = load(&dataset, index, View::Evaluation, 0);
            assert_eq!(load(&dataset, index, View::Evaluation, 1).1, evaluation, "{crop:?}");
            for seed in 0..6 {
                let training = load(&dataset, index, View::Training, seed);
                let n = compared(&array, size, &training, 3.5);
                assert!(n > 4_000, "{crop:?} {spacing_mm:?}, sample {index}: {n} voxels");
                places.insert(training.1.map(f32::to_bits));
            }
        }
        // A random place depends on the seed alone; the others differ by flips.
        let least = if crop == Crop::Random { 6 } else { 2 };
        assert!(places.len() >= least, "{crop:?}: {} places", places.len());
    }
}

#[test]
fn the_brightest_voxel_of_a_sample_is_the_brightest_of_the_file() {
    let mut voxels = vec![-900.0; SIZE.iter().product()];
    let bright = [23, 19, 44];
    voxels[(bright[0] * SIZE[1] + bright[1]) * SIZE[2] + bright[2]] = 900.0;
    let volume = Volume::new(SIZE, SPACING_MM, voxels).unwrap();
    let (file_size, values, placement) = in_file_order(&volume, "AIR").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = NiftiFile {
        size: &file_size,
        stored_values: &values,
        datatype: NumberType::I16,
        placement,
        scaling: [1.0, 0.0],
        big_endian: false,
    };
    file.write(&folder.path().join("scan.nii")).unwrap();
    let brightest = |values: &[f32]| (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b])).unwrap();
    let at = brightest(&values.iter().map(|&value| value as f32).collect::<Vec<_>>());
    let [n_i, n_j] = [usize::from(file_size[0]), usize::from(file_size[1])];
    let expected = [at % n_i, at / n_i % n_j, at / (n_i * n_j)];
    let size = [64, 64, 64];
    let dataset = open(folder.path(), Options { size, spacing_mm: Some([2.0, 0.7, 0.6]), ..Options::default() });
    let (voxels, affine) = load(&dataset, 0, View::Evaluation, 0);
    let at = brightest(&voxels);
    let token = [at / (64 * 64), at / 64 % 64, at % 64].map(|at| (at as f64 + 0.5) / 16.0);
    let place = [0, 1, 2].map(|axis| {
        let row = &affine[4 * axis..][..4];
        (0..3).map(|from| f64::from(row[from]) * token[from]).sum::<f64>() + f64::from(row[3])
    });
    assert_eq!(place.map(|place| place.floor() as usize), expected, "{place:?}");
}
