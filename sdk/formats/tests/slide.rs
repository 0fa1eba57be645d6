//! Slides and kinds of TIFF that no available encoder writes: pyramids in branches, BigTIFF of either byte order,
//! stated resolutions, palettes, samples of a few bits. Files are built byte by byte.

#![allow(clippy::unusual_byte_groupings, reason = "grouped as the samples are")]

use std::path::PathBuf;

use medcoss_formats::image_file::read_image;
use medcoss_formats::slide::Slide;
use medcoss_sdk::image::Region;
use medcoss_sdk::{Error, code};

/// A TIFF file that is being built.
pub(crate) struct File {
    bytes: Vec<u8>,
    big: bool,
    big_endian: bool,
}

/// Type and values of a tag.
pub(crate) enum Tag {
    Short(Vec<u16>),
    Long(Vec<u32>),
    Text(&'static str),
    Fraction(u32, u32),
    /// A floating point number of 32 bits.
    Real(f32),
    Place(Vec<u64>),
    /// Offsets, with a field type of their own.
    Branch(Vec<u64>),
}

use Tag::{Branch, Fraction, Long, Place, Short, Text};

impl File {
    pub(crate) fn new(big: bool, big_endian: bool) -> Self {
        let mut file = Self { bytes: Vec::new(), big, big_endian };
        file.bytes.extend(if big_endian { b"MM" } else { b"II" });
        file.put(2, if big { 43 } else { 42 });
        if big {
            file.put(2, 8);
            file.put(2, 0);
        }
        file.place(0);
        file
    }

    fn put(&mut self, n_bytes: usize, value: u64) {
        let mut bytes = value.to_le_bytes()[..n_bytes].to_vec();
        if self.big_endian {
            bytes.reverse();
        }
        self.bytes.extend(bytes);
    }

    /// Appends an offset or a count.
    fn place(&mut self, value: u64) {
        self.put(if self.big { 8 } else { 4 }, value);
    }

    pub(crate) fn data(&mut self, bytes: &[u8]) -> u64 {
        let at = self.bytes.len() as u64;
        self.bytes.extend(bytes);
        at
    }

    /// Writes a directory and returns its offset. `next` is the offset of the next directory, or 0.
    pub(crate) fn directory(&mut self, tags: &[(u16, Tag)], next: u64) -> u64 {
        let in_place = if self.big { 8 } else { 4 };
        let mut entries = Vec::new();
        for (number, tag) in tags {
            let (kind, width, values): (u64, usize, Vec<u64>) = match tag {
                Short(values) => (3, 2, values.iter().map(|&value| value.into()).collect()),
                Long(values) => (4, 4, values.iter().map(|&value| value.into()).collect()),
                Text(text) => (2, 1, text.bytes().chain([0]).map(u64::from).collect()),
                Fraction(above, below) => (5, 4, vec![(*above).into(), (*below).into()]),
                Tag::Real(value) => (11, 4, vec![value.to_bits().into()]),
                Place(values) if self.big => (16, 8, values.clone()),
                Place(values) => (4, 4, values.clone()),
                Branch(values) if self.big => (18, 8, values.clone()),
                Branch(values) => (13, 4, values.clone()),
            };
            let mut stored = Self { bytes: Vec::new(), big: self.big, big_endian: self.big_endian };
            values.iter().for_each(|&value| stored.put(width, value));
            let n = if kind == 5 { 1 } else { values.len() as u64 };
            let value = if stored.bytes.len() <= in_place {
                stored.bytes.resize(in_place, 0);
                stored.bytes
            } else {
                let at = self.data(&stored.bytes);
                let mut place = Self { bytes: Vec::new(), big: self.big, big_endian: self.big_endian };
                place.place(at);
                place.bytes
            };
            entries.push((u64::from(*number), kind, n, value));
        }
        let at = self.bytes.len() as u64;
        self.put(if self.big { 8 } else { 2 }, entries.len() as u64);
        for (number, kind, n, value) in entries {
            self.put(2, number);
            self.put(2, kind);
            self.place(n);
            self.bytes.extend(value);
        }
        self.place(next);
        at
    }

