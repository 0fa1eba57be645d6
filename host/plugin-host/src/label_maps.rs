//! Segmentation masks of samples: the request to plugins that provide them, and the checks of the answer.

use medcoss_abi::label_maps::decode;
use medcoss_abi::message::LabelMaps;
use medcoss_abi::operation::LABEL_MAPS;
use medcoss_caller::label_maps::check;

use crate::dataset::OpenDataset;
use crate::error::PluginError;
use crate::untrusted_text::untrusted_bytes;
use crate::{FailureKind, Plugin, SampleFailure};

/// The segmentation mask of one sample, in the geometry of its evaluation view.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelMap {
    /// Side lengths of the mask: `[rows, columns]`, `[depth, rows, columns]`, or another number of axes. The axes are
    /// those of the sample's token grid, and each length is a multiple of the grid's.
    pub shape: Vec<usize>,
    /// Distance of neighbouring values along each axis in mm, positive; `None` where it is unknown.
    pub spacing_mm: Option<Vec<f64>>,
    /// Labels, the last axis fastest, as many as the product of `shape`. 0 is the background, padding included.
    pub values: Vec<u16>,
}

impl Plugin {
    /// Whether the plugin's datasets provide segmentation masks.
    pub fn has_label_maps(&self) -> bool {
        self.description().operations.iter().any(|known| known == LABEL_MAPS)
    }
}

impl OpenDataset {
    /// The segmentation masks of samples in the order of the request's indices, or the reason why a sample has none.
    ///
    /// All label maps have one shape, of as many axes as the grid of tokens, whose sides are multiples of the grid's; spacings
    /// are positive.
    ///
    /// # Errors
    /// A plugin without this operation; a request that does not fit the dataset; an error of the whole call that the
    /// plugin reports; an answer that breaks the contract.
    pub fn label_maps(&self, request: &LabelMaps) -> Result<Vec<Result<LabelMap, SampleFailure>>, PluginError> {
        let plugin = self.plugin();
        let refused = |message: String| PluginError::request(plugin.name(), LABEL_MAPS, message);
        if !plugin.has_label_maps() {
            return Err(refused(
                "it reads no masks\nhint: a plugin that does names `label-maps` among its operations".into(),
            ));
        }
        if request.data.is_empty() {
            return Err(refused("no masks are named\nhint: name files or folders with masks".into()));
        }
        let n = self.ids().len();
        if let Some(index) = request.indices.iter().find(|&&index| index >= n as u64) {
            return Err(refused(format!("sample {index} does not exist; there are {n}")));
        }
        let body = plugin.body(LABEL_MAPS, request)?;
        let answer = self.query(LABEL_MAPS, body.as_bytes())?;
        let violation = |what: String| plugin.violation(LABEL_MAPS, &what);
        let (header, values) = decode(&answer).map_err(violation)?;
        check(self.geometry(), &header, request.indices.len()).map_err(violation)?;
        let n_labels: usize = header.shape.iter().product();
        let mut values = values.chunks_exact(n_labels.max(1));
        let mut maps = Vec::with_capacity(header.samples.len());
        for (slot, note) in header.samples.into_iter().enumerate() {
            let values = match &note.error {
                None => values.next().unwrap_or_default().to_vec(),
                Some(error) => {
                    let reason = untrusted_bytes(error.message.as_bytes());
                    let kind = FailureKind::of_code(error.code);
                    maps.push(Err(self.failure(LABEL_MAPS, slot, request.indices[slot], kind, reason, None)));
                    continue;
                }
            };
            maps.push(Ok(LabelMap { shape: header.shape.clone(), spacing_mm: note.spacing_mm, values }));
        }
        Ok(maps)
    }
}
