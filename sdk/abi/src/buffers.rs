//! Numeric buffers of one `fill` call. The host allocates and owns all of them.

use abi_stable::{
    StableAbi,
    std_types::{RSlice, RSliceMut, RString, RVec},
};

/// Neither augmented nor masked: feature extraction.
pub const VIEW_PLAIN: u32 = 0;
/// Augmented and masked: training.
pub const VIEW_TRAIN: u32 = 1;
// Views from 2 on are reserved. A plugin answers `BAD_REQUEST` to a view that it does not know.

/// Label of a position that is not a target of masked language modelling.
pub const NOT_A_TARGET: i32 = -100;

/// Which samples are wanted, and how.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct FillRequest<'a> {
    /// [`VIEW_PLAIN`] or [`VIEW_TRAIN`].
    pub view: u32,
    /// Sample indices, each below the dataset's `n_samples`; `n` of them. An index may occur several times, with different seeds:
    /// several views of one sample. A caller that wants them puts equal indices next to each other, so that a plugin may decode once.
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
    /// Further buffers: those that the geometry declares and this caller wants, each kind at most once, in any order. The list is the
    /// caller's allocation, which the plugin frees through its destructor; the buffers in it are the caller's, as the others are.
    pub extras: RVec<ExtraBuffer<'a>>,
}

/// One further buffer. Exactly one of its slices is in use, by the kind; the others are empty. A plugin leaves a kind that it does
/// not know alone.
#[repr(C)]
#[derive(StableAbi)]
pub struct ExtraBuffer<'a> {
    /// One of [`extra`].
    pub kind: u32,
    /// For kinds of numbers.
    pub floats: RSliceMut<'a, f32>,
    /// For kinds of labels.
    pub words: RSliceMut<'a, u16>,
    /// For kinds of flags.
    pub bytes: RSliceMut<'a, u8>,
}

/// Kinds of [`ExtraBuffer`]. All are row-major and concern continuous tokens.
pub mod extra {
    /// `bytes` `[n, n_tokens]`: 1 = the token exists, 0 = there is nothing (a missing channel, what lies past a short sample), and its
    /// values are 0. Where [`crate::message::Continuous::validity`] is set.
    pub const VALID: u32 = 1;
    /// `floats` `[n, n_tokens, d_target]`: what is to be predicted of each token, masked or not. Where
    /// [`crate::message::Targets::d_target`] is set.
    pub const TARGETS: u32 = 2;
    /// `floats` `[n, n_tokens, n_coordinates]`: where each token lies, within the ranges of [`crate::message::Coordinate`]; 0 for
    /// tokens that do not exist.
    pub const COORDINATES: u32 = 3;
    /// `floats` `[n, n_axes, n_axes + 1]`: maps `[g, 1]`, with g in tokens along the axes of the grid (token k covers k to k + 1), to
    /// voxels, pixels or samples of the sample's file, a row for each axis of the file in the file's own index order (voxel j covers
    /// j to j + 1, so that its centre is at j + 1/2). A crop is a diagonal with an offset, a mirrored axis has a negative sign, a
    /// quarter turn or another order of axes is a permutation. `CONTRACT.md` names the index order of each kind of file, and has an
    /// example. Where [`crate::message::Continuous::affines`] is set.
    pub const AFFINES: u32 = 4;
    // 5 is reserved for label maps in the training view: `words` `[n, product(grid * patch)]`.
}

/// What is to be said of a sample that is not simply delivered.
#[repr(C)]
#[derive(StableAbi, Debug, Clone)]
pub struct SampleReport {
    /// Position in the request, `0..n`.
    pub slot: u64,
    /// [`crate::code::SKIPPED`]: the sample is sound, and there is nothing to learn from it. In the evaluation view it is delivered
    /// nevertheless; in training its part of the buffers is void. Any other of [`crate::code`]: the sample could not be delivered,
    /// and its part of the buffers is void.
    pub code: i32,
    /// What was found and what was expected, without the sample's id, which the caller adds.
    pub message: RString,
}
