//! The plugin as the host uses it: synthetic volumes, slices painted by hand, settings and files that are wrong.

use std::path::{Path, PathBuf};

use image::{GrayImage, ImageBuffer, Luma, RgbImage};
use medcoss_formats::dicom::write_multi_frame::{Kind, MultiFrameFile, WrittenFrames};
use medcoss_oct::{Oct, Options, Volumes};
use medcoss_sdk::serde_json::{Value, json};
use medcoss_sdk::{
    Continuous, Dataset, Error, Geometry, Modality, OpenRequest, Patches, Sample, Tokens, View, check_ranges, code,
    sample_rng, serde_json,
};

fn open(base: &Path, data: &[&str], options: Value) -> Result<Volumes, Error> {
    let data = data.iter().map(PathBuf::from).collect();
    let options = serde_json::from_value(options).map_err(|error| Error::bad_request(error.to_string()))?;
    Oct::open(OpenRequest { base: base.to_owned(), data, options, assets: None })
}

fn shape(dataset: &Volumes) -> Continuous {
    let Geometry::Continuous(own) = dataset.geometry() else { panic!("tokens are continuous") };
    own
}

/// Tokens, mask and validity of a sample, and what `load` says of it.
type Filled = (Vec<f32>, Vec<u8>, Vec<u8>);

fn filled(dataset: &Volumes, index: usize, view: View, seed: u64) -> (Filled, Result<(), Error>) {
    let Continuous { grid, d_token, .. } = shape(dataset);
    let n: usize = grid.iter().product();
    let (mut tokens, mut mask, mut valid) = (vec![0.0; n * d_token], vec![0; n], vec![1; n]);
    let patches = Patches { tokens: &mut tokens, mask: &mut mask, valid: &mut valid, ..Patches::default() };
    let outcome = dataset.load(index, view, &mut sample_rng(seed), Sample::Continuous(patches));
    ((tokens, mask, valid), outcome)
}

fn load(dataset: &Volumes, index: usize, view: View, seed: u64) -> Result<Filled, Error> {
    let (filled, outcome) = filled(dataset, index, view, seed);
    outcome.map(|()| filled)
}

fn synthetic(n: usize, seed: u64) -> (tempfile::TempDir, Volumes, Value) {
    let folder = tempfile::tempdir().unwrap();
    let made = Oct::synthesise(folder.path(), n, seed).unwrap();
    let dataset = open(folder.path(), &["."], made.options.clone()).unwrap();
    (folder, dataset, made.options)
}

fn ids(dataset: &Volumes) -> Vec<String> {
    (0..dataset.len()).map(|index| dataset.record(index).id).collect()
}

/// Options without any change of pixels: slices of 4 x 6 pixels in patches of two slices and 2 x 3 pixels.
fn plain() -> Value {
    json!({ "size": [4, 4, 6], "patch_size": [2, 2, 3], "mask_ratio": 0.5, "flat": 0.0 })
}

/// A slice whose pixels say where they are.
fn slice(number: u8) -> GrayImage {
    GrayImage::from_fn(6, 4, |x, y| Luma([number * 30 + y as u8 * 6 + x as u8]))
}

#[test]
fn synthetic_volumes_open_with_labels_and_patients_in_all_formats() {
    let (_folder, dataset, _) = synthetic(6, 5);
    let expected = [
        "p00/eye_0000/bscan_0.png#b=0000",
        "p00/eye_0000/bscan_0.png#b=0001",
        "p00/eye_0001/bscan_0.jpg#b=0000",
        "p00/eye_0001/bscan_0.jpg#b=0001",
        "p01/eye_0002/bscan_0.pgm#b=0000",
        "p01/eye_0002/bscan_0.pgm#b=0001",
        "p01/eye_0003.dcm#b=0000",
        "p01/eye_0003.dcm#b=0001",
        // Three slices alone.
        "p02/eye_0004/bscan_0.png",
        "p02/eye_0005/bscan_0.jpg#b=0000",
        "p02/eye_0005/bscan_0.jpg#b=0001",
    ];
    assert_eq!(ids(&dataset), expected);
    let record = dataset.record(6);
    assert_eq!((record.file(), record.label.as_deref()), ("p01/eye_0003.dcm", Some("dry")));
    assert_eq!((record.group.as_deref(), dataset.record(2).label.as_deref()), (Some("p01"), Some("fluid")));
    assert_eq!(record.metadata["spacing_mm"], json!([0.24, 0.0039, 0.0117]));
    let own = shape(&dataset);
    assert_eq!((own.grid, own.d_token, own.n_masked, own.patch), (vec![2, 3, 4], 768, 18, vec![3, 16, 16]));
    for index in 0..dataset.len() {
        let (tokens, mask, valid) = load(&dataset, index, View::Evaluation, 0).unwrap();
        assert_eq!(mask, [0; 24]);
        let n_valid = if index == 8 { 12 } else { 24 };
        assert!(valid.iter().enumerate().all(|(token, &valid)| valid == u8::from(token < n_valid)));
        assert!(tokens[n_valid * 768..].iter().all(|&value| value == 0.0));
        assert!(tokens.iter().all(|value| (0.0..=1.0).contains(value)));
    }
}

