//! A plugin's dataset as core's [`Dataset`]: the data of a stage, or the samples in its buffer.

use std::mem::take;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use medcoss_abi::code;
use medcoss_abi::message::{Geometry, Keep, Notice, Open, Synthesised};
use medcoss_core::Error;
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::data::{
    DataAccount, DataNotice, Dataset, GridLayout, RawBatch, ReportKind, SampleReport, TargetSpec, TokenSpec, View,
};
use medcoss_core::run::{RunLayout, StageFolder, read_json, write_atomically};
use medcoss_plugin_host::{
    Batch, DataFiles, FailureKind, Fault, OpenDataset, Plugin, PluginError, Rendered, SampleFailure, SampleTable,
    Tokens, View as PluginView, untrusted_text, with_present_names,
};

use crate::buffer_tokens;
use crate::config::StageSection;
use crate::data_source::{ResolvedData, Side};
use crate::relative_paths::{is_below, without_folder};
use crate::token_spec::{layout_of, spec_of, targets_of, vocabulary_digest_of};

/// Folder for the buffer samples' files, and for the information how the plugin opens them.
const SAMPLES: &str = "samples";
const HOW_TO_OPEN: &str = "open.json";
/// File with the labels of buffer samples, where any has one.
const LABELS: &str = "labels.json";
/// Largest difference of a token's values between a sample and its copy in the buffer: one step of 16-bit pixels, as a
/// fraction of the pixel range.
const KEPT_TOLERANCE: f32 = 1.0 / 32768.0;

/// A plugin's dataset as core's [`Dataset`]: the samples of one stage or of its buffer.
pub struct PluginDataset {
    spec: TokenSpec,
    layout: Option<Arc<GridLayout>>,
    /// Prefix of the paths in messages: the folder that data are relative to.
    base: String,
    dataset: OpenDataset,
    account: Option<DataAccount>,
    /// Folder with the assets that the plugin derived from the data.
    assets: Option<PathBuf>,
    /// Ids of buffer samples in the original data; `None` for the data themselves.
    original_ids: Option<Vec<String>>,
    /// Labels of buffer samples in the original data; empty for the data themselves, and where no sample has one.
    original_labels: Vec<Option<String>>,
}

impl PluginDataset {
    /// Opens the data of a stage, after the names of its options were checked: of a list with a split, the samples of `sides`.
    ///
    /// # Errors
    /// Unknown options, a list that cannot be read, errors that the plugin reports, answers that break the contract.
    pub fn open(
        plugin: &Plugin,
        base: &Path,
        stage: &StageSection,
        assets: Option<&Path>,
        sides: &[Side],
    ) -> Result<Self> {
        let base = stage.root.as_ref().map_or_else(|| base.to_path_buf(), |root| base.join(root));
        let ResolvedData { entries, facts, left_out } = stage.data.resolve(&base, sides)?;
        let options = serde_json::to_value(&stage.options)?;
        let n_entries = entries.len() as u64;
        let request = Open { base, data: entries, options, assets: assets.map(Path::to_path_buf) };
        let mut dataset = Self::from_request(plugin, &request)?;
        if !facts.is_empty() {
            dataset.dataset.annotate(&facts)?;
        }
        if !left_out.is_empty() {
            let account =
                dataset.account.get_or_insert_with(|| DataAccount { n_used: n_entries, ..DataAccount::default() });
            for (file, reason) in left_out {
                tracing::info!("left out, {}: {}", untrusted_text(&reason), untrusted_text(&file));
                *account.left_out.entry(untrusted_text(&reason)).or_default() += 1;
            }
        }
        Ok(dataset)
    }

