//! The grids of samples' files, on which predictions are written.

use medcoss_abi::message::{FileGrid, Grids};
use medcoss_abi::operation::GRIDS;
use medcoss_caller::grids::check;

use crate::dataset::{OpenDataset, ask};
use crate::error::PluginError;

/// Samples whose grids are asked for at once.
const PAGE: usize = 1 << 12;

impl OpenDataset {
    /// The grid of the file of each of some samples, by index, in the order of the request: `None` where the plugin does not know it, or
    /// knows no grids at all. The rows of a sample's affine ([`crate::Batch::affines`]) are the axes of its grid.
    ///
    /// # Errors
    /// A request that does not fit the dataset, errors that the plugin reports, answers that break the contract.
    pub fn grids(&self, indices: &[u64]) -> Result<Vec<Option<FileGrid>>, PluginError> {
        let plugin = self.plugin();
        let n = self.ids().len();
        if let Some(index) = indices.iter().find(|&&index| index >= n as u64) {
            let message = format!("sample {index} does not exist; there are {n}");
            return Err(PluginError::request(plugin.name(), GRIDS, message));
        }
        if !plugin.description().operations.iter().any(|known| known == GRIDS) {
            return Ok(vec![None; indices.len()]);
        }
        let mut grids = Vec::with_capacity(indices.len());
        for page in indices.chunks(PAGE) {
            let body = plugin.body(GRIDS, &Grids { indices: page.to_vec() })?;
            let answer: Vec<Option<FileGrid>> = ask(plugin, self.handle(), GRIDS, body.as_bytes())?;
            check(self.shape().n_axes(), &answer, page.len()).map_err(|what| plugin.violation(GRIDS, &what))?;
            grids.extend(answer);
        }
        Ok(grids)
    }
}
