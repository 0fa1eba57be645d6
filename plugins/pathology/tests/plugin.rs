//! The plugin as the host uses it: synthetic tiles and a synthetic slide, real ones, settings and files that are wrong.

use std::path::{Path, PathBuf};
use std::thread;

/// Grid, values in a token and masked tokens.
fn sizes(geometry: &Geometry) -> (Vec<usize>, usize, usize) {
    let Geometry::Continuous(own) = geometry else { panic!("tokens are continuous") };
    (own.grid.clone(), own.d_token, own.n_masked)
}

use medcoss_pathology::{Options, Pathology, Tissue};
use medcoss_sdk::{
    Continuous, Dataset, Error, Geometry, Modality, OpenRequest, Patches, Sample, Tokens, View, code, patch,
    sample_rng, serde_json,
};
use medcoss_test_support::GoldenArrays;
use tiff::encoder::TiffEncoder;
use tiff::tags::{PhotometricInterpretation, Tag};

pub(crate) fn open(base: &Path, data: &[&str], options: serde_json::Value) -> Result<Tissue, Error> {
    let options: Options = serde_json::from_value(options).unwrap();
    let data = data.iter().map(PathBuf::from).collect();
    Pathology::open(OpenRequest { base: base.to_owned(), data, options, assets: None })
}

/// Twelve synthetic tiles and a slide, opened as the plugin says but for `changes`.
pub(crate) fn synthetic(seed: u64, changes: serde_json::Value) -> (tempfile::TempDir, Tissue) {
    let folder = tempfile::tempdir().unwrap();
    let mut made = Pathology::synthesise(folder.path(), 12, seed).unwrap();
    for (name, value) in changes.as_object().unwrap() {
        made.options[name] = value.clone();
    }
    let dataset = open(folder.path(), &["."], made.options).unwrap();
    (folder, dataset)
}

pub(crate) fn load(dataset: &Tissue, index: usize, view: View, seed: u64) -> Result<(Vec<f32>, Vec<u8>), Error> {
    let Geometry::Continuous(Continuous { grid, d_token, .. }) = dataset.geometry() else {
        panic!("tokens are continuous")
    };
    let n_tokens: usize = grid.iter().product();
    let (mut tokens, mut mask) = (vec![0.0; n_tokens * d_token], vec![0; n_tokens]);
    let sample = Sample::Continuous(Patches::new(&mut tokens, &mut mask));
    dataset.load(index, view, &mut sample_rng(seed), sample)?;
    Ok((tokens, mask))
}

fn ids(dataset: &Tissue) -> Vec<String> {
    (0..dataset.len()).map(|index| dataset.record(index).id).collect()
}

#[test]
fn synthetic_files_open_with_labels_and_stable_ids() {
    let (_folder, dataset) = synthetic(5, serde_json::json!({}));
    let ids = ids(&dataset);
    let n_tiles_of_slide = ids.iter().filter(|id| id.starts_with("slide.tif#x=")).count();
    assert_eq!(dataset.len(), 12 + n_tiles_of_slide);
    assert!(ids.contains(&"slide.tif#x=0192,y=0128".to_owned()), "{ids:?}");
    let first = ids.iter().position(|id| id == "tile_0000.png").unwrap();
    assert_eq!(dataset.record(first).label.as_deref(), Some("sparse"));
    assert_eq!(dataset.record(first + 1).label.as_deref(), Some("dense"));
    assert_eq!(dataset.record(0).label, None);
    assert_eq!(sizes(&dataset.geometry()), (vec![4, 4], 768, 12));
}

#[test]
fn tiles_and_slides_of_one_patient_are_a_group_where_the_table_says_so() {
    let (folder, _) = synthetic(5, serde_json::json!({}));
    let table = "file,nuclei,patient\nslide.tif,,p7\ntile_0000.png,dense,p7\n";
    std::fs::write(folder.path().join("patients.csv"), table).unwrap();
    let labels = serde_json::json!({
        "file": "patients.csv", "key_column": "file", "label_column": "nuclei", "group_column": "patient",
    });
    let dataset = open(
        folder.path(),
        &["."],
        serde_json::json!({ "size": 64, "slide_min_side": 64, "tile_size": 64, "labels": labels }),
    )
    .unwrap();
    let n_of_slide = ids(&dataset).iter().filter(|id| id.starts_with("slide.tif#")).count();
    let of_patient =
        (0..dataset.len()).map(|index| dataset.record(index)).filter(|record| record.group.as_deref() == Some("p7"));
    let labels: Vec<_> = of_patient.map(|record| record.label).collect();
    assert!(n_of_slide > 1 && labels.len() == n_of_slide + 1, "{labels:?}");
    assert_eq!(labels.iter().flatten().collect::<Vec<_>>(), ["dense"]);
}

