//! Runs of medcoss: configuration, run folder, training of stages on plugins' data, evaluation and report.
//!
//! [`medcoss_plugin_host`] finds and calls plugins; [`medcoss_core`] holds models, losses and buffers. This crate
//! combines the two. It owns no terminal, no progress bar and no signal handler, and ends no process: it reports to an
//! observer ([`RunObserver`], [`WorkObserver`]), which can also stop the work.

#![forbid(unsafe_code)]

pub mod assignments;
pub mod buffer_tokens;
pub mod comparison;
pub mod config;
mod csv_table;
pub mod data_source;
pub mod disk;
pub mod encoding;
pub mod evaluation;
pub mod finetuning;
pub mod gaussian_blobs;
pub mod id_key;
pub mod init;
mod initial_weights;
pub mod label_efficiency;
pub mod label_maps;
pub mod left_out_files;
pub mod modality_data;
pub mod model_folder;
pub mod new_stage;
pub mod numbers;
pub mod observer;
mod one_or_more;
mod option_presets;
pub mod plan;
pub mod plugin_dataset;
pub mod plugins_lock;
pub mod prediction;
pub mod recipe;
pub mod record;
pub mod relative_paths;
pub mod renamed_settings;
pub mod report;
pub mod resources;
pub mod run;
pub mod run_summary;
pub mod scoring;
mod stage_admission;
pub mod stage_dataset;
pub mod stage_plugin;
pub mod task_recipes;
pub mod timing;
mod token_spec;
pub mod training;
pub mod trust;

pub use encoding::{EncodeOptions, EncodedSamples};
pub use medcoss_core::run::EpochMetrics;
pub use medcoss_core::stage::Observer;
pub use modality_data::ModalityData;
pub use new_stage::NewStage;
pub use observer::{DataReport, RunObserver, Silent, StopSignal, WorkObserver, WorkReport, is_interruption};
pub use resources::Resources;
pub use run::Run;
