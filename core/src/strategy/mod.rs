//! How earlier modalities are kept while a new one is learned: one interface, a file for each method.
//!
//! | `rehearsal.strategy` | samples of earlier stages | what else |
//! |---|---|---|
//! | `medcoss` | buffers, distilled | `distilled_rehearsal.rs` |
//! | `replay` | buffers, by the pretext task | |
//! | `joint` | all, by the pretext task, in the last stage | |
//! | `sequential`, `single` | none | |
//! | `ewc` | none | `elastic_weights.rs` |
//! | `lwf`, `cassle` | none | `own_distillation.rs` |
//! | `packnet` | none | `packed_weights.rs` |
//!
//! Which samples take part is said by [`Strategy`]; what is done with them, and to the parameters, by a `Method`.

mod distilled_rehearsal;
mod elastic_weights;
mod own_distillation;
mod packed_weights;
#[cfg(test)]
mod toy;

use std::path::Path;

use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};

use distilled_rehearsal::DistilledRehearsal;
use elastic_weights::ElasticWeights;
use own_distillation::OwnDistillation;
use packed_weights::PackedWeights;
pub use packed_weights::model_of_stage;

use crate::Result;
use crate::data::Dataset;
use crate::model::{DeviceBatch, Model, ModelConfig, StochasticDepth};
use crate::pretext::pretext_loss;
use crate::rehearsal::{RehearsalConfig, Strategy};
use crate::rng;
use crate::run::{StageFolder, StoredModel};

/// What a strategy does in a stage, beside the pretext task of the new modality. Each hook may be left out.
pub(crate) trait Method: Sync {
    /// Before the first epoch, and before a checkpoint is read into the student.
    fn prepare(&self, student: Model) -> Model {
        student
    }

    /// Before each epoch, numbered from 0; on resuming also before the one that was left in its middle, so that doing it again must change
    /// nothing.
    fn epoch_begins(&mut self, epoch: usize, student: Model) -> Result<Model> {
        let _ = epoch;
        Ok(student)
    }

    /// The loss of a batch of an earlier modality.
    fn recalled_loss(&self, student: &Model, lesson: &Lesson<'_>) -> Tensor<1> {
        pretext_loss(student, lesson.family, lesson.batch, lesson.encode(student))
    }

    /// A further loss of a batch of the new modality, whose encoder outputs are `encoded`.
    fn further_loss(&self, student: &Model, lesson: &Lesson<'_>, encoded: &Tensor<3>) -> Option<Tensor<1>> {
        let _ = (student, lesson, encoded);
        None
    }

    /// The gradients of an update, before it is made.
    fn before_update(&self, student: &Model, gradients: GradientsParams) -> GradientsParams {
        let _ = student;
        gradients
    }

    /// The parameters after an update.
    fn after_update(&self, student: Model) -> Model {
        student
    }

    /// The penalty on the parameters as they are, for people.
    fn penalty(&self, student: &Model) -> Result<Option<f64>> {
        let _ = student;
        Ok(None)
    }

    /// After the last epoch: the model that the stage leaves, and the names of further files that it writes into the stage's folder.
    fn finish(&mut self, student: Model, closing: &mut Closing<'_>) -> Result<(Model, Vec<String>)> {
        let _ = closing;
        Ok((student, Vec::new()))
    }
}

/// A stage that begins.
pub(crate) struct Beginning<'a> {
    pub config: &'a RehearsalConfig,
    /// From 1.
    pub stage: usize,
    pub seed: u64,
    pub epochs: usize,
    /// Of the student.
    pub model: &'a ModelConfig,
    /// As it begins: the previous model with fresh decoder and heads.
    pub student: &'a Model,
    /// The model of the stage before this one; none in the first stage.
    pub previous: Option<&'a StoredModel>,
    /// With gradients.
    pub device: &'a Device,
}

/// A batch that is being learned, and where its draws come from.
pub(crate) struct Lesson<'a> {
    pub batch: &'a DeviceBatch,
    pub family: usize,
    pub temporal: usize,
    pub drop_path: f64,
    pub seed: u64,
    /// Stage, epoch, step.
    pub place: [u64; 3],
}

impl Lesson<'_> {
    /// The student's encoder outputs.
    pub fn encode(&self, student: &Model) -> Tensor<3> {
        let mut depth = self.depth("depth");
        student.encode(self.family, self.batch, self.temporal, depth.as_mut())
    }

    fn depth(&self, purpose: &str) -> Option<StochasticDepth> {
        StochasticDepth::new(self.drop_path, rng::keyed(self.seed, purpose, &self.place))
    }
}

/// A stage that has learned its modality.
pub(crate) struct Closing<'a> {
    pub folder: &'a StageFolder,
    pub source: &'a dyn Dataset,
    pub family: usize,
    /// With gradients.
    pub device: &'a Device,
    pub num_workers: usize,
    /// Hears how many samples of how many are done, and may end the work.
    pub progress: &'a mut dyn FnMut(usize, usize) -> Result<()>,
}

/// The method of a stage.
///
/// # Errors
/// Files of the stage before that are missing or damaged.
pub(crate) fn method_of(beginning: &Beginning<'_>) -> Result<Box<dyn Method>> {
    Ok(match (beginning.config.strategy, beginning.previous) {
        (Strategy::Medcoss, Some(_)) => Box::new(DistilledRehearsal::new(beginning)),
        (Strategy::Lwf | Strategy::Cassle, Some(_)) => Box::new(OwnDistillation::new(beginning)),
        (Strategy::Ewc, _) => Box::new(ElasticWeights::new(beginning)?),
        (Strategy::Packnet, _) => Box::new(PackedWeights::new(beginning)?),
        _ => Box::new(PretextOnly),
    })
}

/// Nothing but the pretext task, whatever samples take part.
struct PretextOnly;

impl Method for PretextOnly {}

/// Whether a parameter goes on from stage to stage; decoder, heads and predictor are made afresh in each.
fn is_shared(path: &str) -> bool {
    ["encoder.", "embedders.", "class_token", "patch_norm."].iter().any(|part| path.starts_with(part))
}

/// A file that a strategy keeps beside the model of a stage.
fn file_beside(stored: Option<&StoredModel>, name: &str) -> Option<std::path::PathBuf> {
    let path = stored?.path().parent().unwrap_or(Path::new(".")).join(name);
    path.exists().then_some(path)
}
