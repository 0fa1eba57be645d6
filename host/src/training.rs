//! Runs the stages of a configuration: opens the data of all of them, then learns one after another.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use medcoss_core::data::SampleSource;
use medcoss_core::run::{StageFolder, StageState, write_atomically};
use medcoss_core::stage::{Earlier, Stage};
use serde::Serialize;

use crate::config::{RunConfig, StageSection};
use crate::plugins::{Plugin, Source};
use crate::progress::Progress;
use crate::source::ModalitySource;

/// A run that is about to start or go on.
pub struct Training<'a> {
    /// What to do.
    pub config: &'a RunConfig,
    /// Folder that data paths are relative to.
    pub base: PathBuf,
    /// The run folder.
    pub out: PathBuf,
    /// Continue what is there.
    pub resume: bool,
    /// Device name.
    pub device: &'a str,
    /// The plugin of each stage.
    pub plugins: &'a [Plugin],
}

/// `plugins.lock`: which plugins made the run, so that it can be repeated.
#[derive(Serialize)]
struct Lock {
    plugin: Vec<LockEntry>,
}

#[derive(Serialize)]
struct LockEntry {
    id: String,
    version: String,
    /// File name, without its folder, or `built-in`.
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

impl Training<'_> {
    /// Runs all stages that are not finished yet.
    ///
    /// # Errors
    /// A folder that is in the way, plugins, data or settings that do not fit, and whatever stops a stage.
    pub fn run(&self, progress: &mut Progress) -> Result<Vec<StageState>> {
        let device = medcoss_core::device::by_name(self.device)?;
        self.claim_folder()?;
        let sources = self.open_all()?;

        let mut model = self.config.empty_model();
        let mut states: Vec<StageState> = Vec::new();
        for (at, section) in self.config.stages.iter().enumerate() {
            let source = &sources[at];
            let folder = self.folder(at);
            let in_stage = || format!("stage {} {}", at + 1, section.modality);
            let n_positions = self.config.model.positions.get(source.family()).copied();
            model.admit(source.family(), source.modality(), source.spec(), n_positions)?;
            if let Some(state) = folder.finished()? {
                self.check_finished(&folder, &state, source).with_context(in_stage)?;
                progress.say(&format!("stage {} {}: already done", at + 1, section.modality));
                states.push(state);
                continue;
            }
            let earlier = (0..at)
                .map(|at| Ok(Earlier { source: &sources[at], buffer: self.folder(at).buffer()? }))
                .collect::<Result<_>>()?;
            let stage = Stage {
                number: at + 1,
                seed: self.config.seed,
                settings: &self.config.settings(section),
                current: source,
                model: model.clone(),
                previous: states.last().map(|state| (self.folder(at - 1), state.model.clone())),
                earlier,
                folder: folder.clone(),
                device: device.clone(),
            };
            progress.record_times_in(folder.file("timing.jsonl"));
            states.push(stage.run(progress).with_context(in_stage)?);
        }
        Ok(states)
    }

    /// The folder of a stage, by its position from 0.
    fn folder(&self, at: usize) -> StageFolder {
        StageFolder::new(&self.out, at + 1, &self.config.stages[at].modality)
    }

    /// Creates the run folder, or makes sure that the one there can be continued.
    fn claim_folder(&self) -> Result<()> {
        let record = self.out.join("run.toml");
        if self.resume {
            if !record.exists() {
                bail!(
                    "{} holds no run to resume (no run.toml)\nhint: leave out --resume to start one",
                    self.out.display()
                );
            }
            let before = RunConfig::read(&record, &[]).context("the run to resume")?;
            self.config.continues(&before)?;
        } else if fs::read_dir(&self.out).is_ok_and(|mut entries| entries.next().is_some()) {
            let remedy = if record.exists() { "continue it with --resume, or choose" } else { "choose" };
            bail!("{} is not empty\nhint: {remedy} another folder with --out DIR", self.out.display());
        }
        fs::create_dir_all(&self.out).with_context(|| format!("cannot create run folder {}", self.out.display()))?;
        write_atomically(&record, self.config.to_toml()?.as_bytes())?;
        let entry = |plugin: &Plugin| {
            Ok(LockEntry {
                id: plugin.description().id.clone(),
                version: plugin.description().version.clone(),
                source: file_name(plugin.source()),
                sha256: plugin.source().sha256()?,
            })
        };
        let mut lock: Vec<LockEntry> = self.plugins.iter().map(entry).collect::<Result<_>>()?;
        lock.sort_by(|a, b| a.id.cmp(&b.id));
        lock.dedup_by(|a, b| a.id == b.id);
        let lock = toml::to_string_pretty(&Lock { plugin: lock })?;
        write_atomically(&self.out.join("plugins.lock"), lock.as_bytes())?;
        Ok(())
    }

    /// Opens the data of every stage before the first is learned, so that a wrong path shows at once.
    fn open_all(&self) -> Result<Vec<ModalitySource>> {
        let open = |(at, (section, plugin)): (usize, (&StageSection, &Plugin))| {
            let assets = self.folder(at).file("assets");
            self.open(section, plugin, &assets).with_context(|| format!("stage {} {}", at + 1, section.modality))
        };
        self.config.stages.iter().zip(self.plugins).enumerate().map(open).collect()
    }

    /// Opens one dataset. What the plugin learns from the data (a vocabulary) is kept in the run and used from then on.
    fn open(&self, section: &StageSection, plugin: &Plugin, assets: &Path) -> Result<ModalitySource> {
        let known = assets.is_dir().then_some(assets);
        let source = ModalitySource::open(plugin, &self.base, section, known)?;
        if known.is_none() {
            let partial = assets.with_extension("partial");
            let _ = fs::remove_dir_all(&partial);
            fs::create_dir_all(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
            if source.save_assets(&partial)?.is_empty() {
                fs::remove_dir(&partial)
            } else {
                fs::rename(&partial, assets)
            }
            .with_context(|| format!("cannot write {}", assets.display()))?;
        }
        Ok(source)
    }

    /// Makes sure that a finished stage is whole and its data are the same.
    fn check_finished(&self, folder: &StageFolder, state: &StageState, source: &ModalitySource) -> Result<()> {
        folder.verify(state)?;
        if state.fingerprint != source.fingerprint() {
            return Err(anyhow!(
                "its data have changed since it was learned (fingerprint {} then, {} now)\n\
                 hint: restore the data, check --data-root, or start a new run",
                &state.fingerprint[..12.min(state.fingerprint.len())],
                &source.fingerprint()[..12.min(source.fingerprint().len())]
            ));
        }
        Ok(())
    }
}

/// A library's name without its folder, which belongs to this machine alone.
fn file_name(source: &Source) -> String {
    match source {
        Source::Library { path } => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        Source::BuiltIn => source.to_string(),
    }
}
