//! Feature distillation (section 3.3 of the paper): on buffer samples the student's features must match those of the frozen previous model.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::data::Prepared;
use crate::model::{Model, StochasticDepth, TextTokens, VisiblePatches, indices};
use crate::pretext::mean_all;

/// The model of the previous stage, frozen: no gradients, no stochastic depth (which the reference leaves on).
#[derive(Debug)]
pub struct Teacher {
    model: Model,
}

impl Teacher {
    /// Freezes a model.
    pub fn new(model: &Model) -> Self {
        Self { model: model.valid() }
    }
}

/// Mean squared error between student and teacher encoder outputs on the same visible tokens of the same mixed samples, class token
/// included.
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
    /// Whether positions of text that are padding count.
    pub padding: bool,
}

impl FeatureMatching<'_> {
    /// The loss of a batch. `depth` is the student's stochastic depth, `teacher_depth` the teacher's, which usually has none.
    pub fn loss(
        &self,
        batch: &Prepared,
        depth: Option<&mut StochasticDepth>,
        teacher_depth: Option<&mut StochasticDepth>,
        device: &Device,
    ) -> Tensor<1> {
        let teacher_device = device.clone().inner();
        let own = encode(self.student, self, batch, depth, device);
        let given = encode(&self.teacher.model, self, batch, teacher_depth, &teacher_device);
        mean_all((own - Tensor::from_inner(given)).square())
    }
}

/// Encoder outputs that are compared: `[rows, D]`.
fn encode(
    model: &Model,
    matching: &FeatureMatching<'_>,
    batch: &Prepared,
    depth: Option<&mut StochasticDepth>,
    device: &Device,
) -> Tensor<2> {
    let family = matching.family;
    let flat = |features: Tensor<3>| {
        let width = features.dims()[2];
        features.reshape([-1, width as i64])
    };
    match batch {
        Prepared::Patches(batch) => {
            let visible = VisiblePatches::upload(batch, device);
            flat(model.encode_patches(family, &visible, matching.temporal, depth))
        }
        Prepared::Tokens(batch) => {
            let features = flat(model.encode_text(family, &TextTokens::upload(batch, device), depth));
            let counts = |at: &usize| matching.padding || batch.attended[*at];
            let counted: Vec<i32> = (0..batch.attended.len()).filter(counts).map(|at| at as i32).collect();
            features.select(0, indices(&counted, device))
        }
    }
}
