//! Export to timm's `VisionTransformer`, for models that it computes to the bit of rounding; others are refused with what it lacks.

use serde::Serialize;

use super::export::{Exported, exported, out, put};
use super::published::{Order, patch_side};
use super::safetensors_file::write_for_pytorch;
use crate::confined_path::ConfinedPath;
use crate::model::{FamilyConfig, FamilyTokens, MlpKind, Model, ModelConfig, N_TEMPORAL};
use crate::{Result, WeightsError};

/// Epsilon of timm's norms, which its configurations cannot change.
const EPSILON: f64 = 1e-6;

/// Arguments of timm's `VisionTransformer`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimmArguments {
    /// Height and width of an image.
    pub img_size: [usize; 2],
    /// Side of a patch.
    pub patch_size: usize,
    /// Number of channels.
    pub in_chans: usize,
    /// Width of the encoder.
    pub embed_dim: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Number of attention heads.
    pub num_heads: usize,
    /// Hidden width of the MLP over the width.
    pub mlp_ratio: f64,
    /// Initial LayerScale. The weights have another; with an initial value there is one.
    pub init_values: f64,
    /// Whether the class token has no position: here its position is part of it.
    pub no_embed_class: bool,
    /// Number of register tokens.
    pub reg_tokens: usize,
}

impl TimmArguments {
    /// Arguments for the family number `family` of a model.
    ///
    /// # Errors
    /// A model that timm would compute otherwise: everything that it lacks.
    pub fn new(config: &ModelConfig, family: usize) -> Result<Self> {
        let (dimensions, variant, family) = (&config.dimensions, &config.variant, &config.families[family]);
        let mut lacks = Vec::new();
        let mut need = |is_given: bool, what: &str| {
            if !is_given {
                lacks.push(what.to_string());
            }
        };
        need(!variant.embedding_norm, "a norm of the embedded patches before the class token joins them");
        need(variant.final_norm, "an encoder without a norm after its last block");
        need(variant.mlp == MlpKind::Gelu, "SwiGLU in a configuration");
        need(variant.epsilon == EPSILON, &format!("norms with epsilon {:e} in a configuration", variant.epsilon));
        let mlp_ratio = dimensions.mlp_width as f64 / dimensions.width as f64;
        let mlp_width = (dimensions.width as f64 * mlp_ratio) as usize;
        need(mlp_width == dimensions.mlp_width, &format!("an MLP of width {}", dimensions.mlp_width));
        let image = image_of(family);
        need(image.is_some(), &format!("tokens such as those of family {}, which are no square patches", family.name));
        match image {
            Some((grid, patch, in_chans)) if lacks.is_empty() => Ok(Self {
                img_size: grid.map(|side| side * patch),
                patch_size: patch,
                in_chans,
                embed_dim: dimensions.width,
                depth: dimensions.layers,
                num_heads: dimensions.heads,
                mlp_ratio,
                init_values: 1.0,
                no_embed_class: true,
                reg_tokens: variant.n_registers,
            }),
            _ => Err(WeightsError::NotInTimm { lacks }.into()),
        }
    }

    /// Number of patches of an image.
    fn n_patches(&self) -> usize {
        self.img_size.iter().map(|side| side / self.patch_size).product()
    }
}

/// Grid, side of a patch and channels of a family of images with square patches.
fn image_of(family: &FamilyConfig) -> Option<([usize; 2], usize, usize)> {
    let layout = family.layout.as_ref()?;
    let (FamilyTokens::Continuous { d_token }, &[rows, columns], &[height, width]) =
        (family.tokens, layout.grid.as_slice(), layout.patch.as_slice())
    else {
        return None;
    };
    let channels = d_token / (height * width).max(1);
    (height == width && patch_side(d_token, channels, 2) == Some(height)).then_some(([rows, columns], height, channels))
}

