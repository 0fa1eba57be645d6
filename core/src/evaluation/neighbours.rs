//! Nearest neighbours of a sample, by the cosine between features.

/// The `n` nearest rows to row `query` of `features` `[rows, width]`, without `query` itself: row and cosine, the nearest first, of equal cosines the
/// first row. A row of zeros has the cosine 0 with every other.
pub fn nearest_by_cosine(features: &[f32], width: usize, query: usize, n: usize) -> Vec<(usize, f64)> {
    let rows: Vec<&[f32]> = features.chunks_exact(width.max(1)).collect();
    let Some(own) = rows.get(query) else { return Vec::new() };
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let length = |row: &[f32]| product(row, row).sqrt();
    let mut found: Vec<(usize, f64)> = (0..rows.len())
        .filter(|&row| row != query)
        .map(|row| (row, product(own, rows[row]) / (length(own) * length(rows[row])).max(1e-30)))
        .collect();
    found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    found.truncate(n);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direction_counts_and_length_does_not() {
        let features = [1.0, 0.0, 0.0, 2.0, 9.0, 1.0, -3.0, 0.0, 0.0, 0.0];
        let found = nearest_by_cosine(&features, 2, 0, 3);
        assert_eq!(found.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [2, 1, 4]);
        assert!((found[0].1 - 9.0 / 82f64.sqrt()).abs() < 1e-12);
        assert_eq!(nearest_by_cosine(&features, 2, 0, 9).last(), Some(&(3, -1.0)));
        assert!(nearest_by_cosine(&[], 2, 0, 3).is_empty());
    }
}
