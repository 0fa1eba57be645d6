//! Regions of tiled, stripped and planar files against the image they were made of; pyramids; a real slide.

use std::io::Cursor;
use std::path::PathBuf;

use medcoss_formats::slide::Slide;
use medcoss_formats::tiff_file::TiffFile;
use medcoss_sdk::code;
use medcoss_sdk::image::Region;
use tiff::encoder::{DirectoryEncoder, TiffEncoder, TiffKindStandard};
use tiff::tags::{PhotometricInterpretation, Tag};

/// Layout of a page of the test files.
#[derive(Clone, Copy)]
struct Layout {
    width: usize,
    height: usize,
    /// Columns and rows of a tile; `None` makes strips of 7 rows.
    tile: Option<[usize; 2]>,
    planar: bool,
    /// 1 or 2.
    bytes: usize,
    kind: u32,
    description: &'static str,
}

const PAGE: Layout =
    Layout { width: 83, height: 61, tile: Some([16, 32]), planar: false, bytes: 1, kind: 0, description: "" };

/// Sample of a pixel, 0 to 250.
fn value(x: usize, y: usize, channel: usize) -> u8 {
    ((x * 3 + y * 7 + channel * 83) % 251) as u8
}

fn write_page(directory: &mut DirectoryEncoder<'_, &mut Cursor<Vec<u8>>, TiffKindStandard>, page: Layout) {
    let [chunk_width, chunk_height] = page.tile.unwrap_or([page.width, 7]);
    let planes: &[&[usize]] = if page.planar { &[&[0], &[1], &[2]] } else { &[&[0, 1, 2]] };
    let (mut offsets, mut lengths) = (Vec::new(), Vec::new());
    for channels in planes {
        for top in (0..page.height).step_by(chunk_height) {
            for left in (0..page.width).step_by(chunk_width) {
                let mut data = Vec::new();
                // Tiles are padded, strips are not.
                let bottom =
                    if page.tile.is_some() { top + chunk_height } else { (top + chunk_height).min(page.height) };
                for y in top..bottom {
                    for x in left..left + chunk_width {
                        for &channel in *channels {
                            let value = value(x, y, channel);
                            // 257 times a byte, as a 16-bit number of either byte order, is the byte twice.
                            data.extend(std::iter::repeat_n(value, page.bytes));
                        }
                    }
                }
                offsets.push(directory.write_data(data.as_slice()).unwrap() as u32);
                lengths.push(data.len() as u32);
            }
        }
    }
    directory.write_tag(Tag::ImageWidth, page.width as u32).unwrap();
    directory.write_tag(Tag::ImageLength, page.height as u32).unwrap();
    directory.write_tag(Tag::BitsPerSample, &[8 * page.bytes as u16; 3][..]).unwrap();
    directory.write_tag(Tag::SamplesPerPixel, 3_u16).unwrap();
    directory.write_tag(Tag::PhotometricInterpretation, PhotometricInterpretation::RGB).unwrap();
    directory.write_tag(Tag::PlanarConfiguration, if page.planar { 2_u16 } else { 1 }).unwrap();
    directory.write_tag(Tag::NewSubfileType, page.kind).unwrap();
    if !page.description.is_empty() {
        directory.write_tag(Tag::ImageDescription, page.description).unwrap();
    }
    if page.tile.is_some() {
        directory.write_tag(Tag::TileWidth, chunk_width as u32).unwrap();
        directory.write_tag(Tag::TileLength, chunk_height as u32).unwrap();
        directory.write_tag(Tag::TileOffsets, offsets.as_slice()).unwrap();
        directory.write_tag(Tag::TileByteCounts, lengths.as_slice()).unwrap();
    } else {
        directory.write_tag(Tag::RowsPerStrip, chunk_height as u32).unwrap();
        directory.write_tag(Tag::StripOffsets, offsets.as_slice()).unwrap();
        directory.write_tag(Tag::StripByteCounts, lengths.as_slice()).unwrap();
    }
}