/// Writes the encoder of the family number `family` with timm's names. The temporal position of evaluation becomes part of the positions.
///
/// # Errors
/// Those of [`TimmArguments::new`]; a file that cannot be written.
pub fn export_timm(model: &Model, config: &ModelConfig, family: usize, path: &ConfinedPath) -> Result<Exported> {
    let arguments = TimmArguments::new(config, family)?;
    let (width, n_patches) = (arguments.embed_dim, arguments.n_patches());
    let kernel = Order::Kernel { channels: arguments.in_chans, dims: 2 };
    let mut tensors = Vec::new();
    let mut temporal = Vec::new();
    model.visit_parameters(&mut |parameter| {
        if parameter.path == format!("embedders.{family}.temporal") {
            debug_assert_eq!(parameter.shape, [N_TEMPORAL, width]);
            temporal = parameter.values()?[..width].to_vec();
        }
        if let Some((name, kind)) = timm_name(parameter.path, family) {
            let shape = match kind {
                Kind::Same => parameter.shape.to_vec(),
                Kind::Linear => parameter.shape.iter().rev().copied().collect(),
                Kind::Positions => vec![1, n_patches, width],
                Kind::Kernel => vec![width, arguments.in_chans, arguments.patch_size, arguments.patch_size],
            };
            tensors.push(out(&name, shape));
        }
        Ok(())
    })?;
    write_for_pytorch(path, &tensors, &mut |file| {
        model.visit_parameters(&mut |parameter| {
            let Some((_, kind)) = timm_name(parameter.path, family) else { return Ok(()) };
            let values = parameter.values()?;
            let values = match kind {
                Kind::Same => values,
                Kind::Linear => Order::Linear.to_published(values, parameter.shape),
                Kind::Kernel => kernel.to_published(values, parameter.shape),
                Kind::Positions => {
                    let used = values[..n_patches * width].iter();
                    used.zip(temporal.iter().cycle()).map(|(spatial, temporal)| spatial + temporal).collect()
                }
            };
            put(file, path, &values)
        })
    })?;
    Ok(exported(&tensors))
}

/// How a parameter's values become timm's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Same,
    Linear,
    Kernel,
    Positions,
}

