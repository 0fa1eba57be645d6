//! A stage for the tests of strategies: a tiny model and a few random samples.

use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use rand::RngExt;

use super::{ContinualStrategy, StageEnd, StageStart, StepContext, Strategy, StrategyConfig};
use crate::data::{Dataset, RawBatch, SampleReport, TargetSpec, TokenSpec, View, prepare};
use crate::model::{
    DeviceBatch, Dimensions, FlatParameters, InitialValues, Model, ModelConfig, TextAttention, Variant, map_gradients,
};
use crate::pretext::pretext_loss;
use crate::rng;
use crate::run::{RunLayout, StageFolder, StoredModel, save_model};

const SPEC: TokenSpec = TokenSpec::Continuous { n_tokens: 8, d_token: 4, n_masked: 4 };
const N_SAMPLES: usize = 6;

pub struct TinyStage {
    pub config: StrategyConfig,
    pub model: ModelConfig,
    /// The student at the start of the stage.
    pub student: Model,
    pub folder: StageFolder,
    dataset: RandomPatches,
    batch: DeviceBatch,
    device: Device,
    _on_disk: tempfile::TempDir,
}

impl TinyStage {
    pub fn new(strategy: Strategy) -> Self {
        let device = crate::device::by_name("cpu").unwrap().autodiff();
        let dimensions = Dimensions {
            width: 16,
            layers: 2,
            heads: 2,
            mlp_width: 32,
            decoder_width: 16,
            decoder_layers: 1,
            decoder_heads: 2,
            drop_path: 0.0,
            layer_scale: 1.0,
        };
        let mut model = ModelConfig {
            dimensions,
            variant: Variant::default(),
            initial_values: InitialValues::default(),
            text_attention: TextAttention::default(),
            families: Vec::new(),
        };
        model.admit("toy", "toy", SPEC, None).unwrap();
        let on_disk = tempfile::tempdir().unwrap();
        let folder = StageFolder::new(&RunLayout::open(on_disk.path()).unwrap(), 1, "toy");
        folder.path().create_folder().unwrap();
        let dataset = RandomPatches { ids: (0..N_SAMPLES).map(|at| at.to_string()).collect() };
        let mut raw = RawBatch::default();
        let indices: Vec<u64> = (0..N_SAMPLES as u64).collect();
        dataset.fill(View::Training, &indices, &indices, &mut raw).unwrap();
        let keep: Vec<usize> = (0..N_SAMPLES).collect();
        Self {
            config: StrategyConfig::new(strategy),
            student: Model::new(&model, 3, 1, &device),
            batch: DeviceBatch::new(prepare(&raw, (SPEC, TargetSpec::default()), &keep, true, None), &device),
            model,
            folder,
            dataset,
            device,
            _on_disk: on_disk,
        }
    }

    /// Device without gradients.
    pub fn inference_device(&self) -> Device {
        self.device.clone().inner()
    }

    /// The student as the stored model of the previous stage.
    pub fn stored(&self) -> StoredModel {
        self.store(&self.student)
    }

    pub fn store(&self, model: &Model) -> StoredModel {
        let path = self.folder.file(RunLayout::MODEL);
        save_model(&path, model).unwrap();
        StoredModel::new(path, self.model.clone())
    }

    pub fn start<'a>(&'a self, previous: Option<&'a StoredModel>) -> StageStart<'a> {
        StageStart {
            stage: 1,
            seed: 5,
            epochs: 4,
            model: &self.model,
            student: &self.student,
            previous,
            device: &self.device,
        }
    }

