//! Files in other forms, round trips, and what cannot be represented.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::weights::{
    ElementType, Import, Imported, Layout, Origin, TensorFile, TensorOut, export, floats_to_bytes, write_safetensors,
};

use super::{Expected, compare, heads, imported, weights};

/// Bits of all parameters.
fn bits(imported: &Imported) -> BTreeMap<String, Vec<u32>> {
    let mut bits = BTreeMap::new();
    let visited = imported.model.visit_parameters(&mut |parameter| {
        bits.insert(parameter.path.to_string(), parameter.values()?.into_iter().map(f32::to_bits).collect());
        Ok(())
    });
    visited.unwrap();
    bits
}

/// Writes the tensors of a file under other names; those without a name are left out.
fn rewritten(file: &TensorFile, path: &Path, named: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    let kept: Vec<(&String, String)> = file.tensors().keys().filter_map(|key| Some((key, named(key)?))).collect();
    let out = |(key, name): &(&String, String)| TensorOut {
        name: name.clone(),
        shape: file.shape(key).unwrap().to_vec(),
        dtype: ElementType::F32,
    };
    let tensors: Vec<TensorOut> = kept.iter().map(out).collect();
    write_safetensors(&ConfinedPath::of_user(path).unwrap(), &tensors, "", &mut |file_out| {
        for (key, _) in &kept {
            file_out.write_all(&floats_to_bytes(&file.floats(key)?)).unwrap();
        }
        Ok(())
    })
    .unwrap();
    // Without the metadata that marks a file of medcoss.
    let bytes = std::fs::read(path).unwrap();
    let n = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&bytes[8..8 + n]).unwrap();
    header.remove("__metadata__");
    let header = serde_json::to_vec(&header).unwrap();
    std::fs::write(path, [&(header.len() as u64).to_le_bytes(), header.as_slice(), &bytes[8 + n..]].concat()).unwrap();
    path.into()
}

#[test]
fn the_same_weights_under_the_names_of_two_libraries_become_the_same_model() {
    let (hub, transformers) = (imported("dinov2.pth", &heads(4)), imported("hf_dinov2", &Import::default()));
    // What the file lacks is fresh, and drawn after parameters whose number is the same.
    assert_eq!(bits(&hub), bits(&transformers));
    let interpolation = |imported: &Imported| imported.config.families[0].interpolation;
    assert_ne!(interpolation(&hub), interpolation(&transformers));
}

#[test]
fn blocks_in_chunks_and_a_state_dict_below_a_name_are_the_same() {
    let place = tempfile::tempdir().unwrap();
    let file = TensorFile::open(&weights("dinov2.pth")).unwrap();
    let chunked = |key: &str| match key.split_once("blocks.") {
        Some((_, rest)) => {
            let number: usize = rest.split('.').next().unwrap().parse().unwrap();
            Some(format!("teacher.backbone.blocks.{}.{rest}", number / 2))
        }
        None => Some(format!("teacher.backbone.{key}")),
    };
    let path = rewritten(&file, &place.path().join("chunks.safetensors"), &chunked);
    let (whole, chunks) = (imported("dinov2.pth", &heads(4)), heads(4).read(&path).unwrap());
    assert_eq!(bits(&whole), bits(&chunks));
    assert_eq!(whole.config, chunks.config);
}

/// Weights of a masked autoencoder for fine-tuning lack the decoder, and have the names of timm.
#[test]
fn a_masked_autoencoder_without_its_decoder_is_recognised_by_its_positions() {
    let place = tempfile::tempdir().unwrap();
    let file = TensorFile::open(&weights("mae_pretrain.pth")).unwrap();
    let encoder = |key: &str| {
        let key = key.strip_prefix("model.")?;
        (!key.starts_with("decoder") && key != "mask_token").then(|| format!("model.{key}"))
    };
    let path = rewritten(&file, &place.path().join("encoder.safetensors"), &encoder);
    let encoder = heads(4).read(&path).unwrap();
    assert_eq!(encoder.report.origin, Some(Origin::Mae));
    assert_eq!(encoder.report.fresh, ["decoder", "image head"]);
    let whole = imported("mae_pretrain.pth", &heads(4));
    assert_eq!(encoder.config.families[0].interpolation, whole.config.families[0].interpolation);
    let (found, expected) = (bits(&encoder), bits(&whole));
    for (path, values) in expected.iter().filter(|(path, _)| path.starts_with("encoder.")) {
        assert_eq!(&found[path], values, "{path}");
    }
}

