//! Interpolation of a position table along one axis, as the libraries of published vision transformers do it for images of another size.
//!
//! Output `i` of `m` from `n` entries, kernel of cubic convolution (Keys, 1981) with parameter `a`: for |x| < 1, `(a+2)|x|³ - (a+3)|x|² + 1`;
//! for |x| < 2, `a|x|³ - 5a|x|² + 8a|x| - 4a`.

use serde::{Deserialize, Serialize};

/// Parameter of PyTorch's bicubic kernel without antialiasing.
const PLAIN: f64 = -0.75;
/// Parameter of PyTorch's antialiased bicubic kernel, which is Pillow's.
const ANTIALIASED: f64 = -0.5;

/// Interpolation of a position table for samples of another grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    /// Linear between the two nearest entries.
    #[default]
    Linear,
    /// Bicubic, entries beyond the edge as at the edge: fine-tuning of masked autoencoders, `transformers`.
    Bicubic,
    /// The same with 0.1 added to the size of the output, where its scale is computed: DINOv2 without registers.
    BicubicOffset,
    /// Bicubic with a kernel that widens where the grid shrinks: timm, DINOv2 with registers.
    BicubicAntialiased,
}

impl std::fmt::Display for Interpolation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Linear => "linear",
            Self::Bicubic => "bicubic",
            Self::BicubicOffset => "bicubic with DINOv2's offset",
            Self::BicubicAntialiased => "bicubic, antialiased",
        })
    }
}

/// Entries of an axis and their weights for each of its places.
#[derive(Debug, Clone, PartialEq)]
pub struct AxisEntries {
    /// Number of entries of a place; where a place has fewer, the weight of the others is 0.
    pub n_entries: usize,
    /// `[places, n_entries]`.
    pub entries: Vec<(usize, f64)>,
}

impl AxisEntries {
    /// Cubic interpolation of `n` entries at `m` places; `None` for [`Interpolation::Linear`], which is not one.
    pub(super) fn cubic(interpolation: Interpolation, n: usize, m: usize) -> Option<Self> {
        match interpolation {
            Interpolation::Linear => None,
            Interpolation::Bicubic => Some(Self::plain(n, m, n as f64 / m as f64)),
            Interpolation::BicubicOffset => Some(Self::plain(n, m, n as f64 / (m as f64 + 0.1))),
            Interpolation::BicubicAntialiased => Some(Self::antialiased(n, m)),
        }
    }

    /// Number of places.
    pub fn n_places(&self) -> usize {
        self.entries.len() / self.n_entries
    }

    fn plain(n: usize, m: usize, scale: f64) -> Self {
        let last = n as f64 - 1.0;
        let of_place = |place: usize| {
            let at = scale * (place as f64 + 0.5) - 0.5;
            let first = at.floor() - 1.0;
            (0..4).map(move |tap| {
                let entry = first + f64::from(tap);
                (entry.clamp(0.0, last) as usize, kernel(at - entry, PLAIN))
            })
        };
        Self { n_entries: 4, entries: (0..m).flat_map(of_place).collect() }
    }

    fn antialiased(n: usize, m: usize) -> Self {
        let scale = n as f64 / m as f64;
        let widened = scale.max(1.0);
        let reach = 2.0 * widened;
        let of_place = |place: usize| {
            let centre = scale * (place as f64 + 0.5);
            // Casts cut towards 0, as the library's do; a negative number becomes 0.
            let (first, end) = ((centre - reach + 0.5) as usize, ((centre + reach + 0.5) as usize).min(n));
            let weight = |entry: usize| kernel((entry as f64 - centre + 0.5) / widened, ANTIALIASED);
            let taps: Vec<(usize, f64)> = (first..end).map(|entry| (entry, weight(entry))).collect();
            let sum: f64 = taps.iter().map(|(_, weight)| weight).sum();
            taps.into_iter().map(|(entry, weight)| (entry, weight / sum)).collect::<Vec<_>>()
        };
        let places: Vec<_> = (0..m).map(of_place).collect();
        let n_entries = places.iter().map(Vec::len).max().unwrap_or(1);
        let filled = |mut taps: Vec<(usize, f64)>| {
            taps.resize(n_entries, (0, 0.0));
            taps
        };
        Self { n_entries, entries: places.into_iter().flat_map(filled).collect() }
    }
}

/// Kernel of cubic convolution.
fn kernel(x: f64, a: f64) -> f64 {
    let x = x.abs();
    match x {
        _ if x < 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        _ if x < 2.0 => ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interpolated(interpolation: Interpolation, values: &[f64], m: usize) -> Vec<f64> {
        let axis = AxisEntries::cubic(interpolation, values.len(), m).unwrap();
        assert_eq!(axis.n_places(), m);
        axis.entries
            .chunks(axis.n_entries)
            .map(|taps| taps.iter().map(|&(entry, weight)| values[entry] * weight).sum())
            .collect()
    }

    #[test]
    fn equal_numbers_of_places_keep_the_entries_but_for_the_offset() {
        let values = [3.0, -1.0, 4.0, 1.5, -5.0];
        for interpolation in [Interpolation::Bicubic, Interpolation::BicubicAntialiased] {
            let found = interpolated(interpolation, &values, 5);
            assert!(found.iter().zip(values).all(|(found, value)| (found - value).abs() < 1e-12), "{found:?}");
        }
        let found = interpolated(Interpolation::BicubicOffset, &values, 5);
        assert!(found.iter().zip(values).any(|(found, value)| (found - value).abs() > 1e-2), "{found:?}");
    }

    #[test]
    fn a_constant_stays_constant_and_one_entry_is_repeated() {
        for interpolation in [Interpolation::Bicubic, Interpolation::BicubicOffset, Interpolation::BicubicAntialiased] {
            for (n, m) in [(1, 1), (1, 7), (37, 16), (5, 40), (2, 1)] {
                let found = interpolated(interpolation, &vec![2.5; n], m);
                assert!(found.iter().all(|value| (value - 2.5).abs() < 1e-12), "{interpolation} {n} {m}: {found:?}");
            }
        }
    }
}