#[test]
fn the_same_seed_writes_the_same_files() {
    let (first, _) = synthetic(5, serde_json::json!({}));
    let (again, _) = synthetic(5, serde_json::json!({}));
    let (other, _) = synthetic(6, serde_json::json!({}));
    for name in ["tile_0000.png", "tile_0001.png", "tile_0002.jpg", "slide.tif"] {
        let read = |folder: &tempfile::TempDir| std::fs::read(folder.path().join(name)).unwrap();
        assert!(read(&first) == read(&again), "{name}");
        assert!(read(&first) != read(&other), "{name}");
    }
}

#[test]
fn background_is_left_out_of_slides() {
    let (_folder, dataset) = synthetic(5, serde_json::json!({}));
    let (_folder, all) = synthetic(5, serde_json::json!({ "min_tissue_ratio": 0.0 }));
    let (_folder, full) = synthetic(5, serde_json::json!({ "min_tissue_ratio": 1.0 }));
    // 448 x 320 pixels in tiles of 64.
    assert_eq!(all.len(), 12 + 7 * 5);
    assert!(full.len() < dataset.len() && dataset.len() < all.len());
    // The tissue is an ellipse: the corner is glass, the middle is not.
    assert!(ids(&all).contains(&"slide.tif#x=0000,y=0000".to_owned()));
    assert!(!ids(&dataset).contains(&"slide.tif#x=0000,y=0000".to_owned()));
    let (middle, corner) = ("slide.tif#x=0192,y=0128", "slide.tif#x=0000,y=0000");
    let green = |id: &str| {
        let index = ids(&all).iter().position(|other| other == id).unwrap();
        let (tokens, _) = load(&all, index, View::Evaluation, 0).unwrap();
        tokens.iter().skip(1).step_by(3).sum::<f32>() / (tokens.len() / 3) as f32
    };
    assert!(green(corner) > 0.93 && green(middle) < 0.8, "{} and {}", green(corner), green(middle));
}

#[test]
fn the_full_level_and_the_small_one_find_the_same_tissue() {
    // Tiles of 32 pixels are too small for the level that is four times smaller: their survey reads the full one. Where
    // 95 % of a tile is tissue, 80 % of each quarter is; 5 % are left for the difference of the levels.
    let (_folder, coarse) = synthetic(5, serde_json::json!({ "tile_size": 64, "min_tissue_ratio": 0.95 }));
    let (_folder, fine) = synthetic(5, serde_json::json!({ "tile_size": 32, "min_tissue_ratio": 0.75 }));
    let (coarse, fine) = (ids(&coarse), ids(&fine));
    let corners: Vec<(usize, usize)> = coarse
        .iter()
        .filter_map(|id| id.strip_prefix("slide.tif#x="))
        .filter_map(|place| place.split_once(",y="))
        .map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()))
        .collect();
    assert!(corners.len() >= 8, "{coarse:?}");
    for (x, y) in corners {
        for (dx, dy) in [(0, 0), (32, 0), (0, 32), (32, 32)] {
            let quarter = format!("slide.tif#x={:04},y={:04}", x + dx, y + dy);
            assert!(fine.contains(&quarter), "{quarter} is missing");
        }
    }
}

