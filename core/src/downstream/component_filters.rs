//! Filters of predicted masks by connected components: the largest one stays, small ones go, and a rule for an organ with its tumours.

use serde::{Deserialize, Serialize};

use super::components::{Components, Neighbourhood};
use super::shape::check_length;
use crate::Result;

/// Which component [`keep_largest`] keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LargestRule {
    /// The largest component; of equal ones the first.
    #[default]
    Foreground,
    /// The second of all sizes with the background's among them, as in the reference. Where the background is the largest, which is usual, that is the
    /// largest component. Where the background is the second, nothing remains; where it is smaller still, the second largest component does.
    Reference,
}

/// What a filter did to a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filtered {
    /// Number of components before.
    pub n_components: usize,
    /// Number of removed components.
    pub n_removed: usize,
    /// Number of removed voxels.
    pub n_removed_voxels: usize,
}

/// Keeps one component of a mask `[rows, columns]` or `[depth, rows, columns]`, and removes all others.
///
/// # Errors
/// A shape without two or three axes, a mask of another length.
pub fn keep_largest(
    mask: &mut [bool],
    shape: &[usize],
    neighbourhood: Neighbourhood,
    rule: LargestRule,
) -> Result<Filtered> {
    let components = Components::find(mask, shape, neighbourhood)?;
    let kept = match rule {
        LargestRule::Foreground => components.largest(),
        LargestRule::Reference => {
            let n_background = mask.len() - components.sizes().iter().sum::<usize>();
            let foreground = components.sizes().iter().enumerate().map(|(at, size)| (*size, Some(at)));
            let mut sizes: Vec<_> = std::iter::once((n_background, None)).chain(foreground).collect();
            sizes.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
            sizes.get(1).and_then(|(_, component)| *component)
        }
    };
    filter(&components, mask, |component| Some(component) == kept)
}

/// Removes the components of fewer than `min_size` voxels from a mask. The reference removes those of at most 50: its `min_size` is 51.
///
/// # Errors
/// A shape without two or three axes, a mask of another length.
pub fn remove_small(
    mask: &mut [bool],
    shape: &[usize],
    neighbourhood: Neighbourhood,
    min_size: usize,
) -> Result<Filtered> {
    let components = Components::find(mask, shape, neighbourhood)?;
    filter(&components, mask, |component| components.sizes()[component] >= min_size)
}

fn filter(components: &Components, mask: &mut [bool], keep: impl Fn(usize) -> bool) -> Result<Filtered> {
    let n_components = components.sizes().len();
    let n_removed = (0..n_components).filter(|component| !keep(*component)).count();
    Ok(Filtered { n_components, n_removed, n_removed_voxels: components.retain(mask, keep)? })
}

/// Rule for an organ and its tumours: the largest component of the organ stays, tumours are only where this organ is, and small tumours go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrganTumourRule {
    /// Voxels that count as connected.
    pub neighbourhood: Neighbourhood,
    /// The component of the organ that stays.
    pub organ: LargestRule,
    /// Minimum number of voxels of a tumour.
    pub min_tumour: usize,
}

impl OrganTumourRule {
    /// The reference's rule for the liver. A small tumour that goes becomes organ again.
    pub const REFERENCE: Self =
        Self { neighbourhood: Neighbourhood::Edges, organ: LargestRule::Reference, min_tumour: 51 };

    /// Labels of the voxels: 0 background, 1 organ, 2 tumour. `organ` and `tumour` are predicted independently, `[space]` each.
    ///
    /// # Errors
    /// A shape without two or three axes, masks of another length.
    pub fn labels(&self, organ: &[bool], tumour: &[bool], shape: &[usize]) -> Result<Vec<u8>> {
        check_length("the tumour's mask", tumour.len(), 1, shape)?;
        let mut organ = organ.to_vec();
        keep_largest(&mut organ, shape, self.neighbourhood, self.organ)?;
        let mut tumour: Vec<bool> = tumour.iter().zip(&organ).map(|(tumour, organ)| *tumour && *organ).collect();
        remove_small(&mut tumour, shape, self.neighbourhood, self.min_tumour)?;
        Ok(organ.iter().zip(&tumour).map(|(organ, tumour)| u8::from(*organ) + u8::from(*tumour)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(text: &str) -> Vec<bool> {
        text.chars().map(|voxel| voxel == '#').collect()
    }

    fn kept(text: &str, rule: LargestRule) -> Vec<bool> {
        let mut mask = mask(text);
        keep_largest(&mut mask, &[1, text.len()], Neighbourhood::Faces, rule).unwrap();
        mask
    }

    #[test]
    fn the_reference_counts_the_background_among_the_components() {
        // Sizes 3 and 2, background 5: both rules agree.
        for rule in [LargestRule::Foreground, LargestRule::Reference] {
            assert_eq!(kept("##...###..", rule), mask(".....###.."));
        }
        // Sizes 6 and 2, background 2: of equal sizes the reference has the background first.
        assert_eq!(kept("######..##", LargestRule::Foreground), mask("######...."));
        assert_eq!(kept("######..##", LargestRule::Reference), mask(".........."));
        // Sizes 5 and 4, background 1: the second largest stays.
        assert_eq!(kept("#####.####", LargestRule::Reference), mask("......####"));
        // No background, no component.
        assert_eq!(kept("####", LargestRule::Foreground), mask("####"));
        assert_eq!(kept("####", LargestRule::Reference), mask("...."));
        assert_eq!(kept("....", LargestRule::Reference), mask("...."));
    }

    #[test]
    fn filters_report_what_they_removed() {
        let mut voxels = mask("##.#.###.#");
        let filtered = remove_small(&mut voxels, &[1, 10], Neighbourhood::Faces, 2).unwrap();
        assert_eq!(filtered, Filtered { n_components: 4, n_removed: 2, n_removed_voxels: 2 });
        assert_eq!(voxels, mask("##...###.."));
        let filtered = keep_largest(&mut voxels, &[1, 10], Neighbourhood::Faces, LargestRule::Foreground).unwrap();
        assert_eq!(filtered, Filtered { n_components: 2, n_removed: 1, n_removed_voxels: 2 });
        assert!(remove_small(&mut voxels, &[10], Neighbourhood::Faces, 2).is_err());
    }

    #[test]
    fn tumours_outside_of_the_organ_and_small_ones_become_what_is_around_them() {
        let rule =
            OrganTumourRule { neighbourhood: Neighbourhood::Edges, organ: LargestRule::Foreground, min_tumour: 2 };
        let (organ, tumour) = (mask("#######...##"), mask("###.#..##.##"));
        assert_eq!(rule.labels(&organ, &tumour, &[1, 12]).unwrap(), [2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0, 0]);
        assert!(rule.labels(&organ, &tumour[1..], &[1, 12]).unwrap_err().to_string().contains("the tumour's mask"));
        assert!(rule.labels(&organ[1..], &tumour, &[1, 12]).is_err());
    }
}
