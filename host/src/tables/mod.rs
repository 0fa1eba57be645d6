//! Results for people, as tables; one file a result.

pub(crate) mod comparison;
pub(crate) mod import;
pub(crate) mod plan;
pub(crate) mod run_summary;
pub(crate) mod scores;
mod table;

pub(crate) use table::{Table, page_width};
