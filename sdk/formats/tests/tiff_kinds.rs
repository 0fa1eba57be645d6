//! Kinds of TIFF beside the usual ones: bits in the other order, turned pages, samples of 9 to 15 bits, tiles in the tags of strips,
//! JPEG 2000; and slides whose full level is not their first page. Files are built byte by byte.

use medcoss_formats::image_file::{head, read_image};
use medcoss_formats::slide::{Slide, Unread};
use medcoss_formats::tiff_file::TiffFile;
use medcoss_formats::tiff_slide::TiffSlide;
use medcoss_sdk::image::Region;
use medcoss_sdk::{Error, code};

use crate::slide::Tag::{Fraction, Long, Place, Real, Short, Text};
use crate::slide::{File, Tag, page, with};

/// A page of one strip with these pixels.
fn strip(file: &mut File, [width, height]: [u32; 2], bits: &[u16], bytes: &[u8]) -> Vec<(u16, Tag)> {
    let place = file.data(bytes);
    vec![
        (256, Long(vec![width])),
        (257, Long(vec![height])),
        (258, Short(bits.to_vec())),
        (259, Short(vec![1])),
        (262, Short(vec![if bits.len() == 3 { 2 } else { 1 }])),
        (273, Place(vec![place])),
        (277, Short(vec![bits.len() as u16])),
        (278, Long(vec![height])),
        (279, Long(vec![bytes.len() as u32])),
    ]
}

fn replaced(mut tags: Vec<(u16, Tag)>, number: u16, tag: Tag) -> Vec<(u16, Tag)> {
    tags.retain(|(found, _)| *found != number);
    with(tags, vec![(number, tag)])
}

fn pixels(file: File, first: u64) -> Result<Vec<f32>, Error> {
    let (_folder, path) = file.write(first);
    read_image(&path).map(|image| image.pixels().to_vec())
}

#[test]
fn bits_that_are_stored_from_the_lowest_on_are_turned_round() {
    for (big_endian, bits, width, bytes) in [
        (false, 1, 11, [0xb2, 0x40, 0x15, 0xe0]),
        (true, 8, 2, [0x01, 0x80, 0x35, 0xfe]),
        (true, 4, 4, [1, 2, 0xf3, 0x0a]),
    ] {
        let read = |fill_order: u16, bytes: &[u8]| {
            let mut file = File::new(false, big_endian);
            let tags = strip(&mut file, [width, 2], &[bits], bytes);
            let first = file.directory(&with(tags, vec![(266, Short(vec![fill_order]))]), 0);
            pixels(file, first).unwrap()
        };
        let reversed = bytes.map(u8::reverse_bits);
        assert_eq!(read(2, &reversed), read(1, &bytes), "{bits} bits");
        assert_ne!(read(1, &reversed), read(1, &bytes), "{bits} bits");
    }
    // Compressed bytes are reversed as well: a run of three 9s, and 4 and 7 (PackBits).
    let mut file = File::new(false, false);
    let tags = strip(&mut file, [5, 1], &[8], &[0xfe, 9, 1, 4, 7].map(u8::reverse_bits));
    let tags = replaced(tags, 259, Short(vec![32773]));
    let first = file.directory(&with(tags, vec![(266, Short(vec![2]))]), 0);
    assert_eq!(pixels(file, first).unwrap(), [9.0, 9.0, 9.0, 4.0, 7.0].map(|value: f32| value / 255.0));
}