#[test]
fn exported_and_imported_again_the_bits_and_the_features_are_the_same() {
    let place = tempfile::tempdir().unwrap();
    let hub = Expected::open("dinov2");
    for (name, n_heads, prefix) in [
        ("dinov2_registers.pth", 2, Some("dinov2_registers_larger")),
        ("dinov2_swiglu.safetensors", 2, Some("dinov2_swiglu")),
        ("mae_pretrain.pth", 4, None),
    ] {
        let first = imported(name, &heads(n_heads));
        let path = place.path().join("exported.safetensors");
        let write =
            |layout| export(&first.model, &first.config, &[], layout, 1, &ConfinedPath::of_user(&path).unwrap());
        let error = write(Layout::Medcoss).unwrap_err().to_string();
        assert!(error.contains("no norm after embedding") && error.contains("published layout cannot hold"), "{error}");
        write(Layout::MedcossRs).unwrap();
        let second = Import::default().read(&path).unwrap();
        assert_eq!(bits(&first), bits(&second), "{name}");
        assert_eq!(first.config, second.config, "{name}");
        if let Some(prefix) = prefix {
            compare(&second, &hub, prefix, &hub, prefix);
        }
    }
}

#[test]
fn models_without_a_counterpart_are_refused_with_the_reason() {
    let place = tempfile::tempdir().unwrap();
    let timm = TensorFile::open(&weights("timm_vit.safetensors")).unwrap();
    let named = |name: &str, named: &dyn Fn(&str) -> Option<String>| rewritten(&timm, &place.path().join(name), named);
    let extra = named("extra", &|key| {
        Some(if key == "head.weight" { "blocks.0.attn.q_norm.weight".into() } else { key.to_string() })
    });
    let hierarchical = named("swin", &|key| Some(key.replace("blocks.", "layers.0.blocks.")));
    let partial = named("partial", &|key| (key != "blocks.1.mlp.fc2.weight").then(|| key.to_string()));
    let no_norm = named("no_norm", &|key| (!key.starts_with("norm.")).then(|| key.to_string()));
    let misshapen = named("misshapen", &|key| {
        Some(match key {
            "norm.weight" => "head.weight".into(),
            "head.weight" => "norm.weight".into(),
            other => other.to_string(),
        })
    });
    let twice =
        named("twice", &|key| Some(if key == "head.weight" { "norm.weight".into() } else { format!("model.{key}") }));
    let both = named("both", &|key| {
        Some(if key == "head.weight" { "ema.patch_embed.proj.weight".into() } else { format!("model.{key}") })
    });
    let rows: Vec<(PathBuf, &str)> = vec![
        (twice, "tensor norm.weight has two places in the file, expected one"),
        (both, r#"has several encoders, below ["ema.", "model."]"#),
        (
            weights("hf_bert"),
            "a text encoder like BertModel, which a model of medcoss cannot represent: its norms come after each sum",
        ),
        (weights("legacy_format.pth"), "its first keys: model.norm.bias, model.norm.weight"),
        (weights("hf_vit").join("model.safetensors"), "config.json that was not given"),
        (place.path().into(), "is a folder with neither model.safetensors nor pytorch_model.bin"),
        (extra, "has blocks.0.attn.q_norm.weight, which a model of medcoss cannot represent"),
        (hierarchical, "a patch embedding without blocks after it"),
        (partial, "tensor blocks.1.mlp.fc2.weight is missing"),
        (no_norm, "tensor norm.weight is missing"),
        (misshapen, "tensor norm.weight has shape [5, 48], expected [48]"),
    ];
    for (path, expected) in rows {
        let error = heads(4).read(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error} is not {expected}");
    }
    let error = Import::default().read(&weights("timm_vit.safetensors")).unwrap_err().to_string();
    assert!(error.contains("the number of heads is not in the shapes"), "{error}");
}

#[test]
fn files_of_the_format_before_zip_archives_are_read() {
    let file = TensorFile::open(&weights("legacy_format.pth")).unwrap();
    assert_eq!(file.floats("model.norm.weight").unwrap(), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(file.floats("model.norm.bias").unwrap(), [0.0, 0.125, 0.25, 0.375]);
}

#[test]
fn a_configuration_that_contradicts_the_tensors_is_refused() {
    let place = tempfile::tempdir().unwrap();
    std::fs::copy(weights("hf_vit").join("model.safetensors"), place.path().join("model.safetensors")).unwrap();
    let config = std::fs::read_to_string(weights("hf_vit").join("config.json")).unwrap();
    for (from, to, expected) in [
        (
            "\"hidden_size\": 32",
            "\"hidden_size\": 48",
            "hidden_size of config.json is given as 48, the checkpoint has 32",
        ),
        ("\"hidden_act\": \"gelu\"", "\"hidden_act\": \"relu\"", "hidden_act is \"relu\", expected gelu"),
        ("\"model_type\": \"vit\"", "\"model_type\": \"beit\"", "a model of type beit of transformers"),
        ("\"num_attention_heads\": 2", "\"num_attention_heads\": 0", "model.heads is 0"),
        ("\"layer_norm_eps\": 1e-12", "\"layer_norm_eps\": 0.0", "variant.epsilon is 0"),
        ("{", "", "config.json"),
    ] {
        std::fs::write(place.path().join("config.json"), config.replacen(from, to, 1)).unwrap();
        let error = Import::default().read(place.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error} is not {expected}");
    }
}