    /// Opens the buffer samples of a finished stage; `assets` as for [`PluginDataset::open`].
    ///
    /// # Errors
    /// Missing or damaged files, errors that the plugin reports.
    pub fn open_kept(plugin: &Plugin, stage: &StageFolder, assets: Option<&Path>) -> Result<Self> {
        let ids: Vec<String> = stage.buffer()?.entries.into_iter().map(|entry| entry.id).collect();
        let folder = stage.file(RunLayout::BUFFER_SAMPLES);
        let kept = Self::reopen(plugin, &folder, assets)?;
        let original_labels: Vec<Option<String>> = match folder.join(LABELS) {
            file if file.is_file()? => read_json(&file)?,
            _ => Vec::new(),
        };
        if !original_labels.is_empty() && original_labels.len() != ids.len() {
            let (n, expected) = (original_labels.len(), ids.len());
            bail!("{} is damaged: it has {n} labels of {expected} samples", folder.join(LABELS).display());
        }
        let (found, expected) = (kept.dataset.ids().len(), ids.len());
        if found != expected {
            bail!(
                "{}/{} holds {found} samples, {} names {expected}",
                stage.name(),
                RunLayout::BUFFER_SAMPLES,
                RunLayout::BUFFER
            );
        }
        Ok(Self { original_ids: Some(ids), original_labels, ..kept })
    }

    fn reopen(plugin: &Plugin, folder: &ConfinedPath, assets: Option<&Path>) -> Result<Self> {
        let Synthesised { data, mut options } = read_json(&folder.join(HOW_TO_OPEN))?;
        // An earlier version may have written the options under former names.
        with_present_names(&plugin.description().options, &mut options);
        if let Some(path) = data.iter().find(|path| !is_below(path)) {
            bail!(
                "{} is damaged: it names {}, which is none of the samples",
                folder.join(HOW_TO_OPEN).display(),
                path.display()
            );
        }
        let base = folder.join(SAMPLES).checked_path()?;
        Self::from_request(plugin, &Open { base, data, options, assets: assets.map(Path::to_path_buf) })
    }

    fn from_request(plugin: &Plugin, request: &Open) -> Result<Self> {
        let dataset = plugin.open(request).map_err(|error| match error.fault {
            Fault::Reported(code::STOPPED) => anyhow::Error::new(Error::Interrupted {
                place: "while data were opened".into(),
                checkpoint: "nothing was written".into(),
            }),
            _ => error.into(),
        })?;
        let (spec, layout) = (spec_of(dataset.shape()), layout_of(dataset.geometry()));
        let base = request.base.join("").display().to_string();
        let account = dataset.files()?.map(|files| account_of(&files));
        Ok(Self {
            spec,
            layout,
            base,
            dataset,
            account,
            assets: request.assets.clone(),
            original_ids: None,
            original_labels: Vec::new(),
        })
    }

    /// What the plugin says of the samples, by index.
    pub fn samples(&self) -> &SampleTable {
        self.dataset.samples()
    }

    /// The label of a sample, where the plugin, or the run for a buffer sample, has one.
    pub fn label(&self, index: usize) -> Option<&str> {
        match self.original_labels.get(index) {
            Some(label) => label.as_deref(),
            None => self.samples().label(index),
        }
    }

    /// Writes the assets that the plugin derived from the data into a folder, and returns the names of the files. The
    /// dataset is reopened with them from then on.
    ///
    /// # Errors
    /// Errors that the plugin reports.
    pub fn save_assets(&self, folder: &Path) -> Result<Vec<String>> {
        Ok(self.dataset.save_assets(folder)?)
    }

    /// The plugin's open dataset.
    pub fn dataset(&self) -> &OpenDataset {
        &self.dataset
    }

    /// A message of the plugin with paths relative to the data. The run records such messages, and holds no path of
    /// this machine.
    pub fn without_base(&self, message: String) -> String {
        without_folder(&message, &self.base)
    }

    /// Sets the folder of the assets.
    pub fn assets_are_in(&mut self, folder: PathBuf) {
        self.assets = Some(folder);
    }

    /// Padding id of discrete tokens.
    pub fn padding_id(&self) -> Option<i32> {
        match self.dataset.geometry() {
            Geometry::Discrete(own) => Some(own.padding_id),
            Geometry::Continuous(_) => None,
        }
    }

    /// Renders the tokens of a sample for people, without those that are `hidden` (see [`OpenDataset::render`]); `None` when the plugin does not
    /// render tokens.
    ///
    /// # Errors
    /// Tokens that are no sample of this dataset, errors that the plugin reports.
    pub fn render(&self, tokens: Tokens<'_>, hidden: &[u8]) -> Result<Option<Rendered>> {
        Ok(self.dataset.render(tokens, hidden)?)
    }