    pub fn step(&self) -> StepContext<'_> {
        StepContext { batch: &self.batch, family: 0, temporal: 0, drop_path: 0.0, seed: 5, place: [1, 0, 0] }
    }

    /// Steps of gradient descent on a loss, for the parameters of some paths.
    pub fn descend(
        &self,
        mut student: Model,
        steps: usize,
        loss: &dyn Fn(&Model) -> Tensor<1>,
        moves: &dyn Fn(&str) -> bool,
    ) -> Model {
        for _ in 0..steps {
            let gradients = GradientsParams::from_grads(loss(&student).backward(), &student);
            student = descend(student, gradients, moves);
        }
        student
    }

    /// The strategy at the start of the stage.
    pub fn strategy(&self, previous: Option<&StoredModel>) -> Box<dyn ContinualStrategy> {
        self.config.build(&self.start(previous)).unwrap()
    }

    /// Training steps with the hooks of a strategy.
    pub fn train(&self, strategy: &dyn ContinualStrategy, mut student: Model, steps: usize) -> Model {
        let step = self.step();
        for _ in 0..steps {
            let encoded = step.encode(&student);
            let mut loss = pretext_loss(&student, 0, step.batch, encoded.clone());
            if let Some(auxiliary) = strategy.auxiliary_loss(&student, &step, &encoded) {
                loss = loss + auxiliary;
            }
            let gradients = GradientsParams::from_grads(loss.backward(), &student);
            let gradients = strategy.before_update(&student, gradients);
            student = strategy.after_update(descend(student, gradients, &|_| true));
        }
        student
    }

    pub fn end_stage(&self, strategy: &mut dyn ContinualStrategy, student: Model) -> (Model, Vec<String>) {
        let mut end = StageEnd {
            dataset: &self.dataset,
            family: 0,
            device: &self.device,
            num_workers: 1,
            progress: &mut |_, _| Ok(()),
        };
        let (student, beside) = strategy.end_stage(student, &mut end).unwrap();
        for (name, values) in &beside {
            save_model(&self.folder.file(name), values).unwrap();
        }
        (student, beside.into_iter().map(|(name, _)| name.into()).collect())
    }

    /// Euclidean distance of some parameters from their values at the start of the stage.
    pub fn distance(&self, model: &Model, is_wanted: &dyn Fn(&str) -> bool) -> f64 {
        self.differences(model, &self.student, is_wanted).iter().map(|value| value * value).sum::<f64>().sqrt()
    }

    /// Largest absolute difference of some parameters between two models.
    pub fn difference(&self, a: &Model, b: &Model, is_wanted: &dyn Fn(&str) -> bool) -> f64 {
        self.differences(a, b, is_wanted).iter().fold(0.0, |most, value| most.max(value.abs()))
    }

    fn differences(&self, a: &Model, b: &Model, is_wanted: &dyn Fn(&str) -> bool) -> Vec<f64> {
        let all = |model: &Model| model.flat_parameters(is_wanted).into_values().flat_map(values).collect::<Vec<_>>();
        all(a).iter().zip(all(b)).map(|(a, b)| f64::from(*a) - f64::from(b)).collect()
    }
}

/// The value of a scalar.
pub fn scalar(tensor: Tensor<1>) -> f32 {
    tensor.into_scalar()
}

/// The values of a tensor.
pub fn values(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

fn descend(student: Model, gradients: GradientsParams, moves: &dyn Fn(&str) -> bool) -> Model {
    let mut by_path = FlatParameters::new();
    map_gradients(&student, gradients, &mut |path, _, gradient| {
        by_path.insert(path.into(), gradient);
        None
    });
    student.map_flat(&mut |path, values| {
        let gradient = by_path.get(path).filter(|_| moves(path))?;
        Some(values - gradient.clone().mul_scalar(0.01))
    })
}

struct RandomPatches {
    ids: Vec<String>,
}

impl Dataset for RandomPatches {
    fn modality(&self) -> &str {
        "toy"
    }

    fn family(&self) -> &str {
        "toy"
    }

    fn spec(&self) -> TokenSpec {
        SPEC
    }

    fn ids(&self) -> &[String] {
        &self.ids
    }

    fn fingerprint(&self) -> &str {
        "0123456789abcdef"
    }

    fn fill(&self, _: View, indices: &[u64], _: &[u64], batch: &mut RawBatch) -> crate::Result<Vec<SampleReport>> {
        batch.tokens.clear();
        batch.mask.clear();
        for index in indices {
            let mut draw = rng::keyed(*index, "toy", &[]);
            batch.tokens.extend((0..8 * 4).map(|_| draw.random::<f32>()));
            batch.mask.extend((0..8).map(|token| u8::from(token % 2 == 0)));
        }
        Ok(Vec::new())
    }
}
