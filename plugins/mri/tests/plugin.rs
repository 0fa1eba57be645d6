//! The plugin as the host uses it: synthetic scans, real scans, settings and data that are wrong.

use std::path::{Path, PathBuf};

/// Grid, values in a token and masked tokens.
fn sizes(geometry: &Geometry) -> (Vec<usize>, usize, usize) {
    let Geometry::Continuous(own) = geometry else { panic!("tokens are continuous") };
    (own.grid.clone(), own.d_token, own.n_masked)
}

use medcoss_formats::nifti_write::{NiftiFile, NumberType, Placement};
use medcoss_mri::{Mri, Options, Scans};
use medcoss_sdk::{
    Continuous, Dataset, Error, Geometry, Modality, OpenRequest, Patches, Sample, Tokens, View, code, patch,
    sample_rng, serde_json,
};
use medcoss_test_support::GoldenArrays;

fn open(base: &Path, data: &[&str], options: Options) -> Result<Scans, Error> {
    let data = data.iter().map(PathBuf::from).collect();
    Mri::open(OpenRequest { base: base.to_owned(), data, options, assets: None })
}

/// Synthetic scans, opened as the plugin says.
fn synthetic(n_samples: usize, seed: u64) -> (tempfile::TempDir, Scans) {
    let folder = tempfile::tempdir().unwrap();
    let made = Mri::synthesise(folder.path(), n_samples, seed).unwrap();
    let options = serde_json::from_value(made.options).unwrap();
    let request = OpenRequest { base: folder.path().to_owned(), data: made.data, options, assets: None };
    let dataset = Mri::open(request).unwrap();
    (folder, dataset)
}

fn load(dataset: &Scans, index: usize, view: View, seed: u64) -> Result<(Vec<f32>, Vec<u8>), Error> {
    let Geometry::Continuous(Continuous { grid, d_token, .. }) = dataset.geometry() else {
        panic!("tokens are continuous")
    };
    let n_tokens: usize = grid.iter().product();
    let (mut tokens, mut mask) = (vec![0.0; n_tokens * d_token], vec![0; n_tokens]);
    let sample = Sample::Continuous(Patches::new(&mut tokens, &mut mask));
    dataset.load(index, view, &mut sample_rng(seed), sample)?;
    Ok((tokens, mask))
}

#[test]
fn the_default_sample_has_144_cubes() {
    let geometry = Mri::geometry(&Options::default()).unwrap();
    assert_eq!(sizes(&geometry), (vec![1, 12, 12], 4096, 108));
}

#[test]
fn enough_synthetic_samples_are_written_and_all_are_read() {
    for n_samples in [1, 7, 12] {
        let (_folder, dataset) = synthetic(n_samples, 5);
        assert!(dataset.len() >= n_samples && dataset.len() <= n_samples.div_ceil(2) * 3, "{}", dataset.len());
        assert_eq!(sizes(&dataset.geometry()), (vec![1, 4, 4], 4096, 12));
        assert!(dataset.record(0).id.starts_with("scan_0000.nii.gz#z=000"), "{}", dataset.record(0).id);
        for index in 0..dataset.len() {
            let (tokens, mask) = load(&dataset, index, View::Evaluation, 0).unwrap();
            assert_eq!(mask, [0; 16]);
            assert!(tokens.iter().all(|value| value.abs() < 12.0));
            let mean = tokens.iter().map(|&value| f64::from(value)).sum::<f64>() / tokens.len() as f64;
            let square = tokens.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>() / tokens.len() as f64;
            assert!(mean.abs() < 1e-3 && (square - 1.0).abs() < 1e-3, "{mean} {square}");
        }
    }
}

#[test]
fn the_same_seed_writes_the_same_files() {
    let (first, again, other) = (synthetic(8, 5).0, synthetic(8, 5).0, synthetic(8, 6).0);
    for name in ["scan_0000.nii.gz", "scan_0001.nii.gz", "scan_0002/slice_0007.dcm", "scan_0003.nii"] {
        let read = |folder: &tempfile::TempDir| std::fs::read(folder.path().join(name)).unwrap();
        assert_eq!(read(&first), read(&again), "{name}");
        assert_ne!(read(&first), read(&other), "{name}");
    }
}

