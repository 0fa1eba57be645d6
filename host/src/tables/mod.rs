//! Results for people, as tables; one file a result.

pub(crate) mod comparison;
pub(crate) mod import;
pub(crate) mod plan;
pub(crate) mod scores;
pub(crate) mod summary;
mod table;

pub(crate) use table::{Table, page_width};
