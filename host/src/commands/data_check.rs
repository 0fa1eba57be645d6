//! `medcoss data check`: reads every sample once, as training would, and reports the invalid ones with the reason.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use medcoss_core::data::{DataAccount, Dataset, LoaderOptions};
use medcoss_plugin_host::{Batch, FailureKind, OpenDataset, Plugin, View, untrusted_text};
use medcoss_runtime::left_out_files::table_of_left_out_files;
use medcoss_runtime::timing::peak_memory;
use medcoss_runtime::{WorkObserver, WorkReport};
use serde::Serialize;

use crate::arguments::{BarArgs, DataArgs, PluginArgs, ResultArgs, check_invalid_fraction};
use crate::failure::Failure;
use crate::tables::data_account;

/// Number of samples that are read at a time.
const BATCH: usize = 8;

/// Read every sample once and report those that cannot be read
///
/// The command finds faults that would otherwise stop a training after hours: damaged files, unsupported file types,
/// values that are not finite. It names every invalid sample with the reason, and counts the files that are left out. The
/// exit code is 1 when the fraction of invalid samples is above --max-invalid-fraction.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss data check --modality ct --data /data/ct
  medcoss data check --modality text --data notes.csv --set column=note
  medcoss data check --modality mri --data archive --left-out left-out.csv
  medcoss data check --modality xray --data chest --max-invalid-fraction 0 --json > invalid.json")]
pub(crate) struct DataCheck {
    #[command(flatten)]
    data: DataArgs,
    /// Largest fraction of invalid samples, not rounded; the check fails above it, as training does
    #[arg(long, value_name = "RATIO", default_value_t = 0.01)]
    max_invalid_fraction: f64,
    /// Write all files that are left out into this CSV file, each with the reason
    #[arg(long, value_name = "FILE")]
    left_out: Option<PathBuf>,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    result: ResultArgs,
    #[command(flatten)]
    bar: BarArgs,
}

#[derive(Serialize)]
struct Report {
    modality: String,
    n_samples: usize,
    n_invalid: usize,
    /// Samples that are sound and have nothing to learn.
    n_skipped: usize,
    fingerprint: String,
    /// What became of the files, where the plugin knows.
    files: Option<DataAccount>,
    seconds: f64,
    /// Largest resident memory of this process, where the system reports it.
    peak_memory_bytes: Option<u64>,
    /// Reasons of invalid samples, by id.
    invalid: BTreeMap<String, String>,
    /// Reasons of samples that have nothing to learn, by id.
    skipped: BTreeMap<String, String>,
}

impl DataCheck {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        check_invalid_fraction(self.max_invalid_fraction).map_err(Failure::user)?;
        let plugin = self.plugins.registry()?.load(&self.data.modality).map_err(Failure::user)?;
        let report = self.check(&plugin).map_err(Failure::of_run)?;
        self.result.print(&report, Report::to_text)?;
        let limit = LoaderOptions { num_workers: 1, max_invalid_fraction: self.max_invalid_fraction };
        if !limit.allows(report.n_invalid, report.n_samples) {
            return Err(Failure::user(anyhow::anyhow!(
                "{} of {} samples cannot be read, more than --max-invalid-fraction {} allows\n\
                 hint: fix or remove them, or raise data.max_invalid_fraction when you train",
                report.n_invalid,
                report.n_samples,
                self.max_invalid_fraction
            )));
        }
        Ok(())
    }

    fn check(&self, plugin: &Plugin) -> Result<Report> {
        let began = Instant::now();
        let source = self.data.open(plugin)?;
        if let Some(out) = &self.left_out {
            write_left_out(source.dataset(), out)?;
        }
        let n_samples = source.ids().len();
        let bar = self.bar.begin("{msg:10} [{bar:24}] {pos} of {len}, {per_sec}, {eta} left");
        let (mut invalid, mut skipped) = (BTreeMap::new(), BTreeMap::new());
        let mut batch = Batch::default();
        for first in (0..n_samples).step_by(BATCH) {
            let indices: Vec<u64> = (first..n_samples.min(first + BATCH)).map(|index| index as u64).collect();
            let failures = source.dataset().fill(View::Evaluation, &indices, &vec![0; indices.len()], &mut batch);
            for failure in failures.context("the plugin failed as a whole")? {
                let list = if failure.kind == FailureKind::Skipped { &mut skipped } else { &mut invalid };
                list.insert(failure.id.clone(), source.without_base(failure.reason));
            }
            let (activity, done) = (format!("{} invalid", invalid.len()), first + indices.len());
            bar.progress(&WorkReport { activity: &activity, done: done as u64, total: n_samples as u64 });
        }
        bar.finish();
        Ok(Report {
            modality: self.data.modality.clone(),
            n_samples,
            n_invalid: invalid.len(),
            n_skipped: skipped.len(),
            fingerprint: source.fingerprint().into(),
            files: source.account().cloned(),
            seconds: began.elapsed().as_secs_f64(),
            peak_memory_bytes: peak_memory(),
            invalid,
            skipped,
        })
    }
}

/// Writes the table of files that are left out. It is private, since names of files may name patients.
///
/// # Errors
/// A plugin that does not know them, a file that exists or cannot be written.
fn write_left_out(dataset: &OpenDataset, out: &Path) -> Result<()> {
    let Some(table) = table_of_left_out_files(dataset)? else {
        bail!("plugin {} does not say which files it leaves out\nhint: omit --left-out", dataset.plugin().name());
    };
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(out)
        .with_context(|| format!("cannot write --left-out {}", out.display()))?;
    Ok(file.write_all(&table)?)
}

impl Report {
    fn to_text(&self) -> String {
        let fingerprint = &self.fingerprint[..12.min(self.fingerprint.len())];
        let mut text = format!(
            "{}: {} samples, {} cannot be read; fingerprint {fingerprint}; {:.1} s\n",
            self.modality, self.n_samples, self.n_invalid, self.seconds
        );
        if let Some(files) = &self.files {
            text.push_str(&format!("\n{}", data_account::to_text("files", self.n_samples, files)));
        }
        text.push_str(&groups(&self.invalid));
        if self.n_skipped > 0 {
            text.push_str(&format!("\n{} have nothing to learn and are left out of training:\n", self.n_skipped));
            text.push_str(&groups(&self.skipped));
        }
        text
    }
}

/// Samples that are named of one reason.
const N_NAMED: usize = 5;

/// The reasons, the most frequent first, each with its hint and the samples that it concerns.
fn groups(reasons: &BTreeMap<String, String>) -> String {
    let mut samples_by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (id, reason) in reasons {
        let without_id =
            reason.strip_prefix(id.as_str()).map_or(reason.as_str(), |rest| rest.trim_start_matches([':', ' ']));
        samples_by_reason.entry(without_id).or_default().push(id);
    }
    let mut groups: Vec<_> = samples_by_reason.into_iter().collect();
    groups.sort_by_key(|(_, ids)| Reverse(ids.len()));
    let mut text = String::new();
    for (reason, ids) in groups {
        let reason = untrusted_text(reason).replace('\n', "\n  ");
        text.push_str(&format!("\n{} {}: {reason}\n", ids.len(), if ids.len() == 1 { "sample" } else { "samples" }));
        ids.iter().take(N_NAMED).for_each(|id| text.push_str(&format!("    {}\n", untrusted_text(id))));
        if let Some(more) = ids.len().checked_sub(N_NAMED).filter(|more| *more > 0) {
            text.push_str(&format!("    and {more} more; --json names all\n"));
        }
    }
    text
}
