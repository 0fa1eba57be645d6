//! A folder that `transformers` loads: the encoder of one token family with its code, configuration and model card.
//!
//! ```text
//! config.json               arguments of the encoder
//! model.safetensors         its parameters
//! *_medcoss.py              its code, the same as in the Python package
//! preprocessor_config.json  images: size and range of pixels
//! README.md                 model card
//! ```
//!
//! Nothing in the folder names a sample, a file of the data or a path.

mod card;

use std::path::Path;

use anyhow::{Context, Result};
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::model::{FamilyTokens, ModelConfig};
use medcoss_core::run::{write_atomically, write_folder};
use medcoss_core::weights::{EncoderArguments, export_encoder};
use serde::Serialize;
use serde_json::{Value, json};

use self::card::ModelCard;
use crate::encoding::family_of;
use crate::plugins_lock::PluginsLock;
use crate::run::Run;

/// Code of the folder, by file name.
const CODE: [(&str, &str); 4] = [
    (
        "configuration_medcoss.py",
        include_str!("../../../../sdk/python/package/src/medcoss/huggingface/configuration_medcoss.py"),
    ),
    ("encoder_medcoss.py", include_str!("../../../../sdk/python/package/src/medcoss/huggingface/encoder_medcoss.py")),
    ("modeling_medcoss.py", include_str!("../../../../sdk/python/package/src/medcoss/huggingface/modeling_medcoss.py")),
    (
        "positions_medcoss.py",
        include_str!("../../../../sdk/python/package/src/medcoss/huggingface/positions_medcoss.py"),
    ),
];

/// Summary of an export.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExportedFolder {
    /// Number of tensors.
    pub n_tensors: usize,
    /// Number of values.
    pub n_values: usize,
    /// Names of the files.
    pub files: Vec<String>,
}

impl Run {
    /// Writes the encoder of a token family after a stage (the latest for none, the initial model for 0) to a folder for
    /// `transformers`. A folder that was there is replaced.
    ///
    /// # Errors
    /// A stage or a family that the run does not have, damaged files, a folder that cannot be written.
    pub fn export_huggingface(&self, stage: Option<usize>, family: &str, out: &Path) -> Result<ExportedFolder> {
        let stored = self.model(stage)?;
        let at = family_of(&stored, family)?;
        let model = stored.load(&medcoss_core::device::by_name("cpu")?)?;
        let last = stage.unwrap_or(self.states.len());
        let plugins = PluginsLock::read(&self.layout.plugins_lock()).map(|lock| lock.plugin).unwrap_or_default();
        let card = ModelCard {
            family: &stored.config.families[at],
            n_parameters: 0,
            strategy: self.config.strategy.name.name(),
            seed: self.config.seed,
            stages: &self.states[..last],
            plugins: &plugins,
            initial: self.initial.as_ref(),
        };
        let mut summary = ExportedFolder { n_tensors: 0, n_values: 0, files: Vec::new() };
        write_folder(&ConfinedPath::of_user(out)?, |folder| {
            let exported = export_encoder(&model, &stored.config, at, &folder.join("model.safetensors"))?;
            (summary.n_tensors, summary.n_values) = (exported.n_tensors, exported.n_values);
            let card = ModelCard { n_parameters: exported.n_values, ..card }.to_markdown();
            let arguments = EncoderArguments::new(&stored.config, at);
            let mut texts = vec![("README.md", card), ("config.json", pretty(&configuration(&arguments)))];
            texts.extend(image_processor(&stored.config, at).map(|it| ("preprocessor_config.json", pretty(&it))));
            texts.extend(CODE.map(|(name, code)| (name, code.to_string())));
            summary.files =
                texts.iter().map(|(name, _)| name.to_string()).chain(["model.safetensors".into()]).collect();
            texts.iter().try_for_each(|(name, text)| write_atomically(&folder.join(name), text.as_bytes()))
        })
        .with_context(|| format!("cannot write {}", out.display()))?;
        summary.files.sort();
        Ok(summary)
    }
}

/// Content of `config.json`.
fn configuration(arguments: &EncoderArguments<'_>) -> Value {
    json!({
        "model_type": "medcoss",
        "architectures": ["MedcossModel"],
        "auto_map": {
            "AutoConfig": "configuration_medcoss.MedcossConfig",
            "AutoModel": "modeling_medcoss.MedcossModel",
        },
        "dtype": "float32",
        "pooling": "mean",
        "encoder": arguments,
    })
}

/// Content of `preprocessor_config.json`: the centred square of an image at the size of the position table, with pixels
/// in [0, 1]. `None` for samples that `transformers` has no reader for.
fn image_processor(config: &ModelConfig, family: usize) -> Option<Value> {
    let family = &config.families[family];
    let layout = family.layout.as_ref()?;
    let ([rows, columns], [height, width]) = (layout.grid.as_slice(), layout.patch.as_slice()) else { return None };
    let (is_square, size) = (rows * height == columns * width, rows * height);
    let has_colours = family.tokens == FamilyTokens::Continuous { d_token: 3 * height * width };
    (family.name == "image" && is_square && has_colours).then(|| {
        json!({
            "image_processor_type": "CLIPImageProcessor",
            "do_convert_rgb": true,
            "do_resize": true,
            "size": { "shortest_edge": size },
            "resample": 2,
            "do_center_crop": true,
            "crop_size": { "height": size, "width": size },
            "do_rescale": true,
            "rescale_factor": 1.0 / 255.0,
            "do_normalize": false,
        })
    })
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use medcoss_core::data::GridLayout;
    use medcoss_core::model::{FamilyConfig, InitialValues, Preset, TextAttention};

    use super::*;

    fn config(name: &str, grid: [usize; 2], d_token: usize) -> ModelConfig {
        let layout = GridLayout { grid: grid.to_vec(), patch: vec![16, 16], axes: Vec::new() };
        let family = FamilyConfig {
            name: name.into(),
            n_positions: 64,
            n_decoder_positions: 0,
            tokens: FamilyTokens::Continuous { d_token },
            d_target: None,
            layout: Some(layout),
        };
        ModelConfig {
            dimensions: Preset::Demo.dimensions(),
            initial_values: InitialValues::default(),
            text_attention: TextAttention::default(),
            families: vec![family],
        }
    }

    #[test]
    fn images_of_three_channels_have_a_preprocessor() {
        let found = image_processor(&config("image", [3, 3], 768), 0).unwrap();
        assert_eq!(found["crop_size"], json!({ "height": 48, "width": 48 }));
        for other in [config("oct", [3, 3], 768), config("image", [3, 2], 768), config("image", [3, 3], 256)] {
            assert_eq!(image_processor(&other, 0), None);
        }
    }

    #[test]
    fn the_configuration_names_classes_of_the_code() {
        let config = config("image", [3, 2], 768);
        let found = configuration(&EncoderArguments::new(&config, 0));
        assert_eq!(found["encoder"]["grid"], json!([3, 2]));
        for class in found["auto_map"].as_object().unwrap().values() {
            let (module, class) = class.as_str().unwrap().split_once('.').unwrap();
            let (_, code) = CODE.iter().find(|(name, _)| *name == format!("{module}.py")).unwrap();
            assert!(code.contains(&format!("class {class}(")), "{module} has no {class}");
        }
    }
}
