//! The backbone: embedders by token family, one shared encoder, a decoder and prediction heads (figure 2 of the paper).
//!
//! Shapes in comments: `B` samples, `N` tokens of a whole sample, `V` visible ones, `T` tokens in the encoder, `D`
//! width.

mod admission;
mod attention;
mod axis_kernel;
mod block;
mod config;
mod decoder;
mod device_batch;
mod embed;
mod encoder;
mod head;
mod init;
mod limits;
mod norm;
mod parameters;
mod pooling;
mod position_map;
mod predictor;
mod variant;

use burn::module::{Module, Param};
use burn::tensor::{Bool, Device, Tensor};

pub use crate::precision::Precision;
pub use admission::{PositionResampling, TableSize};
pub use axis_kernel::{AxisEntries, Interpolation};
pub use block::StochasticDepth;
pub use config::{Dimensions, FamilyConfig, FamilyTokens, InitialValues, ModelConfig, Preset, TextAttention};
pub use decoder::Decoder;
pub use device_batch::{DeviceBatch, MaskedTensors, PatchTensors, TokenTensors, ValidityTensors};
pub use embed::Embedder;
pub(crate) use embed::N_TEMPORAL;
pub use encoder::Encoder;
pub use head::Head;
pub(crate) use init::Initialiser;
pub use limits::{
    MAX_FAMILIES, MAX_FAMILY_NAME, MAX_LAYERS, MAX_PARAMETERS, MAX_POSITIONS, MAX_TOKEN_VALUES, MAX_VOCABULARY,
};
pub(crate) use norm::Norm;
pub(crate) use parameters::{FlatParameters, map_gradients, visit_parameters_of, with_parameters_of};
pub use parameters::{Parameter, Replace, fill_missing_gradients};
pub(crate) use pooling::mean_over_tokens;
pub use position_map::{PositionMap, TokenEntries};
pub use predictor::Predictor;
pub use variant::{MlpKind, Variant};

use crate::rng;

/// Model: all learned parameters. Families are addressed by their position in [`ModelConfig::families`].
#[derive(Module, Debug)]
pub struct Model {
    /// Embedder of each family.
    embedders: Vec<Embedder>,
    /// Learned class token before continuous tokens, `[1, 1, D]`.
    class_token: Param<Tensor<3>>,
    /// Learned register tokens between class token and continuous tokens, `[1, R, D]`.
    registers: Option<Param<Tensor<3>>>,
    /// Norm of the embedded continuous tokens of every family.
    patch_norm: Option<Norm>,
    encoder: Encoder,
    decoder: Decoder,
    /// Prediction head of each family.
    heads: Vec<Head>,
    /// Predictor from the student's features to the teacher's; present only within a stage of the strategy `cassle`.
    predictor: Option<Predictor>,
    #[module(skip)]
    causal: bool,
    #[module(skip)]
    precision: Precision,
}

/// States of tokens on their way through the encoder, `[B, 1 + R + V, D]` each: class token, registers, visible tokens.
#[derive(Debug, Clone)]
pub struct HiddenStates {
    /// Input of the first block.
    pub embedded: Tensor<3>,
    /// Output of each block, without the final norm.
    pub blocks: Vec<Tensor<3>>,
    /// Output of the encoder, after the final norm where the model has one.
    pub output: Tensor<3>,
}

impl Model {
    /// A freshly initialised model: linear layers Xavier uniform with zero biases, class and mask token normal with standard
    /// deviation 0.02, embedders by [`ModelConfig::initial_values`]. The same seed and stage give the same parameters on every device.
    pub fn new(config: &ModelConfig, seed: u64, stage: usize, device: &Device) -> Self {
        let mut init =
            Initialiser::new(rng::keyed(seed, "parameters", &[stage as u64]), device).with_law(config.initial_values);
        let (dims, variant) = (&config.dimensions, &config.variant);
        let n_registers = variant.n_registers;
        Self {
            embedders: config.families.iter().map(|family| Embedder::new(family, dims, &mut init)).collect(),
            class_token: init.normal([1, 1, dims.width], 0.02),
            registers: (n_registers > 0).then(|| init.normal([1, n_registers, dims.width], 0.02)),
            patch_norm: variant.embedding_norm.then(|| Norm::new(dims.width, variant.epsilon, &mut init)),
            encoder: Encoder::new(dims, variant, &mut init),
            decoder: Decoder::new(dims, variant, &mut init),
            heads: config.families.iter().map(|family| Head::new(family, dims, &mut init)).collect(),
            predictor: None,
            causal: config.text_attention == TextAttention::Causal,
            precision: Precision::default(),
        }
    }

