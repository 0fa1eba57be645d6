//! The hooks of a strategy around the pretext task of the current modality.

use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use rand::RngExt;

use crate::confined_path::ConfinedPath;
use crate::data::Dataset;
use crate::model::{DeviceBatch, Model, ModelConfig, StochasticDepth};
use crate::pretext::pretext_loss;
use crate::run::StoredModel;
use crate::{Result, rng};

/// Values by parameter that are stored beside a stage's model, each in the shape of a model and with the name of its file.
pub(crate) type Beside = Vec<(&'static str, Model)>;

/// A strategy of continual learning in one stage, as hooks around the pretext task of the current modality. Each hook has a default.
pub(crate) trait ContinualStrategy: Sync {
    /// Changes the student before the first epoch, and before a checkpoint is loaded into the student.
    fn prepare(&self, student: Model) -> Model {
        student
    }

    /// Changes the student before each epoch, numbered from 0. A resumed run calls this hook again for the interrupted epoch: a second call must
    /// change nothing.
    fn before_epoch(&mut self, epoch: usize, student: Model) -> Result<Model> {
        let _ = epoch;
        Ok(student)
    }

    /// The loss of a replay batch.
    fn replay_loss(&self, student: &Model, step: &StepContext<'_>) -> Tensor<1> {
        pretext_loss(student, step.family, step.batch, step.encode(student))
    }

    /// An auxiliary loss of a current-task batch, added to the pretext loss; `encoded` are the student's encoder outputs `[B, T, D]`.
    fn auxiliary_loss(&self, student: &Model, step: &StepContext<'_>, encoded: &Tensor<3>) -> Option<Tensor<1>> {
        let _ = (student, step, encoded);
        None
    }

    /// Changes the gradients of an update before the optimiser uses them.
    fn before_update(&self, student: &Model, gradients: GradientsParams) -> GradientsParams {
        let _ = student;
        gradients
    }

    /// Changes the student after an update.
    fn after_update(&self, student: Model) -> Model {
        student
    }

    /// The penalty on the student's parameters, for the metrics.
    fn penalty(&self, student: &Model) -> Result<Option<f64>> {
        let _ = student;
        Ok(None)
    }

    /// Ends the stage: returns the final model, and values by parameter to be stored beside it, each with the name of its file.
    fn end_stage(&mut self, student: Model, end: &mut StageEnd<'_>) -> Result<(Model, Beside)> {
        let _ = end;
        Ok((student, Vec::new()))
    }
}

/// A strategy without hooks: the pretext task alone on all batches.
pub(super) struct PretextOnly;

impl ContinualStrategy for PretextOnly {}

/// Context of a stage before its first epoch.
pub(crate) struct StageStart<'a> {
    /// Position in the run, from 1.
    pub stage: usize,
    pub seed: u64,
    pub epochs: usize,
    /// Sizes and families of the student.
    pub model: &'a ModelConfig,
    /// The student at the start of the stage: the previous model with a fresh decoder and fresh heads.
    pub student: &'a Model,
    /// The model of the previous stage; none in the first stage.
    pub previous: Option<&'a StoredModel>,
    /// Device with gradients.
    pub device: &'a Device,
}

/// Context of a training step: a batch, and the key of its random draws.
pub(crate) struct StepContext<'a> {
    pub batch: &'a DeviceBatch,
    pub family: usize,
    pub temporal: usize,
    pub drop_path: f64,
    pub seed: u64,
    /// Key of the random draws: stage, epoch, step.
    pub place: [u64; 3],
}

impl StepContext<'_> {
    /// The student's encoder outputs.
    pub fn encode(&self, student: &Model) -> Tensor<3> {
        let mut depth = self.stochastic_depth("depth");
        student.encode(self.family, self.batch, self.temporal, depth.as_mut())
    }

    /// A random temporal position of the batch's family, with the draws of `purpose`.
    pub(super) fn temporal_position(&self, purpose: &str, model: &Model) -> usize {
        rng::keyed(self.seed, purpose, &self.place).random_range(0..model.n_temporal(self.family))
    }

    /// Stochastic depth with the random draws of `purpose`; none where the rate is 0.
    pub(super) fn stochastic_depth(&self, purpose: &str) -> Option<StochasticDepth> {
        StochasticDepth::new(self.drop_path, rng::keyed(self.seed, purpose, &self.place))
    }
}

/// Context of a stage after its last epoch.
pub(crate) struct StageEnd<'a> {
    pub dataset: &'a dyn Dataset,
    pub family: usize,
    /// Device with gradients.
    pub device: &'a Device,
    pub num_workers: usize,
    /// Progress callback, called with the number of finished samples and the number of all samples. An error ends the stage.
    pub progress: &'a mut dyn FnMut(usize, usize) -> Result<()>,
}

/// Whether a parameter is passed on from stage to stage. Decoder, heads and predictor are initialised in each stage.
pub(super) fn is_shared(path: &str) -> bool {
    ["encoder.", "embedders.", "class_token", "registers", "patch_norm."].iter().any(|part| path.starts_with(part))
}

/// Path of a file that a strategy wrote beside the stored model of a stage.
///
/// # Errors
/// A link or a special file in its place.
pub(super) fn file_beside(stored: Option<&StoredModel>, name: &str) -> Result<Option<ConfinedPath>> {
    let Some(stored) = stored else { return Ok(None) };
    let path = stored.path().with_name(name);
    Ok(path.is_file()?.then_some(path))
}
