//! The plugin as the host uses it: synthetic files, real radiographs, settings and files that are wrong.

use std::path::{Path, PathBuf};

/// Grid, values in a token and masked tokens.
fn sizes(geometry: &Geometry) -> (Vec<usize>, usize, usize) {
    let Geometry::Continuous(own) = geometry else { panic!("tokens are continuous") };
    (own.grid.clone(), own.d_token, own.n_masked)
}

use medcoss_formats::aspect_ratio::AspectRatio;
use medcoss_formats::dicom;
use medcoss_formats::dicom::write::DicomFile;
use medcoss_formats::dicom::write_multi_frame::{Kind, MultiFrameFile, WrittenFrames};
use medcoss_sdk::{
    Continuous, Dataset, FoundFile, Geometry, Modality, OpenRequest, Patches, Sample, Tokens, View, code, patch,
    sample_rng, serde_json,
};
use medcoss_test_support::GoldenArrays;
use medcoss_xray::{Options, Radiographs, Xray};

fn open(base: &Path, data: &[&str], options: Options) -> Result<Radiographs, medcoss_sdk::Error> {
    let data = data.iter().map(PathBuf::from).collect();
    Xray::open(OpenRequest { base: base.to_owned(), data, options, assets: None })
}

/// Sixteen synthetic radiographs, opened as the plugin says.
fn synthetic(seed: u64) -> (tempfile::TempDir, Radiographs) {
    let folder = tempfile::tempdir().unwrap();
    let made = Xray::synthesise(folder.path(), 16, seed).unwrap();
    let options = serde_json::from_value(made.options).unwrap();
    let request = OpenRequest { base: folder.path().to_owned(), data: made.data, options, assets: None };
    let dataset = Xray::open(request).unwrap();
    (folder, dataset)
}