    /// The student of the next stage: encoder, embedders, class token, registers and the embedders' norm of `self`; decoder and heads fresh, and embedders for
    /// families that `self` does not know. The families of `self` come first in `config`.
    pub fn next_student(&self, config: &ModelConfig, seed: u64, stage: usize, device: &Device) -> Self {
        let mut student = Self::new(config, seed, stage, device);
        for (fresh, trained) in student.embedders.iter_mut().zip(&self.embedders) {
            *fresh = trained.clone();
        }
        student.class_token = self.class_token.clone();
        student.registers = self.registers.clone();
        student.patch_norm = self.patch_norm.clone();
        student.encoder = self.encoder.clone();
        student
    }

    /// The model with products in another precision and unchanged parameters.
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The model with another model's head for one family.
    pub fn with_head_of(mut self, other: &Self, family: usize) -> Self {
        self.heads[family] = other.heads[family].clone();
        self
    }

    /// The model with a fresh predictor.
    pub(crate) fn with_predictor(self, width: usize, seed: u64, stage: usize, device: &Device) -> Self {
        let mut init = Initialiser::new(rng::keyed(seed, "predictor", &[stage as u64]), device);
        Self { predictor: Some(Predictor::new(width, &mut init)), ..self }
    }

    /// The model without a predictor.
    pub(crate) fn without_predictor(self) -> Self {
        Self { predictor: None, ..self }
    }

    /// Predictor of the model; none outside of the strategy `cassle`.
    pub(crate) fn predictor(&self) -> Option<&Predictor> {
        self.predictor.as_ref()
    }

    /// Encoder outputs `[B, T, D]` for the visible tokens of a batch of a family, the class token of continuous families first. The batch lies on the
    /// model's device, with gradients where the model has them. `temporal` and `depth` as for [`Model::encode_patches`].
    pub fn encode(
        &self,
        family: usize,
        batch: &DeviceBatch,
        temporal: usize,
        depth: Option<&mut StochasticDepth>,
    ) -> Tensor<3> {
        match batch {
            DeviceBatch::Patches(patches) => self.encode_patches(family, patches, temporal, depth),
            DeviceBatch::Tokens(tokens) => self.encode_text(family, tokens, depth),
        }
    }

    /// Encodes the visible tokens of a continuous family.
    ///
    /// `temporal` is the index into the temporal positions: 0 in evaluation, any of the table's in training.
    /// Returns `[B, 1 + V, D]`, the class token first.
    pub fn encode_patches(
        &self,
        family: usize,
        patches: &PatchTensors,
        temporal: usize,
        depth: Option<&mut StochasticDepth>,
    ) -> Tensor<3> {
        let (tokens, hidden) = self.with_prefix(self.embed_patches(family, patches, temporal), patches);
        self.without_registers(self.encoder.forward(tokens, hidden, depth, self.precision))
    }

    /// Class token and registers before embedded tokens `[B, V, D]`, and what of all is hidden.
    fn with_prefix(&self, tokens: Tensor<3>, patches: &PatchTensors) -> (Tensor<3>, Option<Tensor<4, Bool>>) {
        let [n, n_visible, width] = tokens.dims();
        let hidden = patches.validity.as_ref().map(|validity| validity.hidden_latents.clone());
        let class = self.class_token.val().expand([n, 1, width]);
        let Some(registers) = &self.registers else { return (Tensor::cat(vec![class, tokens], 1), hidden) };
        let registers = registers.val();
        let n_registers = registers.dims()[1];
        let hidden = hidden.map(|hidden| {
            let (class, tokens) = (hidden.clone().narrow(3, 0, 1), hidden.narrow(3, 1, n_visible));
            // The class token is never hidden, and neither are registers.
            Tensor::cat(vec![class.clone(), class.expand([n, 1, 1, n_registers]), tokens], 3)
        });
        (Tensor::cat(vec![class, registers.expand([n, n_registers, width]), tokens], 1), hidden)
    }

    /// Outputs without those of the registers.
    fn without_registers(&self, outputs: Tensor<3>) -> Tensor<3> {
        let n_registers = self.n_registers();
        if n_registers == 0 {
            return outputs;
        }
        let n_patches = outputs.dims()[1] - 1 - n_registers;
        let (class, patches) = (outputs.clone().narrow(1, 0, 1), outputs.narrow(1, 1 + n_registers, n_patches));
        Tensor::cat(vec![class, patches], 1)
    }

