//! The training of a run: opens the data of all stages, then trains one stage after another.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use medcoss_core::buffer::Store;
use medcoss_core::confined_path::{ConfinedPath, EntryKind};
use medcoss_core::data::Dataset;
use medcoss_core::device::Device;
use medcoss_core::model::ModelConfig;
use medcoss_core::ranks::Ranks;
use medcoss_core::run::{
    RunLayout, RunLock, StageFolder, StageState, StoredModel, check_manifest, is_partial, remove_partial_below,
    write_folder, write_manifest,
};
use medcoss_core::stage::{PreviousStage, Stage, StageSettings};
use medcoss_plugin_host::Plugin;

use crate::buffer_tokens::BufferTokens;
use crate::config::{RunConfig, StageSection};
use crate::data_source::Side;
use crate::disk::{human_bytes, size_of};
use crate::initial_weights::InitialWeights;
use crate::observer::{DataReport, RunObserver};
use crate::plugin_dataset::PluginDataset;
use crate::plugins_lock::PluginsLock;
use crate::stage_admission::{admit, check_vocabulary, notices};
use crate::stage_dataset::StageDataset;
use crate::stage_plugin::StagePlugin;
use crate::timing::Timed;

/// Number of samples that are written to estimate the size of a buffer sample.
const N_MEASURED: usize = 4;

/// Name of the folder that these samples are written to, for a moment.
const MEASURED: &str = ".measured";

/// The reason why a finished stage needs its plugin.
const NEEDS_PLUGIN: &str =
    "its samples were kept by reference (buffer.store), and only its plugin can read them again from the data";

/// The training of a new run, or of a run that continues.
pub struct Training {
    /// Configuration of the run.
    pub config: RunConfig,
    /// Folder that data paths are relative to.
    pub base: PathBuf,
    /// The run folder.
    pub out: PathBuf,
    /// Whether the run in the folder continues.
    pub resume: bool,
    /// Name of the device that computes.
    pub device: String,
    /// Plugin of each stage.
    pub plugins: Vec<StagePlugin>,
    /// Options that were added to those of the configuration, in words.
    added_options: Vec<String>,
}

impl Training {
    /// The training of a configuration with these plugins, one a stage. A recipe, or published weights that the run begins
    /// with, add options to the stages.
    ///
    /// # Errors
    /// Weights that cannot be read.
    pub fn new(
        config: RunConfig,
        [base, out]: [PathBuf; 2],
        resume: bool,
        device: &str,
        plugins: Vec<StagePlugin>,
    ) -> Result<Self> {
        let origin = InitialWeights::origin(&config, &base, &out)?;
        let (config, added_options) = config.with_option_presets(&plugins, origin)?;
        Ok(Self { config, base, out, resume, device: device.into(), plugins, added_options })
    }

    /// Trains all stages that are not finished yet.
    ///
    /// # Errors
    /// A folder that is not free or in use, plugins, data or settings that do not fit, and any error of a stage.
    pub fn run(&self, observer: &mut dyn RunObserver) -> Result<Vec<StageState>> {
        self.run_on(&Ranks::alone(), observer)
    }

    /// Trains all stages that are not finished yet, as one of several ranks. All ranks have the same configuration, data
    /// and run folder; the root alone writes.
    ///
    /// # Errors
    /// Those of [`Training::run`], on any rank; ranks whose plugins or data differ.
    pub fn run_on(&self, ranks: &Ranks, observer: &mut dyn RunObserver) -> Result<Vec<StageState>> {
        let states = self.train(ranks, observer);
        if let Err(error) = &states {
            ranks.fail(&format!("{error:#}"));
        }
        states
    }