#[test]
fn tiles_at_a_resolution_cover_so_many_microns_from_the_level_that_suits() {
    // 0.5 microns a pixel, and a level of 2: the same tiles of glass and tissue, at their size, from the small level,
    // and resampled.
    let all = serde_json::json!({ "min_tissue_ratio": 0.0 });
    let with = |changes: serde_json::Value| {
        let mut options = all.clone();
        options.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        synthetic(5, options)
    };
    let (_folder, plain) = synthetic(5, all.clone());
    let (_folder, same) = with(serde_json::json!({ "mpp": 0.5 }));
    let (_folder, small) = with(serde_json::json!({ "mpp": 2.0, "tile_size": 16 }));
    let (_folder, between) = with(serde_json::json!({ "mpp": 1.0, "tile_size": 32 }));
    assert_eq!(ids(&plain), ids(&same));
    assert_eq!(ids(&plain), ids(&small));
    assert_eq!(ids(&plain), ids(&between));
    let mean = |tokens: &[f32]| tokens.iter().sum::<f32>() / tokens.len() as f32;
    for index in 0..plain.len() {
        let expected = load(&plain, index, View::Evaluation, 0).unwrap().0;
        assert_eq!(expected, load(&same, index, View::Evaluation, 0).unwrap().0);
        for other in [&small, &between] {
            let found = load(other, index, View::Evaluation, 0).unwrap().0;
            assert!((mean(&expected) - mean(&found)).abs() < 0.02, "{}", plain.record(index).id);
        }
    }
    // A third as fine: 448 x 320 pixels hold 2 x 1 tiles of 192.
    let (_folder, wide) = with(serde_json::json!({ "mpp": 1.5, "tile_size": 64 }));
    let slide: Vec<String> = ids(&wide).into_iter().filter(|id| id.starts_with("slide")).collect();
    assert_eq!(slide, ["slide.tif#x=0000,y=0000", "slide.tif#x=0192,y=0000"]);
}

#[test]
fn a_slide_without_the_resolution_that_is_asked_for_says_how_to_go_on() {
    let (folder, _) = synthetic(5, serde_json::json!({}));
    let options = serde_json::json!({ "size": 64, "slide_min_side": 64, "tile_size": 64, "mpp": 0.3 });
    let dataset = open(folder.path(), &["."], options.clone()).unwrap();
    let error = load(&dataset, 0, View::Evaluation, 0).unwrap_err();
    assert!(
        error.message().starts_with("slide.tif has 0.5000 microns") && error.message().contains("hint:"),
        "{error}"
    );
    assert_eq!(error.code(), code::UNSUPPORTED);
    // The tiles beside it are read.
    assert!(load(&dataset, 1, View::Evaluation, 0).is_ok() && dataset.len() == 13);

    // ResolutionUnit: a number without a unit in place of centimetres.
    let path = folder.path().join("slide.tif");
    let mut content = std::fs::read(&path).unwrap();
    let entry = [0x28, 1, 3, 0, 1, 0, 0, 0, 3, 0];
    while let Some(at) = content.windows(10).position(|window| window == entry) {
        content[at + 8] = 1;
    }
    std::fs::write(&path, content).unwrap();
    let dataset = open(folder.path(), &["."], options).unwrap();
    let error = load(&dataset, 0, View::Evaluation, 0).unwrap_err();
    assert!(error.message().starts_with("slide.tif does not state its microns per pixel"), "{error}");
    assert!(error.message().contains("hint: leave mpp out"), "{error}");
}

#[test]
fn a_training_sample_depends_on_its_seed_alone() {
    let (_folder, dataset) = synthetic(1, serde_json::json!({ "stain_jitter": 0.05 }));
    for index in [0, dataset.len() - 1] {
        let one = load(&dataset, index, View::Training, 11).unwrap();
        assert_eq!(one, load(&dataset, index, View::Training, 11).unwrap());
        let other = load(&dataset, index, View::Training, 12).unwrap();
        assert_ne!(one.0, other.0);
        assert_ne!(one.1, other.1);
        assert_eq!(one.1.iter().filter(|&&masked| masked == 1).count(), 12);
        assert!(one.0.iter().all(|value| (0.0..=1.0).contains(value)));
    }
}

#[test]
fn many_threads_get_the_bytes_that_one_gets() {
    let (_folder, dataset) = synthetic(1, serde_json::json!({}));
    let load_all =
        || (0..dataset.len()).map(|index| load(&dataset, index, View::Training, 7).unwrap()).collect::<Vec<_>>();
    let alone = load_all();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(load_all)).collect();
        for worker in workers {
            assert!(worker.join().unwrap() == alone);
        }
    });
}

