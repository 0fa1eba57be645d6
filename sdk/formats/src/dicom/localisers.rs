//! Localisers that only geometry tells: single slices in other directions beside a stack.

use super::image_plane::dot;
use super::stack::Numbered;

/// Largest number of slices of a localiser in one direction.
const MAX_SLICES: usize = 3;
/// Number of slices of the stack for each slice of a localiser of several.
const TIMES: usize = 4;
/// Largest cosine of the angle between the normals of a localiser and its stack: 45 degrees.
const MAX_COSINE: f64 = 0.71;

/// Whether planes are a localiser of the stack: a slice beside several, or a few beside many, in another direction.
pub(super) fn is_localiser(planes: &[Numbered], stack: &[Numbered]) -> bool {
    let (Some((_, one)), Some((_, other))) = (planes.first(), stack.first()) else { return false };
    let is_few = match planes.len() {
        1 => stack.len() > 1,
        n => n <= MAX_SLICES && stack.len() >= TIMES * n,
    };
    let lie = |plane: &super::image_plane::Plane| plane.directions.is_some();
    is_few && lie(one) && lie(other) && dot(one.normal(), other.normal()).abs() < MAX_COSINE
}
