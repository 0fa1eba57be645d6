//! Weights in and out: round trips to the last bit, and checkpoints of every bad kind.

mod torch_file;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use half::{bf16, f16};
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::data::TokenSpec;
use medcoss_core::model::{Dimensions, InitialValues, Model, ModelConfig, TextAttention, Variant};
use medcoss_core::weights::{
    Import, Imported, KnownSizes, Layout, NamedTensor, TensorFile, UNUSED, export, floats_to_bytes,
};

use torch_file::{Entry, checkpoint};

/// Published keys of a model with one encoder and one decoder layer, written down from the reference implementation.
const KEYS: &str = "
cls_token mask_token decoder_pos_embed_2D decoder_pos_embed_3D
fused_encoder.layers.0.gamma_1 fused_encoder.layers.0.gamma_2
fused_encoder.layers.0.self_attn.in_proj_weight fused_encoder.layers.0.self_attn.in_proj_bias
fused_encoder.layers.0.self_attn.out_proj.weight fused_encoder.layers.0.self_attn.out_proj.bias
fused_encoder.layers.0.linear1.weight fused_encoder.layers.0.linear1.bias
fused_encoder.layers.0.linear2.weight fused_encoder.layers.0.linear2.bias
fused_encoder.layers.0.norm1.weight fused_encoder.layers.0.norm1.bias
fused_encoder.layers.0.norm2.weight fused_encoder.layers.0.norm2.bias
token_embed.embeddings.weight token_embed.embeddings_norm.weight token_embed.embeddings_norm.bias
token_embed.embeddings_pos.position_embeddings.weight token_embed.embeddings_token_type.weight
video_embed.embeddings_norm.weight video_embed.embeddings_norm.bias
video_embed.embeddings_pos.position_embeddings.weight video_embed.embeddings_type.weight
video_embed.embeddings_st_pos_2D.spatial_pos_embed.weight video_embed.embeddings_st_pos_2D.temporal_pos_embed.weight
video_embed.embeddings_st_pos_3D.spatial_pos_embed.weight video_embed.embeddings_st_pos_3D.temporal_pos_embed.weight
video_embed.embeddings.weight video_embed.embeddings.bias video_embed.embeddings_3D.weight video_embed.embeddings_3D.bias
decoder_embed.weight decoder_embed.bias decoder_pos_embed_1D.weight
decoder_blocks.0.norm1.weight decoder_blocks.0.norm1.bias decoder_blocks.0.attn.qkv.weight decoder_blocks.0.attn.qkv.bias
decoder_blocks.0.attn.proj.weight decoder_blocks.0.attn.proj.bias decoder_blocks.0.norm2.weight decoder_blocks.0.norm2.bias
decoder_blocks.0.mlp.fc1.weight decoder_blocks.0.mlp.fc1.bias decoder_blocks.0.mlp.fc2.weight decoder_blocks.0.mlp.fc2.bias
decoder_norm.weight decoder_norm.bias decoder_pred_2D.weight decoder_pred_2D.bias decoder_pred_3D.weight decoder_pred_3D.bias
mlm_head.bias mlm_head.transform.dense.weight mlm_head.transform.dense.bias
mlm_head.transform.LayerNorm.weight mlm_head.transform.LayerNorm.bias mlm_head.decoder.weight
";

fn config(families: &[(&str, TokenSpec)]) -> ModelConfig {
    let dimensions = Dimensions {
        width: 8,
        layers: 1,
        heads: 2,
        mlp_width: 12,
        decoder_width: 6,
        decoder_layers: 1,
        decoder_heads: 3,
        drop_path: 0.0,
        layer_scale: 0.1,
    };
    let mut config = ModelConfig {
        dimensions,
        variant: Variant::default(),
        initial_values: InitialValues::default(),
        text_attention: TextAttention::Causal,
        families: Vec::new(),
    };
    for (name, spec) in families {
        config.admit(name, name, *spec, Some(20)).unwrap();
    }
    config
}

