//! Positions of tokens in the position table of a family, whose entries belong to the grid of the family's first modality.
//!
//! A token of another grid takes a weighted sum of the table's entries. Nothing of the table is rewritten, so that earlier stages, teachers and buffers
//! see what they saw. Along each axis, with R places of the table, G of the sample, and place k:
//!
//! 1. Where both name their places, a place is the table's of the same name.
//! 2. Where both have steps in one unit, a place lies at `(k + 0.5) * step / reference step - 0.5`, between two entries or at one.
//! 3. Where neither says more, the sample covers what the table covers: `(k + 0.5) * R / G - 0.5` (half-pixel centres, as bilinear interpolation of the
//!    positions of a ViT), cut to the first and last entry. A table from elsewhere has the [`Interpolation`] of its library instead.
//! 4. Where one says what the other does not, nothing is guessed.

use super::axis_kernel::{AxisEntries, Interpolation};
use crate::data::{GridAxis, GridLayout};

/// Distance in entries up to which a place counts as being at one.
const AT: f64 = 1e-6;
/// Most names of places that a message lists.
const NAMED: usize = 12;

/// Entries of a position table, and their weights, for each token of a grid.
#[derive(Debug, Clone, PartialEq)]
pub enum PositionMap {
    /// Entries of each token.
    Tokens(TokenEntries),
    /// Entries of each place along each axis, slowest axis first: a token's weights are products of those of its places.
    Axes(Vec<AxisEntries>),
}

/// Entries of a position table for each token.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenEntries {
    /// Entries of each token, `[n_tokens, n_entries]`.
    pub rows: Vec<i32>,
    /// Weights of the entries, `[n_tokens, n_entries]`; they add up to 1.
    pub weights: Vec<f32>,
    /// Number of entries of a token: 1, or 2 for each axis that is interpolated.
    pub n_entries: usize,
}

impl PositionMap {
    /// The map of a grid to the table of a reference grid; `None` where both are the same.
    ///
    /// # Errors
    /// What the sample has and the table does not, in one sentence.
    pub fn new(reference: &GridLayout, own: &GridLayout, interpolation: Interpolation) -> Result<Option<Self>, String> {
        if reference.has_positions_of(own) {
            return Ok(None);
        }
        if reference.grid.len() != own.grid.len() {
            return Err(format!(
                "its grid has {} axes, and the positions have {}",
                own.grid.len(),
                reference.grid.len()
            ));
        }
        let axis = |layout: &GridLayout, at: usize| layout.axes.get(at).cloned().unwrap_or_default();
        let sides = |at: usize| [reference.grid[at], own.grid[at]];
        let along: Vec<AxisEntries> = (0..own.grid.len())
            .map(|at| along_axis(sides(at), &axis(reference, at), &axis(own, at), interpolation))
            .collect::<Result<_, _>>()?;
        if interpolation != Interpolation::Linear {
            return Ok(Some(Self::Axes(along)));
        }
        let entries = TokenEntries::joined(&along, &reference.grid, own);
        Ok((!entries.are_the_first()).then_some(Self::Tokens(entries)))
    }
}

impl TokenEntries {
    fn joined(along: &[AxisEntries], reference: &[usize], own: &GridLayout) -> Self {
        let n_entries: usize = along.iter().map(|axis| axis.n_entries).product();
        let n_tokens = own.n_tokens();
        let mut map = Self { rows: Vec::new(), weights: Vec::new(), n_entries };
        for token in 0..n_tokens {
            let mut entries = vec![(0usize, 1.0f64)];
            let mut stride = n_tokens;
            for (at, axis) in along.iter().enumerate() {
                stride /= own.grid[at];
                let place = token / stride % own.grid[at];
                let here = &axis.entries[place * axis.n_entries..][..axis.n_entries];
                let side = reference[at];
                let joined = entries.iter().flat_map(|&(row, weight)| {
                    here.iter().map(move |&(entry, share)| (row * side + entry, weight * share))
                });
                entries = joined.collect();
            }
            map.rows.extend(entries.iter().map(|&(row, _)| row as i32));
            map.weights.extend(entries.iter().map(|&(_, weight)| weight as f32));
        }
        map
    }

