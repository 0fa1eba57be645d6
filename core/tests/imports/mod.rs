//! Vision transformers of other libraries: features as their own libraries compute them. The numbers lie in `golden/import`.

mod autoencoders;
mod derived;
mod other_files;

use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use medcoss_core::data::{GridAxis, GridLayout, PatchBatch};
use medcoss_core::model::PatchTensors;
use medcoss_core::weights::{Import, Imported, KnownSizes, TensorFile};
use medcoss_test_support::golden;

/// Largest difference over the largest magnitude. The libraries' own float32 is within 1.5e-6 of these numbers.
const TOLERANCE: f32 = 1e-5;

/// A file or folder of golden weights.
fn weights(name: &str) -> PathBuf {
    golden("import/README.md").with_file_name(name)
}

/// Heads, which no shape shows, and nothing else.
fn heads(heads: usize) -> Import {
    let known = KnownSizes { heads: Some(heads), decoder_heads: Some(2), ..KnownSizes::default() };
    Import { known, ..Import::default() }
}

fn imported(name: &str, import: &Import) -> Imported {
    import.read(&weights(name)).unwrap()
}

/// Numbers that a library computed.
struct Expected(TensorFile);

impl Expected {
    fn open(library: &str) -> Self {
        Self(TensorFile::open(&weights(&format!("{library}_expected.safetensors"))).unwrap())
    }

    fn has(&self, name: &str) -> bool {
        self.0.tensors().contains_key(name)
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.0.floats(name).unwrap()
    }

    /// Asserts that values are the expected ones but for rounding. Returns the error.
    fn same(&self, name: &str, found: &[f32]) -> f32 {
        let error = largest_error(found, &self.floats(name));
        assert!(error < TOLERANCE, "{name}: {error:e}");
        error
    }

    /// An image `[n, channels, H, W]` as tokens.
    fn image(&self, name: &str, patch: usize) -> Image {
        let shape = self.0.shape(name).unwrap();
        Image::new(&self.floats(name), [shape[0], shape[1], shape[2], shape[3]], patch)
    }
}

/// Largest difference over the largest magnitude.
fn largest_error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max) / largest
}

/// Images as tokens, written down here a second time: index by index.
struct Image {
    tokens: Vec<f32>,
    n: usize,
    grid: [usize; 2],
    patch: usize,
    d_token: usize,
}

impl Image {
    fn new(values: &[f32], [n, channels, height, width]: [usize; 4], patch: usize) -> Self {
        let grid = [height / patch, width / patch];
        let d_token = channels * patch * patch;
        let value = |at: usize| {
            let (sample, token, value) = (at / (grid[0] * grid[1] * d_token), at / d_token, at % d_token);
            let (token, pixel, channel) = (token % (grid[0] * grid[1]), value / channels, value % channels);
            let (row, column) = (token / grid[1] * patch + pixel / patch, token % grid[1] * patch + pixel % patch);
            values[((sample * channels + channel) * height + row) * width + column]
        };
        let tokens = (0..values.len()).map(value).collect();
        Self { tokens, n, grid, patch, d_token }
    }

    fn n_tokens(&self) -> usize {
        self.grid[0] * self.grid[1]
    }

    fn token(&self, sample: usize, token: usize) -> &[f32] {
        &self.tokens[(sample * self.n_tokens() + token) * self.d_token..][..self.d_token]
    }

    fn layout(&self) -> Arc<GridLayout> {
        let axes = ["row", "column"].map(|name| GridAxis { name: name.into(), ..GridAxis::default() });
        Arc::new(GridLayout { grid: self.grid.to_vec(), patch: vec![self.patch; 2], axes: axes.to_vec() })
    }