const TEXT: (&str, TokenSpec) = ("text", TokenSpec::Discrete { length: 7, vocabulary: 31 });
const IMAGE: (&str, TokenSpec) = ("image", TokenSpec::Continuous { n_tokens: 9, d_token: 48, n_masked: 6 });
const VOLUME: (&str, TokenSpec) = ("volume", TokenSpec::Continuous { n_tokens: 4, d_token: 27, n_masked: 3 });
const GAIT: (&str, TokenSpec) = ("gait", TokenSpec::Continuous { n_tokens: 10, d_token: 25, n_masked: 5 });

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, bytes: &[u8]) -> PathBuf {
        let path = self.path("checkpoint.pth");
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn values(model: &Model) -> BTreeMap<String, Vec<u32>> {
    let mut values = BTreeMap::new();
    model
        .visit_parameters(&mut |parameter| {
            values.insert(parameter.path.into(), parameter.values()?.into_iter().map(f32::to_bits).collect());
            Ok(())
        })
        .unwrap();
    values
}

/// A model whose every value is its own, so that nothing is hidden by a zero or a one.
fn model(config: &ModelConfig) -> Model {
    let mut next = 0.0f32;
    let values = |_: &str, shape: &[usize]| {
        Ok(Some(
            (0..shape.iter().product())
                .map(|_| {
                    next += 0.001;
                    next.sin()
                })
                .collect(),
        ))
    };
    let mut values = values;
    Model::new(config, 1, 0, &Device::flex()).with_parameters(&mut values).unwrap()
}

/// The state dict of a complete small model: name, shape, values.
fn state(place: &Place) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let config = config(&[TEXT, IMAGE, VOLUME]);
    let path = place.path("state.safetensors");
    let passed_through: Vec<_> = UNUSED
        .into_iter()
        .map(|(name, rows)| NamedTensor {
            name: name.to_string(),
            shape: vec![rows, 8],
            values: (0..rows * 8).map(|at| at as f32).collect(),
        })
        .collect();
    export(&model(&config), &config, &passed_through, Layout::Medcoss, 0, &ConfinedPath::of_user(&path).unwrap())
        .unwrap();
    let file = TensorFile::open(&path).unwrap();
    let tensor = |name: &String| (name.clone(), file.shape(name).unwrap().to_vec(), file.floats(name).unwrap());
    file.tensors().keys().map(tensor).collect()
}

fn floats(state: &[(String, Vec<usize>, Vec<f32>)]) -> Vec<(String, Entry)> {
    let entry = |(name, shape, values): &(String, Vec<usize>, Vec<f32>)| {
        (name.clone(), Entry::Tensor("FloatStorage", shape.clone(), floats_to_bytes(values)))
    };
    state.iter().map(entry).collect()
}

fn import(path: &Path) -> medcoss_core::Result<Imported> {
    let known = KnownSizes { heads: Some(2), decoder_heads: Some(3), ..KnownSizes::default() };
    Import { known, ..Import::default() }.read(path)
}

fn import_error(path: &Path) -> String {
    import(path).expect_err("an error").to_string()
}

