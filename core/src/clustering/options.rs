//! Options of a clustering.

use burn::tensor::Device;

use crate::Result;

/// Options of k-means: device, iteration limit and progress callback.
pub struct KMeansOptions<'a> {
    /// Device of the matrix products.
    pub device: &'a Device,
    /// Maximum number of iterations of Lloyd's algorithm. The algorithm usually converges long before [`KMeansOptions::MAX_ITERATIONS`].
    pub max_iterations: usize,
    /// Shift at which the algorithm ends before its fixed point: the sum of the centres' squared movements in an iteration, over the mean variance of
    /// the columns (scikit-learn's `tol`). 0 for the fixed point.
    pub tolerance: f64,
    /// Progress callback, called with the number of the iteration, from 1, and the number of points that changed their cluster in the iteration
    /// before. An error ends the clustering.
    pub progress: &'a mut dyn FnMut(usize, usize) -> Result<()>,
}

impl KMeansOptions<'_> {
    /// Default iteration limit, for inputs on which rounding keeps the algorithm from converging.
    pub const MAX_ITERATIONS: usize = 1000;
}
