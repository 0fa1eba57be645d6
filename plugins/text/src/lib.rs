//! medcoss modality plugin: reports, abstracts and other running text.
//!
//! Texts become WordPiece ids in BERT's frame, `[CLS] ... [SEP]`, and are masked word by word. There is no augmentation
//! beyond masking. What is left out, cut, assumed or unknown to the vocabulary is counted when data are opened (`census`). What is deliberately not here: the embedding of ids and the loss, which are the model's.

#![forbid(unsafe_code)]

mod census;
mod corpus;
mod dataset;
mod kind;
mod options;
mod read;
mod report_cleaning;
mod survey;
mod synthetic;
mod tokeniser;

use std::path::{Path, PathBuf};

use medcoss_sdk::serde_json::{Value, json};
use medcoss_sdk::{Error, Geometry, Modality, OpenRequest, Rendering, Survey, Synthesised, export_plugin};

pub use dataset::TextDataset;
pub use options::{MaskingScheme, Options, TextColumns, TextFiles, Unit};
pub use report_cleaning::Cleaning;

/// The text modality.
#[derive(Debug)]
pub struct Text;

impl Modality for Text {
    const ID: &'static str = "text";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Reports and abstracts as WordPiece tokens, with whole-word masking";
    const FAMILY: &'static str = "text";
    const FILE_FORMATS: &'static [&'static str] = &read::FILE_FORMATS;
    const RENDERS: Option<Rendering> = Some(Rendering::Text);
    const SAVES_SAMPLES: bool = true;
    const RENAMED_OPTIONS: &'static [(&'static str, &'static str)] =
        &[("length", "max_length"), ("column", "text_column"), ("whole_word", "whole_word_masking")];

    type Options = Options;
    type Dataset = TextDataset;

    fn option_presets() -> Vec<(&'static str, Value)> {
        let reference = json!({
            "max_length": 112,
            "text_column": ["impression", "findings"],
            "keep_rows": { "ViewPosition": ["PA", "AP"], "split": ["train"] },
            "cleaning": "reference",
            "lowercase": true,
            "mask_ratio": 0.15,
            "whole_word_masking": true,
            "masking_scheme": "reference",
        });
        // What published weights need of files, without the reference's training.
        let published_weights = json!({ "cleaning": "reference", "lowercase": true });
        vec![("reference", reference), ("published-weights", published_weights)]
    }

    /// The vocabulary is the most that is learned; data or a given tokeniser decide what it really is.
    fn geometry(options: &Options) -> Result<Geometry, Error> {
        options.check()?;
        let (padding_id, mask_id) = (tokeniser::LEARNED_PADDING_ID, tokeniser::LEARNED_MASK_ID);
        Ok(Geometry::sequence(options.max_length, options.vocab_size, padding_id, mask_id))
    }

    fn survey(base: &Path, data: &[PathBuf]) -> Result<Option<Survey>, Error> {
        survey::survey(base, data).map(Some)
    }

    fn open(request: OpenRequest<Options>) -> Result<TextDataset, Error> {
        TextDataset::open(&request)
    }

    fn synthesise(folder: &Path, n_samples: usize, seed: u64) -> Result<Synthesised, Error> {
        synthetic::write(folder, n_samples, seed)
    }
}

export_plugin!(text, Text);
