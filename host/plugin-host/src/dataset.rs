//! An open dataset: its checked properties and its samples.

use std::path::Path;

use medcoss_abi::abi_stable::std_types::RSlice;
use medcoss_abi::message::{
    Geometry, Info, Keep, Open, Records, Render, Rendering, SampleRecord, SaveAssets, Synthesised,
};
use medcoss_abi::{FillRequest, SampleReport, extra, framed, operation};
use medcoss_caller::answers::{check_assets, check_size, check_synthesised};
use medcoss_caller::records::{RecordChecks, check_info};
use medcoss_caller::{Batch, FillPattern, GuardSizes, Overwritten, Shape, View, check_requires};
use serde::de::DeserializeOwned;

use crate::error::PluginError;
use crate::library::OpenHandle;
use crate::options;
use crate::plugin::Plugin;
use crate::sample_failure::{FailureKind, SampleFailure};
use crate::sample_table::{EntryFacts, SampleTable};
use crate::untrusted_text::untrusted_bytes;

/// What a geometry may require of this host. Coordinates are delivered to nobody yet, and affines in the evaluation view alone.
const KNOWN_REQUIREMENTS: &[&str] = &["validity", "targets"];
/// Extra buffers that a batch has, by view: targets are for training alone, affines carry predictions back to files.
const TRAINING_EXTRAS: &[u32] = &[extra::VALID, extra::TARGETS];
const EVALUATION_EXTRAS: &[u32] = &[extra::VALID, extra::AFFINES];

/// First bytes of every PNG file.
const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Tokens of one sample.
#[derive(Debug, Clone, Copy)]
pub enum Tokens<'a> {
    /// Continuous tokens, `[n_tokens * d_token]`.
    Continuous(&'a [f32]),
    /// Discrete tokens, `[length]`.
    Discrete(&'a [i32]),
}

/// Tokens rendered as an image or as text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rendered {
    /// An image as the bytes of a PNG file.
    Png(Vec<u8>),
    /// A text.
    Text(String),
}

/// An open dataset, which closes when it is dropped. Many threads may call it at once, as the contract allows.
#[derive(Debug)]
pub struct OpenDataset {
    plugin: Plugin,
    handle: OpenHandle,
    geometry: Geometry,
    shape: Shape,
    samples: SampleTable,
    /// Number of entries of the data.
    n_entries: usize,
    fingerprint: String,
}

impl Plugin {
    /// Opens a dataset: compares the names of options with the plugin's schema, asks the plugin, then checks the
    /// plugin's answers about the samples.
    ///
    /// # Errors
    /// Unknown options; errors that the plugin reports; answers that break the contract.
    pub fn open(&self, request: &Open) -> Result<OpenDataset, PluginError> {
        let refused = |message: String| PluginError::request(self.name(), "open", message);
        if request.data.is_empty() {
            return Err(refused("no data are named\nhint: name files or folders in `data`".into()));
        }
        let schema = &self.description().options;
        options::check_names(schema, &request.options).map_err(refused)?;
        options::check_values(schema, &request.options).map_err(refused)?;
        let body = self.body("open", request)?;
        let handle = self.call("open", || (self.table().open)(body.as_str().into()))?;
        let handle = OpenHandle::new(handle, self.table(), self.shared_name())
            .ok_or_else(|| self.violation("open", "the dataset's handle is null"))?;
        OpenDataset::new(self.clone(), handle, request.data.len())
    }
}

impl OpenDataset {
    /// Asks for all that is known before a sample is read, and checks it.
    pub(crate) fn new(plugin: Plugin, handle: OpenHandle, n_entries: usize) -> Result<Self, PluginError> {
        let info: Info = ask(&plugin, &handle, operation::INFO, &[])?;
        let shape = check_info(&info).map_err(|violation| plugin.violation(operation::INFO, &violation))?;
        let Info { n_samples, geometry, fingerprint } = info;
        let refused = |message: String| PluginError::request(plugin.name(), "open", message);
        if n_samples == 0 {
            return Err(refused("the data hold no samples".into()));
        }
        check_requires(&geometry, KNOWN_REQUIREMENTS)
            .map_err(|what| refused(format!("{what}\nhint: update medcoss")))?;
        let samples = SampleTable::default();
        let mut dataset = Self { plugin, handle, geometry, shape, samples, n_entries, fingerprint };
        let mut samples = SampleTable::default();
        dataset.each_page(n_samples, |page| page.into_iter().for_each(|record| samples.push(record)))?;
        samples.finish();
        dataset.samples = samples;
        Ok(dataset)
    }