    /// Whether each token has the entry of its own number alone.
    fn are_the_first(&self) -> bool {
        self.n_entries == 1 && self.rows.iter().enumerate().all(|(token, &row)| row as usize == token)
    }

    /// Number of tokens.
    pub fn n_tokens(&self) -> usize {
        self.rows.len() / self.n_entries
    }
}

/// Entries and their shares for each place along one axis.
fn along_axis(
    [n_reference, n_own]: [usize; 2],
    reference: &GridAxis,
    own: &GridAxis,
    interpolation: Interpolation,
) -> Result<AxisEntries, String> {
    let name = if own.name.is_empty() { "an axis".into() } else { format!("axis {}", own.name) };
    match (reference.places.as_slice(), own.places.as_slice(), &reference.step, &own.step) {
        ([], [], None, None) => {
            let ratio = n_reference as f64 / n_own as f64;
            let centre = |place: usize| ((place as f64 + 0.5) * ratio - 0.5).clamp(0.0, (n_reference - 1) as f64);
            let cubic = AxisEntries::cubic(interpolation, n_reference, n_own);
            Ok(cubic.unwrap_or_else(|| linear((0..n_own).map(centre))))
        }
        ([], [], Some((step, unit)), Some((own_step, own_unit))) if unit == own_unit => {
            let centre = |place: usize| (place as f64 + 0.5) * own_step / step - 0.5;
            let reach = n_reference as f64 - 0.5 + AT;
            if (0..n_own).any(|place| centre(place) > reach) {
                let (has, reaches) = (n_own as f64 * own_step, n_reference as f64 * step);
                return Err(format!("{name} is {has} {unit} long, and the positions reach {reaches} {unit}"));
            }
            Ok(linear((0..n_own).map(|place| centre(place).clamp(0.0, (n_reference - 1) as f64))))
        }
        (known @ [_, ..], wanted @ [_, ..], _, _) => {
            let found = |place: &String| {
                known.iter().position(|known| known == place).map(|at| (at, 1.0)).ok_or_else(|| {
                    let more = if known.len() > NAMED { ", ..." } else { "" };
                    let names = known.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
                    format!("{name} has the place {place}, and the positions are those of {names}{more}")
                })
            };
            Ok(AxisEntries { n_entries: 1, entries: wanted.iter().map(found).collect::<Result<_, _>>()? })
        }
        _ => Err(format!("{name} has {}, and the positions have {}", said(own), said(reference))),
    }
}

/// Places at real numbers between entries.
fn linear(centres: impl Iterator<Item = f64>) -> AxisEntries {
    let centres: Vec<f64> = centres.map(|at| if (at - at.round()).abs() < AT { at.round() } else { at }).collect();
    if centres.iter().all(|at| at.fract() == 0.0) {
        return AxisEntries { n_entries: 1, entries: centres.iter().map(|&at| (at as usize, 1.0)).collect() };
    }
    let between = |&at: &f64| {
        let (below, share) = (at.floor(), at.fract());
        // Where the share is 0 the second entry does not count, and may be past the end.
        let above = if share > 0.0 { below + 1.0 } else { below };
        [(below as usize, 1.0 - share), (above as usize, share)]
    };
    AxisEntries { n_entries: 2, entries: centres.iter().flat_map(between).collect() }
}