    /// Writes the file with this directory as its first.
    pub(crate) fn write(mut self, first: u64) -> (tempfile::TempDir, PathBuf) {
        let mut head = Self { bytes: Vec::new(), big: self.big, big_endian: self.big_endian };
        head.place(first);
        let at = if self.big { 8 } else { 4 };
        self.bytes[at..at + head.bytes.len()].copy_from_slice(&head.bytes);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.tif");
        std::fs::write(&path, self.bytes).unwrap();
        (folder, path)
    }
}

/// Grey of a pixel of the test images.
fn grey(x: usize, y: usize) -> u8 {
    ((x * 3 + y * 7) % 251) as u8
}

/// Tags of a grey page of 8 bit in tiles of 16 x 16, and its tiles.
pub(crate) fn page(file: &mut File, width: usize, height: usize) -> Vec<(u16, Tag)> {
    let (mut places, mut lengths) = (Vec::new(), Vec::new());
    for top in (0..height).step_by(16) {
        for left in (0..width).step_by(16) {
            let tile: Vec<u8> = (0..256).map(|at| grey(left + at % 16, top + at / 16)).collect();
            places.push(file.data(&tile));
            lengths.push(256);
        }
    }
    vec![
        (256, Long(vec![width as u32])),
        (257, Long(vec![height as u32])),
        (258, Short(vec![8])),
        (259, Short(vec![1])),
        (262, Short(vec![1])),
        (322, Short(vec![16])),
        (323, Short(vec![16])),
        (324, Place(places)),
        (325, Long(lengths)),
    ]
}

pub(crate) fn with(mut tags: Vec<(u16, Tag)>, more: Vec<(u16, Tag)>) -> Vec<(u16, Tag)> {
    tags.extend(more);
    tags.sort_by_key(|(number, _)| *number);
    tags
}

#[test]
fn a_pyramid_in_branches_is_found_in_classic_and_big_files_of_either_byte_order() {
    for (big, big_endian) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut file = File::new(big, big_endian);
        let branches: Vec<u64> = [(40, 25), (20, 13), (33, 25)]
            .map(|(width, height)| {
                let tags = page(&mut file, width, height);
                file.directory(&tags, 0)
            })
            .to_vec();
        // A second page of the same size, as OME-TIFF has for other channels, is no level.
        let tags = page(&mut file, 80, 50);
        let second = file.directory(&tags, 0);
        let tags = page(&mut file, 80, 50);
        // 5000 pixels per centimetre: 2 microns per pixel.
        let branches = if big_endian { Branch(branches) } else { Place(branches) };
        let more = vec![(282, Fraction(5000, 1)), (296, Short(vec![3])), (330, branches)];
        let first = file.directory(&with(tags, more), second);
        let (_folder, path) = file.write(first);

        let mut slide = Slide::open(&path).unwrap();
        let levels = slide.levels().to_vec();
        let sizes: Vec<_> = levels.iter().map(|level| (level.width, level.height)).collect();
        assert_eq!(sizes, [(80, 50), (40, 25), (20, 13)], "{big} {big_endian}");
        assert!(levels.iter().all(|level| level.chunk == [16, 16]));
        assert_eq!(levels.iter().map(|level| level.mpp.unwrap().round()).collect::<Vec<_>>(), [2.0, 4.0, 8.0]);
        for (mpp, width) in [(1.0, 80), (2.0, 80), (3.9, 80), (4.0, 40), (7.0, 40), (30.0, 20)] {
            assert_eq!(slide.level_at(mpp).width, width, "{mpp}");
        }
        for level in [levels[2], levels[0], levels[1], levels[2]] {
            let corner = Region { left: level.width - 3, top: level.height - 1, width: 3, height: 1 };
            let found = slide.read_region(level, corner).unwrap();
            let expected = (0..3).map(|x| f32::from(grey(corner.left + x, corner.top)) / 255.0).collect::<Vec<_>>();
            assert_eq!(found.pixels(), expected);
        }
    }
}