#[test]
fn stain_jitter_changes_colours_and_nothing_else() {
    let (_folder, plain) = synthetic(1, serde_json::json!({}));
    let (_folder, varied) = synthetic(1, serde_json::json!({ "stain_jitter": 0.1 }));
    let index = plain.len() - 1;
    assert_eq!(load(&plain, index, View::Evaluation, 3).unwrap(), load(&varied, index, View::Evaluation, 3).unwrap());
    let (one, other) =
        (load(&plain, index, View::Training, 3).unwrap().0, load(&varied, index, View::Training, 3).unwrap().0);
    assert_ne!(one, other);
    // Crop and flips are drawn before it: light and dark places stay where they are.
    let mean = |tokens: &[f32]| tokens.iter().sum::<f32>() / tokens.len() as f32;
    let (mean_one, mean_other) = (mean(&one), mean(&other));
    let (mut product, mut square_one, mut square_other) = (0.0, 0.0, 0.0);
    for (a, b) in one.iter().zip(&other) {
        product += (a - mean_one) * (b - mean_other);
        square_one += (a - mean_one).powi(2);
        square_other += (b - mean_other).powi(2);
    }
    let correlation = product / (square_one * square_other).sqrt();
    assert!(correlation > 0.8, "correlation {correlation}");
}

#[test]
fn the_evaluation_view_is_neither_masked_nor_random_and_renders() {
    let (_folder, dataset) = synthetic(1, serde_json::json!({ "stain_jitter": 0.2 }));
    for index in 0..dataset.len() {
        let (tokens, mask) = load(&dataset, index, View::Evaluation, 11).unwrap();
        assert_eq!(mask, [0; 16]);
        assert_eq!(tokens, load(&dataset, index, View::Evaluation, 12).unwrap().0);
        let png = dataset.render(Tokens::values(&tokens)).unwrap();
        let image = image::load_from_memory(&png).unwrap().to_rgb8();
        assert_eq!(image.dimensions(), (64, 64));
        assert_eq!(image.get_pixel(0, 0).0, [0, 1, 2].map(|channel| (tokens[channel] * 255.0).round() as u8));
    }
}

#[test]
fn wrong_settings_are_named() {
    let base = tempfile::tempdir().unwrap();
    let refused = |options: serde_json::Value, name: &str| {
        let error = open(base.path(), &["."], options.clone()).err().unwrap();
        assert_eq!(error.code(), code::BAD_REQUEST);
        assert!(error.message().starts_with(name), "{error}");
        assert!(Pathology::geometry(&serde_json::from_value(options).unwrap()).is_err());
    };
    refused(serde_json::json!({ "size": 100 }), "size");
    refused(serde_json::json!({ "mask_ratio": -0.1 }), "mask_ratio");
    refused(serde_json::json!({ "crop_scale": [0.2, 1.5] }), "crop_scale");
    refused(serde_json::json!({ "stain_jitter": 1.5 }), "stain_jitter");
    refused(serde_json::json!({ "tile_size": 8 }), "tile_size");
    refused(serde_json::json!({ "mpp": 0.0 }), "mpp");
    refused(serde_json::json!({ "mpp": 1000.0 }), "mpp");
    refused(serde_json::json!({ "slide_min_side": 0 }), "slide_min_side");
    refused(serde_json::json!({ "min_tissue_ratio": 2 }), "min_tissue_ratio");
    assert!(serde_json::from_value::<Options>(serde_json::json!({ "jitter": 0.1 })).is_err());
}

#[test]
fn missing_data_and_slides_without_tissue_are_errors() {
    let (folder, _) = synthetic(1, serde_json::json!({}));
    for entry in ["nowhere", "labels.d"] {
        std::fs::create_dir_all(folder.path().join("labels.d")).unwrap();
        let error = open(folder.path(), &[entry], serde_json::json!({})).err().unwrap();
        assert_eq!(error.code(), code::UNREADABLE, "{error}");
    }
    let options = serde_json::json!({ "slide_min_side": 64, "tile_size": 1024 });
    let error = open(folder.path(), &["slide.tif"], options).err().unwrap();
    assert!(error.message().contains("hint: lower tile_size"), "{error}");
}