    fn train(&self, ranks: &Ranks, observer: &mut dyn RunObserver) -> Result<Vec<StageState>> {
        let (mut started, mut sources) = self.start(ranks, observer)?;
        for (at, section) in self.config.stages.iter().enumerate() {
            started.admit(&self.config, &sources[at])?;
            if at < started.states.len() {
                observer.notice(&format!("stage {} {}: already done", at + 1, section.modality));
                continue;
            }
            let settings = self.config.settings(section);
            let stage = self.stage(&started, at, &sources, &settings)?;
            let folder = stage.folder.clone();
            let state = match ranks.is_root() {
                true => stage.run(ranks, &mut Timed::new(&mut *observer, folder.file(RunLayout::TIMING))),
                false => stage.run(ranks, observer),
            };
            let state = state.with_context(|| format!("stage {} {}", at + 1, section.modality))?;
            if folder.file(RunLayout::BUFFER_SAMPLES).is_folder()? {
                sources[at] = self.open_kept(&started.layout, at, &state)?;
            }
            started.states.push(state);
        }
        Ok(started.states)
    }

    /// Claims the run folder, opens the data of all stages, and writes the record of the run. Ranks other than the root wait
    /// until all of that is written, and read it.
    ///
    /// # Errors
    /// A folder that is not free or in use, plugins, data or settings that do not fit, ranks that differ.
    pub fn start(&self, ranks: &Ranks, observer: &mut dyn RunObserver) -> Result<(StartedRun, Vec<StageDataset>)> {
        let device = medcoss_core::device::by_name(&self.device)?;
        let is_root = ranks.is_root();
        // The others have looked at the folder before the root claims it, and do so again when it is claimed.
        ranks.wait()?;
        if !is_root {
            ranks.wait()?;
        }
        let (layout, lock) = match is_root {
            true => self.claim_folder().map(|(layout, lock)| (layout, Some(lock)))?,
            false => (RunLayout::open(&self.out)?, None),
        };
        self.added_options.iter().for_each(|added| observer.notice(added));
        let weights = InitialWeights::find(&self.config, &self.base, &layout)?;
        let states = self.finished(&layout, is_root)?;
        let mut sources = self.open_all(&layout, &states, is_root, observer)?;
        // A stage that does not fit the model is refused before the record names it.
        let mut model = weights.model(&self.config)?;
        for (at, source) in sources.iter().enumerate() {
            let in_stage = || format!("stage {} {}", at + 1, self.config.stages[at].modality);
            admit(&mut model, &self.config, source).with_context(in_stage)?;
            check_vocabulary(source, &sources[..at]).with_context(in_stage)?;
            for notice in notices(&model, source) {
                observer.notice(&format!("{}: {notice}", in_stage()));
            }
        }
        if is_root {
            self.write_record(&layout)?;
        }
        self.publish_assets(&layout, &mut sources)?;
        let (initial, model) = match weights.publish(&layout, observer)? {
            Some(initial) => (Some(initial.stored(&layout)), initial.model),
            None => (None, self.config.empty_model()?),
        };
        if is_root {
            ranks.wait()?;
        }
        let versions = self
            .plugins
            .iter()
            .filter_map(|plugin| plugin.loaded().ok())
            .map(|plugin| plugin.sha256().unwrap_or("built-in"));
        ranks.check_equal("plugin files", &versions.collect::<Vec<_>>().join(" "))?;
        ranks.check_equal("data", &sources.iter().map(Dataset::fingerprint).collect::<Vec<_>>().join(" "))?;
        Ok((StartedRun { layout, _lock: lock, device, initial, model, states }, sources))
    }