#[test]
fn the_same_seed_writes_the_same_files() {
    let [first, again, other] = [5, 5, 6].map(|seed| synthetic(4, seed).0);
    for name in ["p00/eye_0000/bscan_3.png", "p00/eye_0001/bscan_6.jpg", "p01/eye_0002/bscan_0.pgm", "p01/eye_0003.dcm"]
    {
        let read = |folder: &tempfile::TempDir| std::fs::read(folder.path().join(name)).unwrap();
        assert_eq!(read(&first), read(&again), "{name}");
        assert_ne!(read(&first), read(&other), "{name}");
    }
}

#[test]
fn a_training_sample_depends_on_its_seed_alone() {
    let (_folder, dataset, _) = synthetic(5, 1);
    for index in [0, 3, 5, 6, 8] {
        let one = load(&dataset, index, View::Training, 11).unwrap();
        assert!(one == load(&dataset, index, View::Training, 11).unwrap());
        let other = load(&dataset, index, View::Training, 12).unwrap();
        assert!(one.0 != other.0 && one.1 != other.1);
        assert_eq!(one.1.iter().filter(|&&masked| masked == 1).count(), 18);
        let masked = one.1.iter().zip(&one.2).filter(|&(&mask, &valid)| mask == 1 && valid == 1).count();
        assert_eq!(masked, if index == 8 { 9 } else { 18 });
        assert!(
            load(&dataset, index, View::Evaluation, 1).unwrap() == load(&dataset, index, View::Evaluation, 2).unwrap()
        );
    }
}

/// Slices as PNG of 8 and 16 bits and in colour, as PGM, as BMP and as DICOM all give the same tokens, whose values are
/// computed by hand.
#[test]
fn tokens_are_few_slices_and_many_pixels_in_every_format() {
    let base = tempfile::tempdir().unwrap();
    let folder = |name: &str| {
        std::fs::create_dir(base.path().join(name)).unwrap();
        base.path().join(name)
    };
    let [eight, sixteen, colour, pgm, bmp] = ["eight", "sixteen", "colour", "pgm", "bmp"].map(folder);
    for number in 0..4 {
        let slice = slice(number);
        // Names in another order than numbers.
        let name = format!("scan{}.png", number + 8);
        slice.save(eight.join(&name)).unwrap();
        let words =
            ImageBuffer::<Luma<u16>, _>::from_fn(6, 4, |x, y| Luma([u16::from(slice.get_pixel(x, y).0[0]) * 257]));
        words.save(sixteen.join(&name)).unwrap();
        RgbImage::from_fn(6, 4, |x, y| image::Rgb([slice.get_pixel(x, y).0[0]; 3])).save(colour.join(&name)).unwrap();
        let content = [b"P5 6 4 255\n".as_slice(), slice.as_raw()].concat();
        std::fs::write(pgm.join(format!("scan{}.pgm", number + 8)), content).unwrap();
        slice.save(bmp.join(format!("scan{}.bmp", number + 8))).unwrap();
    }
    let frames: Vec<Vec<u8>> = (0..4).map(|number| slice(number).into_raw()).collect();
    let file = MultiFrameFile {
        kind: Kind::Tomography { spacing_mm: [0.12, 0.004, 0.01] },
        series: "2.25.9",
        size: [4, 6],
        channels: 1,
        frames: WrittenFrames::Native(&frames),
    };
    file.write(&base.path().join("volume.dcm")).unwrap();
    let data = ["eight", "sixteen", "colour", "pgm", "bmp", "volume.dcm"];
    let dataset = open(base.path(), &data, plain()).unwrap();
    assert_eq!(dataset.len(), data.len());
    for index in 0..data.len() {
        let (tokens, ..) = load(&dataset, index, View::Evaluation, 0).unwrap();
        for (token, values) in tokens.chunks_exact(12).enumerate() {
            let (depth, row, column) = (token / 4, token / 2 % 2, token % 2);
            for (at, value) in values.iter().enumerate() {
                let (slice, y, x) = (2 * depth + at / 6, 2 * row + at / 3 % 2, 3 * column + at % 3);
                let expected = (slice * 30 + y * 6 + x) as f32 / 255.0;
                assert!((value - expected).abs() < 1e-5, "{}: {value} {expected}", dataset.record(index).id);
            }
        }
    }
}