#[test]
fn a_bad_file_spoils_its_own_samples_only() {
    let (folder, good) = synthetic(1, serde_json::json!({}));
    std::fs::write(folder.path().join("a_text.svs"), "no slide at all").unwrap();
    let slide = std::fs::read(folder.path().join("slide.tif")).unwrap();
    std::fs::write(folder.path().join("b_cut.tif"), &slide[..slide.len() / 2]).unwrap();
    std::fs::write(folder.path().join("c_empty.png"), "").unwrap();
    let options = serde_json::json!({ "size": 64, "slide_min_side": 64, "tile_size": 64 });
    let dataset = open(folder.path(), &["."], options).unwrap();
    assert_eq!(ids(&dataset)[..3], ["a_text.svs", "b_cut.tif", "c_empty.png"]);
    assert_eq!(dataset.len(), good.len() + 3);
    for index in 0..dataset.len() {
        match load(&dataset, index, View::Training, 0) {
            Ok(_) => assert!(index >= 3),
            Err(error) => assert!(index < 3 && error.code() == code::CORRUPT, "{}: {error}", dataset.record(index).id),
        }
    }
}

#[test]
fn a_slide_named_as_an_entry_is_cut_like_one_found_in_a_folder() {
    let (folder, _) = synthetic(1, serde_json::json!({}));
    let options = serde_json::json!({ "size": 64, "slide_min_side": 64, "tile_size": 64 });
    std::fs::rename(folder.path().join("slide.tif"), folder.path().join("slide.scan")).unwrap();
    let dataset = open(folder.path(), &["slide.scan"], options).unwrap();
    assert!(ids(&dataset).iter().all(|id| id.starts_with("slide.scan#x=")) && dataset.len() > 10);
}

#[test]
fn an_image_in_strips_that_fits_no_memory_is_cut_like_a_slide() {
    // 8200 x 8200 pixels in strips of four rows, which all lie at one place: pink, and every fourth row glass.
    let folder = tempfile::tempdir().unwrap();
    let strip: Vec<u8> = (0..4 * 8200).flat_map(|at| if at < 8200 { [250; 3] } else { [230, 150, 200] }).collect();
    let mut content = std::io::Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut content).unwrap();
    let mut directory = encoder.image_directory().unwrap();
    let place = directory.write_data(strip.as_slice()).unwrap() as u32;
    directory.write_tag(Tag::ImageWidth, 8200_u32).unwrap();
    directory.write_tag(Tag::ImageLength, 8200_u32).unwrap();
    directory.write_tag(Tag::BitsPerSample, &[8_u16; 3][..]).unwrap();
    directory.write_tag(Tag::SamplesPerPixel, 3_u16).unwrap();
    directory.write_tag(Tag::PhotometricInterpretation, PhotometricInterpretation::RGB).unwrap();
    directory.write_tag(Tag::RowsPerStrip, 4_u32).unwrap();
    directory.write_tag(Tag::StripOffsets, vec![place; 2050].as_slice()).unwrap();
    directory.write_tag(Tag::StripByteCounts, vec![strip.len() as u32; 2050].as_slice()).unwrap();
    drop(directory);
    std::fs::write(folder.path().join("scan.tif"), content.into_inner()).unwrap();
    let options = |min_tissue_ratio: f64| serde_json::json!({ "size": 64, "tile_size": 2048, "min_tissue_ratio": min_tissue_ratio });
    let dataset = open(folder.path(), &["."], options(0.74)).unwrap();
    assert_eq!(dataset.len(), 16);
    assert_eq!(dataset.record(5).id, "scan.tif#x=2048,y=2048");
    let (tokens, _) = load(&dataset, 5, View::Evaluation, 0).unwrap();
    let mean = tokens.iter().skip(1).step_by(3).sum::<f32>() / (tokens.len() / 3) as f32;
    assert!((mean - (250.0 + 3.0 * 150.0) / 4.0 / 255.0).abs() < 0.01, "{mean}");
    assert!(open(folder.path(), &["."], options(0.76)).is_err());
}

