//! Numeric buffers of one `fill` call. The host allocates and owns all of them.

use abi_stable::{
    StableAbi,
    std_types::{RSlice, RSliceMut, RString},
};

/// Neither augmented nor masked: feature extraction.
pub const VIEW_PLAIN: u32 = 0;
/// Augmented and masked: training.
pub const VIEW_TRAIN: u32 = 1;

/// Label of a position that is not a target of masked language modelling.
pub const NOT_A_TARGET: i32 = -100;

/// Which samples are wanted, and how.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct FillRequest<'a> {
    /// [`VIEW_PLAIN`] or [`VIEW_TRAIN`].
    pub view: u32,
    /// Sample indices, each below the dataset's `len`; `n` of them. An index may occur twice.
    pub indices: RSlice<'a, u64>,
    /// One seed a sample, `n` of them. Everything random about a sample comes from its seed alone, so that a
    /// sample's bytes do not depend on thread, order or company.
    pub seeds: RSlice<'a, u64>,
}

/// Where the samples go. Buffers that do not concern the dataset's token kind are empty.
#[repr(C)]
#[derive(StableAbi)]
pub struct FillBuffers<'a> {
    /// Continuous: `[n, n_tokens, d_token]`, row-major.
    pub tokens: RSliceMut<'a, f32>,
    /// Continuous: `[n, n_tokens]`, 1 = masked, 0 = visible. All samples of a dataset have equally many masked.
    pub mask: RSliceMut<'a, u8>,
    /// Discrete: `[n, length]` token ids, after masking in the training view; the padding id past the length.
    pub ids: RSliceMut<'a, i32>,
    /// Discrete: `[n, length]` the ids to predict, [`NOT_A_TARGET`] elsewhere.
    pub labels: RSliceMut<'a, i32>,
    /// Discrete: `[n]` number of tokens that are not padding.
    pub lengths: RSliceMut<'a, i32>,
}

/// A sample that could not be delivered; its part of the buffers is void.
#[repr(C)]
#[derive(StableAbi, Debug, Clone)]
pub struct SampleError {
    /// Position in the request, `0..n`.
    pub slot: u64,
    /// One of [`crate::code`].
    pub code: i32,
    /// What was found and what was expected, with the sample's id.
    pub message: RString,
}
