//! Memory of hostile files: each file is small, and states or unpacks to gigabytes. Measured in a process of its own.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use medcoss_formats::dicom::find_series::find_series;
use medcoss_formats::dicom::scan_rules::ScanRules;
use medcoss_formats::dicom::{read_image as read_dicom, slide::is_slide};
use medcoss_formats::image_file::read_image;
use medcoss_formats::label_image::read_labels;
use medcoss_formats::nifti::{GzipIndex, read_slab, read_volume};
use medcoss_formats::slide::Slide;
use medcoss_sdk::{Account, Error, FoundFile};
use medcoss_test_support::process::{bounded, is_alone};
use png::{BitDepth, ColorType};

const GIB: u64 = 1 << 30;
/// Side of the largest image.
const SIDE: u32 = 8192;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

fn found(path: &Path) -> FoundFile {
    let bytes = path.metadata().unwrap().len();
    FoundFile { path: path.to_owned(), id: "file".into(), entry: 0, bytes, modified: None }
}

/// Asserts that a file is refused for this reason.
fn refused<T>(what: &str, reason: &str, read: impl FnOnce() -> Result<T, Error>) {
    let error = bounded(what, read).err().unwrap_or_else(|| panic!("{what} is read"));
    println!("  {error}");
    assert!(error.to_string().contains(reason), "{what}: {error}");
}

fn zeros(n_bytes: u64, mut out: impl Write) {
    std::io::copy(&mut std::io::repeat(0).take(n_bytes), &mut out).unwrap();
}

fn deflated_zeros(n_bytes: u64) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    zeros(n_bytes, &mut encoder);
    encoder.finish().unwrap()
}

/// A chunk of a PNG.
fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(data);
    [&(data.len() as u32).to_be_bytes()[..], kind, data, &crc.sum().to_be_bytes()].concat()
}

/// A grey image of 2 by 2 pixels with another chunk after its header.
fn png_with(extra: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 2, 2);
    encoder.set_color(ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&[1, 2, 3, 4]).unwrap();
    // After the signature and IHDR.
    file.splice(33..33, extra.iter().copied());
    file
}

#[test]
#[ignore = "measures memory"]
fn metadata_of_a_png_that_inflate_to_a_gib() {
    if !is_alone("memory::metadata_of_a_png_that_inflate_to_a_gib") {
        return;
    }
    let folder = Folder::new();
    let deflated = deflated_zeros(GIB);
    for (kind, head) in
        [(b"iCCP", &b"p\0\0"[..]), (b"zTXt", b"k\0\0"), (b"iTXt", b"k\0\x01\0\0\0"), (b"eXIf", b"II*\0")]
    {
        let path = folder.put("a.png", &png_with(&chunk(kind, &[head, &deflated].concat())));
        let kind = String::from_utf8_lossy(kind);
        let image = bounded(&format!("PNG with {kind} of 1 GiB, deflated"), || read_image(&path)).unwrap();
        assert_eq!(image.pixels(), [1, 2, 3, 4].map(|value| value as f32 / 255.0));
        let labels = bounded(&format!("mask with {kind} of 1 GiB, deflated"), || read_labels(&found(&path))).unwrap();
        assert_eq!(labels.values(), [1, 2, 3, 4]);
    }
}

