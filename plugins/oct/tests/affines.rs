//! Affines and grids: every pixel of a sample is found again in its volume. Pixels rise linearly along each axis, so that resampling keeps
//! the value of every place.

use std::path::PathBuf;

use image::{ImageBuffer, Luma};
use medcoss_oct::{Oct, Options, Volumes};
use medcoss_sdk::{Dataset, Modality, OpenRequest, Patches, Sample, View, patch, sample_rng};

/// Slices, rows and columns, and what values rise by from one to the next.
const SIZE: [usize; 3] = [11, 90, 130];
const RISE: [f64; 3] = [2000.0, 160.0, 120.0];
const SAMPLE: [usize; 3] = [6, 48, 64];

fn load(dataset: &Volumes, index: usize, view: View, seed: u64) -> (Vec<f32>, [f32; 12]) {
    let n_values = SAMPLE.iter().product();
    let (mut tokens, mut mask, mut affine) = (vec![0.0; n_values], vec![0; n_values / 768], [0.0; 12]);
    let patches = Patches { tokens: &mut tokens, mask: &mut mask, affine: &mut affine, ..Patches::default() };
    dataset.load(index, view, &mut sample_rng(seed), Sample::Continuous(patches)).unwrap();
    let mut pixels = vec![0.0; n_values];
    patch::unpatchify_3d(&tokens, [SAMPLE[0], SAMPLE[1], SAMPLE[2], 1], [3, 16, 16], &mut pixels);
    (pixels, affine)
}

#[test]
fn pixels_of_samples_are_found_in_volumes() {
    let folder = tempfile::tempdir().unwrap();
    for slice in 0..SIZE[0] {
        let image = ImageBuffer::<Luma<u16>, _>::from_fn(SIZE[2] as u32, SIZE[1] as u32, |column, row| {
            let index = [slice as f64, row.into(), column.into()];
            Luma([index.iter().zip(RISE).map(|(at, rise)| at * rise).sum::<f64>() as u16])
        });
        image.save(folder.path().join(format!("b_{slice:02}.png"))).unwrap();
    }
    let options = Options { size: SAMPLE, brightness: 0.0, stride: 4, ..Options::default() };
    let request = OpenRequest { base: folder.path().to_owned(), data: vec![PathBuf::from(".")], options, assets: None };
    let dataset = Oct::open(request).unwrap();
    assert_eq!(dataset.len(), 3);
    assert_eq!(dataset.grid(0).unwrap().shape, SIZE);
    let mut n_flipped = 0;
    for (index, view, seed) in (0..3)
        .flat_map(|index| (0..6).map(move |seed| (index, View::Training, seed)))
        .chain((0..3).map(|index| (index, View::Evaluation, 0)))
    {
        let (pixels, affine) = load(&dataset, index, view, seed);
        n_flipped += usize::from(affine[10] < 0.0);
        for (number, &found) in pixels.iter().enumerate() {
            let at = [number / (SAMPLE[1] * SAMPLE[2]), number / SAMPLE[2] % SAMPLE[1], number % SAMPLE[2]];
            // Kernels of the outermost pixels are cut off.
            if !(4..SAMPLE[1] - 4).contains(&at[1]) || !(4..SAMPLE[2] - 4).contains(&at[2]) {
                continue;
            }
            let token = [0, 1, 2].map(|axis| (at[axis] as f64 + 0.5) / [3.0, 16.0, 16.0][axis]);
            let expected: f64 = [0, 1, 2]
                .map(|axis| {
                    let row = &affine[4 * axis..][..4];
                    let place: f64 = (0..3).map(|from| f64::from(row[from]) * token[from]).sum();
                    (place + f64::from(row[3]) - 0.5) * RISE[axis]
                })
                .iter()
                .sum();
            let off = (f64::from(found) * 65535.0 - expected).abs();
            assert!(off < 30.0, "sample {index}, seed {seed}, pixel {at:?}: off by {off}; half a pixel is 60");
        }
    }
    assert!((1..18).contains(&n_flipped), "{n_flipped} of 18 training views are flipped");
}
