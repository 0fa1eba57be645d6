//! Options of a clustering.

use burn::tensor::Device;

use crate::Result;

/// How long k-means runs, where, and who follows it.
pub struct KMeansOptions<'a> {
    /// Device of the matrix products.
    pub device: &'a Device,
    /// Most iterations of Lloyd's algorithm. It usually converges long before [`KMeansOptions::MAX_ITERATIONS`].
    pub max_iterations: usize,
    /// Called with the number of the iteration, from 1, and the number of points that changed their cluster in the one before. An error ends
    /// the clustering.
    pub progress: &'a mut dyn FnMut(usize, usize) -> Result<()>,
}

impl KMeansOptions<'_> {
    /// A bound for inputs on which rounding keeps the algorithm from converging.
    pub const MAX_ITERATIONS: usize = 1000;
}
