//! The result of k-means.

use super::distances::Assignment;

/// A clustering by k-means.
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    /// Cluster centres `[n_centres, width]`.
    pub centres: Vec<f64>,
    /// Cluster of each point: index of its nearest centre.
    pub labels: Vec<usize>,
    /// Euclidean distance of each point to the centre of its cluster.
    pub distances: Vec<f64>,
    /// Number of clusters.
    pub n_centres: usize,
}

impl Clusters {
    pub(super) fn new(assignments: Vec<Assignment>, centres: Vec<f64>, n_centres: usize) -> Self {
        Self {
            labels: assignments.iter().map(|assignment| assignment.centre).collect(),
            distances: assignments.iter().map(|assignment| assignment.distance.sqrt()).collect(),
            centres,
            n_centres,
        }
    }

    /// Sum of the squared distances of all points to their centres.
    pub fn inertia(&self) -> f64 {
        self.distances.iter().map(|distance| distance * distance).sum()
    }
}
