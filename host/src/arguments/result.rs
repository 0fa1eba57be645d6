//! How a result is printed, to standard output.

use clap::Args;
use serde::Serialize;

use crate::failure::Failure;
use crate::output;

/// For people or for programs.
#[derive(Debug, Clone, Args)]
pub(crate) struct ResultArgs {
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl ResultArgs {
    /// Prints it as JSON, or else as the text that is made of it.
    pub(crate) fn print<T: Serialize>(&self, result: &T, to_text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        if self.json { output::print_json(result) } else { output::print(&to_text(result)) }
    }
}