fn load(dataset: &Radiographs, index: usize, view: View, seed: u64) -> Result<(Vec<f32>, Vec<u8>), medcoss_sdk::Error> {
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
fn synthetic_files_open_with_labels_and_stable_ids() {
    let (_folder, dataset) = synthetic(5);
    assert_eq!(dataset.len(), 16);
    assert_eq!(dataset.record(0).id, "chest_0000.png");
    assert_eq!(dataset.record(2).id, "chest_0002.jpg");
    assert_eq!(dataset.record(0).label.as_deref(), Some("clear"));
    assert_eq!(dataset.record(1).label.as_deref(), Some("opacity"));
    assert_eq!(sizes(&dataset.geometry()), (vec![4, 4], 768, 12));
}

#[test]
fn files_of_one_patient_are_a_group_where_the_table_says_so() {
    let (folder, _) = synthetic(5);
    let table = "file,finding,patient,weight\nchest_0000,clear,p7,1\nchest_0001,clear,p7,0.5\n";
    std::fs::write(folder.path().join("patients.csv"), table).unwrap();
    let labels = serde_json::json!({
        "file": "patients.csv", "key_column": "file", "label_column": "finding", "group_column": "patient", "weight_column": "weight",
    });
    let options = Options { labels: Some(serde_json::from_value(labels).unwrap()), ..Options::default() };
    let dataset = open(folder.path(), &["."], options).unwrap();
    let records = [0, 1, 2].map(|index| dataset.record(index));
    assert_eq!(records.each_ref().map(|record| record.group.as_deref()), [Some("p7"), Some("p7"), None]);
    assert_eq!(records.map(|record| record.weight), [Some(1.0), Some(0.5), None]);
}

#[test]
fn the_same_seed_writes_the_same_files() {
    let (first, _) = synthetic(5);
    let (again, _) = synthetic(5);
    let (other, _) = synthetic(6);
    for name in ["chest_0000.png", "chest_0001.png", "chest_0002.jpg", "chest_0003.dcm", "chest_0004.dcm", "labels.csv"]
    {
        let read = |folder: &tempfile::TempDir| std::fs::read(folder.path().join(name)).unwrap();
        assert_eq!(read(&first), read(&again), "{name}");
        assert!(read(&first) != read(&other) || name == "labels.csv", "{name}");
    }
}

#[test]
fn a_training_sample_depends_on_its_seed_alone() {
    let (_folder, dataset) = synthetic(1);
    for index in 0..3 {
        let one = load(&dataset, index, View::Training, 11).unwrap();
        assert_eq!(one, load(&dataset, index, View::Training, 11).unwrap());
        let other = load(&dataset, index, View::Training, 12).unwrap();
        assert_ne!(one.0, other.0);
        assert_ne!(one.1, other.1);
        assert_eq!(one.1.iter().filter(|&&masked| masked == 1).count(), 12);
    }
}

#[test]
fn the_evaluation_view_is_neither_masked_nor_random() {
    let (_folder, dataset) = synthetic(1);
    let (tokens, mask) = load(&dataset, 1, View::Evaluation, 11).unwrap();
    assert_eq!(mask, [0; 16]);
    assert_eq!(tokens, load(&dataset, 1, View::Evaluation, 12).unwrap().0);
}

#[test]
fn the_three_channels_are_equal_and_within_bounds() {
    let (_folder, dataset) = synthetic(2);
    for index in 0..5 {
        let (tokens, _) = load(&dataset, index, View::Training, 3).unwrap();
        let (pixels, rest) = tokens.as_chunks::<3>();
        assert!(rest.is_empty());
        assert!(pixels.iter().all(|[r, g, b]| r == g && g == b && (0.0..=1.0).contains(r)));
        let (least, most) =
            pixels.iter().fold((1.0_f32, 0.0_f32), |(least, most), [r, ..]| (least.min(*r), most.max(*r)));
        assert!(most - least > 0.3, "sample {index} is nearly uniform: {least} to {most}");
    }
}

#[test]
fn rendered_tokens_are_the_image_again() {
    let (_folder, dataset) = synthetic(2);
    let (tokens, _) = load(&dataset, 0, View::Evaluation, 0).unwrap();
    let png = dataset.render(Tokens::values(&tokens)).unwrap();
    let image = image::load_from_memory(&png).unwrap().to_rgb8();
    assert_eq!(image.dimensions(), (64, 64));
    // Pixel (row 17, column 35) is in patch (1, 2), row 1 and column 3 of it.
    let expected = (tokens[(4 + 2) * 768 + (16 + 3) * 3] * 255.0).round() as u8;
    assert_eq!(image.get_pixel(35, 17).0, [expected; 3]);
    assert_eq!(dataset.render(Tokens::values(&tokens[1..])).unwrap_err().code(), code::BAD_REQUEST);
}

#[test]
fn wrong_settings_are_named() {
    let base = tempfile::tempdir().unwrap();
    let refused = |options: serde_json::Value, name: &str| {
        let options: Options = serde_json::from_value(options).unwrap();
        let error = open(base.path(), &["."], options.clone()).err().unwrap();
        assert_eq!(error.code(), code::BAD_REQUEST);
        assert!(error.message().starts_with(name), "{error}");
        assert!(Xray::geometry(&options).is_err());
    };
    refused(serde_json::json!({ "size": 230 }), "size");
    refused(serde_json::json!({ "size": 0 }), "size");
    refused(serde_json::json!({ "size": 4096 }), "size");
    refused(serde_json::json!({ "mask_ratio": 1.0 }), "mask_ratio");
    refused(serde_json::json!({ "size": 16, "mask_ratio": 0.5 }), "mask_ratio");
    refused(serde_json::json!({ "crop_scale": [0.5, 0.2] }), "crop_scale");
    refused(serde_json::json!({ "bit_depth": 7 }), "bit_depth");
    refused(serde_json::json!({ "bit_depth": 33 }), "bit_depth");
    assert!(serde_json::from_value::<Options>(serde_json::json!({ "sise": 64 })).is_err());
}

#[test]
fn missing_and_empty_data_are_errors() {
    let base = tempfile::tempdir().unwrap();
    for entry in ["nowhere", "."] {
        let error = open(base.path(), &[entry], Options::default()).err().unwrap();
        assert_eq!(error.code(), code::UNREADABLE, "{error}");
    }
}

#[test]
fn a_bad_file_spoils_its_own_sample_only() {
    let base = tempfile::tempdir().unwrap();
    Xray::synthesise(base.path(), 1, 0).unwrap();
    std::fs::write(base.path().join("a_text.png"), "no image at all").unwrap();
    let png = std::fs::read(base.path().join("chest_0000.png")).unwrap();
    std::fs::write(base.path().join("b_cut.png"), &png[..png.len() / 2]).unwrap();
    let dataset = open(base.path(), &["."], Options { size: 32, ..Options::default() }).unwrap();
    assert_eq!(dataset.len(), 3);
    for index in [0, 1] {
        let error = load(&dataset, index, View::Evaluation, 0).unwrap_err();
        assert_eq!(error.code(), code::CORRUPT, "{error}");
    }
    load(&dataset, 2, View::Evaluation, 0).unwrap();
}

#[test]
fn the_fingerprint_follows_the_files() {
    let (folder, dataset) = synthetic(3);
    let before = dataset.fingerprint().hex();
    assert_eq!(before, open(folder.path(), &["."], Options::default()).unwrap().fingerprint().hex());
    std::fs::remove_file(folder.path().join("chest_0003.dcm")).unwrap();
    assert_ne!(before, open(folder.path(), &["."], Options::default()).unwrap().fingerprint().hex());
}

#[test]
fn synthetic_chests_have_dark_lungs_in_every_format() {
    let (_folder, dataset) = synthetic(7);
    for index in 0..5 {
        let (tokens, _) = load(&dataset, index, View::Evaluation, 0).unwrap();
        // Mean of the pixels of some patches of 4 x 4: lungs beside the middle, and the spine below between them.
        let mean = |patches: &[usize]| {
            let values = patches.iter().flat_map(|patch| &tokens[patch * 768..(patch + 1) * 768]);
            values.sum::<f32>() / (patches.len() * 768) as f32
        };
        let id = dataset.record(index).id;
        assert!(mean(&[4, 5, 6, 7]) + 0.1 < mean(&[13, 14]), "{id}: {} {}", mean(&[4, 5, 6, 7]), mean(&[13, 14]));
    }
}

#[test]
fn dicom_files_are_found_by_content_and_those_without_an_image_are_passed_over() {
    let base = tempfile::tempdir().unwrap();
    Xray::synthesise(base.path(), 5, 0).unwrap();
    std::fs::rename(base.path().join("chest_0003.dcm"), base.path().join("1.2.840.7")).unwrap();
    let mut bytes = std::fs::read(base.path().join("chest_0004.dcm")).unwrap();
    // The kind that the file's first kilobyte states: a report, of the same number of letters.
    let (image, report) = (b"1.2.840.10008.5.1.4.1.1.1\0", b"1.2.840.10008.5.1.4.1.1.88.11");
    let at = bytes.windows(image.len()).position(|window| window == image).unwrap();
    bytes.splice(at..at + image.len(), report.iter().copied().chain([0]));
    bytes[at - 2] = report.len() as u8 + 1;
    std::fs::write(base.path().join("report"), bytes).unwrap();
    let dataset = open(base.path(), &["."], Options { size: 32, ..Options::default() }).unwrap();
    let ids: Vec<_> = (0..dataset.len()).map(|index| dataset.record(index).id).collect();
    assert_eq!(ids, ["1.2.840.7", "chest_0000.png", "chest_0001.png", "chest_0002.jpg", "chest_0004.dcm"]);
    load(&dataset, 0, View::Evaluation, 0).unwrap();
}

/// Files that are left out and notices, as phrases.
fn reported(dataset: &Radiographs) -> (Vec<String>, Vec<String>) {
    let account = dataset.account().unwrap();
    let left_out = account.left_out().map(|(file, reason)| format!("{file}: {reason}"));
    let notices = account.notices().iter().map(|notice| format!("{} of {} {}", notice.n, notice.of, notice.what));
    (left_out.collect(), notices.collect())
}

#[test]
fn scans_in_a_folder_of_radiographs_are_left_out_and_named_ones_are_read() {
    let base = tempfile::tempdir().unwrap();
    std::fs::create_dir(base.path().join("study")).unwrap();
    let file = |modality, name: &str| {
        let stored: Vec<i32> = (0..12).collect();
        let file = DicomFile {
            modality,
            series: "2.25.7",
            number: 1,
            size: [3, 4],
            stored: &stored,
            bits_stored: 12,
            signed: false,
            inverted: false,
            rescale: None,
            window: None,
            place: None,
        };
        file.write(&base.path().join("study").join(name)).unwrap();
    };
    file(dicom::write::Modality::Radiography, "a.dcm");
    file(dicom::write::Modality::Ct, "b.dcm");
    file(dicom::write::Modality::Mr, "c");
    let frames = vec![vec![7; 12], vec![9; 12]];
    let clip = MultiFrameFile {
        kind: Kind::Ultrasound { frame_time_ms: 20.0, region: None },
        series: "2.25.8",
        size: [3, 4],
        channels: 1,
        frames: WrittenFrames::Native(&frames),
    };
    clip.write(&base.path().join("study/d.dcm")).unwrap();
    std::fs::write(base.path().join("study/notes.txt"), "a note").unwrap();
    let dataset = open(base.path(), &["study"], Options { size: 32, ..Options::default() }).unwrap();
    assert_eq!((dataset.len(), dataset.record(0).id.as_str()), (1, "study/a.dcm"));
    let (left_out, notices) = reported(&dataset);
    assert_eq!(
        left_out,
        [
            "study/b.dcm: DICOM of modality CT",
            "study/c: DICOM of modality MR",
            "study/d.dcm: DICOM of modality US",
            "study/notes.txt: another kind of file (.txt)",
        ]
    );
    assert_eq!(notices, Vec::<String>::new());
    // Whoever names a file means it.
    let dataset =
        open(base.path(), &["study/b.dcm", "study/d.dcm"], Options { size: 32, ..Options::default() }).unwrap();
    assert_eq!(dataset.len(), 2);
    assert_eq!(reported(&dataset).1, ["1 of 2 files have several frames or pages, of which the first is read"]);
    std::fs::remove_file(base.path().join("study/a.dcm")).unwrap();
    let error = open(base.path(), &["study"], Options::default()).err().unwrap();
    assert!(error.message().contains("1 DICOM of modality CT"), "{error}");
}

#[test]
fn images_of_12_bits_in_16_are_scaled_and_reported() {
    let base = tempfile::tempdir().unwrap();
    let write = |name: &str, most: u16| {
        let image = image::ImageBuffer::from_fn(40, 40, |column, _| image::Luma([if column < 20 { 0 } else { most }]));
        image.save(base.path().join(name)).unwrap();
    };
    write("a.png", 4095);
    write("b.png", 65535);
    write("c.png", 1023);
    image::GrayImage::from_pixel(40, 40, image::Luma([90])).save(base.path().join("d.png")).unwrap();
    let open = |bit_depth| open(base.path(), &["."], Options { size: 32, bit_depth, ..Options::default() }).unwrap();
    let most = |dataset: &Radiographs, index| {
        load(dataset, index, View::Evaluation, 0).map(|(tokens, _)| tokens.into_iter().fold(0.0, f32::max))
    };
    let dataset = open(None);
    assert!((0..3).all(|index| most(&dataset, index).unwrap() > 0.999));
    let notices = reported(&dataset).1;
    assert_eq!(notices.len(), 2);
    assert!(notices[0].starts_with("1 of 3 images of 16 bits use 10: 1023 becomes white (3 of 3 such"), "{notices:?}");
    assert!(notices[1].starts_with("1 of 3 images of 16 bits use 12: 4095 becomes white"), "{notices:?}");
    // All alike where the user says so: what does not fit is refused, and nothing is guessed.
    let dataset = open(Some(12));
    assert!((most(&dataset, 2).unwrap() - 1023.0 / 4095.0).abs() < 1e-3);
    let error = most(&dataset, 1).unwrap_err();
    assert!(error.code() == code::UNSUPPORTED && error.message().contains("b.png has a number of 65535"), "{error}");
    assert!((most(&dataset, 3).unwrap() - 90.0 / 255.0).abs() < 1e-3);
    assert_eq!(dataset.account().unwrap().notices(), []);
    let dataset = open(Some(16));
    assert!(most(&dataset, 0).unwrap() < 0.07);
}

#[test]
fn bmp_is_read_and_saved() {
    let base = tempfile::tempdir().unwrap();
    image::GrayImage::from_fn(40, 40, |x, _| image::Luma([x as u8 * 6])).save(base.path().join("a.BMP")).unwrap();
    let dataset = open(base.path(), &["."], Options { size: 32, ..Options::default() }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let saved = dataset.save_samples(&[0], folder.path()).unwrap();
    assert_eq!(saved.data, [PathBuf::from("000000.bmp")]);
    let again = open(folder.path(), &["000000.bmp"], serde_json::from_value(saved.options).unwrap()).unwrap();
    let evaluated = |dataset| load(dataset, 0, View::Evaluation, 0).unwrap().0;
    assert_eq!(evaluated(&again), evaluated(&dataset));
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn real_radiographs_are_read() {
    let folder = medcoss_test_support::data("xray");
    let options = serde_json::json!({
        "labels": { "file": "pneumonia/data_1.csv", "key_column": "image_path", "label_column": "target" },
    });
    let options = serde_json::from_value(options).unwrap();
    let dataset = open(&folder, &["pneumonia/img", "covid19/png", "mednist"], options).unwrap();
    assert_eq!(dataset.len(), 506 + 71 + 1928);
    let labelled = (0..dataset.len()).filter(|&index| dataset.record(index).label.is_some()).count();
    assert_eq!(labelled, 506);
    for index in (0..dataset.len()).step_by(97) {
        let (tokens, mask) = load(&dataset, index, View::Training, index as u64).unwrap();
        let mean = tokens.iter().sum::<f32>() / tokens.len() as f32;
        assert!((0.1..0.9).contains(&mean), "{} has mean {mean}", dataset.record(index).id);
        assert_eq!(mask.iter().filter(|&&masked| masked == 1).count(), 147);
    }
}

/// Bytes `[channels, side, side]` of a sample's evaluation view.
fn bytes(tokens: &[f32], side: usize) -> Vec<f32> {
    let mut pixels = vec![0.0; tokens.len()];
    patch::unpatchify_2d(tokens, [side, side, 3], 16, &mut pixels);
    (0..3).flat_map(|channel| pixels.iter().skip(channel).step_by(3).map(|value| (value * 255.0).round())).collect()
}

#[test]
fn the_preset_squeezes_radiographs_to_the_bytes_of_the_reference() {
    let golden = GoldenArrays::below("sdk/formats/tests/golden");
    let (name, preset) = Xray::option_presets().remove(0);
    assert_eq!(name, "reference");
    for side in [224, 48] {
        let mut options = preset.clone();
        options["size"] = side.into();
        let dataset = open(golden.folder(), &["xray.png"], serde_json::from_value(options).unwrap()).unwrap();
        let found = bytes(&load(&dataset, 0, View::Evaluation, 0).unwrap().0, side);
        let (_, expected) = golden.array("xray", &format!("input_{side}"));
        assert!(found == [&expected[..]; 3].concat(), "at {side} pixels");
    }
}

#[test]
fn labels_are_squeezed_with_their_radiograph() {
    let golden = GoldenArrays::below("sdk/formats/tests/golden");
    let options = Options { size: 48, aspect_ratio: AspectRatio::Squeezed, ..Options::default() };
    let dataset = open(golden.folder(), &["xray.png"], options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    // The lower third is labelled, all columns of it: 300 rows become 48.
    let mask = image::GrayImage::from_fn(210, 300, |_, row| image::Luma([if row >= 200 { 3 } else { 0 }]));
    let path = folder.path().join("xray.png");
    mask.save(&path).unwrap();
    let mask = FoundFile { path, id: "xray.png".into(), entry: 0, bytes: 0, modified: None };
    let map = dataset.label_map(0, &mask).unwrap();
    assert_eq!(map.shape(), [48, 48]);
    for (row, labels) in map.values().chunks_exact(48).enumerate() {
        assert!(labels.iter().all(|&label| label == if row >= 32 { 3 } else { 0 }), "row {row}: {labels:?}");
    }
}

#[test]
fn the_plugin_keeps_the_contract() {
    medcoss_conformance::assert_conforms("xray");
}
