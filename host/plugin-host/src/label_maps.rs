//! Segmentation masks of samples: asked for where the plugin offers them, and the answer checked.

use medcoss_abi::label_maps::decode;
use medcoss_abi::message::{Geometry, LabelMaps, LabelMapsHeader};
use medcoss_abi::operation::LABEL_MAPS;

use crate::dataset::OpenDataset;
use crate::error::PluginError;
use crate::untrusted_text::untrusted_bytes;
use crate::{Plugin, SampleFailure};

/// The segmentation mask of one sample, in the geometry of its evaluation view.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelMap {
    /// `[rows, columns]`, `[depth, rows, columns]` or of another number of axes: the axes of the sample's grid of tokens, each a
    /// multiple of the grid's.
    pub shape: Vec<usize>,
    /// Distance of neighbours along each axis in mm, where it is known; positive.
    pub spacing_mm: Option<Vec<f64>>,
    /// As many as the product of `shape`, the last axis fastest; 0 is the background, padding included.
    pub values: Vec<u16>,
}

impl Plugin {
    /// Whether its datasets answer with segmentation masks.
    pub fn has_label_maps(&self) -> bool {
        self.description().operations.iter().any(|known| known == LABEL_MAPS)
    }
}

impl OpenDataset {
    /// The label maps of samples, in the order of the request's indices, or why a sample has none.
    ///
    /// All label maps have one shape, of as many axes as the grid of tokens, whose sides are multiples of the grid's; spacings
    /// are positive.
    ///
    /// # Errors
    /// A plugin without this operation; a request that does not fit the dataset; what the plugin reports of the call as a
    /// whole; an answer that breaks the contract.
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
                    let what = untrusted_bytes(error.message.as_bytes());
                    maps.push(Err(self.failure(LABEL_MAPS, slot, request.indices[slot], &what)));
                    continue;
                }
            };
            maps.push(Ok(LabelMap { shape: header.shape.clone(), spacing_mm: note.spacing_mm, values }));
        }
        Ok(maps)
    }
}

/// Number, shape and spacings of an answer, whose length was compared with them.
fn check(geometry: &Geometry, header: &LabelMapsHeader, n_asked: usize) -> Result<(), String> {
    let LabelMapsHeader { shape, samples } = header;
    if samples.len() != n_asked {
        return Err(format!("it answers with {} masks for {n_asked} samples", samples.len()));
    }
    if samples.iter().all(|sample| sample.error.is_some()) {
        return Ok(());
    }
    let Geometry::Continuous { grid, d_token, .. } = geometry else {
        return Err("it answers with masks of samples without a grid".into());
    };
    let fits =
        shape.len() == grid.len() && shape.iter().zip(grid).all(|(side, n)| *side > 0 && side.is_multiple_of(*n));
    let n_values = if fits { shape.iter().zip(grid).map(|(side, n)| side / n).product() } else { 0 };
    if n_values == 0 || !d_token.is_multiple_of(n_values) {
        return Err(format!(
            "its masks have the shape {shape:?}; samples are a grid of {grid:?} tokens of {d_token} values, and each token \
             is a block of the same size"
        ));
    }
    let valid = |mm: &Vec<f64>| mm.len() == shape.len() && mm.iter().all(|mm| mm.is_finite() && *mm > 0.0);
    match samples.iter().filter_map(|sample| sample.spacing_mm.as_ref()).find(|spacing| !valid(spacing)) {
        Some(spacing) => Err(format!("a mask of {shape:?} has a spacing of {spacing:?} mm; each must be positive")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use medcoss_abi::message::{LabelMapError, LabelMapNote};

    fn checked(shape: &[usize], spacings: &[Option<Vec<f64>>], n_asked: usize) -> Result<(), String> {
        let geometry = Geometry::Continuous { grid: vec![2, 3], d_token: 12 * 3, n_masked: 1 };
        let samples = spacings.iter().map(|mm| LabelMapNote { spacing_mm: mm.clone(), error: None }).collect();
        check(&geometry, &LabelMapsHeader { shape: shape.to_vec(), samples }, n_asked)
    }

    #[test]
    fn masks_of_another_shape_number_or_spacing_are_refused() {
        assert_eq!(checked(&[6, 12], &[None, Some(vec![0.5, 2.0])], 2), Ok(()));
        assert_eq!(checked(&[8, 9], &[None], 1), Ok(()), "three channels, or one in larger blocks");
        assert_eq!(checked(&[6, 12], &[None], 2).unwrap_err(), "it answers with 1 masks for 2 samples");
        for shape in [&[7, 12][..], &[6], &[6, 12, 1], &[0, 0], &[10, 15], &[usize::MAX - 1, 3]] {
            assert!(checked(shape, &[None], 1).unwrap_err().starts_with("its masks have the shape"), "{shape:?}");
        }
        for spacing in [vec![1.0], vec![1.0, 0.0], vec![1.0, f64::INFINITY]] {
            assert!(checked(&[6, 12], &[Some(spacing)], 1).unwrap_err().contains("must be positive"));
        }
        let words = Geometry::Discrete { length: 9, vocabulary: 9, padding_id: 0, mask_id: 1 };
        let mut header = LabelMapsHeader { shape: vec![], samples: vec![LabelMapNote::default()] };
        assert!(check(&words, &header, 1).unwrap_err().contains("without a grid"));
        header.samples[0].error = Some(LabelMapError { code: 2, message: "no mask".into() });
        assert_eq!(check(&words, &header, 1), Ok(()));
    }
}
