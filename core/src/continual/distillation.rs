//! Feature distillation (section 3.3 of the paper): the student's features must match those of a frozen teacher.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::model::{DeviceBatch, Model, PatchTensors, StochasticDepth, mean_over_tokens};
use crate::pretext::mean_all;

/// Encoder outputs that distillation compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DistillationTarget {
    /// Every visible token that exists, class token included (the paper's target).
    #[default]
    Tokens,
    /// The class token; the first token for text, which has no class token.
    Class,
    /// The mean over the visible tokens of a sample, class token included and padding excluded.
    Mean,
}

impl DistillationTarget {
    /// Compared outputs, `[rows, D]`, out of encoder outputs `[B, T, D]`; with `padding` also the outputs at padding positions of text.
    pub(crate) fn of(self, encoded: Tensor<3>, batch: &DeviceBatch, padding: bool) -> Tensor<2> {
        let [n, length, width] = encoded.dims();
        match (self, batch) {
            (Self::Tokens, DeviceBatch::Tokens(batch)) if !padding => {
                encoded.reshape([n * length, width]).select(0, batch.attended_rows.clone())
            }
            (Self::Tokens, DeviceBatch::Patches(PatchTensors { validity: Some(validity), .. })) => {
                encoded.reshape([n * length, width]).select(0, validity.latent_rows.clone())
            }
            (Self::Tokens, _) => encoded.reshape([n * length, width]),
            (Self::Class, _) => encoded.narrow(1, 0, 1).reshape([n, width]),
            (Self::Mean, _) => mean_over_tokens(encoded, batch).reshape([n, width]),
        }
    }
}

/// Distillation teacher: a frozen model without gradients and without stochastic depth (which the reference leaves on).
#[derive(Debug)]
pub struct Teacher {
    model: Model,
}

impl Teacher {
    /// A teacher with the parameters of `model`, frozen.
    pub fn new(model: &Model) -> Self {
        Self { model: model.valid() }
    }

    /// The teacher's encoder outputs `[B, T, D]`, as constants in the graph of `batch`, see [`Model::encode`].
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

/// Distillation loss: mean squared error between student and teacher encoder outputs on the same visible tokens of the same mixed samples.
#[derive(Debug, Clone, Copy)]
pub struct FeatureMatching<'a> {
    /// The model that is trained.
    pub student: &'a Model,
    /// The frozen model.
    pub teacher: &'a Teacher,
    /// Family of the samples.
    pub family: usize,
    /// Temporal position of the batch in the student.
    pub temporal: usize,
    /// Temporal position of the batch in the teacher; the student's, but for the reference.
    pub teacher_temporal: usize,
    /// Encoder outputs that are compared.
    pub target: DistillationTarget,
    /// Whether padding positions of text are compared.
    pub padding: bool,
}

impl FeatureMatching<'_> {
    /// The distillation loss of a batch. `depth` is the student's stochastic depth; `teacher_depth` is the teacher's, usually none.
    pub fn loss(
        &self,
        batch: &DeviceBatch,
        depth: Option<&mut StochasticDepth>,
        teacher_depth: Option<&mut StochasticDepth>,
    ) -> Tensor<1> {
        let student = self.student.encode(self.family, batch, self.temporal, depth);
        let teacher = self.teacher.encode(self.family, batch, self.teacher_temporal, teacher_depth);
        let compared = |encoded| self.target.of(encoded, batch, self.padding);
        mean_all((compared(student) - compared(teacher)).square())
    }
}