fn file(pages: &[Layout]) -> (tempfile::TempDir, PathBuf) {
    let mut content = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut content).unwrap();
    for &page in pages {
        write_page(&mut encoder.image_directory().unwrap(), page);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slide.tif");
    std::fs::write(&path, content.into_inner()).unwrap();
    (folder, path)
}

#[test]
fn a_region_is_the_same_however_the_file_is_cut_up() {
    let layouts = [
        PAGE,
        Layout { tile: Some([48, 16]), bytes: 2, ..PAGE },
        Layout { tile: None, ..PAGE },
        Layout { planar: true, ..PAGE },
        Layout { planar: true, tile: None, bytes: 2, ..PAGE },
    ];
    for (number, layout) in layouts.into_iter().enumerate() {
        let (_folder, path) = file(&[layout]);
        let mut tiff = TiffFile::open(&path).unwrap();
        assert_eq!(tiff.page().tiled, layout.tile.is_some());
        for [left, top, width, height] in
            [[0, 0, 83, 61], [13, 29, 41, 5], [82, 60, 1, 1], [16, 32, 16, 29], [0, 6, 83, 2]]
        {
            let image = tiff.read_region(Region { left, top, width, height }).unwrap();
            assert_eq!((image.width(), image.height(), image.channels()), (width, height, 3));
            for (index, found) in image.pixels().iter().enumerate() {
                let (pixel, channel) = (index / 3, index % 3);
                let expected = f32::from(value(left + pixel % width, top + pixel / width, channel)) / 255.0;
                assert!((found - expected).abs() < 1e-6, "layout {number}: {found} instead of {expected} at {pixel}");
            }
        }
    }
}

#[test]
fn regions_that_leave_the_page_are_refused() {
    let (_folder, path) = file(&[PAGE]);
    let mut tiff = TiffFile::open(&path).unwrap();
    for [left, top, width, height] in [[80, 0, 4, 1], [0, 61, 1, 1], [0, 0, 0, 5], [usize::MAX, 0, 2, 2]] {
        let error = tiff.read_region(Region { left, top, width, height }).unwrap_err();
        assert_eq!(error.code(), code::BAD_REQUEST, "{error}");
    }
}

#[test]
fn a_file_without_its_last_tiles_is_corrupt_there_only() {
    let (_folder, path) = file(&[PAGE]);
    let mut content = std::fs::read(&path).unwrap();
    // The tags come after the tiles: the offset of the last tile is overwritten instead of cutting the file.
    let last = (6 * 2 - 1) * (16 * 32 * 3) + 8;
    let offset = (last as u32).to_le_bytes();
    let at = content.windows(4).rposition(|window| window == offset).expect("the offset of the last tile");
    content[at..at + 4].copy_from_slice(&0x7fff_0000_u32.to_le_bytes());
    std::fs::write(&path, content).unwrap();
    let mut tiff = TiffFile::open(&path).unwrap();
    assert!(tiff.read_region(Region { left: 0, top: 0, width: 80, height: 61 }).is_ok());
    let error = tiff.read_region(Region { left: 79, top: 31, width: 4, height: 30 }).unwrap_err();
    assert_eq!(error.code(), code::CORRUPT, "{error}");
}

/// A page of 100 000 x 80 000 pixels whose tiles all lie at one place in a file of a few megabytes.
fn gigantic() -> (tempfile::TempDir, PathBuf) {
    let mut content = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut content).unwrap();
    let mut directory = encoder.image_directory().unwrap();
    let tile: Vec<u8> =
        (0..256 * 256).flat_map(|at| [0, 1, 2].map(|channel| value(at % 256, at / 256, channel))).collect();
    let offset = directory.write_data(tile.as_slice()).unwrap() as u32;
    let n_tiles = 100_000_usize.div_ceil(256) * 80_000_usize.div_ceil(256);
    directory.write_tag(Tag::ImageWidth, 100_000_u32).unwrap();
    directory.write_tag(Tag::ImageLength, 80_000_u32).unwrap();
    directory.write_tag(Tag::BitsPerSample, &[8_u16; 3][..]).unwrap();
    directory.write_tag(Tag::SamplesPerPixel, 3_u16).unwrap();
    directory.write_tag(Tag::PhotometricInterpretation, PhotometricInterpretation::RGB).unwrap();
    directory.write_tag(Tag::TileWidth, 256_u32).unwrap();
    directory.write_tag(Tag::TileLength, 256_u32).unwrap();
    directory.write_tag(Tag::TileOffsets, vec![offset; n_tiles].as_slice()).unwrap();
    directory.write_tag(Tag::TileByteCounts, vec![tile.len() as u32; n_tiles].as_slice()).unwrap();
    drop(directory);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gigantic.tif");
    std::fs::write(&path, content.into_inner()).unwrap();
    (folder, path)
}