    /// A stage by its position from 0. Its token family has been admitted, and all earlier stages are finished.
    ///
    /// # Errors
    /// Buffers of earlier stages that cannot be read.
    pub fn stage<'s>(
        &self,
        started: &StartedRun,
        at: usize,
        sources: &'s [impl Dataset],
        settings: &'s StageSettings,
    ) -> Result<Stage<'s>> {
        let strategy = settings.strategy.name;
        let earlier = (0..at).map(|at| {
            let StageSettings { epochs, batch_size, .. } = self.config.settings(&self.config.stages[at]);
            Ok(PreviousStage {
                dataset: &sources[at],
                buffer: self.folder(&started.layout, at).buffer()?,
                epochs,
                batch_size,
            })
        });
        Ok(Stage {
            number: at + 1,
            seed: self.config.seed,
            settings,
            current: &sources[at],
            model: started.model.clone(),
            previous: match started.states.last().filter(|_| !strategy.has_one_model_per_stage()) {
                Some(state) => Some(StoredModel::of_stage(&self.folder(&started.layout, at - 1), state)),
                None => started.initial.clone(),
            },
            earlier: earlier.collect::<Result<_>>()?,
            deferred: strategy.defers_training() && at + 1 < self.config.stages.len(),
            folder: self.folder(&started.layout, at),
            device: started.device.clone(),
        })
    }

    /// The folder of a stage, by its position from 0.
    pub fn folder(&self, layout: &RunLayout, at: usize) -> StageFolder {
        StageFolder::new(layout, at + 1, &self.config.stages[at].modality)
    }

    /// Claims the run folder for this process: a free folder, or the folder of a run that this configuration continues.
    fn claim_folder(&self) -> Result<(RunLayout, RunLock)> {
        let has_record = match self.out.exists() {
            true => RunLayout::open(&self.out)?.record().is_file()?,
            false => false,
        };
        if self.resume && !has_record {
            bail!(
                "{} holds no run to resume (no {})\nhint: leave out --resume to start one",
                self.out.display(),
                RunLayout::RECORD
            );
        }
        if !self.resume && !is_free(&self.out)? {
            let remedy = if has_record { "continue it with --resume, or choose" } else { "choose" };
            bail!("{} is not empty\nhint: {remedy} another folder with --out DIR", self.out.display());
        }
        let layout = RunLayout::create(&self.out)?;
        let lock = RunLock::take(&layout)?;
        if self.resume {
            let before = RunConfig::read_record(&layout.record()).context("the run to resume")?;
            self.config.continues(&before)?;
        }
        remove_partial_below(layout.folder())?;
        Ok((layout, lock))
    }

    fn write_record(&self, layout: &RunLayout) -> Result<()> {
        let lock = layout.plugins_lock();
        let mut plugins = PluginsLock::of(self.plugins.iter().filter_map(|plugin| plugin.loaded().ok()));
        if lock.is_file()? {
            let before = PluginsLock::read(&lock)?;
            plugins.compare(&before);
            plugins.keep(before);
        }
        self.config.write_record(&layout.record())?;
        plugins.write(&lock)
    }

    /// The states of the finished stages, which are the first ones. All of their files are verified by their checksums.
    fn finished(&self, layout: &RunLayout, is_root: bool) -> Result<Vec<StageState>> {
        let mut states = Vec::new();
        for at in 0..self.config.stages.len() {
            let folder = self.folder(layout, at);
            let in_stage = || format!("stage {} {}", at + 1, self.config.stages[at].modality);
            let Some(state) = folder.finished().with_context(in_stage)? else { break };
            folder.verify(&state).with_context(in_stage)?;
            if is_root {
                folder.clear_checkpoints().with_context(in_stage)?;
            }
            states.push(state);
        }
        Ok(states)
    }

    /// Opens the samples of every stage before the first is trained, so that a wrong path is reported at once. Of a
    /// finished stage with stored buffer samples those are opened, and its data are not needed.
    fn open_all(
        &self,
        layout: &RunLayout,
        states: &[StageState],
        is_root: bool,
        observer: &mut dyn RunObserver,
    ) -> Result<Vec<StageDataset>> {
        let mut sources = Vec::new();
        for (at, section) in self.config.stages.iter().enumerate() {
            let in_stage = || format!("stage {} {}", at + 1, section.modality);
            let source = match states.get(at) {
                Some(state) if self.folder(layout, at).file(RunLayout::BUFFER_SAMPLES).is_folder()? => {
                    self.open_kept(layout, at, state).with_context(in_stage)?
                }
                Some(state) => {
                    self.plugins[at].loaded().context(NEEDS_PLUGIN).with_context(in_stage)?;
                    let source = self.open_data(layout, at, is_root).with_context(in_stage)?;
                    check_unchanged(state, &source).with_context(in_stage)?;
                    StageDataset::Plugin(source.into())
                }
                None => {
                    let source = self.open_data(layout, at, is_root).with_context(in_stage)?;
                    if let Some(account) = source.account() {
                        let (modality, n_samples) = (section.modality.as_str(), source.ids().len());
                        observer.data_opened(&DataReport { stage: at + 1, modality, n_samples, account });
                    }
                    if is_root && self.config.buffer.store == Store::Materialised {
                        self.estimate_size(layout, at, &source, observer).with_context(in_stage)?;
                    }
                    StageDataset::Plugin(source.into())
                }
            };
            sources.push(source);
        }
        Ok(sources)
    }

    /// The folder of the stage that holds the assets of the stage at a position from 0: the first of its modality,
    /// since a repeated modality must give the same tokens.
    fn holder_of_assets(&self, layout: &RunLayout, at: usize) -> StageFolder {
        let modality = &self.config.stages[at].modality;
        self.folder(layout, self.config.stages.iter().position(|stage| stage.modality == *modality).unwrap_or(at))
    }

    /// The folder of a stage's assets, if the modality has any, verified by their checksums.
    fn known_assets(&self, layout: &RunLayout, at: usize) -> Result<Option<PathBuf>> {
        let holder = self.holder_of_assets(layout, at);
        for name in [RunLayout::ASSETS, RunLayout::NEW_ASSETS] {
            let assets = holder.file(name);
            if !assets.is_folder()? {
                continue;
            }
            return match check_manifest(&assets)?.into_iter().find_map(|(_, fault)| fault) {
                Some(fault) => Err(fault.into()),
                None => Ok(Some(assets.checked_path()?)),
            };
        }
        Ok(None)
    }

    /// Moves new assets to their final folders.
    fn publish_assets(&self, layout: &RunLayout, sources: &mut [StageDataset]) -> Result<()> {
        for (at, source) in sources.iter_mut().enumerate() {
            let holder = self.holder_of_assets(layout, at);
            let (new, assets) = (holder.file(RunLayout::NEW_ASSETS), holder.file(RunLayout::ASSETS));
            if new.is_folder()? {
                new.rename_to(&assets)?;
            }
            if assets.is_folder()? {
                source.assets_are_in(assets.checked_path()?);
            }
        }
        Ok(())
    }

    /// Opens the buffer samples of a finished stage; without its plugin, their tokens in the evaluation view.
    fn open_kept(&self, layout: &RunLayout, at: usize, state: &StageState) -> Result<StageDataset> {
        let folder = self.folder(layout, at);
        match &self.plugins[at] {
            StagePlugin::Loaded(plugin) => {
                let source = PluginDataset::open_kept(plugin, &folder, self.known_assets(layout, at)?.as_deref())?;
                Ok(StageDataset::Plugin(source.into()))
            }
            StagePlugin::Missing(missing) => {
                let tokens = BufferTokens::open(&folder, state).map_err(|error| missing.error().context(error))?;
                tracing::warn!(
                    "stage {} {} is replayed from buffer tokens, unaugmented and with masks that are drawn without its plugin: losses \
                     differ from those of a run with it; {}",
                    at + 1,
                    state.modality,
                    missing.in_words()
                );
                Ok(StageDataset::Tokens(Box::new(tokens)))
            }
        }
    }

    /// Opens the data of a stage. Assets that the plugin derives from the data (a vocabulary) are stored in the run and
    /// used from then on.
    fn open_data(&self, layout: &RunLayout, at: usize, is_root: bool) -> Result<PluginDataset> {
        let (section, plugin): (&StageSection, &Plugin) = (&self.config.stages[at], self.plugins[at].loaded()?);
        let known = self.known_assets(layout, at)?;
        let mut source = PluginDataset::open(plugin, &self.base, section, known.as_deref(), &[Side::Train])?;
        if known.is_none() && is_root {
            let assets = self.folder(layout, at).file(RunLayout::NEW_ASSETS);
            let mut learned = Vec::new();
            write_folder(&assets, |folder| {
                learned = source
                    .save_assets(&folder.checked_path()?)
                    .map_err(|error| medcoss_core::Error::Dataset(format!("{error:#}")))?;
                write_manifest(folder)
            })?;
            if learned.is_empty() {
                assets.remove()?;
            } else {
                source.assets_are_in(assets.checked_path()?);
            }
        }
        Ok(source)
    }

    /// Writes a few buffer samples, reports the estimated size of all of them, and removes them again. A plugin that
    /// cannot write samples is so reported before the training.
    fn estimate_size(
        &self,
        layout: &RunLayout,
        at: usize,
        source: &PluginDataset,
        observer: &mut dyn RunObserver,
    ) -> Result<()> {
        let section = &self.config.stages[at];
        let plugin = self.plugins[at].loaded()?;
        if !plugin.keeps() {
            bail!("plugin {} cannot keep samples in the run\nhint: set buffer.store = \"reference\"", plugin.name());
        }
        let n_samples = source.ids().len();
        let n_kept = self.config.n_kept(n_samples);
        let n_measured = N_MEASURED.min(n_samples);
        let indices: Vec<u64> = (0..n_measured).map(|nth| (nth * n_samples / n_measured) as u64).collect();
        let folder = layout.folder().join(MEASURED).create_partial_folder()?;
        let measured = measure(source, &indices, &folder);
        folder.remove()?;
        let (n_read, bytes) = measured?;
        let expected = (bytes as f64 / n_read.max(1) as f64 * n_kept as f64) as u64;
        observer.notice(&format!(
            "stage {} {}: {n_kept} of {n_samples} samples will be kept in the run, about {}",
            at + 1,
            section.modality,
            human_bytes(expected)
        ));
        Ok(())
    }
}

