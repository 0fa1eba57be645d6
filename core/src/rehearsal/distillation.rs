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

/// Mean squared error between student and teacher encoder outputs on the same visible tokens of the same mixed samples. Class
/// token included; padding of text excluded.
pub fn feature_matching_loss(
    student: &Model,
    teacher: &Teacher,
    family: usize,
    batch: &Prepared,
    temporal: usize,
    depth: Option<&mut StochasticDepth>,
    device: &Device,
) -> Tensor<1> {
    let teacher_device = device.clone().inner();
    let (own, given) = match batch {
        Prepared::Patches(batch) => {
            let own = student.encode_patches(family, &VisiblePatches::upload(batch, device), temporal, depth);
            let visible = VisiblePatches::upload(batch, &teacher_device);
            let given = teacher.model.encode_patches(family, &visible, temporal, None);
            let width = own.dims()[2];
            (own.reshape([-1, width as i64]), given.reshape([-1, width as i64]))
        }
        Prepared::Tokens(batch) => {
            let own = student.encode_text(family, &TextTokens::upload(batch, device), depth);
            let given = teacher.model.encode_text(family, &TextTokens::upload(batch, &teacher_device), None);
            let width = own.dims()[2];
            let attended: Vec<i32> =
                (0..batch.attended.len()).filter(|&at| batch.attended[at]).map(|at| at as i32).collect();
            let pick = |features: Tensor<3>, device: &Device| {
                features.reshape([-1, width as i64]).select(0, indices(&attended, device))
            };
            (pick(own, device), pick(given, &teacher_device))
        }
    };
    mean_all((own - Tensor::from_inner(given)).square())
}
