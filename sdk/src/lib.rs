//! Everything that a modality plugin is written with.
//!
//! A plugin describes its options as a struct, opens a [`Dataset`] from files, and turns one sample at a time into
//! tokens. The host does the rest: threads, batches, the model, rehearsal, checkpoints. A plugin implements
//! [`Modality`] and [`Dataset`] and calls [`export_plugin!`] once, in a crate of type `cdylib` (and `rlib`, if it is to
//! be linked statically too).
//!
//! What this crate deliberately does not hold: file formats (a plugin brings its own) and anything of the model.

#![deny(clippy::undocumented_unsafe_blocks)]

mod account;
pub mod affine;
pub mod byte_image;
mod dataset;
mod error;
mod export;
mod file_dataset;
mod files;
mod files_dataset;
mod fingerprint;
pub mod image;
pub mod image_transform;
pub mod intensity;
pub mod label_map;
pub mod labels;
pub mod log;
pub mod mask;
mod mask_files;
mod masking;
pub mod options;
pub mod padded_word_masking;
pub mod patch;
mod pillow_bicubic;
mod png_image;
pub mod prelude;
pub mod record_limit;
mod rng;
mod sample_id;
pub mod saved_samples;
pub mod signal;
pub mod survey;
pub mod table;
pub mod text_encoding;
pub mod volume;
pub mod volume_transform;
pub mod whole_word_masking;

pub use account::{Account, WARNED_SHARE};
pub use dataset::{Dataset, Modality, OpenRequest, Patches, Sample, Tokens, View};
pub use error::Error;
pub use file_dataset::{FileDataset, FileSample, synthesise_files};
pub use files::{Found, FoundFile, Inclusion, entry_name, find_files, find_files_by_content};
pub use files_dataset::{FilesDataset, SampleFiles};
pub use fingerprint::Fingerprint;
pub use masking::{Masking, MaskingScheme};
pub use medcoss_abi as abi;
pub use medcoss_abi::message::{
    Axis, Continuous, Coordinate, Discrete, Fact, FileGrid, Geometry, PretextTask, Rendering, SampleRecord,
    SuitedOption, Survey, Synthesised, Targets,
};
pub use medcoss_abi::{NOT_A_TARGET, code};
pub use options::{check_ranges, in_range};
pub use png_image::encode_png;
pub use rng::{SampleRng, sample_rng};
pub use {rand, schemars, serde, serde_json};

#[doc(hidden)]
pub use export::shim;

/// The guide for authors: its code is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../GUIDE.md")]
struct Guide;