#[test]
fn a_turned_page_is_read_upright_as_a_whole_and_by_region() {
    let upright = {
        let mut file = File::new(false, false);
        let tags = page(&mut file, 40, 25);
        let first = file.directory(&tags, 0);
        let (_folder, path) = file.write(first);
        read_image(&path).unwrap()
    };
    // Where the displayed pixel (x, y) is stored, by the specification of the tag.
    let stored: [fn(usize, usize) -> [usize; 2]; 8] = [
        |x, y| [x, y],
        |x, y| [39 - x, y],
        |x, y| [39 - x, 24 - y],
        |x, y| [x, 24 - y],
        |x, y| [y, x],
        |x, y| [y, 24 - x],
        |x, y| [39 - y, 24 - x],
        |x, y| [39 - y, x],
    ];
    for (number, stored) in stored.into_iter().enumerate() {
        let mut file = File::new(false, true);
        let tags = page(&mut file, 40, 25);
        let first = file.directory(&with(tags, vec![(274, Short(vec![number as u16 + 1]))]), 0);
        let (_folder, path) = file.write(first);
        let mut slide = Slide::open(&path).unwrap();
        let level = slide.levels()[0];
        assert_eq!([level.width, level.height], if number < 4 { [40, 25] } else { [25, 40] });
        let value = |x: usize, y: usize| {
            let [column, row] = stored(x, y);
            upright.pixels()[row * 40 + column]
        };
        for region in [
            Region { left: 0, top: 0, width: level.width, height: level.height },
            Region { left: 17, top: 3, width: 8, height: 19 },
        ] {
            let found = slide.read_region(level, region).unwrap();
            let expected = (0..region.height)
                .flat_map(|y| (0..region.width).map(move |x| (x, y)))
                .map(|(x, y)| value(region.left + x, region.top + y));
            assert_eq!(found.pixels(), expected.collect::<Vec<_>>(), "orientation {}", number + 1);
        }
        let beyond = Region { left: level.width - 1, top: 0, width: 2, height: 1 };
        assert_eq!(slide.read_region(level, beyond).unwrap_err().code(), code::BAD_REQUEST);
    }
}

/// Samples of a few bits, the first in the highest bits, in rows of whole bytes.
fn packed(samples: &[u32], bits: usize, in_row: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in samples.chunks(in_row) {
        let stored: Vec<u8> =
            row.iter().flat_map(|sample| (0..bits).rev().map(move |bit| (sample >> bit & 1) as u8)).collect();
        bytes.extend(
            stored.chunks(8).map(|bits| bits.iter().enumerate().fold(0, |byte, (at, bit)| byte | bit << (7 - at))),
        );
    }
    bytes
}

#[test]
fn samples_of_9_to_15_bits_and_colours_of_less_than_8_are_unpacked() {
    for bits in [9_usize, 10, 12, 13, 15] {
        let most = (1_u32 << bits) - 1;
        let samples: Vec<u32> = (0..15).map(|at| at * 2741 % (most + 1)).collect();
        let expected: Vec<f32> = samples.iter().map(|&sample| sample as f32 / most as f32).collect();
        for (big_endian, photometric) in [(false, 1), (true, 1), (false, 0)] {
            let mut file = File::new(false, big_endian);
            let tags = strip(&mut file, [5, 3], &[bits as u16], &packed(&samples, bits, 5));
            let first = file.directory(&replaced(tags, 262, Short(vec![photometric])), 0);
            let turned = |value: &f32| if photometric == 0 { 1.0 - value } else { *value };
            let found = pixels(file, first).unwrap();
            let near = found.iter().zip(expected.iter().map(turned)).all(|(a, b)| (a - b).abs() < 1e-6);
            assert!(near && found.len() == 15, "{bits} bits: {found:?}");
        }
        let mut file = File::new(false, false);
        let tags = strip(&mut file, [5, 1], &[bits as u16; 3], &packed(&samples, bits, 15));
        let first = file.directory(&tags, 0);
        assert_eq!(pixels(file, first).unwrap(), expected, "{bits} bits in colour");
    }
    let samples: Vec<u32> = (0..15).collect();
    let mut file = File::new(false, false);
    let tags = strip(&mut file, [5, 1], &[4; 3], &packed(&samples, 4, 15));
    let first = file.directory(&tags, 0);
    assert_eq!(pixels(file, first).unwrap(), samples.iter().map(|&sample| sample as f32 / 15.0).collect::<Vec<_>>());
    // Too few bytes.
    let mut file = File::new(false, false);
    let tags = strip(&mut file, [5, 3], &[12], &[0; 20]);
    let first = file.directory(&tags, 0);
    let error = pixels(file, first).unwrap_err();
    assert!(error.code() == code::CORRUPT && error.message().contains("20 of 24 bytes"), "{error}");
}