#[test]
#[ignore = "measures memory"]
fn the_largest_images_of_every_kind() {
    if !is_alone("memory::the_largest_images_of_every_kind") {
        return;
    }
    let folder = Folder::new();
    for (colour, depth) in [
        (ColorType::Grayscale, BitDepth::One),
        (ColorType::Grayscale, BitDepth::Sixteen),
        (ColorType::GrayscaleAlpha, BitDepth::Sixteen),
        (ColorType::Rgb, BitDepth::Eight),
        (ColorType::Rgb, BitDepth::Sixteen),
        (ColorType::Rgba, BitDepth::Eight),
        (ColorType::Rgba, BitDepth::Sixteen),
    ] {
        let path = folder.0.path().join("a.png");
        let mut encoder = png::Encoder::new(BufWriter::new(File::create(&path).unwrap()), SIDE, SIDE);
        encoder.set_color(colour);
        encoder.set_depth(depth);
        encoder.set_compression(png::Compression::Fastest);
        let mut writer = encoder.write_header().unwrap();
        let row_bytes = colour.samples() as u64 * depth as u64 * u64::from(SIDE) / 8;
        let mut stream = writer.stream_writer().unwrap();
        zeros(row_bytes * u64::from(SIDE), &mut stream);
        stream.finish().unwrap();
        drop(writer);
        let what = format!("PNG of {SIDE}x{SIDE} pixels, {colour:?} of {} bits", depth as u8);
        match bounded(&what, || read_image(&path)) {
            Ok(_) => {}
            Err(error) => assert!(error.message().contains("of memory, above the limit of 640 MiB"), "{error}"),
        }
        let _ = bounded(&format!("mask: {what}"), || read_labels(&found(&path)));
    }
}

/// An element of an explicit VR data set.
fn element(tag: [u16; 2], vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
    let mut bytes = tag.map(u16::to_le_bytes).concat();
    bytes.extend(vr);
    if [b"OB", b"OW", b"SQ", b"UN"].contains(&vr) {
        bytes.extend([0, 0]);
        bytes.extend((value.len() as u32).to_le_bytes());
    } else {
        bytes.extend((value.len() as u16).to_le_bytes());
    }
    bytes.extend(value);
    bytes
}

/// A file up to its pixel data, with more elements between its SOP class and its size.
fn dicom(syntax: &str, kind: &str, more: &[u8], [rows, columns]: [u16; 2], n_frames: u64) -> Vec<u8> {
    let even = |text: &str| format!("{text}{}", if text.len() % 2 == 1 { "\0" } else { "" }).into_bytes();
    let number = |tag, value: u16| element(tag, b"US", &value.to_le_bytes());
    let frames = n_frames.to_string();
    let frames = if frames.len() % 2 == 1 { format!("0{frames}") } else { frames };
    [
        vec![0; 128],
        b"DICM".to_vec(),
        element([2, 2], b"UI", &even(kind)),
        element([2, 0x10], b"UI", &even(syntax)),
        element([8, 0x16], b"UI", &even(kind)),
        element([8, 0x60], b"CS", b"CT"),
        more.to_vec(),
        number([0x28, 2], 1),
        element([0x28, 4], b"CS", b"MONOCHROME2 "),
        element([0x28, 8], b"IS", frames.as_bytes()),
        number([0x28, 0x10], rows),
        number([0x28, 0x11], columns),
        number([0x28, 0x100], 8),
        number([0x28, 0x101], 8),
        number([0x28, 0x102], 7),
        number([0x28, 0x103], 0),
    ]
    .concat()
}

const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const JPEG: &str = "1.2.840.10008.1.2.4.50";
const JPEG_2000: &str = "1.2.840.10008.1.2.4.90";
const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const SLIDE: &str = "1.2.840.10008.5.1.4.1.1.77.1.6";
/// The header of encapsulated pixel data.
const FRAGMENTS: [u8; 12] = [0xe0, 0x7f, 0x10, 0, b'O', b'B', 0, 0, 0xff, 0xff, 0xff, 0xff];
const EMPTY_ITEM: [u8; 8] = [0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0];

fn read_series(path: &Path) -> Result<usize, Error> {
    let series = find_series(vec![found(path)], &ScanRules::CT, |_| true, &mut Account::default());
    series[0].read().map(|(volume, _)| volume.voxels().len())
}