/// Name of a parameter in timm; `None` for one that timm's encoder does not have.
fn timm_name(path: &str, family: usize) -> Option<(String, Kind)> {
    if let Some(embedder) = path.strip_prefix(&format!("embedders.{family}.")) {
        return Some(match embedder {
            "projection.weight" => ("patch_embed.proj.weight".into(), Kind::Kernel),
            "projection.bias" => ("patch_embed.proj.bias".into(), Kind::Same),
            "spatial" => ("pos_embed".into(), Kind::Positions),
            _ => return None,
        });
    }
    let name = match path.strip_prefix("encoder.") {
        Some(name) => name,
        None if path == "class_token" => "cls_token",
        None if path == "registers" => "reg_token",
        None => return None,
    };
    let parts = [
        (".attention_norm.", ".norm1."),
        (".attention.qkv.", ".attn.qkv."),
        (".attention.projection.", ".attn.proj."),
        (".attention_scale", ".ls1.gamma"),
        (".mlp_norm.", ".norm2."),
        (".mlp_in.", ".mlp.fc1."),
        (".mlp_out.", ".mlp.fc2."),
        (".mlp_scale", ".ls2.gamma"),
    ];
    let is_linear = path.ends_with(".weight");
    let found = parts.iter().find(|(own, _)| name.contains(own));
    let name = found.map_or(name.to_string(), |(own, timm)| name.replace(own, timm));
    let of_norm = |name: &str| match (name.strip_suffix("gamma"), name.strip_suffix("beta")) {
        (Some(norm), _) if !norm.contains(".ls") => format!("{norm}weight"),
        (_, Some(norm)) => format!("{norm}bias"),
        _ => name.to_string(),
    };
    Some((of_norm(&name), if is_linear { Kind::Linear } else { Kind::Same }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::GridLayout;
    use crate::model::{InitialValues, Interpolation, Preset, TextAttention, Variant};

    fn config() -> ModelConfig {
        let layout = GridLayout { grid: vec![2, 3], patch: vec![4, 4], axes: Vec::new() };
        let image = FamilyConfig {
            name: "image".into(),
            n_positions: 9,
            n_decoder_positions: 6,
            tokens: FamilyTokens::Continuous { d_token: 48 },
            d_target: None,
            layout: Some(layout),
            interpolation: Interpolation::BicubicAntialiased,
        };
        ModelConfig {
            dimensions: Preset::Demo.dimensions(),
            variant: Variant { embedding_norm: false, final_norm: true, epsilon: EPSILON, ..Variant::default() },
            initial_values: InitialValues::default(),
            text_attention: TextAttention::default(),
            families: vec![image],
        }
    }

    #[test]
    fn names_are_those_of_timm() {
        for (path, name, kind) in [
            ("embedders.1.projection.weight", "patch_embed.proj.weight", Kind::Kernel),
            ("embedders.1.spatial", "pos_embed", Kind::Positions),
            ("class_token", "cls_token", Kind::Same),
            ("registers", "reg_token", Kind::Same),
            ("encoder.norm.gamma", "norm.weight", Kind::Same),
            ("encoder.blocks.11.attention_norm.beta", "blocks.11.norm1.bias", Kind::Same),
            ("encoder.blocks.0.attention.qkv.weight", "blocks.0.attn.qkv.weight", Kind::Linear),
            ("encoder.blocks.0.attention_scale", "blocks.0.ls1.gamma", Kind::Same),
            ("encoder.blocks.0.mlp_out.bias", "blocks.0.mlp.fc2.bias", Kind::Same),
        ] {
            assert_eq!(timm_name(path, 1), Some((name.to_string(), kind)), "{path}");
        }
        for path in ["embedders.1.temporal", "embedders.0.spatial", "decoder.norm.gamma", "heads.1.positions"] {
            assert_eq!(timm_name(path, 1), None, "{path}");
        }
    }

    #[test]
    fn positions_are_those_of_the_grid_with_the_temporal_one_of_evaluation() {
        let config = config();
        let model = Model::new(&config, 3, 0, &burn::tensor::Device::flex());
        let folder = tempfile::tempdir().unwrap();
        let path = ConfinedPath::root(folder.path()).unwrap().join("model.safetensors");
        export_timm(&model, &config, 0, &path).unwrap();
        let file = super::super::TensorFile::open(&path.path()).unwrap();
        assert_eq!(file.shape("pos_embed").unwrap(), [1, 6, 96]);
        assert_eq!(file.shape("patch_embed.proj.weight").unwrap(), [96, 3, 4, 4]);
        let (mut spatial, mut temporal) = (Vec::new(), Vec::new());
        let read = model.visit_parameters(&mut |parameter| {
            match parameter.path {
                "embedders.0.spatial" => spatial = parameter.values()?,
                "embedders.0.temporal" => temporal = parameter.values()?,
                _ => {}
            }
            Ok(())
        });
        read.unwrap();
        let found = file.floats("pos_embed").unwrap();
        assert!((0..6 * 96).all(|at| found[at] == spatial[at] + temporal[at % 96]));
    }

    #[test]
    fn what_timm_lacks_is_named() {
        assert_eq!(TimmArguments::new(&config(), 0).unwrap().img_size, [8, 12]);
        let usual = ModelConfig { variant: Variant::default(), ..config() };
        let error = TimmArguments::new(&usual, 0).unwrap_err().to_string();
        for part in ["a norm of the embedded patches", "without a norm after its last block", "epsilon 1e-5"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        let mut text = config();
        text.families[0].tokens = FamilyTokens::Discrete { vocabulary: 7 };
        assert!(TimmArguments::new(&text, 0).unwrap_err().to_string().contains("no square patches"));
    }
}
