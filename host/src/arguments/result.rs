//! Argument for the form of a result on standard output.

use clap::Args;
use serde::Serialize;

use crate::failure::Failure;
use crate::output;

/// Argument for a result as text or as JSON.
#[derive(Debug, Clone, Args)]
pub(crate) struct ResultArgs {
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl ResultArgs {
    /// Prints the result as JSON, or else the text that `to_text` makes of it.
    pub(crate) fn print<T: Serialize>(&self, result: &T, to_text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        if self.json { output::print_json(result) } else { output::print(&to_text(result)) }
    }
}
