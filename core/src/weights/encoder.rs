//! Encoder of one token family for PyTorch: names, shapes and arguments of the module in
//! `sdk/python/package/src/medcoss/huggingface/encoder_medcoss.py`.

use serde::Serialize;

use super::export::{Exported, exported, out, put};
use super::published::{Order, patch_kind, patch_side};
use super::safetensors_file::write_for_pytorch;
use crate::Result;
use crate::confined_path::ConfinedPath;
use crate::data::{GridAxis, GridLayout};
use crate::model::{FamilyConfig, FamilyTokens, Interpolation, MlpKind, Model, ModelConfig, TextAttention};

/// Arguments of the module.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EncoderArguments<'a> {
    /// Name of the token family.
    pub family: &'a str,
    /// Width of the encoder.
    pub width: usize,
    /// Number of its blocks.
    pub layers: usize,
    /// Number of its attention heads.
    pub heads: usize,
    /// Hidden width of its MLP.
    pub mlp_width: usize,
    /// Number of entries of the position table.
    pub n_positions: usize,
    /// Number of values in a continuous token.
    pub d_token: Option<usize>,
    /// Number of ids of discrete tokens.
    pub vocabulary: Option<usize>,
    /// Whether a token attends to earlier ones only.
    pub causal: bool,
    /// Grid that the position table belongs to, where it is known.
    pub grid: Option<&'a [usize]>,
    /// Values of a token along each axis, where it is known.
    pub patch: Option<Vec<usize>>,
    /// Meaning of the axes, where it is known.
    pub axes: Option<&'a [GridAxis]>,
    /// Interpolation of the position table for samples of another grid.
    pub interpolation: Interpolation,
    /// Whether embedded continuous tokens are normalised.
    pub embedding_norm: bool,
    /// Whether there is a norm after the last block.
    pub final_norm: bool,
    /// Number that the norms add to the variance.
    pub epsilon: f64,
    /// Number of register tokens.
    pub n_registers: usize,
    /// Hidden layer of the MLPs.
    pub mlp: MlpKind,
}

impl<'a> EncoderArguments<'a> {
    /// Arguments for the family number `family` of a model.
    pub fn new(config: &'a ModelConfig, family: usize) -> Self {
        let (dimensions, variant, family) = (&config.dimensions, &config.variant, &config.families[family]);
        let (d_token, vocabulary) = match family.tokens {
            FamilyTokens::Continuous { d_token } => (Some(d_token), None),
            FamilyTokens::Discrete { vocabulary } => (None, Some(vocabulary)),
        };
        let layout = family.layout.as_ref();
        Self {
            family: &family.name,
            width: dimensions.width,
            layers: dimensions.layers,
            heads: dimensions.heads,
            mlp_width: dimensions.mlp_width,
            n_positions: family.n_positions,
            d_token,
            vocabulary,
            causal: vocabulary.is_some() && config.text_attention == TextAttention::Causal,
            grid: layout.map(|layout| layout.grid.as_slice()),
            patch: patch(family, layout),
            axes: layout.map(|layout| layout.axes.as_slice()).filter(|axes| !axes.is_empty()),
            interpolation: family.interpolation,
            embedding_norm: variant.embedding_norm,
            final_norm: variant.final_norm,
            epsilon: variant.epsilon,
            n_registers: variant.n_registers,
            mlp: variant.mlp,
        }
    }
}

/// Patch of a family: as its dataset stated it, or as the published weights have it.
fn patch(family: &FamilyConfig, layout: Option<&GridLayout>) -> Option<Vec<usize>> {
    if let Some(layout) = layout.filter(|layout| !layout.patch.is_empty()) {
        return Some(layout.patch.clone());
    }
    let FamilyTokens::Continuous { d_token } = family.tokens else { return None };
    let (channels, dims) = patch_kind(&family.name)?;
    patch_side(d_token, channels, dims).map(|side| vec![side; dims as usize])
}

/// Writes the parameters that the encoder of the family number `family` reads to a safetensors file.
///
/// # Errors
/// A file that cannot be written.
pub fn export_encoder(model: &Model, config: &ModelConfig, family: usize, path: &ConfinedPath) -> Result<Exported> {
    let is_continuous = matches!(config.families[family].tokens, FamilyTokens::Continuous { .. });
    let name_of = |path: &str| module_name(path, family, is_continuous);
    let mut tensors = Vec::new();
    model.visit_parameters(&mut |parameter| {
        if let Some(name) = name_of(parameter.path) {
            let mut shape = parameter.shape.to_vec();
            if is_linear(&name) {
                shape.reverse();
            }
            tensors.push(out(&name, shape));
        }
        Ok(())
    })?;
    write_for_pytorch(path, &tensors, &mut |file| {
        model.visit_parameters(&mut |parameter| match name_of(parameter.path) {
            Some(name) if is_linear(&name) => {
                put(file, path, &Order::Linear.to_published(parameter.values()?, parameter.shape))
            }
            Some(_) => put(file, path, &parameter.values()?),
            None => Ok(()),
        })
    })?;
    Ok(exported(&tensors))
}