#[test]
#[ignore = "measures memory"]
fn fragments_and_frames_without_number() {
    if !is_alone("memory::fragments_and_frames_without_number") {
        return;
    }
    let folder = Folder::new();
    for n_frames in [1, 7, 10_000_000] {
        let head = dicom(JPEG, CT, &[], [512, 512], n_frames);
        let path = folder.put("a.dcm", &[&head[..], &FRAGMENTS, &EMPTY_ITEM.repeat(10_000_000)].concat());
        let what = format!("10 million empty DICOM fragments for {n_frames} frames");
        refused(&what, "", || read_dicom(&path));
        refused(&format!("{what}, as a scan"), "", || read_series(&path));
    }
    let pixels = [0xe0, 0x7f, 0x10, 0, b'O', b'W', 0, 0, 0, 0, 0, 0];
    for kind in [CT, SLIDE] {
        let path = folder.put("a.dcm", &[&dicom(EXPLICIT, kind, &[], [1, 1], 4_294_967_295)[..], &pixels].concat());
        refused("DICOM that states 4 billion frames", "frames", || read_dicom(&path));
        refused("DICOM that states 4 billion frames, as a scan", "frames", || read_series(&path));
        if is_slide(&path) {
            refused("DICOM that states 4 billion frames, as a slide", "", || Slide::open(&path));
        }
    }
    // An offset table of 1 GiB, as a hole of the file.
    let head =
        [&dicom(JPEG, CT, &[], [512, 512], 7)[..], &FRAGMENTS, &EMPTY_ITEM[..4], &(1_u32 << 30).to_le_bytes()].concat();
    let path = folder.put("a.dcm", &head);
    let mut file = File::options().append(true).open(&path).unwrap();
    file.set_len(head.len() as u64 + GIB).unwrap();
    file.write_all(&EMPTY_ITEM.repeat(9)).unwrap();
    refused("DICOM with a table of offsets of 1 GiB", "", || read_dicom(&path));
}

#[test]
#[ignore = "measures memory"]
fn headers_of_many_items_and_deep_sequences() {
    if !is_alone("memory::headers_of_many_items_and_deep_sequences") {
        return;
    }
    let folder = Folder::new();
    let pixels = element([0x7fe0, 0x10], b"OW", &[7, 0]);
    // Referenced images.
    let tag = [8, 0x1140];
    let item = [&EMPTY_ITEM[..4], &10_u32.to_le_bytes(), &element([8, 0x60], b"CS", b"CT")].concat();
    // The largest header that is read: a table for each item, and another million elements.
    let wide = element([8, 0x70], b"LO", b"").repeat(3);
    let wide = [&EMPTY_ITEM[..4], &(wide.len() as u32).to_le_bytes(), &wide].concat();
    for (what, value) in [
        ("520 thousand items with three elements in a DICOM header", wide.repeat(520_000)),
        ("8 million empty items in a DICOM header", EMPTY_ITEM.repeat(8_000_000)),
        ("3 million items with an element in a DICOM header", item.repeat(3_000_000)),
        ("500 thousand items with an element in a DICOM header", item.repeat(500_000)),
    ] {
        let path =
            folder.put("a.dcm", &[&dicom(EXPLICIT, CT, &element(tag, b"SQ", &value), [1, 1], 1)[..], &pixels].concat());
        match bounded(what, || read_dicom(&path)) {
            Ok(image) => assert_eq!(image.image.pixels().len(), 1),
            Err(error) => println!("  {error}"),
        }
    }
    let small = element([8, 0x70], b"LO", b"").repeat(6_000_000);
    let path = folder.put("a.dcm", &[&dicom(EXPLICIT, CT, &small, [1, 1], 1)[..], &pixels].concat());
    refused("6 million elements in a DICOM header", "elements", || read_dicom(&path));
    let open =
        [&tag.map(u16::to_le_bytes).concat()[..], b"SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"].concat();
    let path = folder.put("a.dcm", &dicom(EXPLICIT, CT, &open.repeat(1_000_000), [1, 1], 1));
    refused("DICOM sequences nested a million deep", "nested more than 32 deep", || read_dicom(&path));
    // The data set of a deflated file.
    let syntax = "1.2.840.10008.1.2.1.99";
    let head = dicom(syntax, CT, &[], [1, 1], 1);
    let (meta, data_set) = head.split_at(128 + 4 + 8 + 26 + 8 + 22);
    let mut encoder = DeflateEncoder::new(meta.to_vec(), Compression::fast());
    encoder.write_all(data_set).unwrap();
    zeros(2 * GIB, &mut encoder);
    let path = folder.put("a.dcm", &encoder.finish().unwrap());
    refused("deflated DICOM that inflates to 2 GiB", "inflates to more than 256 MiB", || read_dicom(&path));
}

