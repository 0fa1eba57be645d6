//! The rehearsal buffer: ids of the buffer samples of one finished stage.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Selected;
use crate::{DataError, Result};

/// One buffer sample, a line of `buffer.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BufferEntry {
    /// Sample id.
    pub id: String,
    /// Cluster of the sample; 0 where the selection has no clusters.
    pub cluster: usize,
    /// Euclidean distance to the centre of the cluster in feature space.
    pub distance: f64,
    /// True where the sample fills a place that a small cluster left free.
    // Lines of this file state no format: format 3 called the field `filled_up`.
    #[serde(alias = "filled_up")]
    pub backfilled: bool,
}

/// The rehearsal buffer of one stage.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RehearsalBuffer {
    /// The buffer samples, in the order of the selection.
    pub entries: Vec<BufferEntry>,
}

impl RehearsalBuffer {
    /// A buffer from selected rows of features; `rows[row]` is the index of the row's sample in `ids`.
    pub fn new(selected: &[Selected], rows: &[u64], ids: &[String]) -> Self {
        let entry = |selected: &Selected| BufferEntry {
            id: ids[rows[selected.index] as usize].clone(),
            cluster: selected.cluster,
            distance: selected.distance,
            backfilled: selected.backfilled,
        };
        Self { entries: selected.iter().map(entry).collect() }
    }

    /// Indices of the buffer samples in a dataset with these `ids`.
    ///
    /// # Errors
    /// A sample that the dataset does not have.
    pub fn indices(&self, modality: &str, ids: &[String]) -> Result<Vec<u64>> {
        let position: HashMap<&str, usize> = ids.iter().enumerate().map(|(at, id)| (id.as_str(), at)).collect();
        self.entries
            .iter()
            .map(|entry| {
                position.get(entry.id.as_str()).map(|&at| at as u64).ok_or_else(|| {
                    DataError::MissingBufferSample { id: entry.id.clone(), modality: modality.into() }.into()
                })
            })
            .collect()
    }
}