#[test]
fn packed_samples_are_decompressed() {
    // Two samples of 12 bits, 0x123 and 0xabc, three times, by zlib, LZW and PackBits of Python and imagecodecs 2026.3.6.
    let expected = [0x123, 0xabc, 0x123, 0xabc, 0x123, 0xabc].map(|value| value as f32 / 4095.0);
    let zlib = [120, 156, 19, 178, 218, 35, 4, 70, 0, 13, 131, 3, 25];
    let lzw = [128, 4, 135, 75, 200, 20, 18, 7, 1, 0];
    let pack_bits = [8, 0x12, 0x3a, 0xbc, 0x12, 0x3a, 0xbc, 0x12, 0x3a, 0xbc];
    for (compression, bytes) in [(8, &zlib[..]), (5, &lzw), (32773, &pack_bits)] {
        let mut file = File::new(false, false);
        let tags = strip(&mut file, [6, 1], &[12], bytes);
        let first = file.directory(&replaced(tags, 259, Short(vec![compression])), 0);
        assert_eq!(pixels(file, first).unwrap(), expected, "{compression}");
    }
}

#[test]
fn tiles_in_the_tags_of_strips_are_tiles() {
    for (big, big_endian) in [(false, false), (true, true)] {
        let mut file = File::new(big, big_endian);
        let tags = page(&mut file, 40, 25);
        let expected = file.directory(&tags, 0);
        let renamed = tags.into_iter().map(|(number, tag)| {
            let number = match number {
                324 => 273,
                325 => 279,
                other => other,
            };
            (number, tag)
        });
        let mut renamed: Vec<_> = renamed.collect();
        renamed.sort_by_key(|(number, _)| *number);
        let first = file.directory(&renamed, expected);
        let (_folder, path) = file.write(first);
        let mut tiff = TiffFile::open(&path).unwrap();
        assert!(tiff.page().tiled);
        let found = tiff.read_whole().unwrap();
        tiff.go_to(expected).unwrap();
        assert_eq!(found, tiff.read_whole().unwrap());
        assert!(head(&path).unwrap().has_further_images);
    }
}

/// A tile of 16 x 16 pixels of three components, each as it is: 16 x, 100 in the lower half, and 77. By OpenJPEG 2.5.4 (imagecodecs
/// 2026.3.6), reversible, without a colour transform.
const JPEG_2000: &[u8] = b"\
\xff\x4f\xff\x51\x00\x2f\x00\x00\x00\x00\x00\x10\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x10\
\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x07\x01\x01\x07\x01\x01\x07\x01\x01\xff\x52\x00\x0c\x00\x00\x00\x01\x00\x00\x04\x04\x00\
\x01\xff\x5c\x00\x04\x40\x40\xff\x64\x00\x25\x00\x01\x43\x72\x65\x61\x74\x65\x64\x20\x62\x79\x20\x4f\x70\x65\x6e\x4a\x50\x45\x47\
\x20\x76\x65\x72\x73\x69\x6f\x6e\x20\x32\x2e\x35\x2e\x34\xff\x90\x00\x0a\x00\x00\x00\x00\x00\x9b\x00\x01\xff\x93\xdf\x82\x58\x11\
\x6b\x32\xae\xe6\x1c\x64\xe9\x72\x8d\x13\x62\x71\x18\xb0\x37\x9e\xe7\xec\x49\x91\xf6\x18\xeb\x0b\xe6\xc2\x9d\x61\x7c\xd7\xf7\xd3\
\x7c\x50\x21\x42\x04\x71\x5e\x20\xad\xba\xfe\x36\x9e\x97\x4d\x8a\xdb\xaf\xbc\xd8\x74\xba\x6c\x56\xdd\x7d\xe6\xc3\xa5\xd3\x54\x78\
\x40\x0c\x1b\xa5\xb2\x03\xff\x7f\xff\x7f\xdf\x81\x38\x11\x50\x54\xad\x57\x3f\x90\x7d\x2d\x23\xb8\x08\x32\x9e\xca\x00\x00\x00\x0c\
\x24\x25\xe3\xed\x40\x00\x00\x00\x00\x61\x21\x2e\xe1\x94\x00\x18\x48\x4b\xff\x7f\xc7\xd4\x24\x11\x50\x54\xaf\xdf\x48\x25\xff\x40\
\x00\x00\x00\x00\xc2\x42\x5f\xff\x7f\xff\xd9";

