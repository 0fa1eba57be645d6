//! An open dataset, asked as the host asks it.

use std::ops::Range;

use medcoss_abi::abi_stable::std_types::RSlice;
use medcoss_abi::message::{Account, Geometry, Info, Open, Records, SampleRecord};
use medcoss_abi::{DatasetHandle, ExtraBuffer, FillRequest, PluginTable, code, operation};
use medcoss_caller::records::PAGE;
use medcoss_caller::{ALL_EXTRAS, FillPattern, GuardSizes, Shape, View};
use serde::de::DeserializeOwned;

use crate::batch::Batch;
use crate::outcome::{Stop, violation};
use crate::plugin::{CallError, Plugin, json, malformed, read, result};

/// A sample that the plugin did not simply deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reported {
    pub(crate) slot: usize,
    pub(crate) code: i32,
    pub(crate) message: String,
}

/// A dataset of the plugin under test, closed when dropped.
pub(crate) struct OpenDataset {
    handle: OpenHandle,
    pub(crate) info: Info,
    pub(crate) shape: Shape,
    pub(crate) records: Vec<SampleRecord>,
}

/// A dataset's handle, closed when dropped.
struct OpenHandle {
    handle: DatasetHandle,
    table: &'static PluginTable,
}

// SAFETY: the handle is a pointer that only the plugin follows, and the contract lets a dataset be used from many
// threads at once and each function of the table be called from any thread.
unsafe impl Send for OpenHandle {}
// SAFETY: as above.
unsafe impl Sync for OpenHandle {}

impl OpenHandle {
    fn query(&self, operation: &str, body: &[u8]) -> Result<Vec<u8>, CallError> {
        let answer = (self.table.query)(self.handle, operation.into(), RSlice::from_slice(body));
        result(operation, answer).map(Vec::from)
    }

    /// A query, and its answer in JSON.
    fn ask<T: DeserializeOwned>(&self, operation: &str, body: &[u8]) -> Result<T, CallError> {
        read(operation, &self.query(operation, body)?)
    }

    fn page(&self, first: u64, count: u64) -> Result<Vec<SampleRecord>, CallError> {
        let body = json(operation::RECORDS, &Records { first, count })?;
        self.ask(operation::RECORDS, body.as_bytes())
    }
}

impl Drop for OpenHandle {
    fn drop(&mut self) {
        (self.table.close)(self.handle);
    }
}

impl OpenDataset {
    /// Opens, and asks for what is needed to read samples.
    ///
    /// # Errors
    /// What the plugin reports; sizes out of range.
    pub(crate) fn new(plugin: Plugin, request: &Open) -> Result<Self, CallError> {
        let handle = OpenHandle { handle: plugin.open(request)?, table: plugin.table };
        let info: Info = handle.ask(operation::INFO, &[])?;
        let shape = Shape::new(&info.geometry).map_err(|what| malformed(operation::INFO, what))?;
        let mut records = Vec::new();
        while (records.len() as u64) < info.n_samples {
            let page = handle.page(records.len() as u64, PAGE)?;
            if page.is_empty() {
                let (found, expected) = (records.len(), info.n_samples);
                return Err(malformed(operation::RECORDS, format!("there are {found} records of {expected} samples")));
            }
            records.extend(page);
        }
        Ok(Self { handle, info, shape, records })
    }

    pub(crate) fn geometry(&self) -> &Geometry {
        &self.info.geometry
    }

    /// What the plugin says of the dataset, asked anew.
    pub(crate) fn ask_info(&self) -> Result<Info, CallError> {
        self.handle.ask(operation::INFO, &[])
    }

    /// A page of the account of the files; `None` where it is not known.
    pub(crate) fn account_page(&self, first: u64, count: u64) -> Result<Option<Account>, CallError> {
        let body = json(operation::ACCOUNT, &Records { first, count })?;
        self.handle.ask(operation::ACCOUNT, body.as_bytes())
    }