    /// Shows every record to `take`, a page at a time, after it was checked.
    fn each_page(&self, n_samples: u64, mut take: impl FnMut(Vec<SampleRecord>)) -> Result<(), PluginError> {
        let mut checks = RecordChecks::new(n_samples, self.n_entries);
        while let Some((first, count)) = checks.next_page() {
            let body = self.plugin.body(operation::RECORDS, &Records { first, count })?;
            let page: Vec<SampleRecord> = ask(&self.plugin, &self.handle, operation::RECORDS, body.as_bytes())?;
            checks.check_page(&page).map_err(|violation| self.plugin.violation(operation::RECORDS, &violation))?;
            take(page);
        }
        Ok(())
    }

    /// One fact of the metadata of every sample, by index: a text as it is, anything else in JSON. They are not kept, so the plugin is
    /// asked again.
    ///
    /// # Errors
    /// Errors that the plugin reports, other samples than before.
    pub fn metadata(&self, name: &str) -> Result<Vec<Option<String>>, PluginError> {
        let mut facts = Vec::with_capacity(self.ids().len());
        let mut changed = None;
        self.each_page(self.ids().len() as u64, |page| {
            for mut record in page {
                if record.id != self.ids()[facts.len()] {
                    changed.get_or_insert_with(|| record.id.clone());
                }
                facts.push(record.metadata.remove(name).map(|fact| match fact {
                    serde_json::Value::String(text) => text,
                    other => other.to_string(),
                }));
            }
        })?;
        match changed {
            None => Ok(facts),
            Some(id) => Err(self
                .plugin
                .violation(operation::RECORDS, &format!("the samples changed: {id:?} is another than before"))),
        }
    }

    pub(crate) fn handle(&self) -> &OpenHandle {
        &self.handle
    }

    /// The plugin that opened the dataset.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Geometry of the samples as the plugin declared it.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Checked shape of the samples, computed from the geometry.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Sample ids in index order: unique, relative paths, at least one.
    pub fn ids(&self) -> &[String] {
        self.samples.ids()
    }

    /// What the plugin says of the samples, by index.
    pub fn samples(&self) -> &SampleTable {
        &self.samples
    }

    /// Takes over what the user says of the entries of the data, one for each.
    ///
    /// # Errors
    /// A plugin that does not say which entry a sample comes from.
    pub fn annotate(&mut self, facts: &[EntryFacts]) -> Result<(), PluginError> {
        self.samples.annotate(facts).map_err(|index| {
            let id = &self.samples.ids()[index];
            PluginError::request(
                self.plugin.name(),
                "open",
                format!(
                    "it does not say which entry of the data sample {id} comes from, which a list of files needs\n\
                     hint: name folders in `data`, or update the plugin"
                ),
            )
        })
    }