/// Writes samples into a folder. Returns the number of samples that can be read, and the size of their files in bytes.
fn measure(source: &PluginDataset, indices: &[u64], folder: &ConfinedPath) -> Result<(usize, u64)> {
    let (mut n_read, mut bytes) = (0, 0);
    for &index in indices {
        // A sample that cannot be read is an invalid sample, which will not be kept.
        if source.plain(index).is_err() {
            continue;
        }
        let one = folder.join(index.to_string());
        one.create_folder()?;
        source.keep_exactly(&[index], &one)?;
        bytes += size_of(&one.path())?.bytes;
        n_read += 1;
    }
    Ok((n_read, bytes))
}

/// A run whose folder is claimed and whose record is written.
pub struct StartedRun {
    /// Folder of the run.
    pub layout: RunLayout,
    _lock: Option<RunLock>,
    /// Device that computes.
    pub device: Device,
    /// The initial model; `None` for fresh parameters.
    initial: Option<StoredModel>,
    /// Configuration of the model, with the admitted token families.
    model: ModelConfig,
    /// States of the finished stages.
    pub states: Vec<StageState>,
}

impl StartedRun {
    /// Adds the token family of the next stage to the model.
    ///
    /// # Errors
    /// A token family that the model cannot hold, or that differs from an earlier stage's.
    pub fn admit(&mut self, config: &RunConfig, source: &dyn Dataset) -> Result<()> {
        admit(&mut self.model, config, source)
    }
}

/// Checks that the data of a finished stage are unchanged.
fn check_unchanged(state: &StageState, source: &PluginDataset) -> Result<()> {
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

/// Whether a folder is missing, or holds nothing but remains of a run that ended before its first stage.
///
/// # Errors
/// A folder that cannot be entered, or holds links or special files.
pub fn is_free(folder: &Path) -> Result<bool> {
    if !folder.exists() {
        return Ok(true);
    }
    Ok(holds_remains_only(&ConfinedPath::root(folder)?)?)
}

fn holds_remains_only(folder: &ConfinedPath) -> medcoss_core::Result<bool> {
    for (name, kind) in folder.entries()? {
        let remains = match kind {
            EntryKind::File => name == RunLayout::LOCK || is_partial(&name),
            EntryKind::Folder => is_partial(&name) || holds_remains_only(&folder.join(&name))?,
        };
        if !remains {
            return Ok(false);
        }
    }
    Ok(true)
}