#[test]
fn a_single_b_scan_is_a_sample_where_the_depth_is_one() {
    let base = tempfile::tempdir().unwrap();
    for name in ["CNV-1-1.jpeg", "CNV-1-2.jpeg", "DRUSEN-9-1.jpeg"] {
        slice(3).save(base.path().join(name)).unwrap();
    }
    let options = json!({ "size": [1, 4, 6], "patch_size": [1, 2, 3], "mask_ratio": 0.5, "group_by": "folder" });
    let dataset = open(base.path(), &["."], options).unwrap();
    // Names that differ in their last number alone are one volume of two slices.
    assert_eq!(ids(&dataset), ["CNV-1-1.jpeg#b=0000", "CNV-1-1.jpeg#b=0001", "DRUSEN-9-1.jpeg"]);
    assert!(!shape(&dataset).validity);
    assert_eq!(load(&dataset, 2, View::Training, 1).unwrap().1.iter().filter(|&&masked| masked == 1).count(), 2);
    assert_eq!(dataset.record(0).group, dataset.record(1).group);
}

#[test]
fn groups_are_volumes_or_folders() {
    let (folder, _, options) = synthetic(4, 2);
    let groups = |by: &str| -> Vec<String> {
        let mut options = options.clone();
        options["labels"]["group_column"] = Value::Null;
        options["group_by"] = by.into();
        let dataset = open(folder.path(), &["."], options).unwrap();
        (0..dataset.len()).step_by(2).map(|index| dataset.record(index).group.unwrap()).collect()
    };
    assert_eq!(groups("file"), ["p00/eye_0000", "p00/eye_0001", "p01/eye_0002", "p01/eye_0003.dcm"]);
    assert_eq!(groups("folder"), ["p00", "p00", "p01", "p01"]);
}

#[test]
fn masked_tubes_are_the_same_in_all_slices() {
    let (folder, _, mut options) = synthetic(1, 2);
    options["masking"] = "tubes".into();
    let dataset = open(folder.path(), &["."], options).unwrap();
    let (_, mask, _) = load(&dataset, 0, View::Training, 3).unwrap();
    assert!(mask[..12] == mask[12..] && mask[..12].iter().filter(|&&masked| masked == 1).count() == 9);
}

#[test]
fn short_volumes_are_refused_where_they_are_not_marked() {
    let base = tempfile::tempdir().unwrap();
    slice(1).save(base.path().join("a_1.png")).unwrap();
    let mut options = plain();
    let (tokens, _, valid) = load(&open(base.path(), &["."], options.clone()).unwrap(), 0, View::Training, 0).unwrap();
    // The only slice stands for the second of its patch.
    assert_eq!(valid, [1, 1, 1, 1, 0, 0, 0, 0]);
    assert!(tokens.chunks_exact(12).take(4).all(|token| token[..6] == token[6..]));
    options["short_volumes"] = "refuse".into();
    let error = load(&open(base.path(), &["."], options).unwrap(), 0, View::Evaluation, 0).unwrap_err();
    assert_eq!(error.code(), code::UNSUPPORTED);
    assert!(error.message().contains("has 1 slices, but a sample 4\nhint: "), "{error}");
}

#[test]
fn slices_without_content_are_skipped_and_complete() {
    let base = tempfile::tempdir().unwrap();
    GrayImage::from_pixel(6, 4, Luma([9])).save(base.path().join("a_1.png")).unwrap();
    let mut options = plain();
    options["flat"] = 0.01.into();
    let dataset = open(base.path(), &["."], options).unwrap();
    for view in [View::Training, View::Evaluation] {
        let ((tokens, ..), outcome) = filled(&dataset, 0, view, 0);
        assert_eq!(outcome.unwrap_err().code(), code::SKIPPED);
        assert!(tokens[..12].iter().all(|value| (0.03..0.04).contains(value)), "{:?}", &tokens[..12]);
    }
}

#[test]
fn kept_samples_are_the_same_again_and_hold_nothing_but_pixels() {
    let (folder, dataset, _) = synthetic(5, 2);
    std::fs::rename(folder.path().join("p00/eye_0000"), folder.path().join("p00/Quillfeather")).unwrap();
    let dataset_again = open(folder.path(), &["."], json!({ "size": [6, 48, 64], "mask_ratio": 0.75 })).unwrap();
    assert_eq!(dataset_again.len(), dataset.len());
    let kept = tempfile::tempdir().unwrap();
    let indices = [8, 0, 3, 6, 5, 0];
    let made = dataset_again.save_samples(&indices, kept.path()).unwrap();
    let expected: Vec<_> = indices
        .iter()
        .map(|&index| [View::Evaluation, View::Training].map(|view| load(&dataset_again, index, view, 9).unwrap()))
        .collect();
    folder.close().unwrap();
    let entries: Vec<_> = made.data.iter().map(|path| path.to_str().unwrap()).collect();
    let again = open(kept.path(), &entries, made.options).unwrap();
    assert_eq!(again.len(), indices.len());
    for (index, expected) in expected.iter().enumerate() {
        for (view, expected) in [View::Evaluation, View::Training].into_iter().zip(expected) {
            let found = load(&again, index, view, 9).unwrap();
            assert!((&found.1, &found.2) == (&expected.1, &expected.2), "sample {index}");
            // Files of 16 bits are resampled without rounding to 8 in between.
            let furthest = found.0.iter().zip(&expected.0).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(furthest < 1.0 / 32768.0, "sample {index}, {view:?}: {furthest}");
        }
    }
    let files = std::fs::read_dir(kept.path().join("000003")).unwrap().count();
    assert_eq!(files, 6);
}

