//! Results as tables for people, one file for each result.

pub(crate) mod comparison;
pub(crate) mod data_account;
pub(crate) mod finetuning;
pub(crate) mod import;
pub(crate) mod label_efficiency;
pub(crate) mod plan;
pub(crate) mod prediction;
pub(crate) mod run_summary;
pub(crate) mod scores;
pub(crate) mod scoring;
mod table;

pub(crate) use table::{Table, page_width};