#[test]
fn the_fingerprint_follows_the_files() {
    let (folder, dataset) = synthetic(3, serde_json::json!({}));
    let again = || open(folder.path(), &["."], serde_json::json!({})).unwrap().fingerprint().hex();
    assert_eq!(dataset.fingerprint().hex(), again());
    std::fs::remove_file(folder.path().join("tile_0003.png")).unwrap();
    assert_ne!(dataset.fingerprint().hex(), again());
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn real_tiles_and_slides_are_read() {
    let folder = medcoss_test_support::data("pathology");
    let data = ["nuclei/images", "blood_cells/JPEGImages", "wsi"];
    let dataset = open(&folder, &data, serde_json::json!({ "tile_size": 256 })).unwrap();
    let ids = ids(&dataset);
    let n_tiles_of = |slide: &str| ids.iter().filter(|id| id.starts_with(&format!("wsi/{slide}#"))).count();
    let [n_tiles_of_slide, n_tiles_of_dicom] = ["small_HE.svs", "small_dicom.dcm"].map(n_tiles_of);
    // 2220 x 2967 pixels hold 8 x 11 tiles; something between a third and two thirds of the glass is covered.
    assert!((30..60).contains(&n_tiles_of_slide), "{n_tiles_of_slide} tiles with tissue");
    // 3236 x 2638 pixels hold 12 x 10 tiles.
    assert!((40..90).contains(&n_tiles_of_dicom), "{n_tiles_of_dicom} tiles with tissue");
    assert_eq!(dataset.len(), 75 + 292 + n_tiles_of_slide + n_tiles_of_dicom);
    for index in (0..dataset.len()).step_by(23) {
        let (tokens, mask) = load(&dataset, index, View::Training, index as u64).unwrap();
        let mean = |channel: usize| tokens.iter().skip(channel).step_by(3).sum::<f32>() / (tokens.len() / 3) as f32;
        assert!(mean(0) > 0.15 && mean(0) < 0.99, "{} has mean red {}", ids[index], mean(0));
        // These stains absorb green most, everywhere.
        assert!(mean(1) <= mean(0).max(mean(2)), "{}", ids[index]);
        assert_eq!(mask.iter().filter(|&&masked| masked == 1).count(), 147);
    }
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn a_real_slide_at_half_its_resolution_looks_the_same() {
    let folder = medcoss_test_support::data("pathology");
    // Aperio states 0.499 microns; 2220 x 2967 pixels.
    let slide = |options| open(&folder, &["wsi/small_HE.svs"], options).unwrap();
    let full = slide(serde_json::json!({ "tile_size": 448, "min_tissue_ratio": 0.0 }));
    let half = slide(serde_json::json!({ "tile_size": 224, "min_tissue_ratio": 0.0, "mpp": 0.998 }));
    assert_eq!(ids(&full), ids(&half));
    for index in 0..full.len() {
        let [one, other] = [&full, &half].map(|dataset| load(dataset, index, View::Evaluation, 0).unwrap().0);
        let difference = one.iter().zip(&other).map(|(a, b)| (a - b).abs()).sum::<f32>() / one.len() as f32;
        assert!(difference < 0.002, "{}: {difference}", full.record(index).id);
    }
    let coarse = slide(serde_json::json!({ "tile_size": 224, "min_tissue_ratio": 0.0, "mpp": 2.0 }));
    assert_eq!(ids(&coarse)[1], "wsi/small_HE.svs#x=0898,y=0000");
    let fine = slide(serde_json::json!({ "mpp": 0.25 }));
    assert!(load(&fine, 0, View::Evaluation, 0).unwrap_err().message().contains("0.4990 microns per pixel at best"));
}

/// Bytes `[channels, side, side]` of a sample's evaluation view.
fn bytes(tokens: &[f32], side: usize) -> Vec<f32> {
    let mut pixels = vec![0.0; tokens.len()];
    patch::unpatchify_2d(tokens, [side, side, 3], 16, &mut pixels);
    (0..3).flat_map(|channel| pixels.iter().skip(channel).step_by(3).map(|value| (value * 255.0).round())).collect()
}

#[test]
fn the_preset_squeezes_tiles_to_the_bytes_of_the_reference_in_blue_green_red() {
    let golden = GoldenArrays::below("sdk/formats/tests/golden");
    let (name, preset) = Pathology::option_presets().remove(0);
    assert_eq!(name, "reference");
    let found = |side: usize| {
        let mut options = preset.clone();
        options["size"] = side.into();
        let dataset = open(golden.folder(), &["pathology.png"], options).unwrap();
        bytes(&load(&dataset, 0, View::Evaluation, 0).unwrap().0, side)
    };
    assert!(found(48) == golden.array("pathology", "input_48").1);
    let found = found(224);
    let rows = found.chunks_exact(224).enumerate().filter(|(row, _)| row % 224 % 2 == 0);
    let found: Vec<f32> = rows.flat_map(|(_, row)| row).copied().collect();
    assert!(found == golden.array("pathology", "input_224_every_2nd_row").1);
}

#[test]
fn tiles_in_blue_green_red_are_shown_in_their_colours() {
    let golden = GoldenArrays::below("sdk/formats/tests/golden");
    let [rgb, bgr] = ["rgb", "bgr"].map(|order| {
        let options = serde_json::json!({ "size": 48, "channel_order": order });
        let dataset = open(golden.folder(), &["pathology.png"], options).unwrap();
        let (tokens, _) = load(&dataset, 0, View::Evaluation, 0).unwrap();
        let image = dataset.render(Tokens::values(&tokens)).unwrap();
        (tokens, image)
    });
    assert!(rgb.0 != bgr.0 && rgb.1 == bgr.1);
    let (red, blue) = (rgb.0.iter().step_by(3), bgr.0.iter().skip(2).step_by(3));
    assert!(red.eq(blue));
}

/// Writes a tile of 16 bits whose values rise to `most`.
fn write_deep(path: &Path, most: u16) {
    let image = image::ImageBuffer::<image::Rgb<u16>, _>::from_fn(40, 40, |x, y| {
        let value = (u32::from(most) * (x + y) / 78) as u16;
        image::Rgb([value, value / 2, value / 4])
    });
    image.save(path).unwrap();
}

#[test]
fn the_largest_number_of_the_bits_that_a_tile_uses_is_1() {
    let folder = tempfile::tempdir().unwrap();
    write_deep(&folder.path().join("a.png"), 4095);
    let red = |options: serde_json::Value| {
        let dataset = open(folder.path(), &["."], options).unwrap();
        let (tokens, _) = load(&dataset, 0, View::Evaluation, 0).unwrap();
        (tokens[tokens.len() - 3], dataset.account().unwrap().notices().to_vec())
    };
    let (own, notices) = red(serde_json::json!({ "size": 32 }));
    assert!(own > 0.95, "{own}");
    assert_eq!(notices.len(), 1);
    assert!(notices[0].what.starts_with("images of 16 bits use 12: 4095 becomes white"), "{}", notices[0].what);
    let (stored, notices) = red(serde_json::json!({ "size": 32, "bit_depth": 16 }));
    assert!((stored * 16.0 - own).abs() < 0.01 && notices.is_empty(), "{stored} {own} {notices:?}");
    for bits in [7, 33] {
        let error = open(folder.path(), &["."], serde_json::json!({ "size": 32, "bit_depth": bits })).err().unwrap();
        assert!(error.message().starts_with("bit_depth"), "{error}");
    }
    let dataset = open(folder.path(), &["."], serde_json::json!({ "size": 32, "bit_depth": 10 })).unwrap();
    let error = load(&dataset, 0, View::Evaluation, 0).unwrap_err();
    assert!(error.message().contains("a number of 4095, and bit_depth is 10"), "{error}");
}

#[test]
fn a_dark_tile_of_a_slide_is_saved_as_dark_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let pixels: Vec<u8> = (0..96 * 96).flat_map(|at| [20 + (at % 9) as u8, 12, 15]).collect();
    let mut encoder = TiffEncoder::new(std::fs::File::create(folder.path().join("a.btf")).unwrap()).unwrap();
    encoder.write_image::<tiff::encoder::colortype::RGB8>(96, 96, &pixels).unwrap();
    let options = serde_json::json!({ "size": 32, "tile_size": 48, "min_tissue_ratio": 0.0 });
    let dataset = open(folder.path(), &["."], options).unwrap();
    let kept = tempfile::tempdir().unwrap();
    let made = dataset.save_samples(&[3], kept.path()).unwrap();
    let options = serde_json::from_value(made.options).unwrap();
    let again = Pathology::open(OpenRequest { base: kept.path().to_owned(), data: made.data, options, assets: None });
    let [one, other] =
        [(&dataset, 3), (&again.unwrap(), 0)].map(|(of, at)| load(of, at, View::Evaluation, 0).unwrap().0);
    assert!(one.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-4), "{:?} {:?}", &one[..6], &other[..6]);
}

#[test]
fn the_plugin_keeps_the_contract() {
    medcoss_conformance::assert_conforms("pathology");
}