#[test]
fn invalid_branches_do_not_prevent_reading() {
    let mut file = File::new(false, false);
    let tags = page(&mut file, 80, 50);
    let first = file.directory(&with(tags, vec![(330, Place(vec![7, 1 << 31, 0]))]), 0);
    let (_folder, path) = file.write(first);
    assert_eq!(Slide::open(&path).unwrap().levels().len(), 1);
}

#[test]
fn resolutions_are_read_from_every_source_and_those_of_screens_are_ignored() {
    let ome = "<OME><Image><Pixels PhysicalSizeX=\"250\" PhysicalSizeXUnit=\"nm\"/></Image></OME>";
    let cases = [
        (vec![(270, Text("Aperio Image\nx|AppMag = 20|MPP = 0.4990"))], Some(0.499)),
        (vec![(270, Text(ome))], Some(0.25)),
        (vec![(282, Fraction(50_800, 1)), (296, Short(vec![2]))], Some(0.5)),
        (vec![(282, Fraction(101_600, 2))], Some(0.5)),
        (vec![(282, Fraction(40_000, 1)), (296, Short(vec![3]))], Some(0.25)),
        (vec![(282, Fraction(40_000, 1)), (296, Short(vec![1]))], None),
        (vec![(282, Fraction(72, 1)), (296, Short(vec![2]))], None),
        (vec![(282, Fraction(40_000, 0)), (296, Short(vec![3]))], None),
        (vec![(282, Fraction(0, 1)), (296, Short(vec![3]))], None),
        // The scanner's description has precedence over tags; implausible values are ignored.
        (vec![(270, Text("a|MPP = 0.3")), (282, Fraction(40_000, 1)), (296, Short(vec![3]))], Some(0.3)),
        (vec![(270, Text("a|MPP = 0")), (282, Fraction(40_000, 1)), (296, Short(vec![3]))], Some(0.25)),
        (vec![], None),
    ];
    for (number, (more, expected)) in cases.into_iter().enumerate() {
        let mut file = File::new(false, number % 2 == 1);
        let tags = page(&mut file, 40, 30);
        let first = file.directory(&with(tags, more), 0);
        let (_folder, path) = file.write(first);
        let found = Slide::open(&path).unwrap().levels()[0].mpp;
        let close = match (found, expected) {
            (Some(found), Some(expected)) => (found - expected).abs() < 1e-9,
            (found, expected) => found == expected,
        };
        assert!(close, "case {number}: {found:?} for {expected:?}");
    }
}

