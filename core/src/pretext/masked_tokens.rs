//! Masked language modelling (Devlin et al., "BERT", NAACL 2019): cross-entropy at the masked positions.

use burn::tensor::Tensor;

use super::mean_all;
use crate::fused;
use crate::model::{Head, Model, TokenTensors};

/// Masked language modelling for one family of a model.
pub struct MaskedTokens<'a> {
    /// The model.
    pub model: &'a Model,
    /// Position of the family in the model.
    pub family: usize,
}

impl MaskedTokens<'_> {
    /// Cross-entropy of `encoded` `[B, N, D]`, as the mean over the batch's targets; 0 for a batch without targets.
    pub fn loss(&self, encoded: Tensor<3>, batch: &TokenTensors) -> Tensor<1> {
        let Head::Tokens(head) = self.model.head(self.family) else {
            panic!("family {} has continuous tokens", self.family);
        };
        let [n, length, width] = encoded.dims();
        if batch.target_ids.is_empty() {
            return encoded.sum_dim(2).sum().mul_scalar(0.0);
        }
        // Only target positions go through the head: the vocabulary is by far its widest layer.
        let wanted = encoded.reshape([n * length, width]).select(0, batch.target_rows.clone());
        let scores = head.forward(wanted, self.model.precision());
        mean_all(fused::cross_entropy(scores, &batch.target_ids))
    }
}
