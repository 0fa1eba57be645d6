//! Affines and grids: every pixel of a sample is found again in its file as viewers show it.
//!
//! Radiographs rise linearly along both axes, so that resampling keeps the value of every place, and a value betrays an error of half a
//! pixel.

use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageBuffer, ImageEncoder, Luma};
use medcoss_formats::aspect_ratio::AspectRatio;
use medcoss_formats::dicom::write::{DicomFile, Modality as DicomModality, Place};
use medcoss_sdk::{Dataset, Modality, OpenRequest, Patches, Sample, View, patch, sample_rng};
use medcoss_xray::{Options, Radiographs, Xray};

/// Rows and columns of the radiographs, and what their values rise by from a pixel to the next.
const SIZE: [usize; 2] = [120, 170];
const RISE: [f64; 2] = [300.0, 150.0];

fn value([row, column]: [f64; 2]) -> f64 {
    (1000.0 + RISE[0] * row + RISE[1] * column) / 65535.0
}

fn stored() -> Vec<u16> {
    let [rows, columns] = SIZE;
    let of = |at: usize| (value([(at / columns) as f64, (at % columns) as f64]) * 65535.0).round() as u16;
    (0..rows * columns).map(of).collect()
}

fn open(folder: &Path, options: Options) -> Radiographs {
    let options = Options { size: 64, bit_depth: Some(16), crop_scale: [0.3, 1.0], ..options };
    Xray::open(OpenRequest { base: folder.to_owned(), data: vec![PathBuf::from(".")], options, assets: None }).unwrap()
}

/// Red of each pixel of a sample, and its affine.
fn load(dataset: &Radiographs, view: View, seed: u64) -> (Vec<f32>, [f32; 6]) {
    let (mut tokens, mut mask, mut affine) = (vec![0.0; 64 * 64 * 3], vec![0; 16], [0.0; 6]);
    let patches = Patches { tokens: &mut tokens, mask: &mut mask, affine: &mut affine, ..Patches::default() };
    dataset.load(0, view, &mut sample_rng(seed), Sample::Continuous(patches)).unwrap();
    let mut pixels = vec![0.0; tokens.len()];
    patch::unpatchify_2d(&tokens, [64, 64, 3], 16, &mut pixels);
    (pixels.chunks_exact(3).map(|pixel| pixel[0]).collect(), affine)
}

/// Compares pixels whose kernel lies within the file with the values there.
fn compare(size: [usize; 2], value: impl Fn([f64; 2]) -> f64, (pixels, affine): &(Vec<f32>, [f32; 6]), what: &str) {
    let (mut n_compared, mut sum) = (0u32, 0.0);
    for (number, &found) in pixels.iter().enumerate() {
        let token = [number / 64, number % 64].map(|at| (at as f64 + 0.5) / 16.0);
        let index = [0, 1].map(|axis| {
            let row = affine[3 * axis..][..3].iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
            row[0] * token[0] + row[1] * token[1] + row[2] - 0.5
        });
        let steps = 8.0 * (affine[0].abs() + affine[1].abs()).max(affine[3].abs() + affine[4].abs()) / 16.0;
        let margin = f64::from(steps) + 2.0;
        if index.iter().zip(size).any(|(&at, n)| at < margin || at > n as f64 - 1.0 - margin) {
            continue;
        }
        let off = (f64::from(found) - value(index)) * 65535.0;
        // Squeezed images go through 8 bits, whose steps are 257; half a pixel would show in the mean.
        let most = if what == "Squeezed" { 200.0 } else { 40.0 };
        assert!(off.abs() < most, "{what}: pixel {number} at {index:?} is off by {off}");
        sum += off;
        n_compared += 1;
    }
    let mean = sum / f64::from(n_compared.max(1));
    assert!(mean.abs() < 15.0, "{what}: off by {mean} in the mean, and half a pixel is 75");
    assert!(n_compared > 1000, "{what}: {n_compared} pixels");
}

fn check(size: [usize; 2], value: impl Fn([f64; 2]) -> f64, dataset: &Radiographs, what: &str) {
    assert_eq!(dataset.grid(0).unwrap().shape, size, "{what}");
    compare(size, &value, &load(dataset, View::Evaluation, 0), what);
    let (mut n_flipped, mut n_upright) = (0, 0);
    for seed in 0..8 {
        let training = load(dataset, View::Training, seed);
        *(if training.1[4] < 0.0 { &mut n_flipped } else { &mut n_upright }) += 1;
        compare(size, &value, &training, what);
    }
    assert!(n_flipped > 0 && n_upright > 0, "{n_flipped} flipped and {n_upright} upright");
}

#[test]
fn pixels_of_samples_are_found_in_image_files() {
    let [rows, columns] = SIZE;
    let image = ImageBuffer::<Luma<u16>, _>::from_raw(columns as u32, rows as u32, stored()).unwrap();
    for aspect_ratio in [AspectRatio::Kept, AspectRatio::Squeezed] {
        let folder = tempfile::tempdir().unwrap();
        image.save(folder.path().join("a.png")).unwrap();
        let dataset = open(folder.path(), Options { aspect_ratio, ..Options::default() });
        check(SIZE, value, &dataset, &format!("{aspect_ratio:?}"));
    }
}

#[test]
fn a_turned_image_has_the_axes_of_what_viewers_show() {
    // A quarter turn clockwise (orientation 6) for display: what is shown first, from the left, is the last row that is stored.
    let exif = [b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0".as_slice(), &[0; 4]].concat();
    let folder = tempfile::tempdir().unwrap();
    let [rows, columns] = SIZE;
    let image = ImageBuffer::<Luma<u16>, _>::from_raw(columns as u32, rows as u32, stored()).unwrap();
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
    encoder.set_exif_metadata(exif).unwrap();
    DynamicImage::ImageLuma16(image).write_with_encoder(encoder).unwrap();
    std::fs::write(folder.path().join("a.png"), bytes).unwrap();
    let shown = |[row, column]: [f64; 2]| value([rows as f64 - 1.0 - column, row]);
    check([columns, rows], shown, &open(folder.path(), Options::default()), "turned");
}

#[test]
fn a_radiograph_in_dicom_states_the_distance_of_its_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let pixels: Vec<i32> = stored().into_iter().map(i32::from).collect();
    let place = Place {
        position: [0.0; 3],
        directions: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
        spacing_mm: [0.2, 0.15],
        thickness_mm: 1.0,
    };
    let file = DicomFile {
        modality: DicomModality::Radiography,
        series: "1.2",
        number: 1,
        size: SIZE,
        stored: &pixels,
        bits_stored: 16,
        signed: false,
        inverted: false,
        rescale: None,
        window: Some([32768.0, 65536.0]),
        place: Some(place),
    };
    file.write(&folder.path().join("a.dcm")).unwrap();
    let dataset = open(folder.path(), Options::default());
    check(SIZE, value, &dataset, "DICOM");
    assert_eq!(dataset.grid(0).unwrap().spacing_mm, Some(vec![0.2, 0.15]));
}