#[test]
fn a_training_sample_depends_on_its_seed_alone() {
    let (_folder, dataset) = synthetic(6, 1);
    let (mut flipped, mut masks) = (0, std::collections::BTreeSet::new());
    let (plain, _) = load(&dataset, 4, View::Evaluation, 0).unwrap();
    for seed in 0..40 {
        let one = load(&dataset, 4, View::Training, seed).unwrap();
        assert_eq!(one, load(&dataset, 4, View::Training, seed).unwrap());
        assert_eq!(one.1.iter().filter(|&&masked| masked == 1).count(), 12);
        flipped += usize::from(one.0 != plain);
        masks.insert(one.1);
    }
    // 7/16 of the samples are flipped along at least one axis.
    assert!((8..28).contains(&flipped), "{flipped} of 40");
    assert!(masks.len() > 30);
}

#[test]
fn samples_do_not_depend_on_threads_order_or_memory() {
    let folder = tempfile::tempdir().unwrap();
    Mri::synthesise(folder.path(), 9, 2).unwrap();
    let options = |cache_mb| Options { size: [16, 64, 64], cache_mb, ..Options::default() };
    let (kept, not_kept) = (open(folder.path(), &["."], options(64)), open(folder.path(), &["."], options(0)));
    let (kept, not_kept) = (kept.unwrap(), not_kept.unwrap());
    let expected: Vec<_> = (0..kept.len()).map(|i| load(&not_kept, i, View::Training, i as u64).unwrap()).collect();
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (kept, expected) = (&kept, &expected);
            scope.spawn(move || {
                for i in (0..kept.len()).map(|i| (i * 2 + thread) % kept.len()) {
                    assert!(load(kept, i, View::Training, i as u64).unwrap() == expected[i], "sample {i}");
                }
            });
        }
    });
}

#[test]
fn a_rendering_is_four_slices() {
    let (_folder, dataset) = synthetic(3, 4);
    let (tokens, _) = load(&dataset, 0, View::Evaluation, 0).unwrap();
    let png = dataset.render(Tokens::values(&tokens)).unwrap();
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((frame.width, frame.height), (256, 64));
    // The corner is air, below the mean, and something is above it.
    assert!(pixels[0] < 80 && pixels.iter().any(|&pixel| pixel > 120), "{}", pixels[0]);
    assert_eq!(dataset.render(Tokens::values(&tokens[1..])).unwrap_err().code(), code::BAD_REQUEST);
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let refused = |options: Options, name: &str| {
        let error = Mri::geometry(&options).unwrap_err();
        assert_eq!(error.code(), code::BAD_REQUEST);
        assert!(error.message().starts_with(name), "{error}");
    };
    refused(Options { size: [16, 100, 192], ..Options::default() }, "size");
    refused(Options { stride: Some(0), ..Options::default() }, "stride");
    refused(Options { spacing_mm: Some([5.0, 1.0, -1.0]), ..Options::default() }, "spacing_mm");
    refused(Options { mask_ratio: 1.0, ..Options::default() }, "mask_ratio");
    refused(Options { percentiles: [5.0, 5.0], ..Options::default() }, "percentiles");
    refused(Options { percentiles: [f64::NAN, 99.0], ..Options::default() }, "percentiles");
    refused(Options { percentiles: [0.2, 100.5], ..Options::default() }, "percentiles");
    refused(Options { drop_ends_ratio: 0.5, ..Options::default() }, "drop_ends_ratio");
    refused(Options { cache_mb: usize::MAX, ..Options::default() }, "cache_mb");
    assert!(serde_json::from_value::<Options>(serde_json::json!({"hu_range": [0, 1]})).is_err());
}

