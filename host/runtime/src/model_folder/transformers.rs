//! Files that `transformers` reads beside weights and card: configuration, preprocessor, and the encoder's code, the same as in the Python package.

use medcoss_core::model::{FamilyTokens, ModelConfig};
use medcoss_core::weights::EncoderArguments;
use serde_json::{Value, json};

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

/// The files, by name.
pub(super) fn files(config: &ModelConfig, family: usize) -> Vec<(&'static str, String)> {
    let configuration = configuration(&EncoderArguments::new(config, family));
    let mut files = vec![("config.json", format!("{configuration:#}\n"))];
    files.extend(
        image_processor(config, family).map(|processor| ("preprocessor_config.json", format!("{processor:#}\n"))),
    );
    files.extend(CODE.map(|(name, code)| (name, code.to_string())));
    files
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

#[cfg(test)]
mod tests {
    use medcoss_core::data::GridLayout;
    use medcoss_core::model::{FamilyConfig, InitialValues, Interpolation, Preset, TextAttention, Variant};

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
            interpolation: Interpolation::default(),
        };
        ModelConfig {
            dimensions: Preset::Demo.dimensions(),
            variant: Variant::default(),
            initial_values: InitialValues::default(),
            text_attention: TextAttention::default(),
            families: vec![family],
        }
    }

    #[test]
    fn images_of_three_channels_have_a_preprocessor() {
        let found = image_processor(&config("image", [3, 3], 768), 0).unwrap();
        assert_eq!(found["crop_size"], json!({ "height": 48, "width": 48 }));
        for other in [config("other", [3, 3], 768), config("image", [3, 2], 768), config("image", [3, 3], 256)] {
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
