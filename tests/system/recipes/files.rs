//! Small files in the formats of public collections, written byte by byte.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

pub fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A grey PNG.
pub fn grey_png(path: &Path, [rows, columns]: [usize; 2], value: impl Fn(usize, usize) -> u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = fs::File::create(path).unwrap();
    let mut encoder = png::Encoder::new(file, columns as u32, rows as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let pixels: Vec<u8> = (0..rows * columns).map(|at| value(at / columns, at % columns)).collect();
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
}

/// A BMP of 24 bits: rows from the bottom, blue first, each row padded to four bytes.
pub fn bmp(path: &Path, [rows, columns]: [usize; 2], value: impl Fn(usize, usize) -> [u8; 3]) {
    let stride = (3 * columns).next_multiple_of(4);
    let mut bytes = b"BM".to_vec();
    for number in [(54 + stride * rows) as u32, 0, 54, 40, columns as u32, rows as u32, 1 | 24 << 16, 0] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend([0; 20]);
    for row in (0..rows).rev() {
        let begin = bytes.len();
        for column in 0..columns {
            let [red, green, blue] = value(row, column);
            bytes.extend([blue, green, red]);
        }
        bytes.resize(begin + stride, 0);
    }
    write(path, &bytes);
}

/// An RGB TIFF in one strip.
pub fn rgb_tiff(path: &Path, [rows, columns]: [usize; 2], value: impl Fn(usize, usize) -> [u8; 3]) {
    // (tag, type, count, value): 3 is short, 4 is long.
    let pixels = 8 + 2 + 10 * 12 + 4 + 6;
    let entries: [(u16, u16, u32, u32); 10] = [
        (256, 4, 1, columns as u32),
        (257, 4, 1, rows as u32),
        (258, 3, 3, (pixels - 6) as u32),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, pixels as u32),
        (277, 3, 1, 3),
        (278, 4, 1, rows as u32),
        (279, 4, 1, (rows * columns * 3) as u32),
        (284, 3, 1, 1),
    ];
    let mut bytes = b"II\x2a\0\x08\0\0\0".to_vec();
    bytes.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 4]);
    bytes.extend([8, 0, 8, 0, 8, 0]);
    assert_eq!(bytes.len(), pixels);
    bytes.extend((0..rows * columns).flat_map(|at| value(at / columns, at % columns)));
    write(path, &bytes);
}

/// A NIfTI-1 file of 16-bit numbers in the directions of the body, the first axis the fastest; gzipped where the name says so.
pub fn nifti(path: &Path, shape: [usize; 3], spacing: [f32; 3], value: impl Fn([usize; 3]) -> i16) {
    let mut bytes = vec![0u8; 352];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &348i32.to_le_bytes());
    put(40, &3i16.to_le_bytes());
    for (axis, side) in shape.iter().enumerate() {
        put(42 + 2 * axis, &(*side as i16).to_le_bytes());
        put(80 + 4 * axis, &spacing[axis].to_le_bytes());
        // A row of the affine: the axis and its step.
        put(280 + 16 * axis + 4 * axis, &spacing[axis].to_le_bytes());
    }
    put(70, &4i16.to_le_bytes());
    put(72, &16i16.to_le_bytes());
    put(76, &1f32.to_le_bytes());
    put(108, &352f32.to_le_bytes());
    put(112, &1f32.to_le_bytes());
    put(123, &[2]);
    put(254, &1i16.to_le_bytes());
    put(344, b"n+1\0");
    bytes.extend(voxels(shape, value).into_iter().flat_map(i16::to_le_bytes));
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&bytes).unwrap();
        bytes = encoder.finish().unwrap();
    }
    write(path, &bytes);
}

/// An NRRD file of bytes, gzipped within.
pub fn nrrd(path: &Path, shape: [usize; 3], spacing: f32, value: impl Fn([usize; 3]) -> i16) {
    let [x, y, z] = shape;
    let mut bytes = format!(
        "NRRD0004\ntype: unsigned char\ndimension: 3\nspace: left-posterior-superior\nsizes: {x} {y} {z}\n\
         space directions: ({spacing},0,0) (0,{spacing},0) (0,0,{spacing})\nkinds: domain domain domain\nencoding: gzip\n\
         space origin: (0,0,0)\n\n"
    )
    .into_bytes();
    let mut encoder = GzEncoder::new(&mut bytes, Compression::fast());
    let voxels: Vec<u8> = voxels(shape, value).into_iter().map(|value| value as u8).collect();
    encoder.write_all(&voxels).unwrap();
    encoder.finish().unwrap();
    write(path, &bytes);
}

fn voxels([x, y, z]: [usize; 3], value: impl Fn([usize; 3]) -> i16) -> Vec<i16> {
    (0..x * y * z).map(|at| value([at % x, at / x % y, at / (x * y)])).collect()
}