#[test]
fn a_region_read_at_a_smaller_scale_is_the_whole_one_resized() {
    // 4.6 million pixels: more than are held at once. Grey rises along both axes.
    let (width, height) = (2200_u32, 2100_u32);
    let rising = |x: u32, y: u32| (x * 100 / width + y * 120 / height) as u8;
    let mut file = File::new(false, false);
    let pixels: Vec<u8> = (0..height).flat_map(|y| (0..width).map(move |x| rising(x, y))).collect();
    let places: Vec<u64> = pixels.chunks((width * 300) as usize).map(|strip| file.data(strip)).collect();
    let tags = [
        (256, Long(vec![width])),
        (257, Long(vec![height])),
        (258, Short(vec![8])),
        (262, Short(vec![1])),
        (273, Place(places)),
        (278, Long(vec![300])),
        (279, Long(vec![width * 300; 7])),
    ];
    let first = file.directory(&tags, 0);
    let (_folder, path) = file.write(first);
    let mut slide = Slide::open(&path).unwrap();
    let level = slide.levels()[0];
    let whole = Region { left: 0, top: 0, width: width as usize, height: height as usize };
    let expected = slide.read_region(level, whole).unwrap().resized(whole, 110, 70).unwrap();
    let found = slide.read_scaled(level, whole, 110, 70).unwrap();
    let largest = found.pixels().iter().zip(expected.pixels()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(largest < 0.004, "{largest}");
    // Small regions, and enlarged ones, are only resized.
    let part = Region { left: 100, top: 7, width: 64, height: 48 };
    let exact = slide.read_region(level, part).unwrap();
    assert_eq!(slide.read_scaled(level, part, 64, 48).unwrap(), exact);
    let own = Region { left: 0, top: 0, ..part };
    assert_eq!(slide.read_scaled(level, part, 32, 16).unwrap(), exact.resized(own, 32, 16).unwrap());
    assert_eq!(slide.read_scaled(level, part, 100, 20).unwrap(), exact.resized(own, 100, 20).unwrap());
}

/// An image of 5 x 2 pixels in one strip; the first pixel is 0, the others follow.
fn small(bits: u16, photometric: u16, rows: &[u8], more: Vec<(u16, Tag)>, big_endian: bool) -> Result<Vec<f32>, Error> {
    let mut file = File::new(false, big_endian);
    let place = file.data(rows);
    let tags = vec![
        (256, Long(vec![5])),
        (257, Long(vec![2])),
        (258, Short(vec![bits])),
        (262, Short(vec![photometric])),
        (273, Place(vec![place])),
        (278, Long(vec![2])),
        (279, Long(vec![rows.len() as u32])),
    ];
    let first = file.directory(&with(tags, more), 0);
    let (_folder, path) = file.write(first);
    read_image(&path).map(|image| image.pixels().to_vec())
}

#[test]
fn samples_of_a_few_bits_are_unpacked_and_white_as_0_is_turned_round() {
    // Each row begins at a byte.
    let one = [0b01011_000, 0b10010_000];
    let expected = [0, 1, 0, 1, 1, 1, 0, 0, 1, 0].map(|bit| bit as f32);
    assert_eq!(small(1, 1, &one, vec![], false).unwrap(), expected);
    assert_eq!(small(1, 0, &one, vec![], true).unwrap(), expected.map(|value| 1.0 - value));
    let two = [0b00_01_10_11, 0b01_000000, 0b11_00_00_01, 0b10_000000];
    let expected = [0, 1, 2, 3, 1, 3, 0, 0, 1, 2].map(|value| value as f32 / 3.0);
    assert_eq!(small(2, 1, &two, vec![], false).unwrap(), expected);
    let four = [0x01, 0x2f, 0x80, 0xf0, 0x12, 0x30];
    let expected = [0, 1, 2, 15, 8, 15, 0, 1, 2, 3].map(|value| value as f32 / 15.0);
    assert_eq!(small(4, 1, &four, vec![], false).unwrap(), expected);
    let turned: Vec<f32> = expected.iter().map(|value| 1.0 - value).collect();
    let found = small(4, 0, &four, vec![], false).unwrap();
    assert!(found.iter().zip(turned).all(|(a, b)| (a - b).abs() < 1e-6));
    // Three bits: a sample reaches from one byte into the next.
    let three = [0b000_001_01, 0b0_111_100_0, 0b111_000_00, 0b1_010_110_0];
    let expected = [0, 1, 2, 7, 4, 7, 0, 1, 2, 6].map(|value| value as f32 / 7.0);
    assert_eq!(small(3, 1, &three, vec![], false).unwrap(), expected);
    for photometric in [0, 1] {
        let values = [0, 1, 128, 254, 255, 9, 8, 7, 6, 5_u8];
        let expected = values.map(|value| if photometric == 1 { value } else { 255 - value }).map(f32::from);
        assert_eq!(small(8, photometric, &values, vec![], false).unwrap(), expected.map(|value| value / 255.0));
        let words = values.map(|value| u16::from(value) * 250);
        let expected = words.map(|value| f32::from(if photometric == 1 { value } else { 65535 - value }) / 65535.0);
        let rows: Vec<u8> = words.iter().flat_map(|value| value.to_be_bytes()).collect();
        assert_eq!(small(16, photometric, &rows, vec![], true).unwrap(), expected);
    }
    let words = [0, 1 << 31, u32::MAX, 1 << 30, 5, 6, 7, 8, 9, 10_u32];
    let rows: Vec<u8> = words.iter().flat_map(|value| value.to_le_bytes()).collect();
    let found = small(32, 1, &rows, vec![], false).unwrap();
    assert!(
        found.iter().zip(words).all(|(found, word)| (f64::from(*found) - f64::from(word) / 4294967295.0).abs() < 1e-7)
    );
}

#[test]
fn palettes_are_resolved() {
    let colours = |n: usize, scale: u16| -> Vec<u16> {
        (0..3 * n).map(|at| (at % n * (7 + at / n) % 256) as u16 * scale).collect()
    };
    for big_endian in [false, true] {
        for (bits, rows, indices) in [
            (1, vec![0b01011_000, 0b10010_000], [0, 1, 0, 1, 1, 1, 0, 0, 1, 0]),
            (4, vec![0x01, 0x2f, 0x80, 0xf0, 0x12, 0x30], [0, 1, 2, 15, 8, 15, 0, 1, 2, 3]),
            (8, vec![0, 1, 2, 200, 255, 7, 6, 5, 4, 3], [0, 1, 2, 200, 255, 7, 6, 5, 4, 3]),
        ] {
            let n = 1 << bits;
            // Numbers of 16 bit, and of 8 in their place.
            for scale in [257, 1] {
                let map = colours(n, scale);
                let found = small(bits, 3, &rows, vec![(320, Short(map.clone()))], big_endian).unwrap();
                let white = if scale == 1 { 255.0 } else { 65535.0 };
                let expected: Vec<f32> = indices
                    .iter()
                    .flat_map(|&index| [0, 1, 2].map(|channel| f32::from(map[channel * n + index]) / white))
                    .collect();
                assert_eq!(found, expected, "{bits} bits");
            }
        }
    }
    let error = small(4, 3, &[0; 6], vec![(320, Short(vec![0; 47]))], false).unwrap_err();
    assert!(error.code() == code::CORRUPT && error.message().contains("47 numbers"), "{error}");
}

#[test]
fn unsupported_kinds_are_refused_by_name() {
    let refused = |bits, photometric, more, says: &str| {
        let error = small(bits, photometric, &[0; 40], more, false).unwrap_err();
        assert!(error.code() == code::UNSUPPORTED && error.message().contains(says), "{error}");
    };
    for (compression, name) in [(3, "fax"), (6, "old"), (50000, "Zstandard")] {
        refused(8, 1, vec![(259, Short(vec![compression]))], name);
    }
    refused(16, 1, vec![(339, Short(vec![3]))], "floating point samples of 16 bits");
    refused(12, 1, vec![(339, Short(vec![2]))], "signed samples of 12 bits");
    refused(16, 1, vec![(339, Short(vec![4]))], "no number");
    refused(24, 1, vec![], "24-bit");
    refused(8, 5, vec![(277, Short(vec![4]))], "CMYK");
    refused(3, 0, vec![], "white as 0");
    refused(12, 1, vec![(317, Short(vec![2]))], "12-bit samples of kind Grey with predictor 2");
    refused(12, 1, vec![(259, Short(vec![7]))], "compression 7");
    refused(8, 1, vec![(259, Short(vec![34712])), (284, Short(vec![2]))], "in JPEG 2000");
}

#[test]
fn a_tile_that_states_an_image_of_a_gigabyte_or_is_cut_off_is_refused_before_it_is_decoded() {
    let mut jpeg = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut jpeg).encode(&[99; 256], 16, 16, image::ExtendedColorType::L8).unwrap();
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    for (side, missing, says) in [(16_u16, 0, ""), (16_000, 0, "JPEG of 16000x16000"), (16, 5000, "ends at byte")] {
        let mut bytes = jpeg.clone();
        bytes[frame + 5..frame + 7].copy_from_slice(&side.to_be_bytes());
        bytes[frame + 7..frame + 9].copy_from_slice(&side.to_be_bytes());
        let mut file = File::new(false, false);
        let place = file.data(&bytes);
        let tags = vec![
            (256, Long(vec![16])),
            (257, Long(vec![16])),
            (258, Short(vec![8])),
            (259, Short(vec![7])),
            (262, Short(vec![1])),
            (322, Short(vec![16])),
            (323, Short(vec![16])),
            (324, Place(vec![place])),
            (325, Long(vec![bytes.len() as u32 + missing])),
        ];
        let first = file.directory(&tags, 0);
        let (_folder, path) = file.write(first);
        match read_image(&path) {
            Ok(image) => assert!(says.is_empty() && (image.pixels()[0] - 99.0 / 255.0).abs() < 0.02),
            Err(error) => assert!(!says.is_empty() && error.message().contains(says), "{error}"),
        }
    }
}

