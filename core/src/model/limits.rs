//! Limits of model sizes, and the number of parameters without a model. Sizes from a file or a configuration are checked before memory is
//! allocated.

use std::collections::BTreeSet;

use super::config::{Dimensions, FamilyConfig, FamilyTokens, ModelConfig};
use super::embed::N_TEMPORAL;
use super::variant::Variant;
use crate::data::GridAxis;
use crate::{ModelError, Result, SettingError};

/// Maximum number of layers of the encoder and of the decoder. The deepest published Transformer has 1,000 (DeepNet, 2022).
pub const MAX_LAYERS: usize = 1024;
/// Maximum number of token families: more than a run has stages.
pub const MAX_FAMILIES: usize = 256;
/// Maximum length of a family's name in bytes.
pub const MAX_FAMILY_NAME: usize = 256;
/// Maximum number of positions of a family; plugins have the same limit of tokens.
pub const MAX_POSITIONS: usize = 1 << 20;
/// Maximum number of axes of a grid; plugins have the same limit.
const MAX_AXES: usize = 8;
/// Maximum number of values in a token; plugins have the same limit for a sample.
pub const MAX_TOKEN_VALUES: usize = 1 << 26;
/// Maximum number of token ids; plugins have the same limit.
pub const MAX_VOCABULARY: usize = 1 << 24;
/// Maximum number of parameters. As 32-bit numbers they take 16 GiB; training needs four times as much (value, gradient, two moments of
/// AdamW), which is what the largest single devices have.
pub const MAX_PARAMETERS: u64 = 1 << 32;

impl ModelConfig {
    /// Checks sizes and token families, so that a model of this configuration can be created: heads divide widths, no size is 0 or above its
    /// limit, names of families differ, and the model has at most [`MAX_PARAMETERS`] parameters. No memory is allocated.
    ///
    /// # Errors
    /// The first value that is wrong.
    pub fn check(&self) -> Result<()> {
        self.dimensions.check()?;
        self.variant.check()?;
        if self.families.len() > MAX_FAMILIES {
            return Err(ModelError::TooManyFamilies { found: self.families.len(), expected: MAX_FAMILIES }.into());
        }
        let mut names = BTreeSet::new();
        for family in &self.families {
            family.check()?;
            if !names.insert(&family.name) {
                return Err(ModelError::FamilyTwice { family: family.name.clone() }.into());
            }
        }
        let found = self.n_parameters();
        if found > MAX_PARAMETERS {
            return Err(ModelError::TooManyParameters { found, expected: MAX_PARAMETERS }.into());
        }
        Ok(())
    }

    /// Number of parameters of a model of this configuration; the largest `u64` where it is even larger. A model within a stage of the
    /// strategy `cassle` also has a predictor.
    pub fn n_parameters(&self) -> u64 {
        let families = self.families.iter().map(|family| family.n_parameters(&self.dimensions));
        sum(families.chain([self.dimensions.n_parameters(&self.variant)]))
    }
}

impl Dimensions {
    /// Checks that heads divide widths, that no size is 0, that layers are not too many, and that rates are in range. The number of parameters is
    /// checked with the families, by [`ModelConfig::check`].
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub fn check(&self) -> Result<()> {
        let wrong = |name: &str, found: &dyn std::fmt::Display, expected: &str| {
            Err(SettingError::out_of_range(format!("model.{name}"), found, expected).into())
        };
        for (name, layers) in [("layers", self.layers), ("decoder_layers", self.decoder_layers)] {
            if !(1..=MAX_LAYERS).contains(&layers) {
                return wrong(name, &layers, &format!("1 to {MAX_LAYERS}"));
            }
        }
        for (name, size) in [
            ("width", self.width),
            ("heads", self.heads),
            ("mlp_width", self.mlp_width),
            ("decoder_width", self.decoder_width),
            ("decoder_heads", self.decoder_heads),
        ] {
            if size == 0 {
                return wrong(name, &size, "at least 1");
            }
        }
        for (name, width, heads) in
            [("width", self.width, self.heads), ("decoder_width", self.decoder_width, self.decoder_heads)]
        {
            if width % heads != 0 {
                return wrong(name, &width, &format!("a multiple of its {heads} heads"));
            }
        }
        if !(0.0..1.0).contains(&self.drop_path) {
            return wrong("drop_path", &self.drop_path, "0.0 to below 1.0");
        }
        if !self.layer_scale.is_finite() {
            return wrong("layer_scale", &self.layer_scale, "a finite number");
        }
        Ok(())
    }

