//! Results on standard output. A closed reader (`medcoss plugin list | head -1`) is no error.

use std::io::{self, ErrorKind};

use serde::Serialize;

use crate::failure::Failure;
use crate::terminal;

/// Writes text that contains its line ends.
///
/// # Errors
/// A standard output that cannot be written to, such as a file on a full disk.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    checked(terminal::write_result(text))
}

/// Writes one JSON value with indentation.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(value).map_err(Failure::internal)?;
    text.push('\n');
    checked(terminal::write_json(&text))
}

fn checked(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::internal(anyhow::Error::new(error).context("cannot write to standard output")))
        }
        _ => Ok(()),
    }
}