/// Name in the module of a parameter of the model: `embedders.1.norm.gamma` of the second family is
/// `encoder.embedder.norm.weight`. `None` for a parameter that the encoder of the family does not read.
fn module_name(path: &str, family: usize, is_continuous: bool) -> Option<String> {
    let embedder = format!("embedders.{family}.");
    let name = if let Some(rest) = path.strip_prefix(&embedder) {
        format!("encoder.embedder.{rest}")
    } else if path.starts_with("encoder.") {
        path.to_string()
    } else if is_continuous && (["class_token", "registers"].contains(&path) || path.starts_with("patch_norm.")) {
        format!("encoder.{path}")
    } else {
        return None;
    };
    let renamed = [(".gamma", ".weight"), (".beta", ".bias")];
    let found = renamed.iter().find_map(|(own, module)| Some(format!("{}{module}", name.strip_suffix(own)?)));
    Some(found.unwrap_or(name))
}

/// Whether a parameter of the module is the matrix of a linear layer, which PyTorch has as `[output, input]`.
fn is_linear(name: &str) -> bool {
    ["qkv.weight", "projection.weight", "mlp_in.weight", "mlp_out.weight"].iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::model::{InitialValues, Preset, Variant};
    use crate::weights::TensorFile;

    fn config() -> ModelConfig {
        let family = |name: &str, tokens, layout| FamilyConfig {
            name: name.into(),
            n_positions: 7,
            n_decoder_positions: 5,
            tokens,
            d_target: None,
            layout,
            interpolation: Interpolation::default(),
        };
        let layout = GridLayout { grid: vec![2, 3], patch: vec![1, 4], axes: Vec::new() };
        ModelConfig {
            dimensions: Preset::Demo.dimensions(),
            variant: Variant::default(),
            initial_values: InitialValues::default(),
            text_attention: TextAttention::Causal,
            families: vec![
                family("text", FamilyTokens::Discrete { vocabulary: 31 }, None),
                family("gait", FamilyTokens::Continuous { d_token: 4 }, Some(layout)),
                family("image", FamilyTokens::Continuous { d_token: 12 }, None),
            ],
        }
    }

    #[test]
    fn a_family_gets_its_own_embedder_and_the_shared_blocks() {
        let (config, device) = (config(), Device::flex());
        let model = Model::new(&config, 3, 0, &device);
        let folder = tempfile::tempdir().unwrap();
        let path = ConfinedPath::root(folder.path()).unwrap().join("model.safetensors");
        let exported = export_encoder(&model, &config, 1, &path).unwrap();
        // Embedder 4, class token 1, norm 2, and 14 in each of four blocks.
        assert_eq!(exported.n_tensors, 7 + 4 * 14);
        let file = TensorFile::open(&path.path()).unwrap();
        assert_eq!(file.shape("encoder.embedder.projection.weight").unwrap(), [96, 4]);
        assert_eq!(file.shape("encoder.class_token").unwrap(), [1, 1, 96]);
        let mut found = Vec::new();
        model
            .visit_parameters(&mut |parameter| {
                if parameter.path == "embedders.1.projection.weight" {
                    found = parameter.values()?;
                }
                Ok(())
            })
            .unwrap();
        let written = file.floats("encoder.embedder.projection.weight").unwrap();
        assert!((0..4).all(|input| (0..96).all(|output| written[output * 4 + input] == found[input * 96 + output])));
        let exported = export_encoder(&model, &config, 0, &path).unwrap();
        // Embedder 5, no class token.
        assert_eq!(exported.n_tensors, 5 + 4 * 14);
        assert_eq!(TensorFile::open(&path.path()).unwrap().shape("encoder.embedder.norm.weight").unwrap(), [96]);
    }

    #[test]
    fn another_backbone_has_its_registers_and_its_last_norm() {
        let variant = Variant { embedding_norm: false, final_norm: true, n_registers: 3, ..Variant::default() };
        let (config, device) = (ModelConfig { variant, ..config() }, Device::flex());
        let folder = tempfile::tempdir().unwrap();
        let path = ConfinedPath::root(folder.path()).unwrap().join("model.safetensors");
        export_encoder(&Model::new(&config, 3, 0, &device), &config, 1, &path).unwrap();
        let file = TensorFile::open(&path.path()).unwrap();
        assert_eq!(file.shape("encoder.registers").unwrap(), [1, 3, 96]);
        assert_eq!(file.shape("encoder.norm.bias").unwrap(), [96]);
        assert!(!file.tensors().keys().any(|name| name.contains("patch_norm")));
        let arguments = EncoderArguments::new(&config, 1);
        assert_eq!((arguments.n_registers, arguments.embedding_norm, arguments.final_norm), (3, false, true));
    }

    #[test]
    fn arguments_say_what_is_known_of_the_tokens() {
        let config = config();
        let text = EncoderArguments::new(&config, 0);
        assert_eq!((text.d_token, text.vocabulary, text.causal, text.patch), (None, Some(31), true, None));
        let gait = EncoderArguments::new(&config, 1);
        assert_eq!((gait.grid, gait.patch, gait.axes, gait.causal), (Some(&[2, 3][..]), Some(vec![1, 4]), None, false));
        let image = EncoderArguments::new(&config, 2);
        assert_eq!((image.grid, image.patch), (None, Some(vec![2, 2])));
    }
}
