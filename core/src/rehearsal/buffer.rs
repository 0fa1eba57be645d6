//! The rehearsal buffer of one finished stage: which samples are kept. Their files stay where they are.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Selected;
use crate::{Error, Result};

/// One kept sample, a line of `buffer.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BufferEntry {
    /// Sample id.
    pub id: String,
    /// Cluster that it was chosen from.
    pub cluster: usize,
    /// Euclidean distance to the cluster's centre in feature space.
    pub distance: f64,
    /// True when it fills up what a small cluster left free.
    pub filled_up: bool,
}

/// The kept samples of a stage.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RehearsalBuffer {
    /// The samples.
    pub entries: Vec<BufferEntry>,
}

impl RehearsalBuffer {
    /// From chosen rows; `rows` and `ids` say which sample a row is.
    pub fn new(selected: &[Selected], rows: &[u64], ids: &[String]) -> Self {
        let entry = |selected: &Selected| BufferEntry {
            id: ids[rows[selected.index] as usize].clone(),
            cluster: selected.cluster,
            distance: selected.distance,
            filled_up: selected.filled_up,
        };
        Self { entries: selected.iter().map(entry).collect() }
    }

    /// Indices of the kept samples in a source.
    ///
    /// # Errors
    /// A sample that the source does not have.
    pub fn indices(&self, modality: &str, ids: &[String]) -> Result<Vec<u64>> {
        let position: HashMap<&str, usize> = ids.iter().enumerate().map(|(at, id)| (id.as_str(), at)).collect();
        self.entries
            .iter()
            .map(|entry| {
                position.get(entry.id.as_str()).map(|&at| at as u64).ok_or_else(|| {
                    Error::Data(format!(
                        "buffer sample {} of {modality} is no longer among its data\n\
                         hint: restore the files of the stage, or give the data root with --data-root",
                        entry.id
                    ))
                })
            })
            .collect()
    }
}