#[test]
fn tiles_that_are_left_out_of_the_file_are_white() {
    let mut file = File::new(true, false);
    let mut tags = page(&mut file, 40, 34);
    for (number, tag) in &mut tags {
        match (number, tag) {
            (324, Place(values)) => values[4] = 0,
            (325, Long(values)) => values[4] = 0,
            _ => {}
        }
    }
    let first = file.directory(&tags, 0);
    let (_folder, path) = file.write(first);
    let image = read_image(&path).unwrap();
    for (at, &found) in image.pixels().iter().enumerate() {
        let (x, y) = (at % 40, at / 40);
        // Tile 4, with three tiles per row, is the middle one of the second row.
        let left_out = (16..32).contains(&x) && (16..32).contains(&y);
        assert_eq!(found, if left_out { 1.0 } else { f32::from(grey(x, y)) / 255.0 });
    }
}

#[test]
fn no_byte_of_a_directory_can_make_reading_panic() {
    for (big, big_endian) in [(false, true), (true, false)] {
        let mut file = File::new(big, big_endian);
        let tags = page(&mut file, 20, 17);
        let branch = file.directory(&tags, 0);
        let tags = page(&mut file, 40, 34);
        let (begin, map) = (file.bytes.len(), (0..768).map(|at| at as u16 * 85).collect());
        let more = vec![(282, Fraction(5000, 1)), (320, Short(map)), (330, Place(vec![branch]))];
        let first = file.directory(&with(tags, more), 0);
        let end = file.bytes.len();
        let (folder, path) = file.write(first);
        let valid = std::fs::read(&path).unwrap();
        let (mut n_read, mut n_refused) = (0, 0);
        // The palette is long: only a few of its bytes are changed.
        for at in (0..16).chain((begin..end).filter(|at| *at > end - 400 || at % 97 == 0)) {
            for value in [0x00, 0x01, 0x03, 0x7f, 0xff] {
                let mut bytes = valid.clone();
                bytes[at] = value;
                // A new file each time, because overwriting one waits for the disk.
                let path = folder.path().join(format!("{at}_{value}.tif"));
                std::fs::write(&path, bytes).unwrap();
                let read = Slide::open(&path).and_then(|mut slide| {
                    for level in slide.levels().to_vec() {
                        let side = level.width.min(level.height).min(50);
                        slide.read_region(level, Region { left: 0, top: 0, width: side, height: side })?;
                    }
                    Ok(())
                });
                match read {
                    Ok(()) => n_read += 1,
                    Err(_) => n_refused += 1,
                }
            }
        }
        assert!(n_read > 100 && n_refused > 100, "{n_read} read, {n_refused} refused");
    }
}
