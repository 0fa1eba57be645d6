//! Published layout: names, shapes and value order of the reference implementation's state dict, beside those of [`crate::model`].
//!
//! PyTorch stores a linear layer as `[output, input]`, Burn as `[input, output]`. The reference embeds patches by convolution: a kernel
//! `[D, channels, (depth,) row, column]` is here a linear layer over the values of a token, which lie in (depth, row, column, channel)
//! order, as the masked autoencoder's targets do. The prediction heads are in that order in both.

use super::tensor_file::TensorFile;
use crate::model::{Dimensions, FamilyConfig, FamilyTokens, ModelConfig, N_TEMPORAL};

/// Families that the published layout has names for.
pub const PUBLISHED_FAMILIES: [&str; 3] = ["text", "image", "volume"];

/// Unused tensors of the published state dict, which nothing in the reference model reads: remains of its predecessor (Uni-Perceiver). They are kept
/// beside imported weights and exported again.
///
/// Name and rows; each row has the encoder's width.
pub const UNUSED: [(&str, usize); 2] =
    [("video_embed.embeddings_pos.position_embeddings.weight", 1600), ("video_embed.embeddings_type.weight", 1)];

/// Number of entries of the position table of images beside a Uni-Perceiver file, whose own table has another name. It
/// is the reference's, for images up to 512 x 512 in patches of side 16.
pub(super) const UNI_PERCEIVER_POSITIONS: usize = 1024;

/// Entries of a Uni-Perceiver file that the reference does not take, by their prefix, with the reason.
pub(super) const UNI_PERCEIVER_LEFT: [(&str, &str); 2] = [
    (
        "video_embed.embeddings_st_pos.",
        "the reference has position tables of its own (2D and 3D) and does not take Uni-Perceiver's",
    ),
    ("loss_prepare.", "a part of Uni-Perceiver's own losses"),
];

/// Whether a file has the weights of Uni-Perceiver (Zhu et al., CVPR 2022), the reference's initial weights. It has one
/// table of spatial and temporal positions where the published layout has two, and a word's embedding in place of the
/// class token. Encoder, text embedder, image kernel and norm have the published names.
pub(super) fn is_uni_perceiver(file: &TensorFile) -> bool {
    let has = |key: &str| file.tensors().contains_key(key);
    has("video_embed.embeddings_st_pos.spatial_pos_embed.weight") && !has("cls_token")
}

/// Description of the part that a Uni-Perceiver file lacks in place of a published tensor; `None` for a tensor that it
/// has.
pub(super) fn uni_perceiver_lacks(key: &str) -> Option<&'static str> {
    match key {
        "cls_token" => Some("class token"),
        "video_embed.embeddings_st_pos_2D.spatial_pos_embed.weight"
        | "video_embed.embeddings_st_pos_2D.temporal_pos_embed.weight" => Some("image positions"),
        _ => None,
    }
}

/// Part of a model that a checkpoint has completely or not at all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The shared encoder; every checkpoint has it.
    Encoder,
    /// Class token and norm of the continuous families.
    Patches,
    /// Embedder of a family.
    Embedder(String),
    /// The decoder that the continuous families share.
    Decoder,
    /// Prediction head of a family, with its decoder positions.
    Head(String),
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Encoder => f.write_str("encoder"),
            Self::Patches => f.write_str("class token and patch norm"),
            Self::Embedder(family) => write!(f, "{family} embedder"),
            Self::Decoder => f.write_str("decoder"),
            Self::Head(family) => write!(f, "{family} head"),
        }
    }
}

/// Order of the values of a published tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Order of medcoss, with leading sizes of 1 up to this number of sizes.
    Same {
        /// Number of sizes.
        rank: usize,
    },
    /// Linear layer `[output, input]`.
    Linear,
    /// Convolution kernel `[output, channels, patch, patch(, patch)]`.
    Kernel {
        /// Number of channels.
        channels: usize,
        /// Number of patch dimensions: 2 or 3.
        dims: u32,
    },
}

/// Correspondence between a parameter's own and published name.
#[derive(Debug, Clone)]
pub struct Correspondence {
    /// Path of the parameter in [`crate::model::Model`].
    pub own: String,
    /// Key of the parameter in the published state dict.
    pub published: String,
    /// Part of the model that the parameter belongs to.
    pub part: Part,
    /// Order of the published values.
    pub order: Order,
    /// Own shape of the parameter.
    pub shape: Vec<usize>,
}

