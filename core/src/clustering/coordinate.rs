//! Coordinates of points, and exact distances.

/// A coordinate of a point, in single or double precision.
pub trait Coordinate: Copy + Into<f64> + Send + Sync {}

impl Coordinate for f32 {}
impl Coordinate for f64 {}

/// Squared Euclidean distance, in double precision, as eight interleaved sums: the additions of a single sum would wait for each other.
pub(super) fn exact_distance<P: Coordinate>(point: &[P], centre: &[f64]) -> f64 {
    const LANES: usize = 8;
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            let mut sums = [0.0; LANES];
            let (points, centres) = (point.chunks_exact(LANES), centre.chunks_exact(LANES));
            let rest = points.remainder().iter().zip(centres.remainder());
            let rest: f64 = rest.map(|(value, other)| ((*value).into() - other).powi(2)).sum();
            for (values, others) in points.zip(centres) {
                for ((sum, value), other) in sums.iter_mut().zip(values).zip(others) {
                    let difference = (*value).into() - other;
                    *sum += difference * difference;
                }
            }
            sums.iter().sum::<f64>() + rest
        },
    )
}