#[test]
fn missing_and_damaged_data_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let error = open(folder.path(), &["absent"], Options::default()).err().unwrap();
    assert_eq!(error.code(), code::UNREADABLE);
    let error = open(folder.path(), &["."], Options::default()).err().unwrap();
    assert!(error.message().contains("NIfTI"), "{error}");
    std::fs::write(folder.path().join("scan.nii"), b"nothing").unwrap();
    let error = open(folder.path(), &["."], Options::default()).err().unwrap();
    assert_eq!(error.code(), code::CORRUPT);
}

fn write_scan(path: &Path, slices: u16, value: impl Fn(usize) -> f64) {
    let values: Vec<f64> = (0..usize::from(slices) * 20 * 24).map(value).collect();
    NiftiFile {
        size: &[24, 20, slices],
        stored_values: &values,
        datatype: NumberType::F32,
        placement: Placement::Sform([[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]]),
        scaling: [1.0, 0.0],
        big_endian: false,
    }
    .write(path)
    .unwrap();
}

#[test]
fn the_unit_of_the_intensities_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let signal = |at: usize| (at * 7919 % 1009) as f64;
    write_scan(&folder.path().join("a.nii"), 16, signal);
    write_scan(&folder.path().join("b.nii"), 16, |at| 0.03 * signal(at) + 5.0);
    let dataset = open(folder.path(), &["."], Options { size: [16, 32, 32], ..Options::default() }).unwrap();
    let (a, b) = (load(&dataset, 0, View::Evaluation, 0).unwrap().0, load(&dataset, 1, View::Evaluation, 0).unwrap().0);
    let largest = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(largest < 1e-3, "{largest}");
}

#[test]
fn a_single_bright_voxel_does_not_darken_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let signal = |at: usize| (at * 7919 % 101) as f64;
    write_scan(&folder.path().join("a.nii"), 16, signal);
    write_scan(&folder.path().join("b.nii"), 16, |at| if at == 3333 { 1e6 } else { signal(at) });
    let dataset = open(folder.path(), &["."], Options { size: [16, 32, 32], ..Options::default() }).unwrap();
    let (a, b) = (load(&dataset, 0, View::Evaluation, 0).unwrap().0, load(&dataset, 1, View::Evaluation, 0).unwrap().0);
    let n_changed = a.iter().zip(&b).filter(|(a, b)| (*a - *b).abs() > 0.1).count();
    assert!(n_changed < 30, "{n_changed} of {} values", a.len());
}

#[test]
fn padding_is_the_darkest_value_and_has_no_part_in_the_statistics() {
    let folder = tempfile::tempdir().unwrap();
    write_scan(&folder.path().join("a.nii"), 6, |at| 100.0 + (at % 97) as f64);
    let dataset = open(folder.path(), &["."], Options { size: [16, 32, 32], ..Options::default() }).unwrap();
    let (tokens, _) = load(&dataset, 0, View::Evaluation, 0).unwrap();
    let slice = |z: usize| tokens.chunks_exact(4096).flat_map(move |cube| &cube[z * 256..(z + 1) * 256]);
    let darkest = tokens.iter().copied().fold(f32::INFINITY, f32::min);
    assert!((0..5).chain(11..16).all(|z| slice(z).all(|&value| value == darkest)));
    let scan: Vec<f32> = (5..11).flat_map(slice).copied().collect();
    let mean = scan.iter().sum::<f32>() / scan.len() as f32;
    assert!(mean.abs() < 1e-3 && darkest < -1.0, "{mean} {darkest}");
}

