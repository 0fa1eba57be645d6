//! Affines and grids: every voxel of a sample is found again in its file. The test of `ct` has more orders of axes.

use std::path::{Path, PathBuf};

use medcoss_formats::nifti_write::{NiftiFile, NumberType, in_file_order};
use medcoss_mri::{Mri, Options, Scans};
use medcoss_sdk::volume::Volume;
use medcoss_sdk::{Dataset, Modality, OpenRequest, Patches, Sample, View, patch, sample_rng, serde_json};

const SIZE: [usize; 3] = [40, 36, 44];
const SAMPLE: [usize; 3] = [16, 32, 48];

/// Writes a scan that rises linearly, so that resampling keeps the value of every place. Says the size of the file, and what its values rise
/// by along its axes.
fn write(folder: &Path, facing: &str) -> ([usize; 3], f64, [f64; 3]) {
    let [_, rows, columns] = SIZE;
    let value = |at: usize| {
        (5 * (at / (rows * columns))) as f32 + 3.0 * (at / columns % rows) as f32 - 2.0 * (at % columns) as f32
    };
    let volume = Volume::new(SIZE, [3.0, 1.1, 0.9], (0..SIZE.iter().product()).map(value).collect()).unwrap();
    let (size, values, placement) = in_file_order(&volume, facing).unwrap();
    let file = NiftiFile {
        size: &size,
        stored_values: &values,
        datatype: NumberType::F32,
        placement,
        scaling: [1.0, 0.0],
        big_endian: false,
    };
    file.write(&folder.join("head.nii")).unwrap();
    let size = [0, 1, 2].map(|axis| usize::from(size[axis]));
    let stride = [1, size[0], size[0] * size[1]];
    (size, values[0], stride.map(|stride| values[stride] - values[0]))
}

fn load(dataset: &Scans, index: usize, view: View, seed: u64) -> (Vec<f32>, [f32; 12]) {
    let n_values = SAMPLE.iter().product();
    let (mut tokens, mut mask, mut affine) = (vec![0.0; n_values], vec![0; n_values / 4096], [0.0; 12]);
    let patches = Patches { tokens: &mut tokens, mask: &mut mask, affine: &mut affine, ..Patches::default() };
    dataset.load(index, view, &mut sample_rng(seed), Sample::Continuous(patches)).unwrap();
    let mut voxels = vec![0.0; n_values];
    patch::unpatchify_3d(&tokens, [SAMPLE[0], SAMPLE[1], SAMPLE[2], 1], [16; 3], &mut voxels);
    (voxels, affine)
}

#[test]
fn voxels_of_samples_are_found_in_files() {
    for (facing, options) in [
        ("RAS", serde_json::json!({ "spacing_mm": [2.0, 1.0, 1.0], "standardise": false })),
        ("PSR", serde_json::json!({ "standardise": false, "drop_ends_ratio": 0.1, "stride": 7 })),
        ("AIL", serde_json::json!({ "preparation": "reference" })),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (size, first, rise) = write(folder.path(), facing);
        let options = Options { size: SAMPLE, ..serde_json::from_value(options).unwrap() };
        let is_standardised = options.standardise;
        let request =
            OpenRequest { base: folder.path().to_owned(), data: vec![PathBuf::from(".")], options, assets: None };
        let dataset = Mri::open(request).unwrap();
        assert_eq!(dataset.grid(0).unwrap().shape, size);
        for (index, view, seed) in (0..dataset.len())
            .flat_map(|index| (0..5).map(move |seed| (index, View::Training, seed)))
            .chain([(0, View::Evaluation, 0)])
        {
            let (voxels, affine) = load(&dataset, index, view, seed);
            let (mut pairs, margin) = (Vec::new(), 4.0);
            for (number, &found) in voxels.iter().enumerate() {
                let at = [number / (SAMPLE[1] * SAMPLE[2]), number / SAMPLE[2] % SAMPLE[1], number % SAMPLE[2]];
                let token = at.map(|at| (at as f64 + 0.5) / 16.0);
                let place = [0, 1, 2].map(|axis| {
                    let row = &affine[4 * axis..][..4];
                    (0..3).map(|from| f64::from(row[from]) * token[from]).sum::<f64>() + f64::from(row[3]) - 0.5
                });
                if place.iter().zip(size).all(|(&at, n)| at >= margin && at <= n as f64 - 1.0 - margin) {
                    let expected = first + place.iter().zip(rise).map(|(at, rise)| at * rise).sum::<f64>();
                    pairs.push((f64::from(found), expected));
                }
            }
            assert!(pairs.len() > 3000, "{facing}: {} voxels", pairs.len());
            // What is standardised is compared up to its own scale, but for what percentiles clip.
            let (scale, shift) = if is_standardised { line(&pairs) } else { (1.0, 0.0) };
            let off = |(found, expected): &(f64, f64)| (found * scale + shift - expected).abs();
            let n_off = pairs.iter().filter(|pair| off(pair) > 1.0).count();
            assert!(n_off * 50 <= pairs.len() * usize::from(is_standardised), "{facing}: {n_off} of {}", pairs.len());
        }
    }
}

/// Scale and shift from found to expected values, of the quarters of the values.
fn line(pairs: &[(f64, f64)]) -> (f64, f64) {
    let mut sorted = pairs.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (low, high) = (sorted[sorted.len() / 4], sorted[3 * sorted.len() / 4]);
    let scale = (high.1 - low.1) / (high.0 - low.0);
    (scale, low.1 - low.0 * scale)
}