#[test]
#[ignore = "measures memory"]
fn the_largest_frames_of_dicom() {
    if !is_alone("memory::the_largest_frames_of_dicom") {
        return;
    }
    let folder = Folder::new();
    let side = SIDE as u16;
    let head = dicom(EXPLICIT, CT, &[], [side, side], 1);
    let path = folder.put("a.dcm", &[&head[..], &[0xe0, 0x7f, 0x10, 0, b'O', b'W', 0, 0, 0, 0, 0, 4]].concat());
    File::options().append(true).open(&path).unwrap().set_len(head.len() as u64 + 12 + (1 << 26)).unwrap();
    bounded("DICOM of 8192x8192 pixels", || read_dicom(&path)).unwrap();
    // One tile without content: every code block is left out.
    let size = u32::from(side).to_be_bytes();
    let code = [
        &b"\xff\x4f\xff\x51\x00\x29\x00\x00"[..],
        &size,
        &size,
        &[0; 8],
        &size,
        &size,
        &[0; 8],
        b"\x00\x01\x07\x01\x01",
        b"\xff\x52\x00\x0c\x00\x00\x00\x01\x00\x05\x04\x04\x00\x01",
        b"\xff\x5c\x00\x13\x40\x40\x48\x48\x50\x48\x48\x50\x48\x48\x50\x48\x48\x50\x48\x48\x50",
        b"\xff\x64\x07\xd2\x00\x01",
        &[b' '; 2000 - 2],
        b"\xff\x90\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x01\xff\x93\x00\x00\x00\x00\x00\x00\xff\xd9",
    ]
    .concat();
    let fragment = [&EMPTY_ITEM[..4], &(code.len() as u32).to_le_bytes(), &code].concat();
    let path = folder
        .put("a.dcm", &[&dicom(JPEG_2000, CT, &[], [side, side], 1)[..], &FRAGMENTS, &EMPTY_ITEM, &fragment].concat());
    match bounded("DICOM of 8192x8192 pixels in 2 KB of JPEG 2000", || read_dicom(&path)) {
        Ok(image) => assert_eq!(image.image.width(), SIDE as usize),
        Err(error) => println!("  {error}"),
    }
}

