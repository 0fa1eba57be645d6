//! Affines and grids: every pixel of a sample is found again in its tile or slide. Red rises to the right and green downwards, so that the
//! colour of a pixel says where it lies.

use std::fs::File;
use std::path::Path;

use medcoss_pathology::Tissue;
use medcoss_sdk::serde_json::{Value, json};
use medcoss_sdk::{Dataset, Patches, Sample, View, patch, sample_rng};
use tiff::encoder::{Rational, TiffEncoder, colortype::RGB8};
use tiff::tags::ResolutionUnit;

use crate::plugin::open;

/// Rows and columns, and levels of 8 bits from a pixel to the next.
const SIZE: [usize; 2] = [600, 840];
const RISE: [f64; 2] = [0.4, 0.28];

/// Writes the image, `by` times smaller, as the next page.
fn add_page(encoder: &mut TiffEncoder<File>, by: usize, pixels_a_cm: u32) {
    let [rows, columns] = SIZE.map(|side| side / by);
    let level = |at: usize, axis: usize| (((at as f64 + 0.5) * by as f64 - 0.5) * RISE[axis]).round() as u8;
    let pixels: Vec<u8> =
        (0..rows * columns).flat_map(|at| [level(at % columns, 1), level(at / columns, 0), 90]).collect();
    let mut page = encoder.new_image::<RGB8>(columns as u32, rows as u32).unwrap();
    page.resolution(ResolutionUnit::Centimeter, Rational { n: pixels_a_cm / by as u32, d: 1 });
    page.rows_per_strip(8).unwrap();
    page.write_data(&pixels).unwrap();
}

fn write(path: &Path, levels: &[usize]) {
    let mut encoder = TiffEncoder::new(File::create(path).unwrap()).unwrap();
    // A micrometre from a pixel of the full level to the next.
    levels.iter().for_each(|&by| add_page(&mut encoder, by, 10_000));
}

fn load(dataset: &Tissue, index: usize, view: View, seed: u64) -> (Vec<f32>, [f32; 6]) {
    let (mut tokens, mut mask, mut affine) = (vec![0.0; 64 * 64 * 3], vec![0; 16], [0.0; 6]);
    let patches = Patches { tokens: &mut tokens, mask: &mut mask, affine: &mut affine, ..Patches::default() };
    dataset.load(index, view, &mut sample_rng(seed), Sample::Continuous(patches)).unwrap();
    let mut pixels = vec![0.0; tokens.len()];
    patch::unpatchify_2d(&tokens, [64, 64, 3], 16, &mut pixels);
    (pixels, affine)
}

/// The largest distance, in pixels of the file, between the place that the affine gives and the place that the colour says.
fn off((pixels, affine): &(Vec<f32>, [f32; 6])) -> f64 {
    let mut most = 0.0_f64;
    // Kernels of the outermost pixels are cut off.
    for (row, column) in (3..61).flat_map(|row| (3..61).map(move |column| (row, column))) {
        let token = [row, column].map(|at| (f64::from(at) + 0.5) / 16.0);
        let pixel = &pixels[(64 * row as usize + column as usize) * 3..][..3];
        for axis in [0, 1] {
            let place: f64 = (0..2).map(|from| f64::from(affine[3 * axis + from]) * token[from]).sum();
            let said = f64::from(pixel[1 - axis]) * 255.0 / RISE[axis];
            most = most.max((place + f64::from(affine[3 * axis + 2]) - 0.5 - said).abs());
        }
    }
    most
}

fn check(dataset: &Tissue, most: f64, what: &str) {
    assert_eq!(dataset.grid(0).unwrap().shape, SIZE, "{what}");
    let mut flips = [0, 0];
    for index in 0..dataset.len() {
        let evaluation = off(&load(dataset, index, View::Evaluation, 0));
        assert!(evaluation < most, "{what}, sample {index}: off by {evaluation}");
        for seed in 0..6 {
            let training = load(dataset, index, View::Training, seed);
            assert!(off(&training) < most, "{what}, sample {index}, seed {seed}: off by {}", off(&training));
            flips[0] += usize::from(training.1[0] < 0.0);
            flips[1] += usize::from(training.1[4] < 0.0);
        }
    }
    assert!(flips.iter().all(|&n| n > 0), "{flips:?} flips");
}

fn options(more: Value) -> Value {
    let mut options = json!({ "size": 64, "crop_scale": [0.5, 1.0], "min_tissue_ratio": 0.0 });
    more.as_object().unwrap().iter().for_each(|(name, value)| options[name] = value.clone());
    options
}

#[test]
fn pixels_of_samples_are_found_in_slides() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("a.btf"), &[1, 4]);
    // Half a pixel of a sample is 1.6 pixels of the slide and more; a level of 8 bits is 2.5 and 3.6.
    let full = open(folder.path(), &["."], options(json!({ "tile_size": 200 }))).unwrap();
    assert_eq!((full.len(), full.record(5).id.as_str()), (12, "a.btf#x=0200,y=0200"));
    check(&full, 2.4, "full level");
    let coarse = open(folder.path(), &["."], options(json!({ "tile_size": 64, "mpp": 4.3 }))).unwrap();
    assert_eq!(coarse.len(), 6);
    check(&coarse, 3.5, "a level of a quarter");
    let spacing = coarse.grid(0).unwrap().spacing_mm.unwrap();
    assert!(spacing.iter().all(|mm| (mm - 0.001).abs() < 1e-9), "{spacing:?}");
}

#[test]
fn pixels_of_samples_are_found_in_tiles() {
    for aspect_ratio in ["kept", "squeezed"] {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("a.tif"), &[1]);
        let dataset = open(folder.path(), &["."], options(json!({ "aspect_ratio": aspect_ratio }))).unwrap();
        check(&dataset, 4.0, aspect_ratio);
    }
}
