//! `medcoss report`: one HTML page about runs.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::run::{RunLayout, write_atomically};
use medcoss_runtime::disk::human_bytes;
use medcoss_runtime::report::history::{RunHistory, tell_apart};
use medcoss_runtime::report::{MARK, Making, RunSummary, anonymise, events};
use serde::Serialize;

use crate::arguments::{BarArgs, DataRootArgs, DeviceArgs, PluginArgs, ResultArgs};
use crate::failure::Failure;

/// Number of bytes at the beginning of a file that are searched for a report's mark.
const BEGINNING: u64 = 1024;

/// Write a page about runs: curves, scores, buffers, reconstructions, a map of features, cost
///
/// The page is one HTML file that opens in any browser, without scripts and without the network. An unfinished run is
/// shown up to its last epoch. Scores are those that `medcoss eval` wrote. Reconstructions, maps and neighbours need
/// samples: from the stages' data, found below --data-root, or from the run's buffers (buffer.store = "materialised").
/// For each part that cannot be shown, a line explains how to get it.
///
/// The page shows samples, their ids and the configuration. With --anonymous it shows figures and counts alone; runs, tasks, classes and
/// labels have numbers instead of names.
///
/// Several runs are compared at the top of the page: overlaid losses, scores after the last stage, forgetting, cost.
///
/// The command replaces an earlier report; any other file of that name is an error. The same runs, data and settings
/// give the same page.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss report runs/first
  medcoss report runs/first --data-root /data --samples 600
  medcoss report runs/replay runs/none runs/penalty --out comparison.html
  medcoss report runs/first --anonymous --out shared.html
  medcoss report runs/first --tensorboard board && tensorboard --logdir board
  medcoss report runs/first --json | jq '.runs[].sections[] | select(.shown | not)'")]
pub(crate) struct Report {
    /// Run folders
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// File to write [default: report.html in the run, or in the current folder for several runs]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Leave out ids, names, words, paths and examples of samples: for a page that is shown to others
    #[arg(long)]
    anonymous: bool,
    #[command(flatten)]
    data_root: DataRootArgs,
    /// Number of samples on the map of features, over all modalities
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(3..=5000))]
    samples: u32,
    /// Folder for event files with losses and scores, one subfolder for each run
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    result: ResultArgs,
    #[command(flatten)]
    bar: BarArgs,
}

#[derive(Serialize)]
struct Written {
    file: PathBuf,
    bytes: u64,
    runs: Vec<RunSummary>,
    /// Paths of the event files, by run.
    tensorboard: Vec<PathBuf>,
    seconds: f64,
}

impl Report {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let written = self.write()?;
        self.result.print(&written, Written::to_text)
    }

    fn write(&self) -> Result<Written, Failure> {
        let began = Instant::now();
        let (runs, base, out) = self.prepare().map_err(Failure::user)?;
        let registry = self.plugins.registry()?;
        let bar = self.bar.begin("{msg:28} [{bar:24}] {pos} of {len}, {elapsed}");
        let making = Making {
            registry: &registry,
            base: &base,
            device: &self.device.name,
            n_samples: self.samples as usize,
            observer: &bar,
        };
        let (page, summaries) = making.make(&runs);
        bar.finish();
        let written = || -> Result<Written> {
            write_atomically(&ConfinedPath::of_user(&out)?, page.as_bytes())?;
            let folder = self.tensorboard.as_deref();
            let event_files = folder.map(|folder| runs.iter().map(|run| events::write(run, folder)).collect());
            Ok(Written {
                file: out.clone(),
                bytes: page.len() as u64,
                runs: summaries,
                tensorboard: event_files.transpose()?.unwrap_or_default(),
                seconds: began.elapsed().as_secs_f64(),
            })
        };
        written().map_err(Failure::of_run)
    }

    /// Reads the runs and checks the output, so that errors are found before the models compute.
    fn prepare(&self) -> Result<(Vec<RunHistory>, PathBuf, PathBuf)> {
        medcoss_core::device::by_name(&self.device.name)?;
        let base = self.data_root.or_current()?;
        let mut runs = self.runs.iter().map(|run| RunHistory::read(run)).collect::<Result<Vec<_>>>()?;
        if runs.len() > 1 {
            tell_apart(&mut runs);
        }
        if self.anonymous {
            anonymise(&mut runs);
        }
        let out = match (&self.out, self.runs.as_slice()) {
            (Some(out), _) => out.clone(),
            (None, [run]) => run.join(RunLayout::REPORT),
            (None, _) => PathBuf::from(RunLayout::REPORT),
        };
        check_replaceable(&out)?;
        Ok((runs, base, out))
    }
}

/// Checks that a file may be replaced: a file that is not a report stays.
fn check_replaceable(out: &Path) -> Result<()> {
    if out.is_dir() {
        bail!("{} is a folder\nhint: name a file, such as {}", out.display(), out.join(RunLayout::REPORT).display());
    }
    if let Some(folder) = out.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        bail!("there is no folder {}\nhint: create it, or choose another file with --out FILE", folder.display());
    }
    let path = ConfinedPath::of_user(out)?;
    if path.kind()?.is_none() {
        return Ok(());
    }
    let mut beginning = Vec::new();
    let file = path.open()?;
    file.take(BEGINNING).read_to_end(&mut beginning).with_context(|| format!("cannot read {}", out.display()))?;
    let known = MARK.rsplit_once(' ').map_or(MARK, |(program, _)| program);
    if !String::from_utf8_lossy(&beginning).contains(&format!("content=\"{known}")) {
        bail!(
            "{} exists and is not a report of medcoss\nhint: move it away, or choose another file with --out FILE",
            out.display()
        );
    }
    Ok(())
}

impl Written {
    fn to_text(&self) -> String {
        let mut text =
            format!("Wrote {} ({}) in {:.1} s.\n", self.file.display(), human_bytes(self.bytes), self.seconds);
        for run in &self.runs {
            let missing: Vec<&str> =
                run.sections.iter().filter(|section| !section.shown).map(|section| section.id).collect();
            if !missing.is_empty() {
                text.push_str(&format!("Without {}: {}; the page says why.\n", missing.join(", "), run.name));
            }
        }
        for file in &self.tensorboard {
            text.push_str(&format!("Wrote {}\n", file.display()));
        }
        text
    }
}