    /// Hexadecimal digest of the data. It changes when the data change.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Decodes, augments, tokenises and masks `n` samples into the batch, whose buffers are resized to them. The bytes
    /// of a sample depend on its index, its seed and the view alone.
    ///
    /// Samples that are skipped, cannot be delivered, or break the contract are listed by ascending slot, see [`FailureKind`]. All that are
    /// not void were checked: see [`Batch`].
    ///
    /// # Errors
    /// A request that does not fit the dataset or the memory; an error of the whole call that the plugin reports.
    pub fn fill(
        &self,
        view: View,
        indices: &[u64],
        seeds: &[u64],
        batch: &mut Batch,
    ) -> Result<Vec<SampleFailure>, PluginError> {
        let n = indices.len();
        let refused = |message: String| PluginError::request(self.plugin.name(), "fill", message);
        if seeds.len() != n {
            return Err(refused(format!("there are {} seeds for {n} samples", seeds.len())));
        }
        if let Some(index) = indices.iter().find(|&&index| index >= self.ids().len() as u64) {
            return Err(refused(format!("sample {index} does not exist; there are {}", self.ids().len())));
        }
        let extras = if view == View::Training { TRAINING_EXTRAS } else { EVALUATION_EXTRAS };
        let prepared = batch.prepare(&self.shape, n, extras, FillPattern::Invalid, GuardSizes::BEHIND);
        let mut guarded = prepared.map_err(refused)?;
        let request =
            FillRequest { view: view.code(), indices: RSlice::from_slice(indices), seeds: RSlice::from_slice(seeds) };
        let buffers = guarded.buffers();
        let table = self.plugin.table();
        let answered = self.plugin.call("fill", || (table.fill)(self.handle.get(), request, buffers));
        if let Some(Overwritten { buffer, reach, .. }) = guarded.take_back().first() {
            let violation = format!(
                "it wrote past the end of the buffer of {buffer}, at least {reach} values; memory may be damaged"
            );
            return Err(self.plugin.violation("fill", &violation));
        }
        let errors = answered?;
        let mut reported = self.reported(indices, &errors)?;
        let mut failures = Vec::new();
        for (slot, report) in reported.iter_mut().enumerate() {
            let report = report.take();
            let is_void = match &report {
                Some((FailureKind::Skipped, _)) => view == View::Training,
                Some(_) => true,
                None => false,
            };
            let broken = match is_void {
                true => None,
                false => batch.check(&self.shape, view, slot).err().map(|what| (FailureKind::Plugin, what)),
            };
            if let Some((kind, reason)) = broken.or(report) {
                failures.push(self.failure("fill", slot, indices[slot], kind, reason, Some(view)));
            }
        }
        Ok(failures)
    }

    /// What the plugin reported of samples, by slot. The first of several reports of one slot counts.
    fn reported(
        &self,
        indices: &[u64],
        reports: &[SampleReport],
    ) -> Result<Vec<Option<(FailureKind, String)>>, PluginError> {
        let mut reported = vec![None; indices.len()];
        for report in reports {
            let slot = usize::try_from(report.slot).ok().and_then(|slot| reported.get_mut(slot)).ok_or_else(|| {
                let violation = format!("it reports sample {} of a request of {}", report.slot, indices.len());
                self.plugin.violation("fill", &violation)
            })?;
            slot.get_or_insert_with(|| {
                let reason = untrusted_bytes(report.message.as_rstr().as_rslice().as_slice());
                (FailureKind::of_code(report.code), reason)
            });
        }
        Ok(reported)
    }

    pub(crate) fn failure(
        &self,
        operation: &'static str,
        slot: usize,
        index: u64,
        kind: FailureKind,
        reason: String,
        view: Option<View>,
    ) -> SampleFailure {
        let (id, plugin) = (self.ids()[index as usize].clone(), self.plugin.shared_name().clone());
        SampleFailure { slot, id, kind, reason, plugin, operation, view }
    }

    /// Writes the assets that the plugin derived from the data (a vocabulary, for example) into an existing folder, and
    /// returns the files' names.
    ///
    /// # Errors
    /// An error that the plugin reports; file names that contain a path or do not exist.
    pub fn save_assets(&self, folder: &Path) -> Result<Vec<String>, PluginError> {
        let operation = operation::SAVE_ASSETS;
        let body = self.plugin.body(operation, &SaveAssets { folder: folder.to_path_buf() })?;
        let names: Vec<String> = self.plugin.parse(operation, &self.query(operation, body.as_bytes())?)?;
        check_assets(folder, &names).map_err(|violation| self.plugin.violation(operation, &violation))?;
        Ok(names)
    }