    /// Has the plugin write samples, and verifies that they are read back unchanged.
    ///
    /// # Errors
    /// Samples that cannot be read or written, or whose copies differ.
    pub fn keep_exactly(&self, indices: &[u64], folder: &ConfinedPath) -> Result<()> {
        let kept = self.keep_and_reopen(indices, folder)?;
        match self.first_difference(indices, &kept)? {
            None => Ok(()),
            Some(index) => bail!(
                "{} keeps sample {} otherwise than it is\n\
                 hint: this is a fault of the plugin; set buffer.store = \"reference\"",
                self.dataset.plugin().name(),
                self.ids()[index as usize]
            ),
        }
    }

    /// Index of the first sample whose copy differs by more than rounding.
    fn first_difference(&self, indices: &[u64], kept: &Self) -> Result<Option<u64>> {
        for (position, &index) in indices.iter().enumerate() {
            if !same(&self.plain(index)?, &kept.plain(position as u64)?) {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Has the plugin write samples, and opens the copies.
    fn keep_and_reopen(&self, indices: &[u64], folder: &ConfinedPath) -> Result<Self> {
        let samples = folder.join(SAMPLES);
        samples.create_folder()?;
        let request = Keep { folder: samples.checked_path()?, indices: indices.to_vec() };
        let how = serde_json::to_vec_pretty(&self.dataset.keep(&request)?)?;
        write_atomically(&folder.join(HOW_TO_OPEN), &how)?;
        let labels: Vec<Option<&str>> = indices.iter().map(|&index| self.label(index as usize)).collect();
        if labels.iter().any(Option::is_some) {
            write_atomically(&folder.join(LABELS), &serde_json::to_vec_pretty(&labels)?)?;
        }
        let kept = Self::reopen(self.dataset.plugin(), folder, self.assets.as_deref())?;
        let (found, expected) = (kept.dataset.ids().len(), indices.len());
        if found != expected || kept.spec != self.spec {
            bail!(
                "{} kept {found} samples of shape {:?}, expected {expected} of {:?}\n\
                 hint: this is a fault of the plugin; set buffer.store = \"reference\"",
                self.dataset.plugin().name(),
                kept.spec,
                self.spec
            );
        }
        // The tokens are needed when the plugin is missing later.
        buffer_tokens::write(folder, kept.dataset.geometry(), found, |position, view| kept.sample(position, view))?;
        Ok(kept)
    }

    /// One sample in the evaluation view, neither augmented nor masked.
    ///
    /// # Errors
    /// A sample that cannot be read.
    pub fn plain(&self, index: u64) -> Result<RawBatch> {
        self.sample(index, View::Evaluation)
    }

    fn sample(&self, index: u64, view: View) -> Result<RawBatch> {
        let mut batch = RawBatch::default();
        match fill(&self.dataset, view, &[index], &[index], &mut batch)?.into_iter().next() {
            Some(failure) if failure.kind != FailureKind::Skipped || view == View::Training => bail!("{failure}"),
            _ => Ok(batch),
        }
    }
}

/// Has a plugin fill core's buffers, which are lent and not copied.
fn fill(
    dataset: &OpenDataset,
    view: View,
    indices: &[u64],
    seeds: &[u64],
    batch: &mut RawBatch,
) -> Result<Vec<SampleFailure>, PluginError> {
    let view = match view {
        View::Evaluation => PluginView::Evaluation,
        View::Training => PluginView::Training,
    };
    let mut lent = Batch {
        tokens: take(&mut batch.tokens),
        mask: take(&mut batch.mask),
        ids: take(&mut batch.ids),
        labels: take(&mut batch.labels),
        lengths: take(&mut batch.lengths),
        valid: take(&mut batch.valid),
        targets: take(&mut batch.targets),
        affines: take(&mut batch.affines),
        ..Batch::default()
    };
    let filled = dataset.fill(view, indices, seeds, &mut lent);
    let Batch { tokens, mask, ids, labels, lengths, valid, targets, coordinates: _, affines } = lent;
    *batch = RawBatch { tokens, mask, ids, labels, lengths, valid, targets, affines };
    filled
}

/// Core's account of the files, without their names. Those are shown to whoever wants details.
fn account_of(files: &DataFiles) -> DataAccount {
    for (reason, files) in &files.left_out {
        tracing::info!("left out, {}: {}", untrusted_text(reason), untrusted_text(&files.examples.join(", ")));
    }
    let notice = |notice: &Notice| DataNotice {
        what: untrusted_text(&notice.what),
        n: notice.n,
        of: notice.of,
        warns: notice.warns,
    };
    DataAccount {
        n_used: files.n_used,
        left_out: files.left_out.iter().map(|(reason, files)| (untrusted_text(reason), files.n)).collect(),
        notices: files.notices.iter().map(notice).collect(),
    }
}

/// Core's report of a sample that a plugin did not simply deliver, with paths relative to the data.
pub(crate) fn report_of(failure: &SampleFailure, dataset: &PluginDataset) -> SampleReport {
    let kind = match failure.kind {
        FailureKind::Skipped => ReportKind::Skipped,
        FailureKind::Data | FailureKind::Plugin => ReportKind::Invalid,
    };
    SampleReport { slot: failure.slot, kind, message: dataset.without_base(failure.to_string()) }
}

/// Whether a sample and its copy are equal up to rounding.
fn same(one: &RawBatch, other: &RawBatch) -> bool {
    let range = one.tokens.iter().fold(1.0f32, |most, value| most.max(value.abs()));
    let close = |(a, b): (&f32, &f32)| (a - b).abs() <= KEPT_TOLERANCE * range;
    one.ids == other.ids
        && one.valid == other.valid
        && one.lengths == other.lengths
        && one.tokens.len() == other.tokens.len()
        && one.tokens.iter().zip(&other.tokens).all(close)
}

impl Dataset for PluginDataset {
    fn modality(&self) -> &str {
        &self.dataset.plugin().description().id
    }

    fn family(&self) -> &str {
        &self.dataset.plugin().description().family
    }

    fn spec(&self) -> TokenSpec {
        self.spec
    }

    fn ids(&self) -> &[String] {
        self.original_ids.as_deref().unwrap_or_else(|| self.dataset.ids())
    }

    fn fingerprint(&self) -> &str {
        self.dataset.fingerprint()
    }

    fn account(&self) -> Option<&DataAccount> {
        self.account.as_ref()
    }

    fn layout(&self) -> Option<&Arc<GridLayout>> {
        self.layout.as_ref()
    }

    fn vocabulary_digest(&self) -> Option<&str> {
        vocabulary_digest_of(self.dataset.geometry())
    }

    fn targets(&self) -> TargetSpec {
        targets_of(self.dataset.geometry())
    }

    fn weights(&self) -> &[f64] {
        self.dataset.samples().weights()
    }

    fn fill(
        &self,
        view: View,
        indices: &[u64],
        seeds: &[u64],
        batch: &mut RawBatch,
    ) -> medcoss_core::Result<Vec<SampleReport>> {
        let failures =
            fill(&self.dataset, view, indices, seeds, batch).map_err(|error| match error.is_user_error() {
                true => Error::Dataset(error.to_string()),
                false => Error::DatasetFault(error.to_string()),
            })?;
        Ok(failures.iter().map(|failure| report_of(failure, self)).collect())
    }

    fn keep(&self, indices: &[u64], folder: &ConfinedPath) -> medcoss_core::Result<()> {
        // A few samples were compared before the training. A difference now must not discard a trained stage.
        let checked = self.keep_and_reopen(indices, folder).and_then(|kept| self.first_difference(indices, &kept));
        if let Some(index) = checked.map_err(|error| Error::Dataset(format!("{error:#}")))? {
            let (plugin, id) = (self.dataset.plugin().name(), &self.ids()[index as usize]);
            tracing::warn!("plugin {plugin} keeps sample {id} otherwise than it is");
        }
        Ok(())
    }
}
