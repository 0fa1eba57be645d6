//! Greedy k-centre: a buffer that leaves no sample far from a kept one (Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985;
//! as a core-set, Sener and Savarese, ICLR 2018).

use super::policy::{counts, mean_of, squared_distance, without_clusters};
use super::{Selected, SelectionPolicy};
use crate::Result;
use crate::clustering::KMeansOptions;

/// Greedy k-centre: starts with the sample nearest to the mean, then selects the sample that is furthest from all selected ones. The largest
/// remaining distance is at most twice the smallest possible.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KCentrePolicy {
    /// Fraction of the samples that is kept; at least one sample.
    pub ratio: f64,
}

impl SelectionPolicy for KCentrePolicy {
    fn select(&self, features: &[f32], width: usize, _seed: u64, _: &mut KMeansOptions<'_>) -> Result<Vec<Selected>> {
        let (n, n_kept) = counts(features, width, self.ratio)?;
        let row = |index: usize| &features[index * width..][..width];
        let mean = mean_of(features, width);
        let from_mean = (0..n).map(|index| (squared_distance(row(index), &mean), index));
        let mut next = from_mean.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))).map(|(_, index)| index);
        let (mut rows, mut distances) = (Vec::new(), vec![f64::INFINITY; n]);
        while let Some(index) = next.filter(|_| rows.len() < n_kept) {
            rows.push(index);
            let taken: Vec<f64> = row(index).iter().map(|value| f64::from(*value)).collect();
            for (other, distance) in distances.iter_mut().enumerate() {
                *distance = distance.min(squared_distance(row(other), &taken));
            }
            // A selected sample is excluded, even where all remaining samples are its duplicates.
            distances[index] = f64::NEG_INFINITY;
            let free = distances.iter().enumerate().filter(|(_, distance)| distance.is_finite());
            next = free.max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0))).map(|(other, _)| other);
        }
        Ok(without_clusters(rows, features, width))
    }
}

#[cfg(test)]
mod tests {
    use super::super::policy::no_options;
    use super::*;

    #[test]
    fn the_furthest_sample_is_taken_and_identical_samples_fill_the_buffer() {
        // The mean is 4.6; 4 is nearest to it. Furthest from 4 is 10, then 0.
        let features = [0.0, 1.0, 4.0, 8.0, 10.0];
        let rows = |ratio: f64, features: &[f32]| -> Vec<usize> {
            let selected = KCentrePolicy { ratio }.select(features, 1, 0, &mut no_options()).unwrap();
            selected.iter().map(|selected| selected.index).collect()
        };
        assert_eq!(rows(0.4, &features), [2, 4]);
        assert_eq!(rows(0.6, &features), [0, 2, 4]);
        assert_eq!(rows(1.0, &[3.0; 4]), [0, 1, 2, 3]);
    }
}