    /// Writes samples into an existing empty folder, from which they can be opened again without the dataset, and
    /// returns how to open them.
    ///
    /// # Errors
    /// A plugin that cannot write samples; an error that the plugin reports; missing entries of its answer.
    pub fn keep(&self, request: &Keep) -> Result<Synthesised, PluginError> {
        let operation = operation::KEEP;
        let body = self.plugin.body(operation, request)?;
        let kept: Synthesised = self.plugin.parse(operation, &self.query(operation, body.as_bytes())?)?;
        check_synthesised(&request.folder, &kept).map_err(|violation| self.plugin.violation(operation, &violation))?;
        Ok(kept)
    }

    /// Renders tokens as an image or as text for people. `hidden` has a 1 for each token that is not to be seen, or is empty; their values are not
    /// passed on. `None` when the plugin does not render tokens.
    ///
    /// # Errors
    /// Tokens of another kind or number; an error that the plugin reports; an answer that differs from the declaration.
    pub fn render(&self, tokens: Tokens<'_>, hidden: &[u8]) -> Result<Option<Rendered>, PluginError> {
        let operation = operation::RENDER;
        let Some(kind) = self.plugin.description().renders else { return Ok(None) };
        let refused = |message: String| PluginError::request(self.plugin.name(), operation, message);
        let (part, bytes): (&str, Vec<u8>) = match (tokens, &self.shape) {
            (Tokens::Continuous(values), Shape::Continuous { d_token, .. }) => {
                let is_hidden = |at: usize| hidden.get(at / d_token).is_some_and(|&hidden| hidden != 0);
                let shown = values.iter().enumerate().map(|(at, value)| if is_hidden(at) { 0.0 } else { *value });
                ("tokens", shown.flat_map(f32::to_le_bytes).collect())
            }
            (Tokens::Discrete(ids), Shape::Discrete { .. }) => {
                ("ids", ids.iter().flat_map(|id| id.to_le_bytes()).collect())
            }
            _ => return Err(refused(format!("tokens of another kind are no sample of {}", self.shape))),
        };
        let n_hidden = hidden.len();
        if bytes.len() != 4 * self.shape.n_values() || !(hidden.is_empty() || n_hidden == self.shape.n_tokens()) {
            let n_values = bytes.len() / 4;
            return Err(refused(format!("{n_values} values and {n_hidden} flags are no sample of {}", self.shape)));
        }
        let parts = [Some(part), (n_hidden > 0).then_some("mask")].into_iter().flatten().map(String::from).collect();
        let mut body = framed::begin(&Render { parts }).map_err(|error| refused(error.to_string()))?;
        body.extend(bytes);
        body.extend(hidden);
        let answer = self.query(operation, &body)?;
        match kind {
            Rendering::Png if answer.starts_with(PNG_SIGNATURE) => Ok(Some(Rendered::Png(answer))),
            Rendering::Png => Err(self.plugin.violation(operation, "its answer is not a PNG file")),
            Rendering::Text => String::from_utf8(answer)
                .map(|text| Some(Rendered::Text(text)))
                .map_err(|_| self.plugin.violation(operation, "its answer is not UTF-8 text")),
        }
    }

    pub(crate) fn query(&self, operation: &str, body: &[u8]) -> Result<Vec<u8>, PluginError> {
        query(&self.plugin, &self.handle, operation, body)
    }
}

pub(crate) fn ask<T: DeserializeOwned>(
    plugin: &Plugin,
    handle: &OpenHandle,
    operation: &str,
    body: &[u8],
) -> Result<T, PluginError> {
    plugin.parse(operation, &query(plugin, handle, operation, body)?)
}

fn query(plugin: &Plugin, handle: &OpenHandle, operation: &str, body: &[u8]) -> Result<Vec<u8>, PluginError> {
    let table = plugin.table();
    let answer = plugin.call(operation, || (table.query)(handle.get(), operation.into(), RSlice::from_slice(body)))?;
    check_size(answer.len()).map_err(|violation| plugin.violation(operation, &violation))?;
    Ok(answer.into())
}
