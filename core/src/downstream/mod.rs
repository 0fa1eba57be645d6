//! Solving downstream tasks as the reference does: sliding windows over whole images and volumes, test-time flips, filters of
//! predicted masks by connected components, the way back to the grid of a file, the choice of an epoch.
//!
//! Arrays are plain slices in row-major order. A shape has two axes (rows, columns: an image) or three (depth, rows, columns: a volume). Nothing here
//! knows Burn, files or modalities. Metrics of the results are in [`crate::evaluation`].

mod best_epoch;
mod component_filters;
mod components;
mod flips;
mod importance_map;
mod resample;
mod shape;
mod sliding_window;
mod tile_grid;

pub use best_epoch::{BestEpoch, Criterion};
pub use component_filters::{Filtered, LargestRule, OrganTumourRule, keep_largest, remove_small};
pub use components::{Components, Neighbourhood};
pub use flips::{Flip, mean_over_flips};
pub use importance_map::ImportanceMap;
pub use resample::{CarriedSlices, GridMap};
pub use sliding_window::{FinishedSlices, SlidingWindow};
pub use tile_grid::TileGrid;
