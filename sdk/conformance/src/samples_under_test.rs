//! Samples that rules read.

use medcoss_abi::message::Open;
use medcoss_caller::{FillPattern, SampleView, View};

use crate::open_dataset::OpenDataset;
use crate::outcome::Stop;

/// Most numbers that are read at once.
const MAX_VALUES: usize = 1 << 22;

/// Samples that rules read.
pub(crate) struct Samples {
    pub(crate) open: Open,
    pub(crate) dataset: OpenDataset,
    /// Those that can be read, at least one.
    pub(crate) indices: Vec<u64>,
    /// Ids and messages of those that cannot; of the user's own data only.
    pub(crate) bad: Vec<String>,
}

impl Samples {
    /// How many samples are read at once.
    pub(crate) fn batch_size(&self) -> usize {
        (MAX_VALUES / self.dataset.shape.n_values()).clamp(1, 8)
    }

    /// Shows every sample in a view, read with seeds made from `seed`, to `look`, with its id.
    ///
    /// # Errors
    /// Samples that cannot be read now; what `look` finds.
    pub(crate) fn each(
        &self,
        view: View,
        seed: u64,
        mut look: impl FnMut(&str, SampleView<'_>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        for indices in self.indices.chunks(self.batch_size()) {
            let batch = self.dataset.read(view, indices, seed, FillPattern::EmptySample)?;
            for (slot, &index) in indices.iter().enumerate() {
                look(self.dataset.id(index), batch.sample(slot))?;
            }
        }
        Ok(())
    }
}
