//! Values of real files against those of other libraries: nibabel for volumes, tifffile with imagecodecs and Pillow for
//! images.
//!
//! The tables beside this file hold numbers only: size, minimum, maximum and mean, and the values at four positions of
//! the flattened array. The numbers were made as follows:
//!
//! - volumes: the first volume of `get_fdata` in 64 bit, turned to right, anterior, superior by `as_closest_canonical`
//!   (the default of files without an orientation), then to depth, rows and columns as in
//!   [`Volume`](medcoss_sdk::volume::Volume), as 32-bit numbers, with 0 for those that are not finite. Compared exactly.
//! - images: the stored samples of the first page, divided by their largest possible value. The script converted as the
//!   reader does: white as 0 is inverted, palettes are resolved, transparency is composited over white, lossless YCbCr
//!   becomes RGB as in JFIF. Compared to one part in a million.
//! - JPEG: decoders differ in rounding and in how they enlarge colour; [`LOSSY`] states the tolerance. Most single
//!   values differ by one or two of 255.

use medcoss_formats::image_file::read_image;
use medcoss_formats::nifti::read_volume;
use medcoss_test_support::data;

/// Fractions of the array at which single values are listed.
const PLACES: [(usize, usize); 4] = [(1, 7), (2, 5), (4, 7), (8, 9)];

/// A row of a table.
struct Row<'a> {
    file: &'a str,
    size: Vec<usize>,
    /// Minimum, maximum, mean, then the values at [`PLACES`].
    values: Vec<f64>,
    /// Columns after the values.
    rest: Vec<&'a str>,
}

fn rows(table: &str) -> impl Iterator<Item = Row<'_>> {
    table.lines().skip(1).map(|line| {
        let fields: Vec<&str> = line.split('\t').collect();
        let size = fields[1..4].iter().map(|n| n.parse().unwrap()).collect();
        let values = fields[4..11].iter().map(|value| value.parse().unwrap()).collect();
        Row { file: fields[0], size, values, rest: fields[11..].to_vec() }
    })
}

/// The values of a table row, computed from an array.
fn summary(array: &[f32]) -> Vec<f64> {
    let least = array.iter().copied().fold(f32::INFINITY, f32::min);
    let largest = array.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mean = array.iter().map(|&value| f64::from(value)).sum::<f64>() / array.len() as f64;
    let places = PLACES.iter().map(|&(part, of)| f64::from(array[array.len() * part / of]));
    [f64::from(least), f64::from(largest), mean].into_iter().chain(places).collect()
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn volumes_have_the_values_that_nibabel_gives() {
    let mut n = 0;
    for row in rows(include_str!("values/nifti.tsv")) {
        let volume = read_volume(&data(row.file), 0.0).unwrap_or_else(|error| panic!("{error}")).volume;
        assert_eq!(volume.size().to_vec(), row.size, "{}", row.file);
        let found = summary(volume.voxels());
        for (at, (&found, &expected)) in found.iter().zip(&row.values).enumerate() {
            // Exact, except for the mean, which is summed in another order.
            let tolerance = if at == 2 { 1e-9 * expected.abs().max(1.0) } else { 0.0 };
            assert!((found - expected).abs() <= tolerance, "{}, value {at}: {found} for {expected}", row.file);
        }
        n += 1;
    }
    println!("{n} volumes agree");
    assert!(n >= 30);
}

/// Tolerances for lossy images of another decoder: of a single value, and of the mean.
const LOSSY: [f64; 2] = [0.03, 0.002];

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn images_have_the_values_that_tifffile_and_pillow_give() {
    let mut n = [0; 2];
    let mut wrong = Vec::new();
    for row in rows(include_str!("values/images.tsv")) {
        let image = match read_image(&data(row.file)) {
            Ok(image) => image,
            Err(error) => {
                wrong.push(format!("{error}"));
                continue;
            }
        };
        let lossy = row.rest == ["jpeg"];
        if vec![image.height(), image.width(), image.channels()] != row.size {
            wrong.push(format!("{}: {}x{}x{}", row.file, image.height(), image.width(), image.channels()));
            continue;
        }
        let found = summary(image.pixels());
        for (at, (&found, &expected)) in found.iter().zip(&row.values).enumerate() {
            let tolerance = if lossy { LOSSY[usize::from(at == 2)] } else { 1e-6 };
            if (found - expected).abs() > tolerance {
                wrong.push(format!("{}, value {at}: {found} for {expected}", row.file));
            }
        }
        n[usize::from(lossy)] += 1;
    }
    println!("{} lossless and {} lossy images agree", n[0], n[1]);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(n[0] >= 130 && n[1] >= 10, "{n:?}");
}