impl Order {
    /// Published shape of a parameter with the shape `own`; `None` for a token that is not a patch of the kernel.
    pub fn published_shape(self, own: &[usize]) -> Option<Vec<usize>> {
        match (self, own) {
            (Self::Same { rank }, _) => Some([vec![1; rank.checked_sub(own.len())?], own.to_vec()].concat()),
            (Self::Linear, &[input, output]) => Some(vec![output, input]),
            (Self::Kernel { channels, dims }, &[input, output]) => {
                let patch = patch_side(input, channels, dims)?;
                Some([vec![output, channels], vec![patch; dims as usize]].concat())
            }
            _ => None,
        }
    }

    /// Published values in own order; `own` is the own shape.
    pub fn to_own(self, values: Vec<f32>, own: &[usize]) -> Vec<f32> {
        self.reordered(values, own, |own, published| (own, published))
    }

    /// Own values in published order; `own` is the own shape.
    pub fn to_published(self, values: Vec<f32>, own: &[usize]) -> Vec<f32> {
        self.reordered(values, own, |own, published| (published, own))
    }

    /// Reordered values; `pair` selects which of the two positions is written and which is read.
    fn reordered(self, values: Vec<f32>, own: &[usize], pair: impl Fn(usize, usize) -> (usize, usize)) -> Vec<f32> {
        let channels = match self {
            Self::Same { .. } => return values,
            Self::Linear => 1,
            Self::Kernel { channels, .. } => channels,
        };
        let &[input, output] = own else { return values };
        let n_pixels = input / channels;
        let mut reordered = vec![0.0; values.len()];
        for unit in 0..output {
            for channel in 0..channels {
                for pixel in 0..n_pixels {
                    let here = (pixel * channels + channel) * output + unit;
                    let there = (unit * channels + channel) * n_pixels + pixel;
                    let (to, from) = pair(here, there);
                    reordered[to] = values[from];
                }
            }
        }
        reordered
    }
}

/// Side of a patch of `n_values` values; `None` if they form no square or cube.
pub fn patch_side(n_values: usize, channels: usize, dims: u32) -> Option<usize> {
    let n_pixels = n_values.checked_div(channels)?;
    (1..=n_pixels).find(|side| side.pow(dims) >= n_pixels).filter(|side| side.pow(dims) * channels == n_values)
}

/// Number of channels and of patch dimensions of a continuous family of the published layout; `None` for other
/// families.
pub fn patch_kind(family: &str) -> Option<(usize, u32)> {
    match family {
        "image" => Some((3, 2)),
        "volume" => Some((1, 3)),
        _ => None,
    }
}

/// Correspondences of all parameters of a model that have a name in the published layout.
pub fn correspondences(config: &ModelConfig) -> Vec<Correspondence> {
    let mut table = Table(Vec::new());
    table.encoder(&config.dimensions);
    let published = |family: &&FamilyConfig| match family.tokens {
        FamilyTokens::Continuous { d_token } => {
            patch_kind(&family.name).is_some_and(|(channels, dims)| patch_side(d_token, channels, dims).is_some())
        }
        FamilyTokens::Discrete { .. } => family.name == "text",
    };
    let families = || config.families.iter().enumerate().filter(|(_, family)| published(family));
    if families().any(|(_, family)| patch_kind(&family.name).is_some()) {
        table.patches(&config.dimensions);
        table.decoder(&config.dimensions);
    }
    for (at, family) in families() {
        match (patch_kind(&family.name), family.tokens) {
            (Some((channels, dims)), FamilyTokens::Continuous { d_token }) => {
                let order = Order::Kernel { channels, dims };
                table.patch_family(at, family, &config.dimensions, order, d_token);
            }
            (None, FamilyTokens::Discrete { vocabulary }) => table.text(at, family, &config.dimensions, vocabulary),
            _ => {}
        }
    }
    table.0
}

struct Table(Vec<Correspondence>);

impl Table {
    fn add(&mut self, part: &Part, [own, published]: [String; 2], order: Order, shape: &[usize]) {
        self.0.push(Correspondence { own, published, part: part.clone(), order, shape: shape.to_vec() });
    }