/// A directory of a little-endian TIFF with short or long values; `next` is the offset of the next directory.
fn directory(entries: &[(u16, u16, u32, u32)], next: u32) -> Vec<u8> {
    let mut bytes = (entries.len() as u16).to_le_bytes().to_vec();
    for (tag, kind, count, value) in entries {
        bytes.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        bytes.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    bytes.extend(next.to_le_bytes());
    bytes
}

#[test]
#[ignore = "measures memory"]
fn tiff_files_that_state_gigabytes() {
    if !is_alone("memory::tiff_files_that_state_gigabytes") {
        return;
    }
    let folder = Folder::new();
    let page = |width: u32, height: u32, more: &[(u16, u16, u32, u32)]| {
        let mut entries = vec![(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)];
        entries.extend(more);
        entries.sort_unstable();
        entries
    };
    let file = |content: &[u8]| [&b"II*\0\x08\0\0\0"[..], content].concat();
    let strip = [(273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 8192), (279, 4, 1, 64 << 20)];
    let path = folder.put("a.tif", &file(&directory(&page(8192, 8192, &strip), 0)));
    refused("TIFF with one strip of 64 MiB that is not there", "", || read_image(&path));
    let strips = [(273, 4, u32::MAX, 8), (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, u32::MAX, 8)];
    let path = folder.put("a.tif", &file(&directory(&page(8192, 8192, &strips), 0)));
    refused("TIFF with 4 billion strips", "", || read_image(&path));
    let tiles = [(277, 3, 1, 1), (322, 4, 1, 16), (323, 4, 1, 16 << 20), (324, 4, 1, 8), (325, 4, 1, 8)];
    let path = folder.put("a.tif", &file(&directory(&page(16, 16, &tiles), 0)));
    refused("TIFF with a tile of 16 million rows for a page of 16", "larger than the decoder takes", || {
        read_image(&path)
    });
    let text = [(270, 2, u32::MAX, 8), (273, 4, 1, 8), (278, 4, 1, 1), (279, 4, 1, 1)];
    let path = folder.put("a.tif", &file(&directory(&page(1, 1, &text), 0)));
    bounded("TIFF with a description of 4 GiB", || Slide::open(&path)).unwrap();

    // Endless pages, and pages that branch off.
    let one = directory(&page(1, 1, &strip), 0);
    let mut chain = Vec::new();
    for n in 1..=300_000_u32 {
        let next = 8 + n * one.len() as u32;
        chain.extend(&one[..one.len() - 4]);
        chain.extend(next.to_le_bytes());
    }
    let path = folder.put("a.tif", &file(&chain));
    refused("TIFF with 300 thousand pages", "more than 10000 pages", || Slide::open(&path));
    let n = 200_000;
    let first = page(1, 1, &[&strip[..], &[(330, 4, n, 8 + 10 * 12 + 6)]].concat());
    let content = [directory(&first, 0), 8_u32.to_le_bytes().repeat(n as usize)].concat();
    let path = folder.put("a.tif", &file(&content));
    refused("TIFF with 200 thousand branches", "more than 10000 pages", || Slide::open(&path));
}

#[test]
#[ignore = "measures memory"]
fn compressed_volumes_with_gigabytes_around_the_voxels() {
    if !is_alone("memory::compressed_volumes_with_gigabytes_around_the_voxels") {
        return;
    }
    let folder = Folder::new();
    let mut header = vec![0; 352];
    header[..4].copy_from_slice(&348_i32.to_le_bytes());
    for (axis, size) in [3_u16, 4, 4, 4].into_iter().enumerate() {
        header[40 + 2 * axis..42 + 2 * axis].copy_from_slice(&size.to_le_bytes());
    }
    header[70..72].copy_from_slice(&2_u16.to_le_bytes());
    header[72..74].copy_from_slice(&8_u16.to_le_bytes());
    header[108..112].copy_from_slice(&352_f32.to_le_bytes());
    header[344..348].copy_from_slice(b"n+1\0");
    let write = |header: &[u8], n_bytes: u64| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(header).unwrap();
        zeros(n_bytes, &mut encoder);
        folder.put("a.nii.gz", &encoder.finish().unwrap())
    };
    let path = write(&header, 64);
    bounded("NIfTI of 64 voxels", || read_volume(&path, 0.0)).unwrap();
    let path = write(&header, 4 * GIB);
    refused("NIfTI with 4 GiB behind its voxels, compressed", "more than 256 MiB behind its last voxel", || {
        read_volume(&path, 0.0)
    });
    // Slices after the requested ones do not count as bytes after the voxels: here 511 MiB.
    for axis in 1..4 {
        header[40 + 2 * axis..42 + 2 * axis].copy_from_slice(&[1024_u16, 1024, 512][axis - 1].to_le_bytes());
    }
    let path = write(&header, GIB / 2);
    let first = bounded("one slice of a NIfTI of 512 MiB, compressed", || {
        read_slab(&path, [512, 1024, 1024], 0..1, &GzipIndex::new(1 << 20), 0.0)
    });
    first.unwrap();
    let path = write(&header, GIB / 4);
    refused("NIfTI of 512 MiB that ends half way, compressed", "ends before its last voxel", || {
        read_slab(&path, [512, 1024, 1024], 0..1, &GzipIndex::new(1 << 20), 0.0)
    });
    header[40..48].copy_from_slice(&[3, 0, 4, 0, 4, 0, 4, 0]);
    header[108..112].copy_from_slice(&(4.0_f32 * GIB as f32).to_le_bytes());
    let path = write(&header, 4 * GIB + 64);
    refused("NIfTI with an extension of 4 GiB, compressed", "4096 MiB before its voxels", || read_volume(&path, 0.0));
}
