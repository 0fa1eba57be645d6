//! `medcoss plugin pack`: makes a plugin of a module in Python.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use medcoss_plugin_host::{Search, SearchEnvironment};
use medcoss_python_bridge::{BRIDGE_FILE, PackRequest, Packed, pack};
use serde::Serialize;

use crate::arguments::ResultArgs;
use crate::failure::Failure;

/// Pack a modality in Python as a plugin
///
/// The command writes a library for the module in a folder: a copy of medcoss's bridge to Python with the module's files
/// in it. The library is a plugin like any other; its samples are loaded by Python processes of their own. The command
/// imports the module once, which runs its code. Changes of the module need another `plugin pack`, unless the library
/// was packed with --dev. MEDCOSS_PYTHON names the interpreter, here and later; without it, python3 is used.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss plugin pack tone
  medcoss plugin pack tone --out ~/.local/share/medcoss/plugins/libmedcoss_tone.so
  medcoss plugin pack tone --dev")]
pub(crate) struct Pack {
    /// Folder of the module, as `medcoss plugin new --language python` writes it
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Library to write [default: libmedcoss_ID.so in the folder]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write a library that reads the folder each time it is used: for development, since such a library does not
    /// determine what it runs
    #[arg(long)]
    dev: bool,
    /// Library of the bridge [default: libmedcoss_python_bridge.so in the folders that are searched for plugins]
    #[arg(long, value_name = "FILE")]
    bridge: Option<PathBuf>,
    #[command(flatten)]
    result: ResultArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    id: &'a str,
    library: &'a Path,
    dev: bool,
    files: &'a [String],
}

impl Pack {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let bridge = match &self.bridge {
            Some(bridge) => bridge.clone(),
            None => find_bridge().map_err(Failure::user)?,
        };
        let request = PackRequest {
            bridge: &bridge,
            folder: &self.folder,
            out: self.out.as_deref(),
            is_for_development: self.dev,
        };
        let Packed { id, library, files, .. } = pack(&request).map_err(Failure::user)?;
        let report = Report { id: &id, library: &library, dev: self.dev, files: &files };
        self.result.print(&report, Report::page)
    }
}

impl Report<'_> {
    fn page(&self) -> String {
        let Self { id, files, dev, .. } = self;
        let library = self.library.display();
        let holds = if *dev { "It reads each time" } else { "It holds" };
        format!(
            "Wrote {library}, a plugin for the modality {id}. {holds}: {}.\n\nNext:\n\n  medcoss plugin check {library}\n",
            files.join(", ")
        )
    }
}

/// The bridge in the first folder that holds it.
fn find_bridge() -> anyhow::Result<PathBuf> {
    let search = Search::new(&[], false, &SearchEnvironment::of_process())?;
    let found = search.folders.iter().map(|folder| folder.path.join(BRIDGE_FILE)).find(|path| path.is_file());
    let Some(found) = found else {
        let folders: Vec<_> = search.folders.iter().map(|folder| folder.path.display().to_string()).collect();
        bail!(
            "{BRIDGE_FILE} was not found in {}\nhint: build it (cargo build --release -p medcoss-python-bridge) or name it with --bridge",
            folders.join(", ")
        );
    };
    Ok(found)
}