    /// All tokens, visible.
    fn batch(&self) -> PatchTensors {
        let (n, n_tokens) = (self.n, self.n_tokens());
        let batch = PatchBatch {
            n,
            n_tokens,
            d_token: self.d_token,
            n_visible: n_tokens,
            visible: self.tokens.clone(),
            visible_index: (0..n).flat_map(|_| 0..n_tokens as i32).collect(),
            layout: Some(self.layout()),
            ..PatchBatch::default()
        };
        PatchTensors::new(batch, &Device::flex())
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// Compares every tensor of a prefix: input of the first block, outputs of blocks, output of the encoder, positions. `image` is the prefix of the image.
/// Returns the largest error.
fn compare(imported: &Imported, expected: &Expected, prefix: &str, images: &Expected, image: &str) -> f32 {
    let family = imported.config.family("image").unwrap();
    let patch = imported.config.families[family].layout.as_ref().unwrap().patch[0];
    let image = images.image(&format!("{image}.image"), patch);
    let batch = image.batch();
    let states = imported.model.hidden_states(family, &batch);
    let n_registers = imported.model.n_registers();
    let width = imported.model.width();
    let mut found = vec![("embedded".to_string(), states.embedded), ("normed".to_string(), states.output.clone())];
    found.extend(states.blocks.into_iter().enumerate().map(|(at, block)| (format!("after_block_{}", at + 1), block)));
    let [_, length, _] = states.output.dims();
    let part = |first: usize, n: usize| states.output.clone().narrow(1, first, n);
    found.push(("class".into(), part(0, 1)));
    found.push(("patches".into(), part(1 + n_registers, length - 1 - n_registers)));
    if n_registers > 0 {
        found.push(("registers".into(), part(1, n_registers)));
    }
    let mut worst = 0.0f32;
    for (name, tensor) in found {
        let name = format!("{prefix}.{name}");
        if expected.has(&name) {
            worst = worst.max(expected.same(&name, &values(tensor)));
        }
    }
    // Registers stay in the encoder.
    let encoded = imported.model.encode_patches(family, &batch, 0, None);
    let without = Tensor::cat(vec![part(0, 1), part(1 + n_registers, length - 1 - n_registers)], 1);
    assert_eq!(values(encoded), values(without), "{prefix}");
    let patches = imported.model.patch_features(family, &batch, &[imported.config.dimensions.layers], true, None);
    assert_eq!(values(patches[0].clone()), values(part(1 + n_registers, length - 1 - n_registers)), "{prefix}");
    let positions = format!("{prefix}.positions");
    if expected.has(&positions) {
        let rows = expected.floats(&positions).split_off(width);
        let error = largest_error(&positions_at(imported, image.grid), &rows);
        assert!(error < TOLERANCE, "{positions}: {error:e}");
        worst = worst.max(error);
    }
    println!("{prefix}: {worst:.1e}");
    worst
}

/// Positions of a grid, as the embedding of zeros without its bias.
fn positions_at(imported: &Imported, grid: [usize; 2]) -> Vec<f32> {
    let family = imported.config.family("image").unwrap();
    let patch = imported.config.families[family].layout.as_ref().unwrap().patch[0];
    let zeros = vec![0.0; 3 * grid[0] * grid[1] * patch * patch];
    let image = Image::new(&zeros, [1, 3, grid[0] * patch, grid[1] * patch], patch);
    let embedded = values(imported.model.embed_patches(family, &image.batch(), 0));
    let mut bias = Vec::new();
    let path = format!("embedders.{family}.projection.bias");
    let visited = imported.model.visit_parameters(&mut |parameter| {
        if parameter.path == path {
            bias = parameter.values()?;
        }
        Ok(())
    });
    visited.unwrap();
    embedded.iter().zip(bias.iter().cycle()).map(|(value, bias)| value - bias).collect()
}

/// Scores of a linear head `[classes, width]` on one vector.
fn scores(features: &[f32], head: &TensorFile) -> Vec<f32> {
    let (weight, bias) = (head.floats("head.weight").unwrap(), head.floats("head.bias").unwrap());
    let of_class = |(weights, bias): (&[f32], &f32)| {
        features.iter().zip(weights).map(|(value, weight)| value * weight).sum::<f32>() + bias
    };
    weight.chunks(features.len()).zip(&bias).map(of_class).collect()
}

#[test]
fn timm() {
    let expected = Expected::open("timm");
    let plain = imported("timm_vit.safetensors", &heads(4));
    for prefix in ["timm_vit", "timm_vit_larger", "timm_vit_smaller"] {
        compare(&plain, &expected, prefix, &expected, prefix);
    }
    for (name, prefix) in [("layerscale", "timm_vit_layerscale"), ("registers", "timm_vit_registers")] {
        let other = imported(&format!("timm_vit_{name}.safetensors"), &heads(2));
        compare(&other, &expected, prefix, &expected, prefix);
    }
    assert!(plain.report.remarks.iter().any(|remark| remark.contains("bicubic, antialiased")));
}

/// The head is not part of a medcoss model, but what it reads is.
#[test]
fn a_head_of_timm_reads_the_class_token_or_the_mean_of_patches() {
    let (expected, plain) = (Expected::open("timm"), imported("timm_vit.safetensors", &heads(4)));
    let file = TensorFile::open(&weights("timm_vit.safetensors")).unwrap();
    let width = plain.model.width();
    for (image, class, mean) in [
        ("timm_vit", "timm_vit.logits", Some("timm_vit_avg.logits")),
        ("timm_vit_larger", "timm_vit_larger.logits", None),
    ] {
        let batch = expected.image(&format!("{image}.image"), 16).batch();
        let states = plain.model.hidden_states(0, &batch);
        let [n, length, _] = states.output.dims();
        let classes = values(states.output.narrow(1, 0, 1));
        let found: Vec<f32> = classes.chunks(width).flat_map(|features| scores(features, &file)).collect();
        expected.same(class, &found);
        let Some(mean) = mean else { continue };
        let pooled = states.blocks[2].clone().narrow(1, 1, length - 1).mean_dim(1);
        let normed = layer_norm(&values(pooled), &file, width);
        let found: Vec<f32> = normed.chunks(width).flat_map(|features| scores(features, &file)).collect();
        assert_eq!(found.len(), 5 * n);
        expected.same(mean, &found);
    }
}

/// Norm of each row with the weights of the file's final norm.
fn layer_norm(rows: &[f32], file: &TensorFile, width: usize) -> Vec<f32> {
    let prefix = if file.tensors().contains_key("norm.weight") { "" } else { "model." };
    let [weight, bias] = ["weight", "bias"].map(|name| file.floats(&format!("{prefix}norm.{name}")).unwrap());
    let of_row = |row: &[f32]| {
        let mean = row.iter().sum::<f32>() / width as f32;
        let variance = row.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / width as f32;
        let deviation = (variance + 1e-6).sqrt();
        let value = |at: usize| (row[at] - mean) / deviation * weight[at] + bias[at];
        (0..width).map(value).collect::<Vec<_>>()
    };
    rows.chunks(width).flat_map(of_row).collect()
}

#[test]
fn dinov2() {
    let expected = Expected::open("dinov2");
    let plain = imported("dinov2.pth", &heads(4));
    for prefix in ["dinov2_native", "dinov2_smaller", "dinov2_larger"] {
        compare(&plain, &expected, prefix, &expected, prefix);
    }
    let registers = imported("dinov2_registers.pth", &heads(2));
    assert_eq!(registers.model.n_registers(), 4);
    for prefix in ["dinov2_registers_native", "dinov2_registers_smaller", "dinov2_registers_larger"] {
        compare(&registers, &expected, prefix, &expected, prefix);
    }
    let swiglu = imported("dinov2_swiglu.safetensors", &heads(2));
    compare(&swiglu, &expected, "dinov2_swiglu", &expected, "dinov2_swiglu");
}

#[test]
fn transformers() {
    let (expected, hub) = (Expected::open("hf"), Expected::open("dinov2"));
    // Heads and epsilon come from config.json.
    let vit = imported("hf_vit", &Import::default());
    for prefix in ["hf_vit", "hf_vit_larger", "hf_vit_smaller"] {
        compare(&vit, &expected, prefix, &expected, prefix);
    }
    let dinov2 = imported("hf_dinov2", &Import::default());
    for size in ["native", "smaller", "larger"] {
        compare(&dinov2, &expected, &format!("hf_dinov2_{size}"), &hub, &format!("dinov2_{size}"));
    }
    assert_eq!(dinov2.config.dimensions.heads, 4);
}
