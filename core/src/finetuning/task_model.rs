//! A backbone with the head of a task.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::adapters::AdapterConfig;
use super::head::ClassificationHead;
use super::settings::Learned;
use super::task_config::{TaskHeadConfig, TaskModelConfig, is_of_pretext};
use crate::decoders::SegmentationDecoder;
use crate::model::{
    DeviceBatch, Initialiser, Model, Parameter, Replace, StochasticDepth, visit_parameters_of, with_parameters_of,
};
use crate::precision::Precision;
use crate::{Result, rng};

/// Head of a task.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a model has one")]
pub enum TaskHead {
    /// Of whole samples.
    Samples(ClassificationHead),
    /// Of voxels.
    Voxels(SegmentationDecoder),
}

/// A backbone of one token family with the head of a task.
#[derive(Module, Debug)]
pub struct TaskModel {
    pub(super) backbone: Model,
    pub(super) head: TaskHead,
}

impl TaskModel {
    /// A model with a fresh head on a backbone, on the device of the backbone. The backbone has the one family of the configuration.
    ///
    /// # Errors
    /// A head that cannot be built.
    pub fn new(config: &TaskModelConfig, backbone: Model, seed: u64, device: &Device) -> Result<Self> {
        let mut init = Initialiser::new(rng::keyed(seed, "head of a task", &[]), device);
        let (width, n_outputs) = (config.model.dimensions.width, config.target.n_outputs());
        let head = match (&config.head, &config.grid) {
            (TaskHeadConfig::Voxels(decoder), Some(grid)) => {
                TaskHead::Voxels(decoder.build(grid, width, n_outputs, &mut init)?)
            }
            (TaskHeadConfig::Voxels(_), None) => panic!("a decoder of voxels needs their grid"),
            (TaskHeadConfig::Samples(head), _) => {
                TaskHead::Samples(ClassificationHead::new(head, width, n_outputs, &mut init))
            }
        };
        Ok(Self { backbone, head })
    }

    /// The model with the backbone frozen as far as the settings say.
    pub(super) fn prepared(self, learned: Learned, adapters: &AdapterConfig, seed: u64, device: &Device) -> Self {
        let Self { backbone, head } = self;
        let backbone = match learned {
            Learned::All => backbone,
            Learned::Head => backbone.freeze(),
            Learned::Adapters => adapters.attach(backbone, seed, device),
        };
        Self { backbone, head }
    }

    /// Number of values that learn with these settings.
    pub fn n_learned(&self, learned: Learned, adapters: &AdapterConfig) -> usize {
        let (mut head, mut backbone, mut of_adapters) = (0, 0, 0);
        let visited = self.visit_parameters(&mut |parameter| {
            let n = parameter.shape.iter().product::<usize>();
            match parameter.path.strip_prefix("backbone.") {
                None => head += n,
                Some(path) if is_of_pretext(path) => {}
                Some(path) => {
                    backbone += n;
                    if adapters.adapts(path) {
                        of_adapters += adapters.rank * parameter.shape.iter().sum::<usize>();
                    }
                }
            }
            Ok(())
        });
        visited.expect("nothing fails where nothing is read");
        head + match learned {
            Learned::All => backbone,
            Learned::Head => 0,
            Learned::Adapters => of_adapters,
        }
    }

    /// The model with its matrix products in another precision.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { backbone: self.backbone.with_precision(precision), ..self }
    }

    /// The model with adapters merged into the matrices that they belong to.
    #[must_use]
    pub(super) fn merged(self) -> Self {
        Self { backbone: self.backbone.materialize(), head: self.head }
    }

    /// Visits all parameters, see [`Model::visit_parameters`].
    ///
    /// # Errors
    /// The first error of `visit`.
    pub fn visit_parameters(&self, visit: &mut dyn FnMut(Parameter<'_>) -> Result<()>) -> Result<()> {
        visit_parameters_of(self, visit)
    }

    /// Replaces values, see [`Model::with_parameters`].
    ///
    /// # Errors
    /// The first error of `replace`.
    pub fn with_parameters(self, replace: &mut Replace<'_>) -> Result<Self> {
        with_parameters_of(self, replace)
    }

    /// The backbone.
    pub fn backbone(&self) -> &Model {
        &self.backbone
    }

    /// Scores `[B, V, outputs]` of a batch whose tokens are all visible; `V` is the number of voxels in the order of `[depth, height, width]`, or 1.
    pub fn forward(
        &self,
        config: &TaskModelConfig,
        batch: &DeviceBatch,
        depth: Option<&mut StochasticDepth>,
    ) -> Tensor<3> {
        let precision = self.backbone.precision();
        match (&self.head, batch, &config.grid) {
            (TaskHead::Voxels(decoder), DeviceBatch::Patches(patches), Some(grid)) => {
                let blocks = config.blocks();
                let features = self.backbone.patch_features(0, patches, &blocks, config.class_token, depth);
                let image = grid.voxels(patches.visible.clone());
                let scores = decoder.forward(image, &features, grid, precision);
                let [n, depth, height, width, n_outputs] = scores.dims();
                scores.reshape([n, depth * height * width, n_outputs])
            }
            (TaskHead::Samples(head), batch, _) => {
                let encoded = self.backbone.encode(0, batch, 0, depth);
                let scores = head.forward(encoded, batch, precision);
                let [n, n_outputs] = scores.dims();
                scores.reshape([n, 1, n_outputs])
            }
            _ => panic!("a decoder of voxels reads continuous tokens with a grid"),
        }
    }
}