#[test]
fn a_constant_scan_becomes_zeros() {
    let folder = tempfile::tempdir().unwrap();
    write_scan(&folder.path().join("a.nii"), 20, |_| 0.1);
    let dataset = open(folder.path(), &["."], Options { size: [16, 48, 48], ..Options::default() }).unwrap();
    let (tokens, _) = load(&dataset, 0, View::Training, 0).unwrap();
    assert!(tokens.iter().all(|&value| value == 0.0));
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn real_scans_give_their_sub_volumes() {
    let base = medcoss_test_support::data("");
    let options = Options { size: [16, 48, 48], ..Options::default() };
    let series = open(&base, &["mri/hippocampus_dicom"], options.clone()).unwrap();
    let ids: Vec<_> = (0..series.len()).map(|index| series.record(index).id).collect();
    let name = "mri/hippocampus_dicom/Study1/13_HCropVolume#series=153146185462";
    assert_eq!(ids, [format!("{name}#z=0003"), format!("{name}#z=0013")]);
    let dataset = open(&base, &["mri/hippocampus/images"], options).unwrap();
    assert!((2 * 210..=3 * 210).contains(&dataset.len()), "{} samples", dataset.len());
    assert!(
        dataset.record(0).id.starts_with("mri/hippocampus/images/hippocampus_001.nii.gz#z=000"),
        "{}",
        dataset.record(0).id
    );
    // Floating point and 8-bit files alike.
    for index in (0..dataset.len()).step_by(13) {
        let (tokens, _) = load(&dataset, index, View::Evaluation, 0).unwrap();
        let mean = tokens.iter().sum::<f32>() / tokens.len() as f32;
        let spread = tokens.iter().map(|value| value * value).sum::<f32>() / tokens.len() as f32;
        assert!(mean.abs() < 1e-2 && (spread - 1.0).abs() < 1e-2, "{}: {mean} {spread}", dataset.record(index).id);
    }
}

#[test]
fn a_prepared_file_is_fed_as_it_is_and_comes_back_from_saved_samples() {
    let golden = GoldenArrays::below("sdk/formats/tests/golden");
    let options = serde_json::json!({ "preparation": "prepared", "size": [16, 48, 48] });
    let dataset = open(golden.folder(), &["prepared_mri.nii.gz"], serde_json::from_value(options).unwrap()).unwrap();
    let (tokens, _) = load(&dataset, 0, View::Evaluation, 0).unwrap();
    let mut voxels = vec![0.0; tokens.len()];
    patch::unpatchify_3d(&tokens, [16, 48, 48, 1], [16; 3], &mut voxels);
    assert_eq!(voxels, golden.array("prepared_mri", "input").1);

    let kept = tempfile::tempdir().unwrap();
    let made = dataset.save_samples(&[0], kept.path()).unwrap();
    let again = open(kept.path(), &["."], serde_json::from_value(made.options).unwrap()).unwrap();
    assert_eq!(load(&again, 0, View::Evaluation, 0).unwrap().0, tokens);
}

#[test]
fn the_preset_standardises_each_tile_and_refuses_what_it_has_no_step_for() {
    let (folder, _) = synthetic(2, 3);
    let (name, mut preset) = Mri::option_presets().remove(0);
    preset["size"] = serde_json::json!([16, 48, 64]);
    let dataset = open(folder.path(), &["."], serde_json::from_value(preset.clone()).unwrap()).unwrap();
    assert_eq!((name, dataset.record(0).id), ("reference", "scan_0000.nii.gz#tile=0003".to_owned()));
    for index in 0..dataset.len() {
        let (tokens, _) = load(&dataset, index, View::Evaluation, 0).unwrap();
        let mean = tokens.iter().sum::<f32>() / tokens.len() as f32;
        assert!(mean.abs() < 1e-3, "{mean}");
    }
    let kept = tempfile::tempdir().unwrap();
    let made = dataset.save_samples(&[1], kept.path()).unwrap();
    let again = open(kept.path(), &["."], serde_json::from_value(made.options).unwrap()).unwrap();
    let read = |dataset: &Scans, index| load(dataset, index, View::Evaluation, 0).unwrap().0;
    assert_eq!(read(&again, 0), read(&dataset, 1));
    for (name, value) in [("standardise", serde_json::json!(false)), ("stride", serde_json::json!(4))] {
        let mut refused = preset.clone();
        refused[name] = value;
        let error = open(folder.path(), &["."], serde_json::from_value(refused).unwrap()).unwrap_err();
        assert!(error.message().starts_with(name), "{error}");
    }
}

#[test]
fn the_plugin_keeps_the_contract() {
    medcoss_conformance::assert_conforms("mri");
}
