//! `medcoss completions`: completion of commands for a shell.

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use crate::failure::Failure;
use crate::output;

/// Print completions for a shell
///
/// The shell then completes commands and options of medcoss.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss completions bash > ~/.local/share/bash-completion/completions/medcoss
  medcoss completions zsh > ~/.zfunc/_medcoss
  medcoss completions fish > ~/.config/fish/completions/medcoss.fish")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// Prints the completions of `command`, the whole program.
    pub(crate) fn run(&self, mut command: Command) -> Result<(), Failure> {
        let mut text = Vec::new();
        generate(self.shell, &mut command, "medcoss", &mut text);
        output::print(&String::from_utf8_lossy(&text))
    }
}
