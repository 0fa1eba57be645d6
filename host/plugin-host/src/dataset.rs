//! An open dataset: its checked properties and its samples.

use std::path::Path;

use medcoss_abi::abi_stable::std_types::RSlice;
use medcoss_abi::message::{Geometry, Keep, Open, Rendering, SaveAssets, Synthesised};
use medcoss_abi::{FillRequest, SampleError, operation};
use medcoss_caller::answers::{
    check_assets, check_fingerprint, check_ids, check_labels, check_size, check_synthesised,
};
use medcoss_caller::{Batch, FillPattern, GuardSizes, Overwritten, Shape, View};
use serde::de::DeserializeOwned;

use crate::error::PluginError;
use crate::library::OpenHandle;
use crate::options;
use crate::plugin::Plugin;
use crate::sample_failure::SampleFailure;
use crate::untrusted_text::untrusted_bytes;

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
    ids: Vec<String>,
    labels: Vec<Option<String>>,
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
        options::check_names(&self.description().options, &request.options).map_err(refused)?;
        let body = self.body("open", request)?;
        let handle = self.call("open", || (self.table().open)(body.as_str().into()))?;
        let handle = OpenHandle::new(handle, self.table(), self.shared_name())
            .ok_or_else(|| self.violation("open", "the dataset's handle is null"))?;
        OpenDataset::new(self.clone(), handle)
    }
}

impl OpenDataset {
    /// Asks for every property that is known before a sample is read, and checks it.
    pub(crate) fn new(plugin: Plugin, handle: OpenHandle) -> Result<Self, PluginError> {
        let geometry: Geometry = ask(&plugin, &handle, operation::GEOMETRY)?;
        let shape = Shape::new(&geometry).map_err(|violation| plugin.violation(operation::GEOMETRY, &violation))?;
        let ids: Vec<String> = ask(&plugin, &handle, operation::IDS)?;
        check_ids(&ids).map_err(|violation| plugin.violation(operation::IDS, &violation))?;
        if ids.is_empty() {
            return Err(PluginError::request(plugin.name(), "open", "the data hold no samples"));
        }
        let labels: Vec<Option<String>> = ask(&plugin, &handle, operation::LABELS)?;
        check_labels(&labels, ids.len()).map_err(|violation| plugin.violation(operation::LABELS, &violation))?;
        let fingerprint: String = ask(&plugin, &handle, operation::FINGERPRINT)?;
        check_fingerprint(&fingerprint).map_err(|violation| plugin.violation(operation::FINGERPRINT, &violation))?;
        Ok(Self { plugin, handle, geometry, shape, ids, labels, fingerprint })
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
        &self.ids
    }

    /// Labels in index order, as many as ids.
    pub fn labels(&self) -> &[Option<String>] {
        &self.labels
    }

    /// Hexadecimal digest of the data. It changes when the data change.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Decodes, augments, tokenises and masks `n` samples into the batch, whose buffers are resized to them. The bytes
    /// of a sample depend on its index, its seed and the view alone.
    ///
    /// Invalid samples, and samples whose values break the contract, are listed by ascending slot; their parts of the batch
    /// are void. All others were checked: see [`Batch`].
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
        if let Some(index) = indices.iter().find(|&&index| index >= self.ids.len() as u64) {
            return Err(refused(format!("sample {index} does not exist; there are {}", self.ids.len())));
        }
        let mut guarded = batch.prepare(&self.shape, n, FillPattern::Invalid, GuardSizes::BEHIND).map_err(refused)?;
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
            let checked = match report.take() {
                Some(message) => Err(message),
                None => batch.check(&self.shape, view, slot),
            };
            if let Err(what) = checked {
                failures.push(self.failure("fill", slot, indices[slot], &what));
            }
        }
        Ok(failures)
    }

    /// The sample errors that the plugin reported, by slot. The first of several errors for one slot counts.
    fn reported(&self, indices: &[u64], errors: &[SampleError]) -> Result<Vec<Option<String>>, PluginError> {
        let mut reported = vec![None; indices.len()];
        for error in errors {
            let slot = usize::try_from(error.slot).ok().and_then(|slot| reported.get_mut(slot)).ok_or_else(|| {
                let violation = format!("it reports sample {} of a request of {}", error.slot, indices.len());
                self.plugin.violation("fill", &violation)
            })?;
            slot.get_or_insert_with(|| untrusted_bytes(error.message.as_rstr().as_rslice().as_slice()));
        }
        Ok(reported)
    }

    pub(crate) fn failure(&self, operation: &str, slot: usize, index: u64, what: &str) -> SampleFailure {
        let id = self.ids[index as usize].clone();
        let named = if names(what, &id) { String::new() } else { format!("{id}: ") };
        SampleFailure { slot, message: format!("plugin {} ({operation}): {named}{what}", self.plugin.name()), id }
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

    /// Renders tokens as an image or as text for people. `None` when the plugin does not render tokens.
    ///
    /// # Errors
    /// Tokens of another kind or number; an error that the plugin reports; an answer that differs from the declaration.
    pub fn render(&self, tokens: Tokens<'_>) -> Result<Option<Rendered>, PluginError> {
        let operation = operation::RENDER;
        let Some(kind) = self.plugin.description().renders else { return Ok(None) };
        let (body, same_kind): (Vec<u8>, bool) = match (tokens, &self.shape) {
            (Tokens::Continuous(values), shape) => (
                values.iter().flat_map(|value| value.to_le_bytes()).collect(),
                matches!(shape, Shape::Continuous { .. }),
            ),
            (Tokens::Discrete(ids), shape) => {
                (ids.iter().flat_map(|id| id.to_le_bytes()).collect(), matches!(shape, Shape::Discrete { .. }))
            }
        };
        if !same_kind || body.len() != 4 * self.shape.n_values() {
            let message = format!("{} values of this kind are no sample of {}", body.len() / 4, self.shape);
            return Err(PluginError::request(self.plugin.name(), operation, message));
        }
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

/// Whether a text names the id, as more than a part of a longer word.
fn names(text: &str, id: &str) -> bool {
    text.match_indices(id).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + id.len()..].chars().next();
        ![before, after].into_iter().flatten().any(char::is_alphanumeric)
    })
}

fn ask<T: DeserializeOwned>(plugin: &Plugin, handle: &OpenHandle, operation: &str) -> Result<T, PluginError> {
    plugin.parse(operation, &query(plugin, handle, operation, &[])?)
}

fn query(plugin: &Plugin, handle: &OpenHandle, operation: &str, body: &[u8]) -> Result<Vec<u8>, PluginError> {
    let table = plugin.table();
    let answer = plugin.call(operation, || (table.query)(handle.get(), operation.into(), RSlice::from_slice(body)))?;
    check_size(answer.len()).map_err(|violation| plugin.violation(operation, &violation))?;
    Ok(answer.into())
}
