//! Masks of images: labels are the stored numbers, and images without such numbers are refused.

use std::io::Cursor;
use std::path::PathBuf;

use medcoss_formats::label_image::read_labels;
use medcoss_sdk::label_map::LabelMap;
use medcoss_sdk::{Error, code, find_files};
use png::{BitDepth, ColorType};
use tiff::encoder::{TiffEncoder, colortype};

fn read(name: &str, content: &[u8]) -> Result<LabelMap, Error> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), content).unwrap();
    read_labels(&find_files(folder.path(), &[PathBuf::from(".")], |_| true, "all").unwrap().files[0])
}

/// A PNG of 5 columns and 2 rows from its packed rows.
fn png(colour: ColorType, depth: BitDepth, rows: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    let mut encoder = png::Encoder::new(&mut content, 5, 2);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    if colour == ColorType::Indexed {
        encoder.set_palette((0..4).flat_map(|index| [200 - index, 10 * index, 7]).collect::<Vec<u8>>());
    }
    encoder.write_header().unwrap().write_image_data(rows).unwrap();
    content
}

#[test]
fn labels_of_every_bit_depth_are_the_stored_numbers() {
    let grey = ColorType::Grayscale;
    let words: Vec<u16> = vec![0, 1, 255, 256, 1000, 65535, 2, 3, 4, 40_000];
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    assert_eq!(read("a.png", &png(grey, BitDepth::Sixteen, &bytes)).unwrap().values(), words);
    let map = read("a.png", &png(grey, BitDepth::Eight, &[0, 1, 2, 255, 4, 5, 6, 7, 8, 9])).unwrap();
    assert_eq!((map.shape(), map.values()), (&[2, 5][..], &[0, 1, 2, 255, 4, 5, 6, 7, 8, 9][..]));
    let map = read("a.png", &png(grey, BitDepth::One, &[0b1011_0111, 0b0100_1000])).unwrap();
    assert_eq!(map.values(), [1, 0, 1, 1, 0, 0, 1, 0, 0, 1]);
    let map = read("a.png", &png(grey, BitDepth::Four, &[0x1f, 0x23, 0x40, 0x50, 0x67, 0x80])).unwrap();
    assert_eq!(map.values(), [1, 15, 2, 3, 4, 5, 0, 6, 7, 8]);
    // A palette gives its indices, not its colours.
    let map = read("a.png", &png(ColorType::Indexed, BitDepth::Two, &[0b0001_1011, 0, 0b1110_0100, 0xc0])).unwrap();
    assert_eq!(map.values(), [0, 1, 2, 3, 0, 3, 2, 1, 0, 3]);
}

#[test]
fn grey_that_is_stored_as_colour_is_read_and_colours_are_not() {
    let grey: Vec<u8> = (0..10u8).flat_map(|value| [value, value, value, 255]).collect();
    let map = read("a.png", &png(ColorType::Rgba, BitDepth::Eight, &grey)).unwrap();
    assert_eq!(map.values(), (0..10).collect::<Vec<u16>>());
    for at in [1, 3] {
        let mut other = grey.clone();
        other[at] = 9;
        let error = read("a.png", &png(ColorType::Rgba, BitDepth::Eight, &other)).unwrap_err();
        assert_eq!(error.code(), code::UNSUPPORTED);
        assert!(error.message().starts_with("mask a.png has colours or transparency"), "{error}");
    }
}

#[test]
fn tiff_masks_of_8_and_16_bit_are_read() {
    let words: Vec<u16> = vec![0, 1, 257, 256, 1000, 65535, 2, 3, 4, 40_000];
    let mut file = Cursor::new(Vec::new());
    TiffEncoder::new(&mut file).unwrap().write_image::<colortype::Gray16>(5, 2, &words).unwrap();
    assert_eq!(read("a.tif", file.get_ref()).unwrap().values(), words);
    let mut file = Cursor::new(Vec::new());
    let bytes: Vec<u8> = (0..250).collect();
    TiffEncoder::new(&mut file).unwrap().write_image::<colortype::Gray8>(25, 10, &bytes).unwrap();
    let map = read("a.tif", file.get_ref()).unwrap();
    assert_eq!(map.shape(), [10, 25]);
    assert!(map.values().iter().zip(bytes).all(|(label, byte)| *label == u16::from(byte)));
    let mut file = Cursor::new(Vec::new());
    TiffEncoder::new(&mut file).unwrap().write_image::<colortype::RGB8>(1, 1, &[1, 1, 1]).unwrap();
    assert!(
        read("a.tif", file.get_ref()).unwrap_err().message().contains("one unsigned number of up to 16 bit a pixel")
    );
    let mut file = Cursor::new(Vec::new());
    TiffEncoder::new(&mut file).unwrap().write_image::<colortype::Gray32>(1, 1, &[1]).unwrap();
    assert!(read("a.tif", file.get_ref()).unwrap_err().message().contains("32-bit"));
}

#[test]
fn bmp_masks_give_the_indices_of_their_palette_or_equal_colours() {
    // Three by two pixels of 8 bit, the rows from below, each padded to four bytes; the palette's colours do not count.
    let mut file = [b"BM\0\0\0\0\0\0\0\0".as_slice(), &66u32.to_le_bytes(), &40u32.to_le_bytes()].concat();
    file.extend([3u32.to_le_bytes(), 2u32.to_le_bytes()].as_flattened());
    file.extend([1, 0, 8, 0]);
    file.extend([0u32, 0, 0, 0, 3, 0].map(u32::to_le_bytes).as_flattened());
    file.extend([9, 9, 9, 0, 200, 0, 0, 0, 0, 0, 7, 0]);
    file.extend([0, 1, 2, 0, 2, 2, 0, 0]);
    assert_eq!(read("a.bmp", &file).unwrap().values(), [2, 2, 0, 0, 1, 2]);
    let colours = |pixel: [u8; 3]| {
        let mut file = Cursor::new(Vec::new());
        image::RgbImage::from_pixel(3, 2, image::Rgb(pixel)).write_to(&mut file, image::ImageFormat::Bmp).unwrap();
        read("a.bmp", file.get_ref())
    };
    assert_eq!(colours([4, 4, 4]).unwrap().values(), [4; 6]);
    assert!(colours([4, 4, 5]).unwrap_err().message().contains("colours or transparency"));
}

#[test]
fn a_tiff_mask_that_a_tag_turns_is_refused() {
    let mut file = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut file).unwrap();
    let mut image = encoder.new_image::<colortype::Gray8>(2, 1).unwrap();
    image.encoder().write_tag(tiff::tags::Tag::Orientation, 6_u16).unwrap();
    image.write_data(&[0, 1]).unwrap();
    assert!(read("a.tif", file.get_ref()).unwrap_err().message().contains("a tag that turns it (\"Orientation\")"));
}

#[test]
fn files_that_are_no_masks_are_refused_with_a_reason() {
    assert!(read("a.png", &[0xff, 0xd8, 0xff, 0xe0]).unwrap_err().message().contains("hint: export masks as PNG"));
    assert!(
        read("a.png", b"GIF89a").unwrap_err().message().contains("neither PNG, TIFF nor BMP; it begins with \"GIF8\"")
    );
    assert!(read("a.png", b"").unwrap_err().message().contains("begins with \"\""));
    let whole = png(ColorType::Grayscale, BitDepth::Eight, &[7; 10]);
    for end in [4, 20, 40, whole.len() - 20] {
        assert_eq!(read("a.png", &whole[..end]).unwrap_err().code(), code::CORRUPT, "{end}");
    }
}
