//! What a dataset of tissue reports: files that are left out, and what is not in the samples as it is in the files.

use std::path::Path;

use medcoss_pathology::Tissue;
use medcoss_sdk::{Dataset, View, serde_json};
use tiff::encoder::TiffEncoder;
use tiff::tags::{PhotometricInterpretation, Tag};

use crate::plugin::{load, open, synthetic};

/// Files that are left out and notices, as phrases.
fn reported(dataset: &Tissue) -> (Vec<String>, Vec<String>) {
    let account = dataset.account().unwrap();
    let left_out = account.left_out().map(|(file, reason)| format!("{file}: {reason}"));
    let notices = account.notices().iter().map(|notice| format!("{} of {} {}", notice.n, notice.of, notice.what));
    (left_out.collect(), notices.collect())
}

#[test]
fn tiles_without_tissue_are_counted() {
    let (_folder, dataset) = synthetic(5, serde_json::json!({}));
    let n_without = 35 - (dataset.len() - 12);
    let expected = format!("{n_without} of 35 tiles of slides have less tissue than min_tissue_ratio and are not used");
    assert_eq!(reported(&dataset).1, [expected]);
    let (_folder, all) = synthetic(5, serde_json::json!({ "min_tissue_ratio": 0.0 }));
    assert_eq!(reported(&all).1, Vec::<String>::new());
}

#[cfg(not(feature = "openslide"))]
#[test]
fn slides_in_formats_that_are_not_read_are_left_out_with_what_to_do() {
    use medcoss_pathology::Pathology;
    use medcoss_sdk::{Modality, code};

    let folder = tempfile::tempdir().unwrap();
    let base = folder.path();
    Pathology::synthesise(base, 2, 0).unwrap();
    for name in ["a.mrxs", "b.CZI", "c.bif", "d.vsi", "d.dat"] {
        std::fs::write(base.join(name), "no matter what").unwrap();
    }
    let dataset = open(base, &["."], serde_json::json!({ "slide_min_side": 64, "tile_size": 64 })).unwrap();
    let (left_out, _) = reported(&dataset);
    let formats = ["MIRAX", "Zeiss CZI", "Ventana BIF", "another kind of file (.dat)", "Olympus VSI"];
    assert_eq!(left_out.len(), formats.len() + 1, "{left_out:?}");
    for (line, format) in left_out.iter().zip(formats) {
        assert!(line.contains(format), "{line}");
        assert!(format.starts_with("another") || line.contains("with vips or bioformats2raw"), "{line}");
        let is_known = ["MIRAX", "Ventana BIF", "Zeiss CZI"].contains(&format);
        assert_eq!(line.contains("build with the feature openslide"), is_known, "{line}");
    }
    // One that is named fails by itself.
    let dataset = open(base, &["a.mrxs", "tile_0000.png"], serde_json::json!({ "size": 32 })).unwrap();
    let error = load(&dataset, 0, View::Evaluation, 0).unwrap_err();
    assert!(error.code() == code::UNSUPPORTED && error.message().contains("MIRAX"), "{error}");
    assert!(error.message().contains("hint: build with the feature openslide"), "{error}");
    load(&dataset, 1, View::Evaluation, 0).unwrap();
}

/// Writes a TIFF of pages of one grey each: columns, rows, and whether they are cut into tiles.
fn write_pages(path: &Path, pages: &[(u32, u32, bool, u8)]) {
    let mut file = std::io::Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut file).unwrap();
    for &(width, height, tiled, grey) in pages {
        let mut directory = encoder.image_directory().unwrap();
        let (across, down) = if tiled { (width.div_ceil(32), height.div_ceil(32)) } else { (1, 1) };
        let n_bytes = if tiled { 1024 } else { width * height };
        let place = directory.write_data(&vec![grey; n_bytes as usize][..]).unwrap() as u32;
        let n = (across * down) as usize;
        directory.write_tag(Tag::ImageWidth, width).unwrap();
        directory.write_tag(Tag::ImageLength, height).unwrap();
        directory.write_tag(Tag::BitsPerSample, 8_u16).unwrap();
        directory.write_tag(Tag::PhotometricInterpretation, PhotometricInterpretation::BlackIsZero).unwrap();
        if tiled {
            directory.write_tag(Tag::TileWidth, 32_u32).unwrap();
            directory.write_tag(Tag::TileLength, 32_u32).unwrap();
            directory.write_tag(Tag::TileOffsets, &vec![place; n][..]).unwrap();
            directory.write_tag(Tag::TileByteCounts, &vec![n_bytes; n][..]).unwrap();
        } else {
            directory.write_tag(Tag::RowsPerStrip, height).unwrap();
            directory.write_tag(Tag::StripOffsets, place).unwrap();
            directory.write_tag(Tag::StripByteCounts, n_bytes).unwrap();
        }
    }
    std::fs::write(path, file.into_inner()).unwrap();
}

#[test]
fn a_slide_that_begins_with_its_overview_is_cut_from_its_largest_page() {
    let folder = tempfile::tempdir().unwrap();
    write_pages(&folder.path().join("a.tif"), &[(32, 96, true, 9), (192, 160, true, 51), (96, 80, true, 51)]);
    let options = serde_json::json!({ "tile_size": 64, "min_tissue_ratio": 0.0, "size": 32 });
    let dataset = open(folder.path(), &["."], options).unwrap();
    // Three columns of two rows, however small the slide is.
    assert_eq!(dataset.len(), 6);
    assert!((load(&dataset, 0, View::Evaluation, 0).unwrap().0[0] - 0.2).abs() < 1e-6);
    assert_eq!(
        reported(&dataset).1,
        ["1 of 1 slides do not state their microns per pixel; tiles are cut at full resolution"]
    );
}

#[test]
fn further_pages_of_tiles_and_slides_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    write_pages(&folder.path().join("a.tif"), &[(40, 40, false, 9), (40, 40, false, 51)]);
    write_pages(&folder.path().join("b.tif"), &[(40, 40, false, 9)]);
    write_pages(&folder.path().join("c.tif"), &[(64, 64, true, 9), (64, 64, true, 51)]);
    let options = serde_json::json!({ "slide_min_side": 64, "tile_size": 64, "min_tissue_ratio": 0.0, "size": 32 });
    let dataset = open(folder.path(), &["."], options).unwrap();
    let (_, notices) = reported(&dataset);
    assert_eq!(notices[0], "1 of 3 files have several frames or pages, of which the first is read");
    assert_eq!(notices[2], "1 of 1 slides have several channels or focal planes, of which the first is read");
}
