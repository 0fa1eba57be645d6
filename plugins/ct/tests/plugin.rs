//! The plugin as the host uses it: synthetic scans, real scans, settings and data that are wrong.

use std::path::{Path, PathBuf};

/// Grid, values in a token and masked tokens.
fn sizes(geometry: &Geometry) -> (Vec<usize>, usize, usize) {
    let Geometry::Continuous(own) = geometry else { panic!("tokens are continuous") };
    (own.grid.clone(), own.d_token, own.n_masked)
}

use medcoss_ct::{Ct, Options, Scans};
use medcoss_sdk::{
    Continuous, Dataset, Error, Geometry, Modality, OpenRequest, Patches, Sample, Tokens, View, code, patch,
    sample_rng, serde_json,
};

fn open(base: &Path, data: &[&str], options: Options) -> Result<Scans, Error> {
    let data = data.iter().map(PathBuf::from).collect();
    Ct::open(OpenRequest { base: base.to_owned(), data, options, assets: None })
}

/// Synthetic scans, opened as the plugin says.
fn synthetic(n_samples: usize, seed: u64) -> (tempfile::TempDir, Scans) {
    let folder = tempfile::tempdir().unwrap();
    let made = Ct::synthesise(folder.path(), n_samples, seed).unwrap();
    let options = serde_json::from_value(made.options).unwrap();
    let request = OpenRequest { base: folder.path().to_owned(), data: made.data, options, assets: None };
    let dataset = Ct::open(request).unwrap();
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
    let geometry = Ct::geometry(&Options::default()).unwrap();
    assert_eq!(sizes(&geometry), (vec![1, 12, 12], 4096, 108));
}

#[test]
fn enough_synthetic_samples_are_written_and_all_are_read() {
    for n_samples in [1, 7, 12] {
        let (_folder, dataset) = synthetic(n_samples, 5);
        assert!(dataset.len() >= n_samples && dataset.len() < n_samples + 3, "{}", dataset.len());
        assert_eq!(sizes(&dataset.geometry()), (vec![1, 4, 4], 4096, 12));
        assert_eq!(dataset.record(1).id, "scan_0000.nii.gz#z=0016");
        for index in 0..dataset.len() {
            let (tokens, mask) = load(&dataset, index, View::Evaluation, 0).unwrap();
            assert_eq!(mask, [0; 16]);
            assert!(tokens.iter().all(|value| (-1.0..=1.0).contains(value)));
        }
    }
}

#[test]
fn the_same_seed_writes_the_same_files() {
    let (first, again, other) = (synthetic(12, 5).0, synthetic(12, 5).0, synthetic(12, 6).0);
    for name in ["scan_0000.nii.gz", "scan_0001/slice_0007.dcm", "scan_0002.nii.gz", "scan_0003.nii"] {
        let read = |folder: &tempfile::TempDir| std::fs::read(folder.path().join(name)).unwrap();
        assert_eq!(read(&first), read(&again), "{name}");
        assert_ne!(read(&first), read(&other), "{name}");
    }
}

#[test]
fn synthetic_bodies_of_every_file_order_lie_on_their_backs() {
    let (_folder, dataset) = synthetic(12, 3);
    for index in (0..dataset.len()).step_by(3) {
        let (tokens, _) = load(&dataset, index, View::Evaluation, 0).unwrap();
        let mut voxels = vec![0.0; tokens.len()];
        patch::unpatchify_3d(&tokens, [16, 64, 64, 1], [16; 3], &mut voxels);
        let bone = |rows: std::ops::Range<usize>| {
            let slices = voxels.chunks_exact(64 * 64);
            slices.flat_map(|slice| &slice[rows.start * 64..rows.end * 64]).filter(|&&value| value > 0.35).count()
        };
        assert!(bone(32..64) > 10 * bone(0..32), "{}", dataset.record(index).id);
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
    Ct::synthesise(folder.path(), 9, 2).unwrap();
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
fn a_rendering_is_four_slices_of_the_window() {
    let (_folder, dataset) = synthetic(3, 4);
    let (tokens, _) = load(&dataset, 0, View::Evaluation, 0).unwrap();
    let png = dataset.render(Tokens::values(&tokens)).unwrap();
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((frame.width, frame.height), (256, 64));
    // A corner is air of -1000 HU, give or take noise.
    assert!(pixels[0] < 6, "{}", pixels[0]);
    assert_eq!(dataset.render(Tokens::values(&tokens[1..])).unwrap_err().code(), code::BAD_REQUEST);
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let refused = |options: Options, name: &str| {
        let error = Ct::geometry(&options).unwrap_err();
        assert_eq!(error.code(), code::BAD_REQUEST);
        assert!(error.message().starts_with(name), "{error}");
    };
    refused(Options { size: [16, 100, 192], ..Options::default() }, "size");
    refused(Options { stride: Some(0), ..Options::default() }, "stride");
    refused(Options { spacing_mm: Some([5.0, 1.0, -1.0]), ..Options::default() }, "spacing_mm");
    refused(Options { mask_ratio: 1.0, ..Options::default() }, "mask_ratio");
    refused(Options { hu_range: [300.0, 300.0], ..Options::default() }, "hu_range");
    refused(Options { hu_range: [f32::NAN, 300.0], ..Options::default() }, "hu_range");
    refused(Options { cache_mb: usize::MAX, ..Options::default() }, "cache_mb");
    assert!(serde_json::from_value::<Options>(serde_json::json!({"windows": [0, 1]})).is_err());
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

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn real_scans_give_their_sub_volumes() {
    let base = medcoss_test_support::data("");
    let options = Options { size: [16, 64, 64], ..Options::default() };
    let dataset = open(&base, &["ct/torso/torso.nii.gz", "ct/organs/images"], options).unwrap();
    let ids: Vec<_> = (0..dataset.len()).map(|index| dataset.record(index).id).collect();
    assert_eq!(ids.len(), 7 + 2 + 17, "{ids:?}");
    assert_eq!(ids[0], "ct/organs/images/example_ct.nii.gz#z=0000");
    assert_eq!(ids[25], "ct/torso/torso.nii.gz#z=0253");
    // Through the chest there is lung; at the thighs there is none. The body lies in the third row of patches.
    let share_of_lung = |index: usize| {
        let (tokens, _) = load(&dataset, index, View::Evaluation, 0).unwrap();
        let middle = &tokens[8 * 4096..12 * 4096];
        middle.iter().filter(|&&value| (-0.92..-0.7).contains(&value)).count() as f32 / middle.len() as f32
    };
    let (thighs, chest) = (share_of_lung(9), share_of_lung(21));
    assert!(thighs < 0.05 && chest > 0.2, "thighs {thighs}, chest {chest}");
}

#[test]
fn the_plugin_keeps_the_contract() {
    medcoss_conformance::assert_conforms("ct");
}
