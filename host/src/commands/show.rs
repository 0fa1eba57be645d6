//! `medcoss show`: lists the content of a run folder, and verifies its files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use medcoss_core::evaluation::Scores;
use medcoss_core::model::Dimensions;
use medcoss_core::run::{RunLayout, StageFolder, StageState, StoredModel, check_manifest, is_partial, read_metrics};
use medcoss_core::weights::InitialModel;
use medcoss_runtime::config::RunConfig;
use medcoss_runtime::disk::{human_bytes, size_of};
use medcoss_runtime::plugins_lock::{LockedPlugin, PluginsLock};
use medcoss_runtime::run::open_layout;
use serde::Serialize;

use crate::arguments::ResultArgs;
use crate::failure::Failure;
use crate::tables::Table;

/// Show a run: its stages, data, buffers, plugins and sizes
///
/// The command reads only the run folder, and needs neither data nor plugins. --verify compares every file with its
/// checksum; a damaged or missing file is named, and the exit code is 1.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss show runs/first
  medcoss show runs/first --verify
  medcoss show runs/first --json | jq '.stages[].n_buffer'")]
pub(crate) struct Show {
    /// Run folder
    run: PathBuf,
    /// Compare every file with its checksum
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    result: ResultArgs,
}

#[derive(Serialize)]
struct Report {
    run: PathBuf,
    seed: u64,
    model: String,
    /// The initial weights; `None` for fresh parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    initial: Option<InitialReport>,
    stages: Vec<StageReport>,
    plugins: Vec<LockedPlugin>,
    n_files: usize,
    bytes: u64,
    /// Number of verified files, and the faults; `None` without --verify.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<Verified>,
}

#[derive(Serialize)]
struct InitialReport {
    source: String,
    source_sha256: String,
    families: Vec<String>,
}

#[derive(Serialize)]
struct StageReport {
    stage: usize,
    modality: String,
    /// Progress of the stage: `done`, `epoch 3 of 5`, `not started`.
    progress: String,
    data: Vec<PathBuf>,
    n_samples: Option<usize>,
    n_invalid: Option<usize>,
    n_buffer: Option<usize>,
    /// Storage of the buffer's samples: `reference` or `materialised`.
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<&'static str>,
    fingerprint: Option<String>,
    pretext_first: Option<f64>,
    pretext_last: Option<f64>,
    bytes: u64,
}

#[derive(Serialize)]
struct Verified {
    n_files: usize,
    faults: Vec<Fault>,
}

#[derive(Serialize)]
struct Fault {
    /// Path of the file, relative to the run.
    file: String,
    fault: String,
}

impl Show {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let report = self.report().map_err(Failure::user)?;
        self.result.print(&report, Report::to_text)?;
        match &report.verified {
            Some(Verified { faults, .. }) if !faults.is_empty() => Err(Failure::user(anyhow::anyhow!(
                "{} of the run's files are damaged or missing\nhint: copy them from a backup; a damaged checkpoint is skipped by \
                 `medcoss resume`, a damaged stage can be removed and learned again, with all stages after it",
                faults.len()
            ))),
            _ => Ok(()),
        }
    }

    fn report(&self) -> Result<Report> {
        let mut verification = self.verify.then(|| Verified { n_files: 0, faults: Vec::new() });
        // Other files cannot be found without the record.
        let run = open_layout(&self.run)?;
        let config = RunConfig::read_record(&run.record())
            .with_context(|| format!("{} holds no run that can be read", self.run.display()))?;
        let locked = PluginsLock::read(&run.plugins_lock());
        if let Some(verified) = &mut verification {
            verified.n_files += 2;
            verified.add("plugins.lock", locked.as_ref().err().map(|error| format!("{error:#}")));
        }
        let plugins = match locked {
            Ok(locked) => locked.plugin,
            Err(_) if self.verify => Vec::new(),
            Err(error) => return Err(error),
        };
        if let Some(verified) = &mut verification {
            match InitialModel::check_files(&run) {
                Ok(checks) => checks.into_iter().for_each(|(name, fault)| {
                    verified.n_files += 1;
                    verified.add(&name, fault.map(|fault| fault.to_string()));
                }),
                Err(error) => {
                    verified.n_files += 1;
                    verified.add(RunLayout::INITIAL, Some(error.to_string()));
                }
            }
        }
        let mut stages = Vec::new();
        for (at, section) in config.stages.iter().enumerate() {
            let folder = StageFolder::new(&run, at + 1, &section.modality);
            if let Some(verified) = &mut verification {
                verified.stage(&folder)?;
            }
            let report = StageReport::read(&folder, at + 1, &section.modality, section.data.paths());
            match report {
                Ok(report) => stages.push(report),
                Err(error) if self.verify => {
                    let fault = format!("{error:#}");
                    if let Some(verified) = verification.as_mut().filter(|verified| verified.faults.is_empty()) {
                        verified.add(&folder.name(), Some(fault));
                    }
                }
                Err(error) => return Err(error.context(format!("stage {} {}", at + 1, section.modality))),
            }
        }
        if let Some(verified) = &mut verification {
            verified.evaluations(&run)?;
        }
        let size = size_of(&self.run)?;
        let initial = match InitialModel::read(&run) {
            Ok(initial) => initial,
            Err(_) if self.verify => None,
            Err(error) => return Err(anyhow::Error::from(error).context("the model that the run began with")),
        };
        let dimensions = match &initial {
            Some(initial) => Some(initial.model.dimensions.clone()),
            // Weights that cannot be read have no known sizes.
            None if config.model.init.is_some() => None,
            None => Some(config.model.dimensions()?),
        };
        Ok(Report {
            run: self.run.clone(),
            seed: config.seed,
            model: dimensions.map_or_else(|| "sizes unknown".into(), |sizes| sizes_text(&sizes)),
            initial: initial.map(|initial| InitialReport {
                source: initial.source,
                source_sha256: initial.source_sha256,
                families: initial.model.families.into_iter().map(|family| family.name).collect(),
            }),
            stages,
            plugins,
            n_files: size.n_files,
            bytes: size.bytes,
            verified: verification,
        })
    }
}

