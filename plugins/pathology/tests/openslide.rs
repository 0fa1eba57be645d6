//! Slides that the C library OpenSlide reads. It reads tiled TIFFs as well, which stand here under the name of another format.

use std::path::Path;

use medcoss_formats::slide::{Level, Slide};
use medcoss_pathology::Pathology;
use medcoss_sdk::image::Region;
use medcoss_sdk::{Dataset, Modality, View, code, serde_json::json};
use tiff::encoder::TiffEncoder;
use tiff::tags::{CompressionMethod, PhotometricInterpretation, Tag};

use crate::plugin::{load, open};

/// Side of the tiles.
const TILE: u32 = 32;

/// Writes a tiled TIFF of two levels, the second a quarter of the first, whose colours say where they are.
fn write_slide(path: &Path) {
    let mut file = std::io::Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut file).unwrap();
    for (shrink, kind) in [(1, 0_u32), (4, 1)] {
        let (width, height) = (320 / shrink, 256 / shrink);
        let mut directory = encoder.image_directory().unwrap();
        let (mut offsets, mut lengths) = (Vec::new(), Vec::new());
        for top in (0..height).step_by(TILE as usize) {
            for left in (0..width).step_by(TILE as usize) {
                let places = (0..TILE).flat_map(|row| (0..TILE).map(move |column| (left + column, top + row)));
                let tile: Vec<u8> = places.flat_map(|(x, y)| [x as u8, y as u8, (60 * shrink) as u8]).collect();
                offsets.push(directory.write_data(tile.as_slice()).unwrap() as u32);
                lengths.push(tile.len() as u32);
            }
        }
        directory.write_tag(Tag::NewSubfileType, kind).unwrap();
        directory.write_tag(Tag::ImageWidth, width).unwrap();
        directory.write_tag(Tag::ImageLength, height).unwrap();
        directory.write_tag(Tag::BitsPerSample, &[8_u16; 3][..]).unwrap();
        directory.write_tag(Tag::SamplesPerPixel, 3_u16).unwrap();
        directory.write_tag(Tag::Compression, CompressionMethod::None).unwrap();
        directory.write_tag(Tag::PhotometricInterpretation, PhotometricInterpretation::RGB).unwrap();
        directory.write_tag(Tag::TileWidth, TILE).unwrap();
        directory.write_tag(Tag::TileLength, TILE).unwrap();
        directory.write_tag(Tag::TileOffsets, offsets.as_slice()).unwrap();
        directory.write_tag(Tag::TileByteCounts, lengths.as_slice()).unwrap();
    }
    std::fs::write(path, file.into_inner()).unwrap();
}

#[test]
fn the_levels_of_a_slide_are_those_that_our_own_reader_gives() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["slide.tif", "slide.bif"].map(|name| folder.path().join(name));
    paths.iter().for_each(|path| write_slide(path));
    let [mut own, mut library] = paths.map(|path| Slide::open(&path).unwrap());
    assert!(matches!(own, Slide::Tiff(_)) && matches!(library, Slide::OpenSlide(_)));
    let levels = [&own, &library].map(|slide| slide.levels().to_vec());
    let of =
        |levels: &[Level]| levels.iter().map(|level| (level.width, level.height, level.downsample)).collect::<Vec<_>>();
    assert_eq!(of(&levels[0]), [(320, 256, 1.0), (80, 64, 4.0)]);
    assert_eq!(of(&levels[0]), of(&levels[1]));
    for (level, of_library) in levels[0].iter().zip(&levels[1]) {
        let region = Region { left: 24, top: 16, width: level.width - 24, height: level.height - 20 };
        let [one, other] =
            [own.read_region(*level, region), library.read_region(*of_library, region)].map(Result::unwrap);
        assert_eq!(one.pixels(), other.pixels(), "{level:?}");
        let beyond = Region { left: level.width - 8, top: 0, width: 9, height: 8 };
        assert_eq!(library.read_region(*of_library, beyond).unwrap_err().code(), code::BAD_REQUEST);
    }
}

#[test]
fn the_tiles_of_a_slide_are_samples_and_what_the_library_does_not_know_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    Pathology::synthesise(folder.path(), 2, 0).unwrap();
    std::fs::copy(folder.path().join("slide.tif"), folder.path().join("slide.bif")).unwrap();
    std::fs::write(folder.path().join("a.mrxs"), "no slide").unwrap();
    let options = json!({ "size": 32, "slide_min_side": 64, "tile_size": 64, "min_tissue_ratio": 0.0 });
    let dataset = open(folder.path(), &["a.mrxs", "slide.bif"], options).unwrap();
    let error = load(&dataset, 0, View::Evaluation, 0).unwrap_err();
    assert!(error.code() == code::UNSUPPORTED && error.message().contains("of no format that OpenSlide"), "{error}");
    assert!(dataset.len() > 2 && dataset.record(1).id.starts_with("slide.bif#x="), "{}", dataset.record(1).id);
    load(&dataset, 1, View::Training, 0).unwrap();
}
