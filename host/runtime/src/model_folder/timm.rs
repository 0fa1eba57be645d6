//! File that timm reads beside weights and card: `timm.create_model("local-dir:FOLDER")`.

use anyhow::Result;
use medcoss_core::model::ModelConfig;
use medcoss_core::weights::TimmArguments;
use serde_json::json;

/// The file, by name.
///
/// # Errors
/// A model that timm would compute otherwise.
pub(super) fn files(config: &ModelConfig, family: usize) -> Result<Vec<(&'static str, String)>> {
    let arguments = TimmArguments::new(config, family)?;
    let [height, width] = arguments.img_size;
    // Samples are between 0 and 1, whatever the weights that the run began with expected: the embedder has taken that over.
    let configuration = json!({
        "architecture": "vit_base_patch16_224",
        "num_classes": 0,
        "num_features": arguments.embed_dim,
        "global_pool": "token",
        "model_args": arguments,
        "pretrained_cfg": {
            "input_size": [arguments.in_chans, height, width],
            "fixed_input_size": true,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "mean": vec![0.0; arguments.in_chans],
            "std": vec![1.0; arguments.in_chans],
            "num_classes": 0,
            "pool_size": null,
            "first_conv": "patch_embed.proj",
            "classifier": "head",
        },
    });
    Ok(vec![("config.json", format!("{configuration:#}\n"))])
}
