//! The host: command line, discovery and loading of plugins.
//!
//! What a plugin says is not believed: every answer is checked where it arrives, in [`plugins`]. What learns is not here
//! but in the core, which knows neither plugins nor file formats.

mod arguments;
pub mod cli;
mod commands;
pub mod comparison;
pub mod config;
mod disk;
mod evaluation;
pub mod failure;
mod finished_run;
mod import_report;
pub mod interrupt;
pub mod kept_tokens;
pub mod label_maps;
pub mod log;
mod made_up_points;
mod nearest;
mod numbers;
pub mod options;
mod output;
mod plan;
pub mod plugins;
pub mod plugins_lock;
pub mod progress;
pub mod record;
mod report;
pub mod source;
pub mod stage_plugin;
pub mod stage_source;
pub mod summary;
pub mod table;
pub mod training;
pub mod trust;
mod user_file;
