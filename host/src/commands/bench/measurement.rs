//! What the measurements share: repetitions to warm up, the median, and the note on a build without optimisations.

/// Repetitions before anything is measured: files come into the system's cache, memory to the allocator.
pub(super) const N_WARM_UP: usize = 3;

/// Of an odd number of values the one in the middle, of an even number the upper one of the two. There is at least one.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Whether the compiler's optimisations are off, as a part of a sentence.
pub(super) fn built() -> &'static str {
    if cfg!(debug_assertions) { "; this build is not fully optimised" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_value_in_the_middle() {
        assert_eq!(median(vec![7.0, 1.0, 90.0, 2.0, 3.0]), 3.0);
    }
}