#[test]
fn a_slide_larger_than_memory_is_read_by_region_and_refused_as_a_whole() {
    let (_folder, path) = gigantic();
    let mut tiff = TiffFile::open(&path).unwrap();
    let region = Region { left: 99_000, top: 78_900, width: 301, height: 203 };
    let image = tiff.read_region(region).unwrap();
    for (x, y) in [(0, 0), (300, 202), (111, 57)] {
        let expected = f32::from(value((99_000 + x) % 256, (78_900 + y) % 256, 2)) / 255.0;
        assert!((image.pixels()[(y * 301 + x) * 3 + 2] - expected).abs() < 1e-6);
    }
    let error = tiff.read_whole().unwrap_err();
    assert_eq!(error.code(), code::UNSUPPORTED);
    assert!(error.message().contains("100000x80000") && error.message().contains("hint:"), "{error}");
}

#[test]
fn levels_are_the_smaller_pages_of_the_same_shape() {
    let small = Layout { width: 21, height: 15, kind: 1, ..PAGE };
    let middle = Layout { width: 42, height: 31, tile: None, ..PAGE };
    let label = Layout { width: 41, height: 30, kind: 1, description: "Aperio\nlabel 41x30", ..PAGE };
    let overview = Layout { width: 40, height: 29, kind: 9, ..PAGE };
    let other = Layout { width: 20, height: 31, ..PAGE };
    let (_folder, path) = file(&[PAGE, small, label, middle, overview, other]);
    let mut slide = Slide::open(&path).unwrap();
    let sizes: Vec<_> = slide.levels().iter().map(|level| (level.width, level.height)).collect();
    assert_eq!(sizes, [(83, 61), (42, 31), (21, 15)]);
    assert_eq!(slide.level_for(1.5).width, 83);
    assert_eq!(slide.level_for(3.0).width, 42);
    assert_eq!(slide.level_for(100.0).width, 21);
    // Levels can be read in any order.
    for (number, expected) in [(2, value(20, 14, 1)), (0, value(82, 60, 1)), (1, value(41, 30, 1))] {
        let level = slide.levels()[number];
        let corner = Region { left: level.width - 1, top: level.height - 1, width: 1, height: 1 };
        let image = slide.read_region(level, corner).unwrap();
        assert!((image.pixels()[1] - f32::from(expected) / 255.0).abs() < 1e-6);
    }
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn a_real_slide_is_pink_and_the_same_in_pieces() {
    let path = medcoss_test_support::data("pathology/wsi/small_HE.svs");
    let mut slide = Slide::open(&path).unwrap();
    let full = slide.levels()[0];
    assert_eq!((full.width, full.height), (2220, 2967));
    let region = Region { left: 1000, top: 1500, width: 301, height: 203 };
    let image = slide.read_region(full, region).unwrap();
    let mean = |channel: usize| image.pixels().iter().skip(channel).step_by(3).sum::<f32>() / (301.0 * 203.0);
    // Haematoxylin and eosin absorb green most.
    assert!(mean(0) > mean(1) + 0.1 && mean(2) > mean(1) + 0.05, "mean colour {} {} {}", mean(0), mean(1), mean(2));
    let piece = Region { left: 1100, top: 1600, width: 17, height: 11 };
    let piece = slide.read_region(full, piece).unwrap();
    for row in 0..11 {
        let start = ((100 + row) * 301 + 100) * 3;
        assert_eq!(piece.pixels()[row * 51..(row + 1) * 51], image.pixels()[start..start + 51]);
    }
}
