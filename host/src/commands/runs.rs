//! `medcoss runs`: the runs in a folder.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use medcoss_runtime::Run;
use serde::Serialize;
use walkdir::WalkDir;

use crate::arguments::ResultArgs;
use crate::failure::Failure;
use crate::tables::Table;

/// How far below the folder runs are looked for.
const DEPTH: usize = 3;

/// List the runs in a folder
///
/// Folders that hold a run are found up to three levels below. A run that cannot be read is listed with the reason.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss runs
  medcoss runs runs --json | jq -r '.[] | select(.finished < .stages) | .run'")]
pub(crate) struct Runs {
    /// Folder
    #[arg(default_value = ".")]
    folder: PathBuf,
    #[command(flatten)]
    result: ResultArgs,
}

#[derive(Serialize)]
struct Listed {
    run: PathBuf,
    strategy: String,
    seed: u64,
    modalities: Vec<String>,
    stages: usize,
    finished: usize,
    fault: Option<String>,
}

impl Runs {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let listed = self.list().map_err(Failure::user)?;
        self.result.print(&listed, |listed| to_text(listed))
    }

    fn list(&self) -> Result<Vec<Listed>> {
        let mut listed = Vec::new();
        let mut entries = WalkDir::new(&self.folder).max_depth(DEPTH).sort_by_file_name().into_iter();
        while let Some(entry) = entries.next() {
            let entry = entry.with_context(|| format!("{} cannot be listed", self.folder.display()))?;
            if entry.file_type().is_dir() && entry.path().join("plugins.lock").is_file() {
                listed.push(Listed::of(entry.into_path()));
                entries.skip_current_dir();
            }
        }
        Ok(listed)
    }
}

impl Listed {
    fn of(path: PathBuf) -> Self {
        let empty = Self {
            run: path.clone(),
            strategy: String::new(),
            seed: 0,
            modalities: Vec::new(),
            stages: 0,
            finished: 0,
            fault: None,
        };
        match Run::open(&path) {
            Ok(run) => Self {
                strategy: run.config.strategy.name.name().into(),
                seed: run.config.seed,
                modalities: run.config.stages.iter().map(|stage| stage.modality.clone()).collect(),
                stages: run.config.stages.len(),
                finished: run.states.len(),
                ..empty
            },
            Err(error) => Self { fault: Some(format!("{error:#}")), ..empty },
        }
    }
}

fn to_text(listed: &[Listed]) -> String {
    if listed.is_empty() {
        return "There are no runs.\n".into();
    }
    let mut table = Table::new(&["run", "strategy", "seed", "finished", "stages"]);
    for run in listed {
        let stages = match &run.fault {
            Some(fault) => fault.lines().next().unwrap_or_default().to_string(),
            None => run.modalities.join(", "),
        };
        let finished = format!("{} of {}", run.finished, run.stages);
        table.row([run.run.display().to_string(), run.strategy.clone(), run.seed.to_string(), finished, stages]);
    }
    table.lines()
}
