//! Grids of continuous tokens: sides, patches, and what the axes mean.

use serde::{Deserialize, Serialize};

/// Grid of a dataset's continuous tokens.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GridLayout {
    /// Tokens along each axis, slowest first.
    pub grid: Vec<usize>,
    /// Values of a token along each axis; the channels are the fastest values of a token. Empty where it is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patch: Vec<usize>,
    /// Meaning of each axis. Empty where it is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub axes: Vec<GridAxis>,
}

/// Meaning of an axis of a grid.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GridAxis {
    /// Name: `row`, `time`, `lead`.
    pub name: String,
    /// Length of a token along the axis, and its unit, where it has one: positions are then places in seconds or millimetres, counted from the start of
    /// the axis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<(f64, String)>,
    /// Names of the places along the axis, where they have some: a place is then the same in another selection or order of places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<String>,
}

impl GridLayout {
    /// A grid of which nothing else is known.
    pub fn of_grid(grid: Vec<usize>) -> Self {
        Self { grid, ..Self::default() }
    }

    /// Number of tokens.
    pub fn n_tokens(&self) -> usize {
        self.grid.iter().product()
    }

    /// Whether positions in the two grids are the same without further ado.
    pub fn has_positions_of(&self, other: &Self) -> bool {
        self.grid == other.grid && self.axes == other.axes
    }
}

/// For people: `1 x 16 x 16`.
impl std::fmt::Display for GridLayout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sides: Vec<String> = self.grid.iter().map(usize::to_string).collect();
        f.write_str(&sides.join(" x "))
    }
}
