//! Some samples of a source, as a source of their own.

use super::{BadSample, RawBatch, SampleSource, TokenSpec, View};
use crate::Result;

/// Chosen samples of another source, in the order in which they were named.
pub struct Chosen<'a> {
    source: &'a dyn SampleSource,
    indices: Vec<u64>,
    ids: Vec<String>,
}

impl<'a> Chosen<'a> {
    /// The samples of these indices, of which each must be below the number of samples.
    pub fn new(source: &'a dyn SampleSource, indices: Vec<u64>) -> Self {
        let ids = indices.iter().map(|index| source.ids()[*index as usize].clone()).collect();
        Self { source, indices, ids }
    }
}

impl SampleSource for Chosen<'_> {
    fn modality(&self) -> &str {
        self.source.modality()
    }

    fn family(&self) -> &str {
        self.source.family()
    }

    fn spec(&self) -> TokenSpec {
        self.source.spec()
    }

    fn ids(&self) -> &[String] {
        &self.ids
    }

    fn fingerprint(&self) -> &str {
        self.source.fingerprint()
    }

    fn fill(&self, view: View, indices: &[u64], seeds: &[u64], batch: &mut RawBatch) -> Result<Vec<BadSample>> {
        let indices: Vec<u64> = indices.iter().map(|index| self.indices[*index as usize]).collect();
        self.source.fill(view, &indices, seeds, batch)
    }
}
