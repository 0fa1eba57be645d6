//! What every caller of a plugin needs: the host and the conformance rules share it.
//!
//! ```text
//! shape        sizes that a plugin declares, in range: products do not overflow
//! view         evaluation or training
//! buffers      the buffers of a `fill`, between guards, with a fill pattern
//! sample       one sample of a batch, and the checks of its tokens, mask, ids and targets
//! answers      checks of descriptions, fingerprints, file names and sizes of answers
//! records      checks of what is said of samples
//! families     the token families of this project
//! label_maps   checks of segmentation masks
//! grids        checks of the grids of files
//! options      former names of options
//! ```
//!
//! It knows the binary contract alone: neither the SDK nor the host. Calls themselves, error messages with the plugin's name, and
//! the loading of libraries are each caller's own.

#![deny(clippy::undocumented_unsafe_blocks)]

pub mod account;
pub mod answers;
mod buffers;
pub mod families;
pub mod grids;
pub mod label_maps;
pub mod options;
pub mod records;
mod sample;
mod shape;
pub mod survey;
mod view;

pub use buffers::{ALL_EXTRAS, Batch, FillPattern, GuardSizes, GuardedBatch, Overwritten, Side};
pub use sample::{
    SampleView, check_affine, check_coordinates, check_valid, first_not_finite, first_outside_vocabulary,
    first_past_length, is_in_vocabulary, n_masked,
};
pub use shape::{Extras, MAX_TOKENS, MAX_VALUES, MAX_VOCABULARY, Shape, check_requires};
pub use view::View;