#[test]
fn an_image_shows_four_slices_side_by_side() {
    let base = tempfile::tempdir().unwrap();
    for number in 0..4 {
        slice(number).save(base.path().join(format!("{number}.png"))).unwrap();
    }
    let dataset = open(base.path(), &["."], plain()).unwrap();
    let (tokens, ..) = load(&dataset, 0, View::Evaluation, 0).unwrap();
    let image = image::load_from_memory(&dataset.render(Tokens::values(&tokens)).unwrap()).unwrap().to_luma8();
    assert_eq!(image.dimensions(), (24, 4));
    for number in 0..4 {
        assert_eq!(image.get_pixel(6 * number + 5, 3).0[0], number as u8 * 30 + 23);
    }
    assert_eq!(dataset.render(Tokens::values(&tokens[1..])).unwrap_err().code(), code::BAD_REQUEST);
}

#[test]
fn wrong_settings_are_named() {
    for (options, name) in [
        (json!({ "patch_size": [0, 16, 16] }), "patch_size"),
        (json!({ "patch_size": [3, 16, 65] }), "patch_size"),
        (json!({ "size": [25, 256, 256] }), "size"),
        (json!({ "size": [0, 256, 256] }), "size"),
        (json!({ "size": [24, 256, 4096] }), "size"),
        (json!({ "mask_ratio": 1.0 }), "mask_ratio"),
        (json!({ "size": [3, 16, 32] }), "mask_ratio"),
        (json!({ "crop_scale": [0.9, 0.1] }), "crop_scale"),
        (json!({ "brightness": 1.0 }), "brightness"),
        (json!({ "flat": 2.0 }), "flat"),
    ] {
        let given: Options = serde_json::from_value(options.clone()).unwrap();
        // As the SDK does before it calls the plugin.
        let error = check_ranges(&given).and_then(|()| Oct::geometry(&given)).unwrap_err();
        assert_eq!(error.code(), code::BAD_REQUEST);
        assert!(error.message().starts_with(name), "{options}: {error}");
    }
    for (_, preset) in Oct::option_presets() {
        Oct::geometry(&serde_json::from_value(preset).unwrap()).unwrap();
    }
}

#[test]
fn bad_volumes_spoil_their_own_sample_only() {
    let (folder, _, _) = synthetic(4, 0);
    let put = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let (png, pgm, dcm) =
        (read("p00/eye_0000/bscan_3.png"), read("p01/eye_0002/bscan_3.pgm"), read("p01/eye_0003.dcm"));
    for number in 0..6 {
        put(&format!("a_cut/{number}.pgm"), if number == 4 { &pgm[..pgm.len() / 2] } else { &pgm });
        put(&format!("a_size/{number}.png"), &png);
    }
    slice(0).save(folder.path().join("a_size/5.png")).unwrap();
    put("b_cut.dcm", &dcm[..dcm.len() - 1000]);
    put("b_empty.dcm", b"");
    put("b_text.png", b"no image");
    let options = json!({ "size": [6, 48, 64], "mask_ratio": 0.75 });
    let dataset = open(folder.path(), &["."], options).unwrap();
    for (index, (id, expected, word)) in [
        ("a_cut/0.pgm", code::CORRUPT, "cut off"),
        ("a_size/0.png", code::CORRUPT, "another is 6x4"),
        ("b_cut.dcm", code::CORRUPT, "too few for 7 frames"),
        ("b_empty.dcm", code::CORRUPT, "b_empty.dcm"),
        ("b_text.png", code::CORRUPT, "b_text.png"),
    ]
    .into_iter()
    .enumerate()
    {
        let error = load(&dataset, index, View::Evaluation, 0).unwrap_err();
        assert_eq!((dataset.record(index).id.as_str(), error.code()), (id, expected), "{error}");
        assert!(error.message().contains(word), "{error}");
    }
    for index in 5..dataset.len() {
        load(&dataset, index, View::Training, 0).unwrap();
    }
}

#[test]
fn the_plugin_keeps_the_contract() {
    medcoss_conformance::assert_conforms("oct");
}
