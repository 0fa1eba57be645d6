//! Feature distillation (section 3.3 of the paper): the student's features must match those of a frozen model.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::model::{DeviceBatch, Model, StochasticDepth, mean_over_tokens};
use crate::pretext::mean_all;

/// Which of the encoder's outputs are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DistillationTarget {
    /// Every visible token, class token included (the paper's).
    #[default]
    Tokens,
    /// The class token; of text, which has none, the first token.
    Class,
    /// The mean over the visible tokens of a sample, class token included and padding excluded.
    Mean,
}

impl DistillationTarget {
    /// What is compared of `[B, T, D]`: `[rows, D]`. `padding`: whether positions of text that are padding count.
    pub(crate) fn of(self, encoded: Tensor<3>, batch: &DeviceBatch, padding: bool) -> Tensor<2> {
        let [n, length, width] = encoded.dims();
        match (self, batch) {
            (Self::Tokens, DeviceBatch::Tokens(batch)) if !padding => {
                encoded.reshape([n * length, width]).select(0, batch.attended_rows.clone())
            }
            (Self::Tokens, _) => encoded.reshape([n * length, width]),
            (Self::Class, _) => encoded.narrow(1, 0, 1).reshape([n, width]),
            (Self::Mean, _) => mean_over_tokens(encoded, batch).reshape([n, width]),
        }
    }
}

/// A frozen model: no gradients, no stochastic depth (which the reference leaves on).
#[derive(Debug)]
pub struct Teacher {
    model: Model,
}

impl Teacher {
    /// Freezes a model.
    pub fn new(model: &Model) -> Self {
        Self { model: model.valid() }
    }

    /// Its encoder outputs `[B, T, D]`, as constants in the graph of `batch`; what they are for as in [`Model::encode`].
    pub(crate) fn encode(
        &self,
        family: usize,
        batch: &DeviceBatch,
        temporal: usize,
        depth: Option<&mut StochasticDepth>,
    ) -> Tensor<3> {
        Tensor::from_inner(self.model.encode(family, &batch.inner(), temporal, depth))
    }
}

/// Mean squared error between student and teacher encoder outputs on the same visible tokens of the same mixed samples.
#[derive(Debug, Clone, Copy)]
pub struct FeatureMatching<'a> {
    /// What learns.
    pub student: &'a Model,
    /// What it learns from.
    pub teacher: &'a Teacher,
    /// Family of the samples.
    pub family: usize,
    /// Temporal position of both.
    pub temporal: usize,
    /// Which outputs are compared.
    pub target: DistillationTarget,
    /// Whether positions of text that are padding count.
    pub padding: bool,
}

impl FeatureMatching<'_> {
    /// The loss of a batch. `depth` is the student's stochastic depth, `teacher_depth` the teacher's, which usually has none.
    pub fn loss(
        &self,
        batch: &DeviceBatch,
        depth: Option<&mut StochasticDepth>,
        teacher_depth: Option<&mut StochasticDepth>,
    ) -> Tensor<1> {
        let own = self.student.encode(self.family, batch, self.temporal, depth);
        let given = self.teacher.encode(self.family, batch, self.temporal, teacher_depth);
        let compared = |encoded| self.target.of(encoded, batch, self.padding);
        mean_all((compared(own) - compared(given)).square())
    }
}
