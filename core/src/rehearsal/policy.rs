//! What a buffer policy is: from the features of a stage's samples to the ones that are kept. A new policy joins as a
//! file beside [`super::KMeansPolicy`].

use crate::Result;

/// Chooses the samples of a buffer.
pub trait BufferPolicy {
    /// Chooses from `features` `[n, width]`, row-major, without chance other than `seed`.
    ///
    /// # Errors
    /// Features from which nothing can be chosen.
    fn select(&self, features: &[f32], width: usize, seed: u64) -> Result<Vec<Selected>>;
}

/// A chosen sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Selected {
    /// Its row.
    pub index: usize,
    /// Cluster it belongs to.
    pub cluster: usize,
    /// Euclidean distance to the centre of that cluster.
    pub distance: f64,
    /// True when it is not among its centre's nearest but fills the buffer up.
    pub filled_up: bool,
}
