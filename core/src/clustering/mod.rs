//! k-means clustering of points: Lloyd's algorithm to its fixed point, and mini-batch k-means for very many points.
//!
//! Points are `[n, width]`, row-major, in single or double precision; centres are in double precision. The same points, options and machine
//! give the same clusters, whatever the number of threads.

mod clusters;
mod coordinate;
mod distances;
mod initialisation;
mod k_means;
mod lloyd;
mod mini_batch;
mod options;

pub use clusters::Clusters;
pub use coordinate::Coordinate;
pub use k_means::Initialisation;
pub use options::KMeansOptions;
