//! Gaussian blobs, to measure k-means without features.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Points `[n, width]` in `n_places` Gaussian blobs that overlap. The same seed gives the same points.
pub fn gaussian_blobs(n: usize, width: usize, n_places: usize, seed: u64) -> Vec<f32> {
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    // The sum of four uniform draws approximates a normal distribution.
    let mut normal = move || (0..4).map(|_| draw.random::<f32>() - 0.5).sum::<f32>() * 1.732;
    let places: Vec<f32> = (0..n_places * width).map(|_| 0.5 * normal()).collect();
    (0..n)
        .flat_map(|point| (0..width).map(move |at| (point, at)))
        .map(|(point, at)| places[point % n_places * width + at] + normal())
        .collect()
}
