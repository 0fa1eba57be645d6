//! Sizes and token families of the model.

use serde::{Deserialize, Serialize};

use crate::data::TokenSpec;
use crate::{ModelError, Result, SettingError};

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

    /// Admits a dataset: adds its family if new, otherwise checks that the dataset fits its family. Returns the family's position.
    ///
    /// `n_positions` is the configured size of the family's position table; by default 1024 for continuous and 512 for discrete tokens, or
    /// the sample's own number of tokens if that is larger.
    ///
    /// # Errors
    /// Tokens of another kind or size than the family's, or from a larger vocabulary, more of them than it has positions for, or sizes that no model can have.
    pub fn admit(&mut self, name: &str, modality: &str, spec: TokenSpec, n_positions: Option<usize>) -> Result<usize> {
        let (tokens, needed, usual) = match spec {
            TokenSpec::Continuous { n_tokens, d_token, .. } => (FamilyTokens::Continuous { d_token }, n_tokens, 1024),
            TokenSpec::Discrete { length, vocabulary } => (FamilyTokens::Discrete { vocabulary }, length, 512),
        };
        let position = match self.family(name) {
            Some(position) => position,
            None => {
                let n_positions = n_positions.unwrap_or(needed.max(usual));
                self.families.push(FamilyConfig { name: name.into(), n_positions, n_decoder_positions: 0, tokens });
                self.families.len() - 1
            }
        };
        let family = &mut self.families[position];
        if let Some(given) = n_positions.filter(|given| *given != family.n_positions) {
            return Err(
                SettingError::Positions { family: name.into(), found: given, expected: family.n_positions }.into()
            );
        }
        let fits = match (family.tokens, tokens) {
            // The rest of the table is not used: published weights have more rows than their vocabulary has tokens.
            (FamilyTokens::Discrete { vocabulary: rows }, FamilyTokens::Discrete { vocabulary }) => vocabulary <= rows,
            (has, needs) => has == needs,
        };
        if !fits {
            return Err(ModelError::Tokens {
                modality: modality.into(),
                family: name.into(),
                found: tokens.to_string(),
                expected: family.tokens.to_string(),
            }
            .into());
        }
        if needed > family.n_positions {
            return Err(ModelError::TooManyTokens {
                modality: modality.into(),
                family: name.into(),
                found: needed,
                expected: family.n_positions,
            }
            .into());
        }
        if matches!(tokens, FamilyTokens::Continuous { .. }) {
            family.n_decoder_positions = family.n_decoder_positions.max(needed);
        }
        self.check()?;
        Ok(position)
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

    fn config() -> ModelConfig {
        ModelConfig {
            dimensions: Preset::Demo.dimensions(),
            initial_values: InitialValues::default(),
            text_attention: TextAttention::default(),
            families: Vec::new(),
        }
    }

    #[test]
    fn presets_are_consistent() {
        for preset in [Preset::VitBase, Preset::VitSmall, Preset::VitTiny, Preset::Demo] {
            preset.dimensions().check().unwrap();
        }
    }

    #[test]
    fn a_family_is_added_once_and_guards_its_token_size_and_positions() {
        let mut config = config();
        let spec = |n_tokens, d_token| TokenSpec::Continuous { n_tokens, d_token, n_masked: 1 };
        assert_eq!(config.admit("image", "xray", spec(16, 768), Some(20)).unwrap(), 0);
        assert_eq!(config.admit("gait", "gait", spec(5000, 12), None).unwrap(), 1);
        assert_eq!(config.admit("image", "pathology", spec(20, 768), None).unwrap(), 0);
        assert_eq!(config.families[1].n_positions, 5000);
        assert_eq!(config.families[0].n_decoder_positions, 20);
        let size = config.admit("image", "other", spec(16, 300), None).unwrap_err().to_string();
        assert!(size.contains("300 values") && size.contains("768 values"), "{size}");
        // A table may have more rows than a vocabulary has tokens, but not fewer.
        let text = |vocabulary| TokenSpec::Discrete { length: 4, vocabulary };
        assert_eq!(config.admit("text", "text", text(50), None).unwrap(), 2);
        assert_eq!(config.admit("text", "text", text(49), None).unwrap(), 2);
        let vocabulary = config.admit("text", "text", text(51), None).unwrap_err().to_string();
        assert!(vocabulary.contains("vocabulary of 51") && vocabulary.contains("vocabulary of 50"), "{vocabulary}");
        let room = config.admit("image", "other", spec(21, 768), None).unwrap_err().to_string();
        assert!(room.contains("21 tokens") && room.contains("20 positions"), "{room}");
    }
}
