//! What nearly every plugin names: `use medcoss_sdk::prelude::*;`.

pub use std::path::Path;

pub use rand::RngExt;
pub use serde_json::json;

pub use crate::label_map::LabelMap;
pub use crate::{
    Dataset, Error, FileDataset, FileSample, FilesDataset, Fingerprint, FoundFile, Geometry, Masking, MaskingScheme,
    Modality, OpenRequest, Patches, Rendering, Sample, SampleFiles, SampleRecord, SampleRng, Synthesised, Tokens, View,
    check_ranges, choices, export_plugin, in_range, options, sample_rng, synthesise_files,
};
