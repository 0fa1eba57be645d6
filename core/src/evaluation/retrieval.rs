//! Retrieval of training samples of the query's class, by cosine.

use super::labelled_features::{LabelledFeatures, product};
use crate::Result;

/// Retrieval result of one query: ranks of the training samples of its class in the order of their cosines.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retrieved {
    /// Rank of the first training sample of the query's class, from 1; none where the class has no training sample.
    pub first: Option<usize>,
    /// Average precision: the mean, over the training samples of the query's class, of the precision at each one's rank; 0 where the class has no
    /// training sample.
    pub average_precision: f64,
}

/// Retrieval results of the test samples: each queries the whole training split by cosine; of equal cosines the first sample has the lower rank.
///
/// # Errors
/// Empty splits, features of different widths.
pub fn retrieve(train: &LabelledFeatures, test: &LabelledFeatures) -> Result<Vec<Retrieved>> {
    LabelledFeatures::check_pair(train, test)?;
    let known = train.unit_rows();
    let answer = |(row, label): (Vec<f64>, &usize)| {
        let mut order: Vec<(f64, usize)> =
            known.iter().zip(&train.labels).map(|(known, label)| (product(known, &row), *label)).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut first, mut n_found, mut precisions) = (None, 0, 0.0);
        for (place, _) in (1..).zip(&order).filter(|(_, (_, found))| found == label) {
            first.get_or_insert(place);
            n_found += 1;
            precisions += n_found as f64 / place as f64;
        }
        Retrieved { first, average_precision: precisions / (n_found as f64).max(1.0) }
    };
    Ok(test.unit_rows().into_iter().zip(&test.labels).map(answer).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_precision_is_that_computed_by_hand() {
        // By the angle to the first axis: classes 1, 0, 1, 1, 0.
        let angles = [5.0f32, 15.0, 25.0, 35.0, 45.0].map(f32::to_radians);
        let values = angles.iter().flat_map(|angle| [3.0 * angle.cos(), 3.0 * angle.sin()]).collect();
        let train = LabelledFeatures { values, width: 2, labels: vec![1, 0, 1, 1, 0] };
        let test = LabelledFeatures { values: [1.0, 0.0].repeat(3), width: 2, labels: vec![0, 1, 2] };
        let found = retrieve(&train, &test).unwrap();
        let close = |found: Retrieved, first, precision: f64| {
            assert_eq!(found.first, first);
            assert!((found.average_precision - precision).abs() < 1e-12, "{found:?}");
        };
        close(found[0], Some(2), (1.0 / 2.0 + 2.0 / 5.0) / 2.0);
        close(found[1], Some(1), (1.0 + 2.0 / 3.0 + 3.0 / 4.0) / 3.0);
        close(found[2], None, 0.0);
    }
}
