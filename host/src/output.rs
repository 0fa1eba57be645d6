//! Results on standard output. A closed reader (`medcoss plugin list | head -1`) is no error.

use std::io::{ErrorKind, Write};

use serde::Serialize;

use crate::failure::Failure;

/// Writes text that contains its line ends.
///
/// # Errors
/// A standard output that cannot be written to, such as a file on a full disk.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let written = match medcoss_plugin_host::original_stdout() {
        // Plugins print to the process's standard output itself.
        Some(mut file) => file.write_all(text.as_bytes()),
        None => {
            let mut out = std::io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        }
    };
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::internal(anyhow::Error::new(error).context("cannot write to standard output")))
        }
        _ => Ok(()),
    }
}

/// Writes one JSON value with indentation.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(value).map_err(Failure::internal)?;
    text.push('\n');
    print(&text)
}