    /// Number of parameters that all token families share.
    fn n_parameters(&self, variant: &Variant) -> u64 {
        let [width, decoder_width] = [self.width as u64, self.decoder_width as u64];
        let layer_scales = 2u64.saturating_mul(width);
        let mlp = [variant.mlp.n_inputs(self.mlp_width) as u64, self.mlp_width as u64];
        let encoder_block = block(width, mlp).saturating_add(layer_scales);
        let decoder_block = block(decoder_width, [decoder_width.saturating_mul(4); 2]);
        let n_norms = u64::from(variant.embedding_norm) + u64::from(variant.final_norm);
        sum([
            width, // class token
            (variant.n_registers as u64).saturating_mul(width),
            norm(width).saturating_mul(n_norms),
            encoder_block.saturating_mul(self.layers as u64),
            linear(width, decoder_width),
            decoder_width, // mask token
            decoder_block.saturating_mul(self.decoder_layers as u64),
            norm(decoder_width),
        ])
    }
}

impl FamilyConfig {
    fn check(&self) -> Result<()> {
        let name = &self.name;
        if name.is_empty() || name.len() > MAX_FAMILY_NAME || name.chars().any(char::is_control) {
            let start = name.chars().take(20).collect();
            return Err(ModelError::FamilyName { start, length: name.len(), expected: MAX_FAMILY_NAME }.into());
        }
        let token_size = match self.tokens {
            FamilyTokens::Continuous { d_token } => ("values in a token", d_token, 1, MAX_TOKEN_VALUES),
            FamilyTokens::Discrete { vocabulary } => ("token ids", vocabulary, 1, MAX_VOCABULARY),
        };
        let positions = ("positions", self.n_positions, 1, MAX_POSITIONS);
        let decoder_positions = ("decoder positions", self.n_decoder_positions, 0, MAX_POSITIONS);
        let target = ("values in a target", self.d_target.unwrap_or(1), 1, MAX_TOKEN_VALUES);
        let grid = self.layout.as_ref().map_or(&[][..], |layout| &layout.grid);
        let n_grid = grid.iter().try_fold(1usize, |product, &side| product.checked_mul(side)).unwrap_or(usize::MAX);
        let axes = ("axes", grid.len(), 0, MAX_AXES);
        let in_table = ("positions of its grid", n_grid, 1, self.n_positions);
        for (what, found, least, most) in [token_size, positions, decoder_positions, target, axes, in_table] {
            if !(least..=most).contains(&found) {
                return Err(ModelError::FamilySize { family: name.clone(), what, found, least, most }.into());
            }
        }
        if let Some(layout) = &self.layout {
            let has_meaning = |(axis, &side): (&GridAxis, &usize)| {
                (axis.places.is_empty() || axis.places.len() == side)
                    && axis.step.as_ref().is_none_or(|(step, _)| step.is_finite() && *step > 0.0)
            };
            let n_axes = layout.axes.len();
            if n_axes != 0 && n_axes != grid.len() || !layout.axes.iter().zip(grid).all(has_meaning) {
                return Err(ModelError::FamilyAxes { family: name.clone(), grid: grid.to_vec() }.into());
            }
        }
        Ok(())
    }

    /// Number of parameters of the family's embedder and head.
    fn n_parameters(&self, dims: &Dimensions) -> u64 {
        let [width, decoder_width] = [dims.width as u64, dims.decoder_width as u64];
        let positions = (self.n_positions as u64).saturating_mul(width);
        match self.tokens {
            FamilyTokens::Continuous { d_token } => sum([
                linear(d_token as u64, width),
                positions,
                (N_TEMPORAL as u64).saturating_mul(width),
                (self.n_decoder_positions as u64).saturating_add(1).saturating_mul(decoder_width),
                linear(decoder_width, self.d_target.unwrap_or(d_token) as u64),
            ]),
            FamilyTokens::Discrete { vocabulary } => sum([
                (vocabulary as u64).saturating_mul(width),
                positions,
                4u64.saturating_mul(width), // token types of the embedder, offsets of the head
                norm(width),
                linear(width, width),
                norm(width),
                linear(width, vocabulary as u64),
            ]),
        }
    }
}

/// Parameters of a block whose MLP has this many values before and after its activation.
fn block(width: u64, [n_inputs, mlp_width]: [u64; 2]) -> u64 {
    let attention = linear(width, width.saturating_mul(3)).saturating_add(linear(width, width));
    sum([norm(width), attention, norm(width), linear(width, n_inputs), linear(mlp_width, width)])
}

fn linear(inputs: u64, outputs: u64) -> u64 {
    inputs.saturating_mul(outputs).saturating_add(outputs)
}

fn norm(width: u64) -> u64 {
    width.saturating_mul(2)
}