#[test]
fn export_has_exactly_the_published_keys() {
    let place = Place::new();
    let mut found: Vec<String> = state(&place).into_iter().map(|(name, ..)| name).collect();
    let mut expected: Vec<&str> = KEYS.split_whitespace().collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn a_checkpoint_comes_back_bit_by_bit_bare_or_wrapped() {
    let place = Place::new();
    let state = state(&place);
    let expected = values(&model(&config(&[TEXT, IMAGE, VOLUME])));
    for wrapper in [None, Some("model"), Some("state_dict")] {
        let path = place.write(&checkpoint(&floats(&state), wrapper, &[]));
        let imported = import(&path).unwrap();
        assert_eq!(values(&imported.model), expected);
        assert_eq!(imported.config.text_attention, TextAttention::Causal);
        assert!(imported.report.fresh.is_empty() && imported.report.converted.is_empty());

        // A second export has the same bits, unused tensors included.
        let out = place.path("out.safetensors");
        export(
            &imported.model,
            &imported.config,
            &imported.passed_through,
            Layout::Medcoss,
            0,
            &ConfinedPath::of_user(&out).unwrap(),
        )
        .unwrap();
        let file = TensorFile::open(&out).unwrap();
        assert_eq!(file.tensors().len(), state.len());
        for (name, shape, values) in &state {
            assert_eq!((file.shape(name).unwrap(), &file.floats(name).unwrap()), (shape.as_slice(), values), "{name}");
        }
        // An exported file states its numbers of heads.
        assert_eq!(values(&Import::default().read(&out).unwrap().model), expected);
    }
}

#[test]
fn the_medcoss_layout_holds_families_without_a_published_name() {
    let place = Place::new();
    let config = config(&[GAIT, TEXT]);
    let model = model(&config);
    let path = place.path("own.safetensors");
    export(&model, &config, &[], Layout::MedcossRs, 0, &ConfinedPath::of_user(&path).unwrap()).unwrap();
    let imported = Import::default().read(&path).unwrap();
    assert_eq!(values(&imported.model), values(&model));
    assert_eq!(imported.config, config);

    let path = place.path("published.safetensors");
    let exported = export(&model, &config, &[], Layout::Medcoss, 0, &ConfinedPath::of_user(&path).unwrap()).unwrap();
    assert_eq!((exported.left, exported.untrained), (vec!["gait".into()], vec!["image".into(), "volume".into()]));
    // Families that the export completed are not imported as learned ones.
    let back = Import::default().read(&path).unwrap();
    assert_eq!(back.config.families, config.families[1..]);
    let tokens = |model: &Model, at| values(model)[&format!("embedders.{at}.tokens")].clone();
    assert_eq!(tokens(&back.model, 0), tokens(&model, 1));
}

#[test]
fn half_precision_is_converted_and_counted() {
    let place = Place::new();
    let state = state(&place);
    for (storage, round, bytes) in [
        (
            "HalfStorage",
            (|v| f16::from_f32(v).to_f32()) as fn(f32) -> f32,
            (|v| f16::from_f32(v).to_le_bytes()) as fn(f32) -> [u8; 2],
        ),
        ("BFloat16Storage", |v| bf16::from_f32(v).to_f32(), |v| bf16::from_f32(v).to_le_bytes()),
    ] {
        let entries: Vec<_> = state
            .iter()
            .map(|(name, shape, values)| {
                let bytes = values.iter().flat_map(|value| bytes(*value)).collect();
                (name.clone(), Entry::Tensor(storage, shape.clone(), bytes))
            })
            .collect();
        let imported = import(&place.write(&checkpoint(&entries, Some("model"), &[]))).unwrap();
        let expected: BTreeMap<String, Vec<u32>> = values(&model(&config(&[TEXT, IMAGE, VOLUME])))
            .into_iter()
            .map(|(name, bits)| (name, bits.into_iter().map(|bits| round(f32::from_bits(bits)).to_bits()).collect()))
            .collect();
        assert_eq!(values(&imported.model), expected);
        assert_eq!(imported.report.converted.values().sum::<usize>(), state.len());
    }
}

#[test]
fn initial_weights_of_encoder_and_token_embedding_begin_a_model() {
    let place = Place::new();
    let state: Vec<_> = state(&place)
        .into_iter()
        .filter(|(name, ..)| name.starts_with("fused_encoder.") || name.starts_with("token_embed."))
        .collect();
    let known = KnownSizes { heads: Some(2), ..KnownSizes::default() };
    let path = place.write(&checkpoint(&floats(&state), None, &[]));
    let imported = Import { known: known.clone(), ..Import::default() }.read(&path).unwrap();
    assert_eq!(imported.config.families.len(), 1);
    // The decoder, which every stage makes afresh, has the paper's size.
    assert_eq!(imported.config.dimensions.decoder_width, 512);
    assert_eq!(imported.report.fresh, ["text head"]);
    // Another vocabulary: the token embedding can be left out.
    let imported = Import { known, without: vec!["text".into()], ..Import::default() }.read(&path).unwrap();
    assert!(imported.config.families.is_empty());
    let left: Vec<_> = imported.report.left.iter().map(|left| (left.key.as_str(), left.n)).collect();
    assert_eq!(left, [("token_embed.*", 5)]);
}

#[test]
fn missing_and_misshapen_tensors_are_named() {
    let place = Place::new();
    let whole = state(&place);
    for (key, expected) in [
        ("fused_encoder.layers.0.linear2.bias", "fused_encoder.layers.0.linear2.bias is missing"),
        ("decoder_norm.bias", "decoder_norm.bias is missing"),
        ("mlm_head.bias", "mlm_head.bias is missing"),
        ("video_embed.embeddings_norm.weight", "video_embed.embeddings_norm.weight is missing"),
        ("video_embed.embeddings_st_pos_3D.spatial_pos_embed.weight", "spatial_pos_embed.weight is missing"),
        ("fused_encoder.layers.0.linear1.weight", "is neither a MedCoSS checkpoint"),
    ] {
        let state: Vec<_> = whole.iter().filter(|(name, ..)| name != key).cloned().collect();
        let error = import_error(&place.write(&checkpoint(&floats(&state), Some("model"), &[])));
        assert!(error.contains(expected), "{error}");
    }
    // Each tensor in turn with one value more along its last axis.
    for at in (0..whole.len()).filter(|at| UNUSED.iter().all(|(unused, _)| whole[*at].0 != *unused)) {
        let mut state = whole.clone();
        *state[at].1.last_mut().unwrap() += 1;
        let n = state[at].1.iter().product();
        state[at].2.resize(n, 0.5);
        // The first tensor of a kind determines the sizes of the others, which then do not fit.
        let error = import_error(&place.write(&checkpoint(&floats(&state), Some("model"), &[])));
        assert!(error.contains("has shape") || error.contains("a multiple of"), "{}: {error}", state[at].0);
    }
}

/// A small file may claim a large model: each of these would need more memory than any machine has.
#[test]
fn sizes_that_exceed_the_file_allocate_no_memory() {
    let place = Place::new();
    let whole = state(&place);
    let with = |key: &str, shape: &[usize]| {
        let mut state = whole.clone();
        let at = state.iter().position(|(name, ..)| name == key).unwrap();
        state[at].1 = shape.to_vec();
        state[at].2 = vec![0.5; shape.iter().product()];
        import_error(&place.write(&checkpoint(&floats(&state), Some("model"), &[])))
    };
    for (key, shape) in [
        ("fused_encoder.layers.0.linear1.weight", &[1, 1_000_000][..]),
        ("fused_encoder.layers.0.linear1.weight", &[1_000_000, 1]),
        ("decoder_embed.weight", &[999_999, 1]),
        ("token_embed.embeddings_pos.position_embeddings.weight", &[2_000_000, 1]),
        ("video_embed.embeddings_st_pos_2D.spatial_pos_embed.weight", &[2_000_000, 1]),
        ("decoder_pos_embed_3D", &[1, 2_000_000, 1]),
        ("video_embed.embeddings.weight", &[1, 3, 999, 999]),
    ] {
        let error = with(key, shape);
        assert!(error.contains("has shape") || error.contains("a multiple"), "{key} {shape:?}: {error}");
    }
    // A layer with a large number means that the layers in between are missing.
    let mut state = whole.clone();
    state.push(("fused_encoder.layers.4000000000.norm1.bias".into(), vec![8], vec![0.5; 8]));
    let error = import_error(&place.write(&checkpoint(&floats(&state), Some("model"), &[])));
    assert!(error.contains("fused_encoder.layers.") && error.contains("is missing"), "{error}");

    // The same in a file whose metadata states the sizes.
    let config = config(&[GAIT, TEXT]);
    let path = place.path("own.safetensors");
    export(&model(&config), &config, &[], Layout::MedcossRs, 0, &ConfinedPath::of_user(&path).unwrap()).unwrap();
    let file = fs::read(&path).unwrap();
    let small = br#"\"width\":8,\"layers\":1,"#;
    let large = br#"\"width\":8,\"layers\":9,"#;
    let at = file.windows(small.len()).position(|window| window == small).unwrap();
    for layers in [b'2', b'9'] {
        let mut changed = file.clone();
        changed[at..at + large.len()].copy_from_slice(large);
        changed[at + large.len() - 2] = layers;
        fs::write(&path, changed).unwrap();
        let error = Import::default().read(&path).expect_err("an error").to_string();
        assert!(error.contains("claims a model") || error.contains("is missing"), "{error}");
    }
}

#[test]
fn sizes_that_contradict_the_file_and_unknown_numbers_of_heads_are_refused() {
    let place = Place::new();
    let path = place.write(&checkpoint(&floats(&state(&place)), Some("model"), &[]));
    let known = |known: KnownSizes| Import { known, ..Import::default() }.read(&path).err().unwrap().to_string();
    let heads = KnownSizes { heads: Some(2), decoder_heads: Some(3), ..KnownSizes::default() };
    let error = known(KnownSizes::default());
    assert!(error.contains("number of heads is not in the shapes"), "{error}");
    let error = known(KnownSizes { width: Some(9), ..heads.clone() });
    assert!(error.contains("width is given as 9, the checkpoint has 8"), "{error}");
    let error = known(KnownSizes { vocabulary: Some(32), ..heads.clone() });
    assert!(error.contains("vocabulary is given as 32"), "{error}");
    let error = known(KnownSizes { heads: Some(3), ..heads });
    assert!(error.contains("a multiple of its 3 heads"), "{error}");
}

#[test]
fn pickles_with_foreign_objects_are_read_and_never_executed() {
    let place = Place::new();
    let state = floats(&state(&place));
    let executed = place.path("executed");
    let command = Entry::Command(format!("touch {}", executed.display()));
    // Beside the weights: left, and said so.
    let path = place.write(&checkpoint(&state, Some("model"), &[("args", command.clone())]));
    let imported = import(&path).unwrap();
    let args = imported.report.left.iter().find(|left| left.key == "args").unwrap();
    assert!(args.why.contains("posix.system, which is not executed"), "{args:?}");
    // In place of a tensor.
    let at = state.iter().position(|(name, _)| name == "cls_token").unwrap();
    let mut wrong = state.clone();
    wrong[at].1 = command;
    let error = import_error(&place.write(&checkpoint(&wrong, Some("model"), &[])));
    assert!(error.contains("cls_token is no tensor: an object of class posix.system"), "{error}");
    assert!(!executed.exists());
}

#[test]
fn extra_tensors_are_reported_and_other_element_types_refused() {
    let place = Place::new();
    let mut state = floats(&state(&place));
    let extra = |name: &str| (name.to_string(), Entry::Tensor("FloatStorage", vec![2], floats_to_bytes(&[1.0, 2.0])));
    state.extend([extra("head.weight"), extra("head.bias")]);
    let imported = import(&place.write(&checkpoint(&state, Some("model"), &[("epoch", extra("").1)]))).unwrap();
    let left: Vec<_> = imported.report.left.iter().map(|left| (left.key.as_str(), left.n)).collect();
    assert!(left.contains(&("head.*", 2)) && left.contains(&("epoch", 1)), "{left:?}");

    let at = state.iter().position(|(name, _)| name == "cls_token").unwrap();
    let mut with = |entry: Entry| {
        state[at].1 = entry;
        import_error(&place.write(&checkpoint(&state, Some("model"), &[])))
    };
    // A shape that exceeds the storage.
    let error = with(Entry::Tensor("IntStorage", vec![1, 1, 8], vec![0; 32]));
    assert!(error.contains("cls_token has int32 elements, expected floating-point numbers"), "{error}");
    let mut broken = vec![0.5; 8];
    broken[3] = f32::NAN;
    let error = with(Entry::Tensor("FloatStorage", vec![1, 1, 8], floats_to_bytes(&broken)));
    assert!(error.contains("cls_token has value 3 = NaN, expected finite values"), "{error}");
    let error = with(Entry::Tensor("FloatStorage", vec![1, 1, 8], vec![0; 12]));
    assert!(error.contains("checkpoint.pth"), "{error}");
}

#[test]
fn truncated_files_are_refused_without_a_panic() {
    let place = Place::new();
    let whole = checkpoint(&floats(&state(&place)), Some("model"), &[]);
    let safetensors = fs::read(place.path("state.safetensors")).unwrap();
    for bytes in [&whole, &safetensors] {
        let cuts = (0..64).chain((1..64).map(|part| part * bytes.len() / 64)).chain([bytes.len() - 1]);
        for cut in cuts {
            let error = import_error(&place.write(&bytes[..cut]));
            assert!(error.contains("checkpoint.pth"), "cut at {cut}: {error}");
        }
        // A flipped byte is refused or gives finite values; nothing else.
        for at in (0..bytes.len()).step_by(bytes.len() / 400) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x41;
            let _ = import(&place.write(&flipped));
        }
    }
    assert!(import_error(&place.write(b"")).contains("is empty"));
    assert!(import_error(place.folder.path()).contains("is a folder with neither"));
    assert!(import_error(&place.path("nowhere.pth")).contains("cannot read"));
    assert!(import_error(&place.write(b"weights, honestly")).contains("checkpoint.pth"));
}
