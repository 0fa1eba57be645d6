//! What a synthetic section shows, and how it looks through the microscope.

use image::{Rgb, RgbImage};
use medcoss_sdk::SampleRng;
use medcoss_sdk::rand::RngExt;

use crate::stain::STAINS;

/// How densely nuclei lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cells {
    Sparse,
    Dense,
}

/// Amounts of stain by place, row by row, before glass and grain.
pub struct Section {
    width: u32,
    height: u32,
    haematoxylin: Vec<f32>,
    eosin: Vec<f32>,
}

impl Section {
    /// Ground substance with fibres, and nuclei at random places.
    pub fn draw(rng: &mut SampleRng, [width, height]: [u32; 2], cells: Cells) -> Self {
        let n_pixels = (width * height) as usize;
        let fibres: [Wave; 4] = std::array::from_fn(|_| Wave::draw(rng));
        let ground = rng.random_range(0.3..0.5);
        let at = |index: usize| ((index as u32 % width) as f32, (index as u32 / width) as f32);
        let eosin = (0..n_pixels)
            .map(|index| {
                let (x, y) = at(index);
                ground + 0.08 * fibres.iter().map(|wave| wave.at(x, y)).sum::<f32>()
            })
            .collect();
        let mut section = Self { width, height, haematoxylin: vec![0.06; n_pixels], eosin };
        let pixels_a_nucleus = match cells {
            Cells::Sparse => 500,
            Cells::Dense => 130,
        };
        for _ in 0..n_pixels / pixels_a_nucleus {
            section.add_nucleus(rng);
        }
        section
    }

    /// An ellipse with a darker rim.
    fn add_nucleus(&mut self, rng: &mut SampleRng) {
        let centre = [rng.random_range(0.0..self.width as f32), rng.random_range(0.0..self.height as f32)];
        let half_axes = [rng.random_range(3.0..5.5_f32), rng.random_range(2.2..4.0_f32)];
        let (sine, cosine) = rng.random_range(0.0..std::f32::consts::PI).sin_cos();
        let amount = rng.random_range(0.7..1.2);
        let reach = 7.0;
        let span =
            |centre: f32, length: u32| (centre - reach).max(0.0) as u32..((centre + reach) as u32 + 1).min(length);
        for row in span(centre[1], self.height) {
            for column in span(centre[0], self.width) {
                let (x, y) = (column as f32 - centre[0], row as f32 - centre[1]);
                let along = (x * cosine + y * sine) / half_axes[0];
                let across = (y * cosine - x * sine) / half_axes[1];
                let distance = along.hypot(across);
                let cover = 1.0 / (1.0 + ((distance - 1.0) * 12.0).exp());
                let stain = amount * cover * (0.75 + 0.25 * distance.min(1.0));
                let place = &mut self.haematoxylin[(row * self.width + column) as usize];
                *place = place.max(stain);
            }
        }
    }

    /// Leaves the tissue in an ellipse and clean glass around it.
    pub fn on_glass(mut self) -> Self {
        for row in 0..self.height {
            for column in 0..self.width {
                let x = column as f32 / self.width as f32 * 2.0 - 1.0;
                let y = row as f32 / self.height as f32 * 2.0 - 1.0;
                let edge = 0.75 + 0.06 * (5.0 * y.atan2(x)).sin();
                let cover = 1.0 / (1.0 + ((x.hypot(y) - edge) * 40.0).exp());
                let index = (row * self.width + column) as usize;
                self.haematoxylin[index] *= cover;
                self.eosin[index] *= cover;
            }
        }
        self
    }

    /// The light that comes through, with a little grain.
    pub fn paint(&self, rng: &mut SampleRng) -> RgbImage {
        RgbImage::from_fn(self.width, self.height, |column, row| {
            let index = (row * self.width + column) as usize;
            let grain = rng.random_range(-0.01..0.01);
            Rgb([0, 1, 2].map(|channel| {
                let density = self.haematoxylin[index] * STAINS[0][channel] + self.eosin[index] * STAINS[1][channel];
                ((0.96 * (-density).exp() + grain).clamp(0.0, 1.0) * 255.0).round() as u8
            }))
        })
    }
}

/// A plane wave.
struct Wave {
    direction: [f32; 2],
    phase: f32,
}

impl Wave {
    fn draw(rng: &mut SampleRng) -> Self {
        let (sine, cosine) = rng.random_range(0.0..std::f32::consts::TAU).sin_cos();
        let frequency = rng.random_range(0.05..0.35);
        Self { direction: [cosine * frequency, sine * frequency], phase: rng.random_range(0.0..std::f32::consts::TAU) }
    }

    fn at(&self, x: f32, y: f32) -> f32 {
        (x * self.direction[0] + y * self.direction[1] + self.phase).sin()
    }
}
