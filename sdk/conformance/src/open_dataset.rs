//! An open dataset, asked as the host asks it.

use std::ops::Range;

use medcoss_abi::abi_stable::std_types::RSlice;
use medcoss_abi::message::{Geometry, Open};
use medcoss_abi::{DatasetHandle, FillRequest, PluginTable, VIEW_PLAIN, VIEW_TRAIN, operation};
use serde::de::DeserializeOwned;

use crate::batch::{Batch, FillPattern};
use crate::outcome::{Stop, violation};
use crate::plugin::{CallError, Plugin, malformed, read, result};
use crate::shape::Shape;

/// How samples are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Evaluation,
    Training,
}

/// A sample that the plugin could not deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvalidSample {
    pub(crate) slot: usize,
    pub(crate) code: i32,
    pub(crate) message: String,
}

/// An open dataset; closed when dropped.
pub(crate) struct OpenDataset {
    handle: DatasetHandle,
    table: &'static PluginTable,
    pub(crate) shape: Shape,
    pub(crate) ids: Vec<String>,
}

// SAFETY: the handle is a pointer that only the plugin follows, and the contract lets a dataset be used from many
// threads at once and each function of the table be called from any thread.
unsafe impl Send for OpenDataset {}
// SAFETY: as above.
unsafe impl Sync for OpenDataset {}

impl OpenDataset {
    /// Opens, and asks for what is needed to read samples.
    ///
    /// # Errors
    /// What the plugin reports; sizes out of range.
    pub(crate) fn new(plugin: Plugin, request: &Open) -> Result<Self, CallError> {
        let table = plugin.table;
        // From here on the handle is closed whatever comes.
        let none = Shape::Discrete { length: 0, vocabulary: 0, padding_id: 0 };
        let mut opened = Self { handle: plugin.open(request)?, table, shape: none, ids: Vec::new() };
        opened.shape = Shape::new(&opened.geometry()?).map_err(|what| malformed(operation::GEOMETRY, what))?;
        opened.ids = opened.ask(operation::IDS)?;
        Ok(opened)
    }

    pub(crate) fn geometry(&self) -> Result<Geometry, CallError> {
        self.ask(operation::GEOMETRY)
    }

    /// A query without a body, and its answer in JSON.
    pub(crate) fn ask<T: DeserializeOwned>(&self, operation: &str) -> Result<T, CallError> {
        read(operation, &self.query(operation, &[])?)
    }

    /// A query.
    pub(crate) fn query(&self, operation: &str, body: &[u8]) -> Result<Vec<u8>, CallError> {
        let answer = (self.table.query)(self.handle, operation.into(), RSlice::from_slice(body));
        result(operation, answer).map(Vec::from)
    }

    /// Fills a batch, whatever the indices. Bad samples are listed in the order of their slots.
    ///
    /// # Errors
    /// What the plugin reports of the call as a whole; bad samples that were not asked for.
    pub(crate) fn fill(
        &self,
        view: View,
        indices: &[u64],
        seeds: &[u64],
        batch: &mut Batch,
    ) -> Result<Vec<InvalidSample>, CallError> {
        let n = indices.len();
        let request = FillRequest {
            view: if view == View::Training { VIEW_TRAIN } else { VIEW_PLAIN },
            indices: RSlice::from_slice(indices),
            seeds: RSlice::from_slice(seeds),
        };
        let answer = (self.table.fill)(self.handle, request, batch.buffers());
        let mut bad = Vec::new();
        for error in result("fill", answer)? {
            let Some(slot) = usize::try_from(error.slot).ok().filter(|&slot| slot < n) else {
                return Err(malformed("fill", format!("it reports slot {} of a request of {n} samples", error.slot)));
            };
            bad.push(InvalidSample { slot, code: error.code, message: error.message.as_str().into() });
        }
        bad.sort_by_key(|bad| bad.slot);
        Ok(bad)
    }

    /// Reads samples that must be delivered, each with a seed of its own made from `seed`.
    ///
    /// # Errors
    /// A failed call, a bad sample.
    pub(crate) fn read(&self, view: View, indices: &[u64], seed: u64, pattern: FillPattern) -> Result<Batch, Stop> {
        let seeds: Vec<u64> = indices.iter().map(|&index| seed_of(seed, index)).collect();
        self.read_seeded(view, indices, &seeds, pattern)
    }

    /// As [`OpenDataset::read`], with given seeds.
    ///
    /// # Errors
    /// As [`OpenDataset::read`].
    pub(crate) fn read_seeded(
        &self,
        view: View,
        indices: &[u64],
        seeds: &[u64],
        pattern: FillPattern,
    ) -> Result<Batch, Stop> {
        let mut batch = Batch::new(self.shape, indices.len(), pattern);
        match self.fill(view, indices, seeds, &mut batch)?.first() {
            None => Ok(batch),
            Some(bad) => {
                let id = &self.ids[indices[bad.slot] as usize];
                Err(violation(
                    format!("sample {id} was read before and cannot be read now: {}", bad.message),
                    "make `load` depend on its arguments and the dataset alone",
                ))
            }
        }
    }

    /// Indices of all samples.
    pub(crate) fn all(&self) -> Range<u64> {
        0..self.ids.len() as u64
    }
}

impl Drop for OpenDataset {
    fn drop(&mut self) {
        (self.table.close)(self.handle);
    }
}

/// A seed for a sample: SplitMix64's finaliser (Steele, Lea and Flood 2014), so that neighbours share nothing.
pub(crate) fn seed_of(seed: u64, index: u64) -> u64 {
    let mut mixed = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
