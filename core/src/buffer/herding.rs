//! Herding: a buffer whose mean feature is near the mean of all samples (Welling, "Herding dynamical weights to learn", ICML 2009; iCaRL, Rebuffi et
//! al., CVPR 2017).

use super::policy::{counts, mean_of, without_clusters};
use super::{Selected, SelectionPolicy};
use crate::Result;
use crate::clustering::KMeansOptions;

/// Herding: selects one sample after another, each time the sample that brings the mean of the selected samples nearest to the mean of all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HerdingPolicy {
    /// Fraction of the samples that is kept; at least one sample.
    pub ratio: f64,
}

impl SelectionPolicy for HerdingPolicy {
    fn select(&self, features: &[f32], width: usize, _seed: u64, _: &mut KMeansOptions<'_>) -> Result<Vec<Selected>> {
        let (n, n_kept) = counts(features, width, self.ratio)?;
        let mean = mean_of(features, width);
        let row = |index: usize| &features[index * width..][..width];
        let (mut taken, mut rows, mut sum) = (vec![false; n], Vec::new(), vec![0.0; width]);
        while rows.len() < n_kept {
            let n_then = (rows.len() + 1) as f64;
            // The point at which the next sample would make the mean exact.
            let wanted: Vec<f64> = mean.iter().zip(&sum).map(|(mean, sum)| mean * n_then - sum).collect();
            let distance = |index: usize| super::policy::squared_distance(row(index), &wanted);
            let free = (0..n).filter(|index| !taken[*index]).map(|index| (distance(index), index));
            let Some((_, best)) = free.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))) else { break };
            taken[best] = true;
            rows.push(best);
            sum.iter_mut().zip(row(best)).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        Ok(without_clusters(rows, features, width))
    }
}

#[cfg(test)]
mod tests {
    use super::super::policy::no_options;
    use super::*;

    #[test]
    fn the_mean_of_the_kept_samples_approaches_the_mean_of_all() {
        // The mean is 2. First 2.5 is taken, the nearest; then 1, since (2.5 + 1) / 2 = 1.75 is nearer to 2 than (2.5 + 0) / 2, or than
        // (2.5 + 4.5) / 2.
        let selected = HerdingPolicy { ratio: 0.5 }.select(&[0.0, 1.0, 2.5, 4.5], 1, 0, &mut no_options()).unwrap();
        assert_eq!(selected.iter().map(|selected| selected.index).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(selected[1].distance, 0.5);
        let all = HerdingPolicy { ratio: 1.0 }.select(&[0.0, 1.0, 2.5, 4.5], 1, 0, &mut no_options()).unwrap();
        assert_eq!(all.len(), 4);
    }
}