    /// A page of records, asked anew.
    pub(crate) fn page(&self, first: u64, count: u64) -> Result<Vec<SampleRecord>, CallError> {
        self.handle.page(first, count)
    }

    /// Number of samples.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Id of a sample.
    pub(crate) fn id(&self, index: u64) -> &str {
        &self.records[index as usize].id
    }

    /// A query.
    pub(crate) fn query(&self, operation: &str, body: &[u8]) -> Result<Vec<u8>, CallError> {
        self.handle.query(operation, body)
    }

    /// Fills a batch, whatever the indices, with all extra buffers. Reported samples are listed in the order of their slots; one that is
    /// skipped in the evaluation view is delivered nevertheless, and not listed.
    ///
    /// # Errors
    /// What the plugin reports of the call as a whole; invalid samples that were not asked for.
    pub(crate) fn fill(
        &self,
        view: View,
        indices: &[u64],
        seeds: &[u64],
        batch: &mut Batch,
    ) -> Result<Vec<Reported>, CallError> {
        self.fill_raw(view.code(), (indices, seeds), batch, ALL_EXTRAS, None)
    }

    /// As [`OpenDataset::fill`], for any view, with some of the extra buffers, and one more.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn fill_raw(
        &self,
        view: u32,
        (indices, seeds): (&[u64], &[u64]),
        batch: &mut Batch,
        wanted: &[u32],
        more: Option<ExtraBuffer<'_>>,
    ) -> Result<Vec<Reported>, CallError> {
        let n = indices.len();
        let request = FillRequest { view, indices: RSlice::from_slice(indices), seeds: RSlice::from_slice(seeds) };
        let guarded = batch.buffers.prepare(&self.shape, n, wanted, batch.pattern, GuardSizes::WIDE);
        let mut guarded = guarded.map_err(|what| malformed("fill", what))?;
        let OpenHandle { handle, table } = &self.handle;
        let answer = {
            let mut buffers = guarded.buffers();
            buffers.extras.extend(more);
            (table.fill)(*handle, request, buffers)
        };
        batch.overwritten = guarded.take_back();
        let mut bad = Vec::new();
        for error in result("fill", answer)? {
            let Some(slot) = usize::try_from(error.slot).ok().filter(|&slot| slot < n) else {
                return Err(malformed("fill", format!("it reports slot {} of a request of {n} samples", error.slot)));
            };
            // Only the plugin's promise says that the message is UTF-8.
            let message = String::from_utf8(error.message.into_bytes().into())
                .map_err(|_| malformed("fill", format!("the message of the error in slot {slot} is not UTF-8")))?;
            if error.code == code::SKIPPED && view == View::Evaluation.code() {
                continue;
            }
            bad.push(Reported { slot, code: error.code, message });
        }
        bad.sort_by_key(|bad| bad.slot);
        Ok(bad)
    }

    /// Reads samples that must be delivered, each with a seed of its own made from `seed`.
    ///
    /// # Errors
    /// A failed call, an invalid sample.
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
        let mut batch = Batch::new(&self.shape, pattern);
        match self.fill(view, indices, seeds, &mut batch)?.first() {
            None => Ok(batch),
            Some(bad) if bad.code == code::SKIPPED => {
                let id = self.id(indices[bad.slot]);
                Err(Stop::Skip(format!("sample {id} has nothing to learn with this seed: {}", bad.message)))
            }
            Some(bad) => {
                let id = self.id(indices[bad.slot]);
                Err(violation(
                    format!("sample {id} was read before and cannot be read now: {}", bad.message),
                    "make `load` depend on its arguments and the dataset alone",
                ))
            }
        }
    }

    /// Indices of all samples.
    pub(crate) fn all(&self) -> Range<u64> {
        0..self.len() as u64
    }
}

/// A seed for a sample: SplitMix64's finaliser (Steele, Lea and Flood 2014), so that neighbours share nothing.
pub(crate) fn seed_of(seed: u64, index: u64) -> u64 {
    let mut mixed = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