fn sum(counts: impl IntoIterator<Item = u64>) -> u64 {
    counts.into_iter().fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::super::{InitialValues, Interpolation, MlpKind, Model, Preset, TextAttention};
    use super::*;

    fn config() -> ModelConfig {
        let family = |name: &str, n_decoder_positions, tokens| FamilyConfig {
            name: name.into(),
            n_positions: 7,
            n_decoder_positions,
            tokens,
            d_target: None,
            layout: None,
            interpolation: Interpolation::default(),
        };
        let dimensions = Dimensions { mlp_width: 100, ..Preset::Demo.dimensions() };
        ModelConfig {
            dimensions,
            variant: Variant::default(),
            initial_values: InitialValues::default(),
            text_attention: TextAttention::default(),
            families: vec![
                family("image", 5, FamilyTokens::Continuous { d_token: 12 }),
                family("text", 0, FamilyTokens::Discrete { vocabulary: 31 }),
            ],
        }
    }

    #[test]
    fn the_number_of_parameters_is_that_of_the_model() {
        let from_elsewhere = Variant {
            embedding_norm: false,
            final_norm: true,
            n_registers: 3,
            mlp: MlpKind::Swiglu,
            ..Variant::default()
        };
        for variant in [Variant::default(), from_elsewhere] {
            let config = ModelConfig { variant, ..config() };
            let model = Model::new(&config, 0, 0, &burn::tensor::Device::flex());
            assert_eq!(config.n_parameters(), model.n_parameters() as u64);
        }
    }

    #[test]
    fn sizes_that_no_model_can_have_are_refused_by_name_and_without_memory() {
        let dims = |change: fn(&mut Dimensions)| {
            let mut config = config();
            change(&mut config.dimensions);
            config
        };
        let family = |at: usize, change: fn(&mut FamilyConfig)| {
            let mut config = config();
            change(&mut config.families[at]);
            config
        };
        let many = ModelConfig {
            families: (0..1_000_000)
                .map(|n| FamilyConfig { name: n.to_string(), ..config().families[0].clone() })
                .collect(),
            ..config()
        };
        let huge = usize::MAX - 1;
        let rows: Vec<(ModelConfig, &str)> = vec![
            (dims(|d| d.heads = 0), "model.heads is 0, expected at least 1"),
            (dims(|d| d.decoder_heads = 0), "model.decoder_heads is 0, expected at least 1"),
            (dims(|d| d.heads = 5), "model.width is 96, expected a multiple of its 5 heads"),
            (dims(|d| d.decoder_heads = 1 << 60), "model.decoder_width is 64, expected a multiple of its"),
            (dims(|d| (d.width, d.heads) = (0, 1)), "model.width is 0, expected at least 1"),
            (dims(|d| d.mlp_width = 0), "model.mlp_width is 0, expected at least 1"),
            (dims(|d| d.layers = 0), "model.layers is 0, expected 1 to 1024"),
            (dims(|d| d.layers = 100_000), "model.layers is 100000, expected 1 to 1024"),
            (
                dims(|d| d.decoder_layers = usize::MAX),
                "model.decoder_layers is 18446744073709551615, expected 1 to 1024",
            ),
            (dims(|d| d.width = 300_000_000), "expected at most 4294967296"),
            (dims(|d| (d.width, d.heads) = (usize::MAX, 1)), "the model has 18446744073709551615 parameters or more"),
            (dims(|d| d.mlp_width = 1 << 40), "expected at most 4294967296"),
            (dims(|d| (d.decoder_width, d.decoder_heads) = (1 << 20, 1)), "expected at most 4294967296"),
            (dims(|d| d.drop_path = 1.0), "model.drop_path is 1, expected 0.0 to below 1.0"),
            (dims(|d| d.drop_path = f64::NAN), "model.drop_path is NaN"),
            (dims(|d| d.layer_scale = f32::INFINITY), "model.layer_scale is inf, expected a finite number"),
            (
                family(0, |f| f.n_positions = 1_000_000_000_000),
                "family image has 1000000000000 positions, expected 1 to 1048576",
            ),
            (family(1, |f| f.n_positions = 0), "family text has 0 positions, expected 1 to 1048576"),
            (family(0, |f| f.n_decoder_positions = usize::MAX), "decoder positions, expected 0 to 1048576"),
            (family(0, |f| f.tokens = FamilyTokens::Continuous { d_token: 0 }), "family image has 0 values in a token"),
            (
                family(0, |f| f.tokens = FamilyTokens::Continuous { d_token: 1 << 40 }),
                "values in a token, expected 1 to 67108864",
            ),
            (
                family(1, |f| f.tokens = FamilyTokens::Discrete { vocabulary: 1 << 40 }),
                "token ids, expected 1 to 16777216",
            ),
            (family(1, |f| f.name = "image".into()), "family image is named twice"),
            (family(1, |f| f.name = "x".repeat(1 << 20)), "1048576 bytes"),
            (family(1, |f| f.name = "a\u{1b}[2J".into()), "\\u{1b}[2J"),
            (family(1, |f| f.name = String::new()), "0 bytes"),
            (many, "the model has 1000000 token families, expected at most 256"),
        ];
        config().check().unwrap();
        for (config, message) in rows {
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(message), "{error} is not {message}");
        }
        let everything =
            Dimensions { width: huge, layers: huge, mlp_width: huge, decoder_width: huge, ..config().dimensions };
        assert_eq!(ModelConfig { dimensions: everything, ..config() }.n_parameters(), u64::MAX);
    }
}