fn jpeg_2000(compression: u16, width: u32, bytes: &[u8]) -> Result<Vec<f32>, Error> {
    let mut file = File::new(false, false);
    let place = file.data(bytes);
    let tags = [
        (256, Long(vec![width])),
        (257, Long(vec![13])),
        (258, Short(vec![8; 3])),
        (259, Short(vec![compression])),
        (262, Short(vec![2])),
        (277, Short(vec![3])),
        (322, Short(vec![16])),
        (323, Short(vec![16])),
        (324, Place(vec![place])),
        (325, Long(vec![bytes.len() as u32])),
    ];
    let first = file.directory(&tags, 0);
    pixels(file, first)
}

#[test]
fn tiles_of_jpeg_2000_are_read_in_the_colours_that_their_compression_states() {
    for compression in [33005, 34712] {
        let found = jpeg_2000(compression, 11, JPEG_2000).unwrap();
        assert_eq!(found.len(), 11 * 13 * 3);
        for (at, pixel) in found.chunks(3).enumerate() {
            let [red, green] = [(at % 11 * 16) as f32, if at / 11 < 8 { 0.0 } else { 100.0 }];
            assert_eq!(pixel, [red / 255.0, green / 255.0, 77.0 / 255.0], "{at}");
        }
    }
    // Luma 32, and differences of 0 - 128 and 77 - 128: 32 - 1.402 * 51 is black, 32 + 0.344136 * 128 + 0.714136 * 51 = 112.47,
    // 32 - 1.772 * 128 is black.
    let found = jpeg_2000(33003, 11, JPEG_2000).unwrap();
    let pixel = &found[2 * 3..][..3];
    assert!(pixel[0] == 0.0 && (pixel[1] * 255.0 - 112.47).abs() < 0.01 && pixel[2] == 0.0, "{pixel:?}");

    let refused = |bytes: &[u8], says: &str| {
        let error = jpeg_2000(33005, 11, bytes).unwrap_err();
        assert!(error.code() == code::CORRUPT && error.message().contains(says), "{error}");
    };
    refused(b"no code at all", "no JPEG 2000 code");
    let mut large = JPEG_2000.to_vec();
    large[8..16].copy_from_slice(&[0, 0, 1, 0, 0, 0, 1, 0]);
    refused(&large, "256x256 pixels in a strip or tile of 16x16");
    for end in [30, 100, 200] {
        // What a cut code stream still gives is the decoder's business; it does not panic.
        let _ = jpeg_2000(33005, 11, &JPEG_2000[..end]);
    }
}

/// Columns and rows of a page, and its further tags.
type PageOfSlide = (usize, usize, Vec<(u16, Tag)>);

/// Sizes of levels of a slide in TIFF of these pages.
fn levels(pages: Vec<PageOfSlide>) -> (Vec<[usize; 2]>, TiffSlide) {
    let mut file = File::new(true, false);
    let mut next = 0;
    for (width, height, more) in pages.into_iter().rev() {
        let tags = page(&mut file, width, height);
        next = file.directory(&with(tags, more), next);
    }
    let (folder, path) = file.write(next);
    let slide = TiffSlide::open(&path).unwrap();
    // The file stays open.
    drop(folder);
    (slide.levels().iter().map(|level| [level.width, level.height]).collect(), slide)
}

#[test]
fn the_largest_page_is_the_full_level_wherever_it_stands() {
    let (sizes, slide) = levels(vec![(30, 100, vec![]), (8, 25, vec![]), (211, 230, vec![]), (53, 58, vec![])]);
    assert_eq!(sizes, [[211, 230], [53, 58]]);
    assert!(!slide.layout().full_is_first && slide.layout().is_tiled);
    let (sizes, slide) = levels(vec![(211, 230, vec![]), (53, 58, vec![]), (30, 100, vec![])]);
    assert_eq!((sizes, slide.layout().full_is_first), (vec![[211, 230], [53, 58]], true));
}

