//! Random changes to the stains: colour deconvolution, a random scale and shift a stain, and back.
//!
//! After Tellez et al., "Whole-Slide Mitosis Detection in H&E Breast Histology Using PHH3 as a Reference to Train
//! Distilled Stain-Invariant Convolutional Networks", IEEE TMI 2018, with the stain vectors of Ruifrok and Johnston,
//! "Quantification of histochemical staining by color deconvolution", 2001. Densities are natural logarithms.

use medcoss_sdk::SampleRng;
use medcoss_sdk::image::Image;
use medcoss_sdk::rand::RngExt;

/// Absorption of haematoxylin, eosin and DAB in red, green and blue; a row a stain.
pub const STAINS: [[f32; 3]; 3] = [[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]];

/// Darkest value that is distinguished from black.
const DARKEST: f32 = 1e-3;

type Matrix = [[f32; 3]; 3];

/// Scales the amount of each stain by up to `strength` up or down, and shifts it by up to `strength`. RGB in `[0, 1]`
/// in and out; a grey image is left as it is.
pub fn jitter(rng: &mut SampleRng, strength: f32, image: &mut Image) {
    let scale = [0; 3].map(|_| rng.random_range(1.0 - strength..=1.0 + strength));
    let shift = [0; 3].map(|_| rng.random_range(-strength..=strength));
    if image.channels() == 3 {
        change(scale, shift, image);
    }
}

/// Each pixel's densities times `inverse(stains) * scale * stains`, plus `shift * stains`.
fn change(scale: [f32; 3], shift: [f32; 3], image: &mut Image) {
    let stains = STAINS.map(unit);
    let mut scaled = stains;
    for (row, factor) in scaled.iter_mut().zip(scale) {
        *row = row.map(|value| value * factor);
    }
    let unmixing = inverse(stains);
    let mixing = unmixing.map(|row| times(row, scaled));
    let offset = times(shift, stains);
    let (pixels, _) = image.pixels_mut().as_chunks_mut::<3>();
    for pixel in pixels {
        let density = pixel.map(|value| -value.max(DARKEST).ln());
        let changed = times(density, mixing);
        for channel in 0..3 {
            pixel[channel] = (-(changed[channel] + offset[channel])).exp().min(1.0);
        }
    }
}

fn unit(row: [f32; 3]) -> [f32; 3] {
    let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
    row.map(|value| value / length)
}

/// A row vector times a matrix.
fn times(row: [f32; 3], matrix: Matrix) -> [f32; 3] {
    let mut product = [0.0; 3];
    for (factor, values) in row.into_iter().zip(matrix) {
        for (sum, value) in product.iter_mut().zip(values) {
            *sum += factor * value;
        }
    }
    product
}

/// By cofactors; the stain vectors are independent, so the determinant is not zero.
fn inverse(m: Matrix) -> Matrix {
    let cofactor = |row: usize, column: usize| {
        let (a, b) = ((row + 1) % 3, (row + 2) % 3);
        let (c, d) = ((column + 1) % 3, (column + 2) % 3);
        m[a][c] * m[b][d] - m[a][d] * m[b][c]
    };
    let determinant: f32 = (0..3).map(|column| m[0][column] * cofactor(0, column)).sum();
    let mut inverse = [[0.0; 3]; 3];
    for (row, values) in inverse.iter_mut().enumerate() {
        for (column, value) in values.iter_mut().enumerate() {
            *value = cofactor(column, row) / determinant;
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;
    use medcoss_sdk::sample_rng;

    fn test_image() -> Image {
        let pixels = (0..5 * 7 * 3).map(|value| 0.05 + 0.9 * (value * 37 % 101) as f32 / 100.0).collect();
        Image::new([5, 7, 3], pixels).unwrap()
    }

    #[test]
    fn a_matrix_times_its_inverse_is_the_identity() {
        let stains = STAINS.map(unit);
        for (row, values) in inverse(stains).map(|row| times(row, stains)).iter().enumerate() {
            for (column, value) in values.iter().enumerate() {
                let expected = if row == column { 1.0 } else { 0.0 };
                assert!((value - expected).abs() < 1e-5, "[{row}][{column}] is {value}");
            }
        }
    }

    #[test]
    fn nothing_changes_without_scale_and_shift() {
        let mut image = test_image();
        change([1.0; 3], [0.0; 3], &mut image);
        for (after, before) in image.pixels().iter().zip(test_image().pixels()) {
            assert!((after - before).abs() < 1e-4, "{before} became {after}");
        }
    }

    #[test]
    fn twice_the_haematoxylin_is_twice_its_density() {
        let [r, g, b] = unit(STAINS[0]).map(|absorbed| (-0.4 * absorbed).exp());
        let mut image = Image::new([1, 1, 3], vec![r, g, b]).unwrap();
        change([2.0, 1.0, 1.0], [0.0; 3], &mut image);
        for (after, before) in image.pixels().iter().zip([r, g, b]) {
            assert!((after - before * before).abs() < 1e-5, "{before} became {after}");
        }
    }

    #[test]
    fn a_light_jitter_changes_colours_a_little() {
        let mut image = test_image();
        jitter(&mut sample_rng(4), 0.05, &mut image);
        let most = image.pixels().iter().zip(test_image().pixels()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!((0.005..0.3).contains(&most), "the largest change is {most}");
        assert!(image.pixels().iter().all(|value| (0.0..=1.0).contains(value)));
    }
}