/// What an axis says of its places, for people.
fn said(axis: &GridAxis) -> String {
    match (&axis.step, axis.places.len()) {
        (Some((step, unit)), _) => format!("steps of {step} {unit}"),
        (None, 0) => "neither steps nor names of places".into(),
        (None, n) => format!("{n} named places"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The map of linear interpolation.
    fn linear_map(reference: &GridLayout, own: &GridLayout) -> Result<Option<TokenEntries>, String> {
        Ok(PositionMap::new(reference, own, Interpolation::Linear)?.map(|map| match map {
            PositionMap::Tokens(entries) => entries,
            PositionMap::Axes(_) => panic!("linear interpolation has entries of tokens"),
        }))
    }

    fn axis(name: &str) -> GridAxis {
        GridAxis { name: name.into(), ..GridAxis::default() }
    }

    fn gait(leads: &[&str], n_times: usize, step: f64) -> GridLayout {
        let lead = GridAxis { places: leads.iter().map(|lead| lead.to_string()).collect(), ..axis("lead") };
        let time = GridAxis { step: Some((step, "s".into())), ..axis("time") };
        GridLayout { grid: vec![leads.len(), n_times], patch: vec![1, 75], axes: vec![lead, time] }
    }

    #[test]
    fn equal_grids_need_no_map() {
        let grid = gait(&["I", "II"], 30, 0.3);
        assert_eq!(linear_map(&grid, &grid), Ok(None));
        let plain = GridLayout::of_grid(vec![3, 4]);
        assert_eq!(linear_map(&plain, &plain.clone()), Ok(None));
    }

    #[test]
    fn a_shorter_window_keeps_its_entries_and_another_montage_finds_its_leads() {
        let reference = gait(&["I", "II", "V1"], 4, 0.3);
        let map = linear_map(&reference, &gait(&["I", "II", "V1"], 2, 0.3)).unwrap().unwrap();
        assert_eq!((map.n_entries, map.rows.as_slice()), (1, &[0, 1, 4, 5, 8, 9][..]));
        let map = linear_map(&reference, &gait(&["V1", "I"], 4, 0.3)).unwrap().unwrap();
        assert_eq!(map.rows, [8, 9, 10, 11, 0, 1, 2, 3]);
        // Steps twice as long lie between two entries.
        let map = linear_map(&reference, &gait(&["I"], 2, 0.6)).unwrap().unwrap();
        assert_eq!((map.n_entries, map.rows.as_slice()), (2, &[0, 1, 2, 3][..]));
        assert_eq!(map.weights, [0.5; 4]);
    }

    #[test]
    fn a_stretched_grid_equals_bilinear_interpolation_of_pytorch() {
        // torch.nn.functional.interpolate(torch.arange(6.).reshape(1, 1, 2, 3), (3, 2), mode="bilinear", align_corners=False)
        let table = [0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0];
        let expected = [0.25, 1.75, 1.75, 3.25, 3.25, 4.75];
        let [reference, own] = [vec![2, 3], vec![3, 2]].map(GridLayout::of_grid);
        let map = linear_map(&reference, &own).unwrap().unwrap();
        assert_eq!(map.n_tokens(), 6);
        for (token, expected) in expected.into_iter().enumerate() {
            let entries = token * map.n_entries..(token + 1) * map.n_entries;
            let value: f32 = entries.map(|at| table[map.rows[at] as usize] * map.weights[at]).sum();
            assert!((value - expected).abs() < 1e-6, "{token}: {value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn weights_add_up_to_one_and_entries_lie_in_the_table(
            reference in proptest::collection::vec(1usize..6, 1..4), seed: u64,
        ) {
            let own: Vec<usize> = reference.iter().enumerate().map(|(at, _)| 1 + (seed >> (8 * at)) as usize % 7).collect();
            let [reference, own] = [reference, own].map(GridLayout::of_grid);
            if let Some(map) = linear_map(&reference, &own).unwrap() {
                assert_eq!(map.n_tokens(), own.n_tokens());
                assert!(map.rows.iter().all(|&row| (row as usize) < reference.n_tokens()));
                for weights in map.weights.chunks(map.n_entries) {
                    assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn what_lies_beyond_and_what_only_one_says_is_refused() {
        let reference = gait(&["I", "II"], 30, 0.3);
        for (own, expected) in [
            (gait(&["I", "II"], 40, 0.3), "axis time is 12 s long, and the positions reach 9 s"),
            (gait(&["I", "aVR"], 30, 0.3), "axis lead has the place aVR, and the positions are those of I, II"),
            (
                GridLayout { axes: Vec::new(), ..gait(&["I", "II"], 30, 0.3) },
                "an axis has neither steps nor names of places, and the positions have 2 named places",
            ),
            (GridLayout::of_grid(vec![60]), "its grid has 1 axes, and the positions have 2"),
        ] {
            assert_eq!(linear_map(&reference, &own).unwrap_err(), expected);
        }
        let mut other_unit = reference.clone();
        other_unit.axes[1].step = Some((0.3, "mm".into()));
        let message = linear_map(&reference, &other_unit).unwrap_err();
        assert_eq!(message, "axis time has steps of 0.3 mm, and the positions have steps of 0.3 s");
    }
}