#[test]
fn photographs_of_the_glass_are_no_levels_however_large() {
    let photographs = [
        vec![(254, Long(vec![9]))],
        vec![(270, Text("Macro"))],
        vec![(270, Text("Label Image"))],
        vec![(270, Text("Aperio Image Library v10\nmacro 400x400"))],
        vec![(270, Text("overview"))],
        // Hamamatsu's lens of the overview.
        vec![(65421, Real(-1.0))],
    ];
    for photograph in photographs {
        let (sizes, _) = levels(vec![(400, 400, photograph), (200, 200, vec![]), (100, 100, vec![])]);
        assert_eq!(sizes, [[200, 200], [100, 100]]);
    }
    let (sizes, _) = levels(vec![(200, 200, vec![(270, Text("Macrophages"))]), (100, 100, vec![])]);
    assert_eq!(sizes, [[200, 200], [100, 100]]);
    // A file of nothing else is read all the same.
    let (sizes, _) = levels(vec![(40, 40, vec![(270, Text("label"))])]);
    assert_eq!(sizes, [[40, 40]]);
}

/// Description of a slide with an overview of 30 x 100 pixels, a scan of 160 x 120 at 0.25 microns in two levels, and one of 64 x 64.
const SCN: &str = r#"<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">
<collection name="a" sizeX="300000" sizeY="1000000">
<image><pixels sizeX="30" sizeY="100"><dimension sizeX="30" sizeY="100" r="0" ifd="0"/></pixels>
<view sizeX="300000" sizeY="1000000" offsetX="0" offsetY="0"/></image>
<image><pixels sizeX="160" sizeY="120"><dimension sizeX="160" sizeY="120" r="0" ifd="1"/><dimension r="1" ifd="3"/></pixels>
<view sizeX="40000" sizeY="30000" offsetX="9" offsetY="9"/></image>
<image><pixels sizeX="64" sizeY="64"><dimension sizeX="64" sizeY="64" r="0" ifd="2"/></pixels>
<view sizeX="16000" sizeY="16000" offsetX="99999" offsetY="9"/></image>
</collection></scn>"#;

#[test]
fn the_largest_scan_of_a_leica_slide_is_read_and_the_others_are_reported() {
    let pages = vec![
        (30, 100, vec![(270, Text(SCN))]),
        (160, 120, vec![]),
        (64, 64, vec![]),
        (40, 30, vec![]),
        // Of the same shape, and of no image.
        (80, 60, vec![]),
    ];
    let (sizes, slide) = levels(pages);
    assert_eq!(sizes, [[160, 120], [40, 30]]);
    assert_eq!(slide.levels().iter().map(|level| level.mpp).collect::<Vec<_>>(), [Some(0.25), Some(1.0)]);
    assert_eq!(Slide::Tiff(Box::new(slide)).unread(), Unread { planes: false, areas: true });
}

#[test]
fn further_pages_of_the_full_size_are_reported() {
    let more = || vec![(282, Fraction(5000, 1)), (296, Short(vec![3]))];
    let (sizes, slide) = levels(vec![(80, 50, more()), (80, 50, vec![]), (40, 25, vec![])]);
    assert_eq!(sizes, [[80, 50], [40, 25]]);
    assert_eq!(slide.levels()[0].mpp, Some(2.0));
    assert_eq!(Slide::Tiff(Box::new(slide)).unread(), Unread { planes: true, areas: false });
}

#[test]
fn a_piece_that_is_too_large_to_be_decoded_is_reported() {
    let (_, slide) = levels(vec![(80, 50, vec![])]);
    let mut level = slide.levels()[0];
    assert!(!TiffSlide::has_giant_pieces(level));
    level.chunk = [100_000, 50_000];
    assert!(TiffSlide::has_giant_pieces(level));
}
