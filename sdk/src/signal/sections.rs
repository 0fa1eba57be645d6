//! Sections of second order, run forward and backward: what all filters without delay share.

/// `(b[0] + b[1] z^-1 + b[2] z^-2) / (1 + a[0] z^-1 + a[1] z^-2)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Section {
    pub b: [f64; 3],
    pub a: [f64; 2],
}

impl Section {
    /// One run in direct form II, transposed, as if the first value had been there for ever.
    fn run(&self, values: &mut [f64]) {
        let ([b0, b1, b2], [a1, a2]) = (self.b, self.a);
        let first = values.first().copied().unwrap_or_default();
        let steady = (b0 + b1 + b2) / (1.0 + a1 + a2);
        let mut state = [(steady - b0) * first, (b2 - a2 * steady) * first];
        for value in values {
            let filtered = b0 * *value + state[0];
            state = [b1 * *value - a1 * filtered + state[1], b2 * *value - a2 * filtered];
            *value = filtered;
        }
    }
}

/// Runs all sections forward and then backward. Before and behind the signal there are `n_padding` values, fewer than it has itself: it is
/// turned around its first and its last value, so that neither value nor slope jumps.
pub(super) fn forward_and_backward(sections: &[Section], values: &[f64], n_padding: usize) -> Vec<f64> {
    let (n, n_padding) = (values.len(), n_padding.min(values.len().saturating_sub(1)));
    let (Some(&first), Some(&last)) = (values.first(), values.last()) else { return Vec::new() };
    let before = values[1..=n_padding].iter().rev().map(|value| 2.0 * first - value);
    let behind = values[n - 1 - n_padding..n - 1].iter().rev().map(|value| 2.0 * last - value);
    let mut padded: Vec<f64> = before.chain(values.iter().copied()).chain(behind).collect();
    for _ in 0..2 {
        sections.iter().for_each(|section| section.run(&mut padded));
        padded.reverse();
    }
    padded[n_padding..][..n].to_vec()
}