    fn same(&mut self, part: &Part, own: &str, published: &str, rank: usize, shape: &[usize]) {
        self.add(part, [own.into(), published.into()], Order::Same { rank }, shape);
    }

    fn linear(&mut self, part: &Part, own: &str, published: &str, shape: [usize; 2]) {
        self.linear_named(part, own, [&format!("{published}.weight"), &format!("{published}.bias")], shape);
    }

    /// Correspondence of a linear layer of shape `[input, output]`.
    fn linear_named(&mut self, part: &Part, own: &str, [weight, bias]: [&str; 2], shape: [usize; 2]) {
        self.add(part, [format!("{own}.weight"), weight.into()], Order::Linear, &shape);
        self.same(part, &format!("{own}.bias"), bias, 1, &shape[1..]);
    }

    fn norm(&mut self, part: &Part, own: &str, published: &str, width: usize) {
        self.same(part, &format!("{own}.gamma"), &format!("{published}.weight"), 1, &[width]);
        self.same(part, &format!("{own}.beta"), &format!("{published}.bias"), 1, &[width]);
    }

    fn encoder(&mut self, dimensions: &Dimensions) {
        let part = &Part::Encoder;
        let (width, mlp_width) = (dimensions.width, dimensions.mlp_width);
        for layer in 0..dimensions.layers {
            let (own, published) = (format!("encoder.blocks.{layer}"), format!("fused_encoder.layers.{layer}"));
            self.same(part, &format!("{own}.attention_scale"), &format!("{published}.gamma_1"), 1, &[width]);
            self.same(part, &format!("{own}.mlp_scale"), &format!("{published}.gamma_2"), 1, &[width]);
            let attention = format!("{published}.self_attn");
            let qkv = [&format!("{attention}.in_proj_weight"), &format!("{attention}.in_proj_bias")];
            self.linear_named(part, &format!("{own}.attention.qkv"), qkv.map(String::as_str), [width, 3 * width]);
            let projection = format!("{own}.attention.projection");
            self.linear(part, &projection, &format!("{attention}.out_proj"), [width, width]);
            self.linear(part, &format!("{own}.mlp_in"), &format!("{published}.linear1"), [width, mlp_width]);
            self.linear(part, &format!("{own}.mlp_out"), &format!("{published}.linear2"), [mlp_width, width]);
            self.norm(part, &format!("{own}.attention_norm"), &format!("{published}.norm1"), width);
            self.norm(part, &format!("{own}.mlp_norm"), &format!("{published}.norm2"), width);
        }
    }

    fn patches(&mut self, dimensions: &Dimensions) {
        let part = &Part::Patches;
        self.same(part, "class_token", "cls_token", 3, &[1, 1, dimensions.width]);
        self.norm(part, "patch_norm", "video_embed.embeddings_norm", dimensions.width);
    }

    fn decoder(&mut self, dimensions: &Dimensions) {
        let part = &Part::Decoder;
        let width = dimensions.decoder_width;
        self.linear(part, "decoder.embed", "decoder_embed", [dimensions.width, width]);
        self.same(part, "decoder.mask_token", "mask_token", 3, &[1, width]);
        for layer in 0..dimensions.decoder_layers {
            let (own, published) = (format!("decoder.blocks.{layer}"), format!("decoder_blocks.{layer}"));
            self.norm(part, &format!("{own}.attention_norm"), &format!("{published}.norm1"), width);
            self.linear(part, &format!("{own}.attention.qkv"), &format!("{published}.attn.qkv"), [width, 3 * width]);
            self.linear(
                part,
                &format!("{own}.attention.projection"),
                &format!("{published}.attn.proj"),
                [width, width],
            );
            self.norm(part, &format!("{own}.mlp_norm"), &format!("{published}.norm2"), width);
            self.linear(part, &format!("{own}.mlp_in"), &format!("{published}.mlp.fc1"), [width, 4 * width]);
            self.linear(part, &format!("{own}.mlp_out"), &format!("{published}.mlp.fc2"), [4 * width, width]);
        }
        self.norm(part, "decoder.norm", "decoder_norm", width);
    }

