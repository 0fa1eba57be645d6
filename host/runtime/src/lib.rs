//! Runs: their configuration, their folder, their stages over plugins' data, and what is made of them afterwards.
//!
//! Plugins are found and called by [`medcoss_plugin_host`]; models, losses and buffers are [`medcoss_core`]'s. Here the two meet. This
//! crate owns no terminal, no progress bar and no signal handler, and ends no process: it reports to an observer ([`RunObserver`],
//! [`WorkObserver`]), which also says when to stop.

pub mod buffer_tokens;
pub mod comparison;
pub mod config;
pub mod disk;
pub mod evaluation;
pub mod finished_run;
pub mod gaussian_blobs;
pub mod label_maps;
pub mod numbers;
pub mod observer;
pub mod plan;
pub mod plugin_dataset;
pub mod plugins_lock;
pub mod record;
pub mod renamed_settings;
pub mod report;
pub mod run_summary;
pub mod stage_dataset;
pub mod stage_plugin;
pub mod timing;
pub mod training;
pub mod trust;

pub use observer::{RunObserver, Silent, StopSignal, WorkObserver, WorkReport, is_interruption};
