//! Sizes and token families of the model.

use serde::{Deserialize, Serialize};

use super::axis_kernel::Interpolation;
use super::variant::Variant;
use crate::data::GridLayout;

/// Named sizes of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// ViT-B of the paper, with a decoder of 8 layers and width 512.
    VitBase,
    /// ViT-S: width 384, 12 layers; decoder of 4 layers and width 256.
    VitSmall,
    /// ViT-Ti: width 192, 12 layers; decoder of 4 layers and width 128.
    VitTiny,
    /// Demonstration model: width 96, 4 layers; decoder of 2 layers and width 64. An epoch takes seconds on two cores.
    Demo,
}

/// Dimensions of a model: widths, depths and rates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dimensions {
    /// Width of the encoder.
    pub width: usize,
    /// Number of encoder layers.
    pub layers: usize,
    /// Number of attention heads of the encoder.
    pub heads: usize,
    /// Hidden width of the encoder's MLP.
    pub mlp_width: usize,
    /// Width of the decoder; its MLP is four times as wide.
    pub decoder_width: usize,
    /// Number of decoder layers.
    pub decoder_layers: usize,
    /// Number of attention heads of the decoder.
    pub decoder_heads: usize,
    /// Rate of stochastic depth in every encoder layer, in training, in [0, 1).
    pub drop_path: f64,
    /// Initial value of the encoder's LayerScale.
    pub layer_scale: f32,
}

impl Preset {
    /// Dimensions of the preset.
    pub fn dimensions(self) -> Dimensions {
        let [width, layers, heads, decoder_width, decoder_layers, decoder_heads] = match self {
            Self::VitBase => [768, 12, 12, 512, 8, 16],
            Self::VitSmall => [384, 12, 6, 256, 4, 8],
            Self::VitTiny => [192, 12, 3, 128, 4, 4],
            Self::Demo => [96, 4, 3, 64, 2, 4],
        };
        Dimensions {
            width,
            layers,
            heads,
            mlp_width: 4 * width,
            decoder_width,
            decoder_layers,
            decoder_heads,
            drop_path: 0.1,
            layer_scale: 1e-3,
        }
    }
}

/// Attention of text tokens: bidirectional or causal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextAttention {
    /// Bidirectional attention to all tokens that are no padding: the usual choice for masked language modelling.
    #[default]
    Bidirectional,
    /// Causal attention to preceding tokens, as in the training of the published weights.
    Causal,
}

/// Law of the initial values of embedders. All other parameters have the same: linear layers Xavier uniform, biases 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InitialValues {
    /// Tables of positions and tokens normal with standard deviation 0.02, as in BERT and ViT; patch projections as other linear layers.
    #[default]
    Vit,
    /// As in the reference, whose embedders have PyTorch's defaults: tables of positions and tokens standard normal; patch projections and their
    /// biases uniform within `1 / sqrt(d_token)`.
    Medcoss,
}

/// Configuration of a model: sizes and token families.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Dimensions of the model.
    pub dimensions: Dimensions,
    /// Variant of the backbone.
    #[serde(default, skip_serializing_if = "Variant::is_default")]
    pub variant: Variant,
    /// Law of the initial values.
    #[serde(default)]
    pub initial_values: InitialValues,
    /// Attention of text tokens.
    pub text_attention: TextAttention,
    /// Token families in the order in which they joined.
    pub families: Vec<FamilyConfig>,
}

/// A token family: modalities of one family share embedder, position table and head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FamilyConfig {
    /// Name of the family.
    pub name: String,
    /// Number of entries of the position table: the maximum number of tokens in a sample.
    pub n_positions: usize,
    /// Number of decoder positions: the maximum number of tokens of any modality so far. The decoder is initialised in every stage, so that the
    /// number may grow. 0 for discrete tokens, which are not decoded.
    pub n_decoder_positions: usize,
    /// Kind and size of the family's tokens.
    pub tokens: FamilyTokens,
    /// Number of values that are predicted of a continuous token, where targets are not the tokens themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub d_target: Option<usize>,
    /// Grid that the position table belongs to, and what its axes mean. `None` for discrete tokens, and where it is not known: tokens of any grid then use
    /// the first entries of the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<GridLayout>,
    /// Interpolation of the position table for samples of another grid.
    #[serde(default, skip_serializing_if = "is_linear")]
    pub interpolation: Interpolation,
}

fn is_linear(interpolation: &Interpolation) -> bool {
    *interpolation == Interpolation::Linear
}

/// Kind of a family's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum FamilyTokens {
    /// Continuous tokens: vectors of numbers.
    Continuous {
        /// Number of values in a token.
        d_token: usize,
    },
    /// Discrete tokens: ids.
    Discrete {
        /// Number of ids.
        vocabulary: usize,
    },
}

impl ModelConfig {
    /// Position of the family `name` in [`ModelConfig::families`].
    pub fn family(&self, name: &str) -> Option<usize> {
        self.families.iter().position(|family| family.name == name)
    }
}

impl std::fmt::Display for FamilyTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Continuous { d_token } => write!(f, "tokens of {d_token} values"),
            Self::Discrete { vocabulary } => write!(f, "tokens from a vocabulary of {vocabulary}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_consistent() {
        for preset in [Preset::VitBase, Preset::VitSmall, Preset::VitTiny, Preset::Demo] {
            preset.dimensions().check().unwrap();
        }
    }
}
