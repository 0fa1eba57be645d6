//! `medcoss manual`: the help of all commands as man pages.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Command};
use clap_mangen::Man;
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::run::write_atomically;
use serde::Serialize;

use crate::arguments::ResultArgs;
use crate::failure::Failure;

/// Write the help of all commands as man pages
///
/// Each command gets a page of section 1, medcoss-plugin-check.1 for `medcoss plugin check`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss manual --out ~/.local/share/man/man1
  medcoss manual --out man --json")]
pub(crate) struct Manual {
    /// Folder for the pages; pages of these names are replaced
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    result: ResultArgs,
}

#[derive(Serialize)]
struct Written {
    pages: Vec<String>,
}

impl Manual {
    /// Writes the pages of `command`, the whole program, and its subcommands.
    pub(crate) fn run(&self, command: Command) -> Result<(), Failure> {
        let written = self.write(command).map_err(Failure::user)?;
        self.result
            .print(&written, |written| format!("Wrote {} pages to {}.\n", written.pages.len(), self.out.display()))
    }

    fn write(&self, mut command: Command) -> Result<Written> {
        let folder = ConfinedPath::create_root(&self.out)?;
        command.build();
        let mut pages = Vec::new();
        write_pages(&command, "medcoss", &folder, &mut pages)?;
        pages.sort();
        Ok(Written { pages })
    }
}

/// Writes the page of a command and those of its subcommands.
fn write_pages(command: &Command, name: &str, folder: &ConfinedPath, pages: &mut Vec<String>) -> Result<()> {
    let mut page = Vec::new();
    // clap names a page after the command's own name, which must live as long as the program.
    let own: &'static str = Box::leak(name.to_owned().into_boxed_str());
    Man::new(command.clone().name(own)).render(&mut page).with_context(|| format!("the page of {name}"))?;
    let file = format!("{name}.1");
    write_atomically(&folder.join(&file), &page)?;
    pages.push(file);
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        write_pages(inner, &format!("{name}-{}", inner.get_name()), folder, pages)?;
    }
    Ok(())
}