    /// Number of register tokens.
    pub fn n_registers(&self) -> usize {
        self.registers.as_ref().map_or(0, |registers| registers.dims()[1])
    }

    /// Every state of the visible tokens of a continuous family on their way through the encoder, in evaluation.
    pub fn hidden_states(&self, family: usize, patches: &PatchTensors) -> HiddenStates {
        let (embedded, hidden) = self.with_prefix(self.embed_patches(family, patches, 0), patches);
        let blocks = self.encoder.block_outputs(embedded.clone(), hidden, self.precision);
        let last = blocks.last().cloned().unwrap_or_else(|| embedded.clone());
        HiddenStates { embedded, blocks, output: self.encoder.normalised(last) }
    }

    /// Outputs `[B, V, D]` of some blocks of the encoder, numbered from 1 and ascending, for the visible tokens of a continuous family.
    ///
    /// With `class_token`, the tokens see the class token and the registers, as in pre-training, and both are taken away afterwards. Without it there is
    /// none, as where the reference segments.
    pub fn patch_features(
        &self,
        family: usize,
        patches: &PatchTensors,
        blocks: &[usize],
        class_token: bool,
        depth: Option<&mut StochasticDepth>,
    ) -> Vec<Tensor<3>> {
        let tokens = self.embed_patches(family, patches, 0);
        let [_, n_visible, _] = tokens.dims();
        if class_token {
            let (tokens, hidden) = self.with_prefix(tokens, patches);
            let features = self.encoder.features(tokens, hidden, depth, self.precision, blocks);
            let first = 1 + self.n_registers();
            return features.into_iter().map(|features| features.narrow(1, first, n_visible)).collect();
        }
        let hidden = patches.validity.as_ref().map(|validity| validity.hidden_latents.clone());
        let hidden = hidden.map(|hidden| hidden.narrow(3, 1, n_visible));
        self.encoder.features(tokens, hidden, depth, self.precision, blocks)
    }

    /// Embedded continuous tokens, visible ones only, with positions, normalised where the model has a norm for it: `[B, V, D]`.
    ///
    /// # Panics
    /// When the family is not a continuous one.
    pub fn embed_patches(&self, family: usize, patches: &PatchTensors, temporal: usize) -> Tensor<3> {
        let Embedder::Patches(embedder) = &self.embedders[family] else {
            panic!("family {family} has discrete tokens");
        };
        let embedded = embedder.forward(patches, temporal, self.precision);
        match &self.patch_norm {
            Some(norm) => norm.forward(embedded),
            None => embedded,
        }
    }

    /// Encoder outputs `[B, N, D]` for discrete tokens.
    pub fn encode_text(&self, family: usize, text: &TokenTensors, depth: Option<&mut StochasticDepth>) -> Tensor<3> {
        let tokens = self.embed_text(family, text);
        let [n, length, _] = tokens.dims();
        let padding: Tensor<4, Bool> = text.padding.clone().reshape([n, 1, 1, length]);
        let hidden = if self.causal {
            // `tril_mask` is true above the diagonal: at later tokens.
            let future: Tensor<2, Bool> = Tensor::tril_mask([length, length], 0, &tokens.device());
            let future = future.reshape([1, 1, length, length]).expand([n, 1, length, length]);
            padding.expand([n, 1, length, length]).bool_or(future)
        } else {
            padding
        };
        self.encoder.forward(tokens, Some(hidden), depth, self.precision)
    }

    /// Embedded discrete tokens, with positions, normalised: `[B, N, D]`.
    ///
    /// # Panics
    /// When the family is not a discrete one.
    pub fn embed_text(&self, family: usize, text: &TokenTensors) -> Tensor<3> {
        let Embedder::Tokens(embedder) = &self.embedders[family] else {
            panic!("family {family} has continuous tokens");
        };
        embedder.forward(text.ids.clone())
    }

    /// Width of the encoder.
    pub fn width(&self) -> usize {
        self.class_token.dims()[2]
    }

    /// Number of temporal positions of a family; 1 for discrete families.
    pub fn n_temporal(&self, family: usize) -> usize {
        match &self.embedders[family] {
            Embedder::Patches(embedder) => embedder.n_temporal(),
            Embedder::Tokens(_) => 1,
        }
    }

    /// The decoder.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// The head of a family.
    pub fn head(&self, family: usize) -> &Head {
        &self.heads[family]
    }

    /// Precision of the products in decoder and heads.
    pub fn precision(&self) -> Precision {
        self.precision
    }
}