fn sizes_text(sizes: &Dimensions) -> String {
    format!(
        "{} layers of {} with {} heads; decoder {} of {}",
        sizes.layers, sizes.width, sizes.heads, sizes.decoder_layers, sizes.decoder_width
    )
}

impl Verified {
    fn add(&mut self, file: &str, fault: Option<String>) {
        if let Some(fault) = fault {
            self.faults.push(Fault { file: file.into(), fault });
        }
    }

    /// Collects the scores of every evaluation, and the tables beside them.
    fn evaluations(&mut self, run: &RunLayout) -> Result<()> {
        for (name, _) in run.evaluations().entries()? {
            let folder = run.evaluation(&name);
            // An evaluation that is running, or was killed, has no files yet.
            if folder.entries()?.iter().all(|(file, _)| is_partial(file)) {
                continue;
            }
            for check in Scores::check_files(&folder) {
                self.n_files += 1;
                let file = format!("{}/{name}/{}", RunLayout::EVALUATIONS, check.name);
                self.add(&file, check.fault.map(|fault| fault.to_string()));
            }
        }
        Ok(())
    }

    /// Collects every file of a stage: of a finished stage by its state, of a running stage by its checkpoints.
    fn stage(&mut self, folder: &StageFolder) -> Result<()> {
        let (name, device) = (folder.name(), medcoss_core::device::by_name("cpu")?);
        match folder.finished() {
            Ok(Some(state)) => {
                self.n_files += 1;
                for check in folder.check_files(&state) {
                    self.n_files += 1;
                    self.add(&format!("{name}/{}", check.name), check.fault.map(|fault| fault.to_string()));
                }
                // Checksums alone say nothing of the values: anyone can compute them.
                if self.faults.is_empty() {
                    let model = StoredModel::of_stage(folder, &state).load(&device);
                    self.add(&format!("{name}/{}", RunLayout::MODEL), model.err().map(|fault| fault.to_string()));
                }
            }
            Ok(None) => {
                for check in folder.check_checkpoints()? {
                    self.n_files += 1;
                    self.add(&format!("{name}/{}", check.name), check.fault.map(|fault| fault.to_string()));
                }
                let assets = folder.file(RunLayout::ASSETS);
                if assets.is_folder()? {
                    for (file, fault) in check_manifest(&assets)? {
                        self.n_files += 1;
                        self.add(&format!("{name}/assets/{file}"), fault.map(|fault| fault.to_string()));
                    }
                }
            }
            Err(error) => {
                self.n_files += 1;
                self.add(&format!("{name}/state.json"), Some(error.to_string()));
            }
        }
        Ok(())
    }
}

