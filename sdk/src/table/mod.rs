//! Tables of text: what separates their fields, and rows that are never shifted or merged in silence. Shared by tables of labels and by
//! plugins that read tables.

mod delimiter;
mod quoting;
mod rows;

pub use delimiter::{Delimiter, Dialect};
pub use rows::{Quoting, Row, Rows};