    fn patch_family(
        &mut self,
        at: usize,
        family: &FamilyConfig,
        dimensions: &Dimensions,
        order: Order,
        d_token: usize,
    ) {
        let (width, decoder_width) = (dimensions.width, dimensions.decoder_width);
        let dims = if matches!(order, Order::Kernel { dims: 3, .. }) { 3 } else { 2 };
        let part = &Part::Embedder(family.name.clone());
        let own = format!("embedders.{at}");
        let kernel = if dims == 2 { "video_embed.embeddings" } else { "video_embed.embeddings_3D" };
        let names = [format!("{own}.projection.weight"), format!("{kernel}.weight")];
        self.add(part, names, order, &[d_token, width]);
        self.same(part, &format!("{own}.projection.bias"), &format!("{kernel}.bias"), 1, &[width]);
        for (field, rows) in [("spatial", family.n_positions), ("temporal", N_TEMPORAL)] {
            let published = format!("video_embed.embeddings_st_pos_{dims}D.{field}_pos_embed.weight");
            self.same(part, &format!("{own}.{field}"), &published, 2, &[rows, width]);
        }
        let part = &Part::Head(family.name.clone());
        let own = format!("heads.{at}");
        let rows = family.n_decoder_positions + 1;
        self.same(part, &format!("{own}.positions"), &format!("decoder_pos_embed_{dims}D"), 3, &[rows, decoder_width]);
        let projection = format!("{own}.projection");
        self.linear(part, &projection, &format!("decoder_pred_{dims}D"), [decoder_width, d_token]);
    }

    fn text(&mut self, at: usize, family: &FamilyConfig, dimensions: &Dimensions, vocabulary: usize) {
        let width = dimensions.width;
        let part = &Part::Embedder(family.name.clone());
        let own = format!("embedders.{at}");
        for (field, published, rows) in [
            ("tokens", "embeddings", vocabulary),
            ("positions", "embeddings_pos.position_embeddings", family.n_positions),
            ("types", "embeddings_token_type", 2),
        ] {
            let published = format!("token_embed.{published}.weight");
            self.same(part, &format!("{own}.{field}"), &published, 2, &[rows, width]);
        }
        self.norm(part, &format!("{own}.norm"), "token_embed.embeddings_norm", width);
        let part = &Part::Head(family.name.clone());
        let own = format!("heads.{at}");
        self.same(part, &format!("{own}.offset"), "decoder_pos_embed_1D.weight", 2, &[2, width]);
        self.linear(part, &format!("{own}.transform"), "mlm_head.transform.dense", [width, width]);
        self.norm(part, &format!("{own}.norm"), "mlm_head.transform.LayerNorm", width);
        let names = ["mlm_head.decoder.weight", "mlm_head.bias"];
        self.linear_named(part, &format!("{own}.vocabulary"), names, [width, vocabulary]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_becomes_a_linear_layer_over_pixels_with_their_channels_together() {
        // Two units, three channels, a patch of 2 x 2; a value encodes unit, channel, row, column.
        let order = Order::Kernel { channels: 3, dims: 2 };
        let own = [12, 2];
        assert_eq!(order.published_shape(&own), Some(vec![2, 3, 2, 2]));
        let mut published = Vec::new();
        for unit in 0..2 {
            for channel in 0..3 {
                for (row, column) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    published.push((unit * 1000 + channel * 100 + row * 10 + column) as f32);
                }
            }
        }
        let here = order.to_own(published.clone(), &own);
        // Input 7 is pixel 2 (row 1, column 0), channel 1.
        assert_eq!(here[7 * 2..][..2], [110.0, 1110.0]);
        assert_eq!(order.to_published(here, &own), published);
    }

    #[test]
    fn a_token_that_is_no_patch_has_no_kernel() {
        assert_eq!(patch_side(768, 3, 2), Some(16));
        assert_eq!(patch_side(4096, 1, 3), Some(16));
        assert_eq!(patch_side(770, 3, 2), None);
        assert_eq!(patch_side(4095, 1, 3), None);
        assert_eq!(patch_side(0, 3, 2), None);
        assert_eq!(Order::Kernel { channels: 1, dims: 3 }.published_shape(&[9, 5]), None);
    }

    #[test]
    fn a_linear_layer_is_transposed() {
        let published = vec![1., 2., 3., 4., 5., 6.];
        assert_eq!(Order::Linear.published_shape(&[3, 2]), Some(vec![2, 3]));
        assert_eq!(Order::Linear.to_own(published, &[3, 2]), [1., 4., 2., 5., 3., 6.]);
    }
}