impl StageReport {
    fn read(folder: &StageFolder, stage: usize, modality: &str, data: Vec<PathBuf>) -> Result<Self> {
        let finished = folder.finished()?;
        let is_finished = finished.is_some();
        let state = match finished {
            Some(state) => Some(state),
            None => folder.running()?,
        };
        let metrics = folder.file(RunLayout::METRICS);
        let metrics = if metrics.is_file()? { read_metrics(&metrics)? } else { Vec::new() };
        let loss = |line: Option<&medcoss_core::run::EpochMetrics>| line?.current_pretext();
        let n_buffer = if is_finished { Some(folder.buffer()?.entries.len()) } else { None };
        Ok(Self {
            stage,
            modality: modality.into(),
            progress: progress(state.as_ref(), is_finished),
            data,
            n_samples: state.as_ref().map(|state| state.n_samples),
            n_invalid: state.as_ref().map(|state| state.invalid_samples.len()),
            n_buffer,
            store: match (is_finished, folder.file(RunLayout::BUFFER_SAMPLES).is_folder()?) {
                (false, _) => None,
                (true, true) => Some("materialised"),
                (true, false) => Some("reference"),
            },
            fingerprint: state.map(|state| state.fingerprint),
            pretext_first: loss(metrics.first()),
            pretext_last: loss(metrics.last()),
            bytes: if folder.path().is_folder()? { size_of(&folder.path().path()).context("size")?.bytes } else { 0 },
        })
    }
}

fn progress(state: Option<&StageState>, finished: bool) -> String {
    match state {
        Some(state) if finished && state.epochs == 0 => "joined".into(),
        Some(_) if finished => "done".into(),
        Some(state) => format!("epoch {} of {}", (state.epochs_done + 1).min(state.epochs), state.epochs),
        None => "not started".into(),
    }
}

impl Report {
    fn to_text(&self) -> String {
        let mut stages =
            Table::new(&["stage", "modality", "progress", "samples", "buffer", "pretext loss", "size", "data"]);
        for stage in &self.stages {
            let number = |n: Option<usize>| n.map_or("-".into(), |n: usize| n.to_string());
            let samples = match stage.n_invalid {
                Some(n_invalid) if n_invalid > 0 => format!("{} ({n_invalid} invalid)", number(stage.n_samples)),
                _ => number(stage.n_samples),
            };
            let buffer = match stage.store {
                Some("materialised") => format!("{} (in the run)", number(stage.n_buffer)),
                _ => number(stage.n_buffer),
            };
            let loss = match (stage.pretext_first, stage.pretext_last) {
                (Some(first), Some(last)) => format!("{first:.4} -> {last:.4}"),
                _ => "-".into(),
            };
            let data: Vec<_> = stage.data.iter().map(|path| path.display().to_string()).collect();
            stages.row([
                stage.stage.to_string(),
                stage.modality.clone(),
                stage.progress.clone(),
                samples,
                buffer,
                loss,
                human_bytes(stage.bytes),
                data.join(", "),
            ]);
        }
        let mut plugins = Table::new(&["plugin", "version", "file", "sha256"]);
        for plugin in &self.plugins {
            let sha256 = plugin.sha256.as_deref().map_or("-", |digest| &digest[..12.min(digest.len())]);
            plugins.row([plugin.id.as_str(), &plugin.version, &plugin.file, sha256]);
        }
        let began = self.initial.as_ref().map(|initial| {
            let (families, digest) = (initial.families.join(", "), &initial.source_sha256[..12]);
            format!("\nbegan with {} (sha256 {digest}): {families}", initial.source)
        });
        let began = began.unwrap_or_default();
        let mut text = format!(
            "run {}: seed {}, {}; {} in {} files{began}\n\n{}\n{}",
            self.run.display(),
            self.seed,
            self.model,
            human_bytes(self.bytes),
            self.n_files,
            stages.lines(),
            plugins.lines()
        );
        if let Some(verified) = &self.verified {
            text.push_str(&verified.to_text(&self.run));
        }
        text
    }
}

impl Verified {
    fn to_text(&self, run: &Path) -> String {
        if self.faults.is_empty() {
            return format!("\nAll {} files are as they were written.\n", self.n_files);
        }
        let mut text = format!("\n{} of {} files are not as they were written:\n", self.faults.len(), self.n_files);
        let prefix = format!("{}/", run.display());
        for Fault { file, fault } in &self.faults {
            // The fault repeats the path, which the line already shows.
            let fault = fault.replace(&prefix, "").replace('\n', "\n    ");
            text.push_str(&format!("  {file}\n    {fault}\n"));
        }
        text
    }
}
