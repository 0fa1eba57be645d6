//! Names of the tensors of vision transformers, by the library that wrote them. A name without an ending stands for its `weight` and `bias`.

/// Names of an encoder's tensors.
#[derive(Debug)]
pub(super) struct Names {
    /// `[1, 1, W]`.
    pub class_token: &'static str,
    /// `[1, prefix + n * n, W]`.
    pub positions: &'static str,
    /// Convolution `[W, channels, patch, patch]`.
    pub kernel: &'static str,
    /// `[1, R, W]`; `None` for a library without registers.
    pub registers: Option<&'static str>,
    /// Norm after the last block.
    pub final_norm: &'static str,
    /// Prefix of the blocks; their number follows.
    pub blocks: &'static str,
    pub block: &'static BlockNames,
    /// Tensors that the encoder does not need, by their prefix, with the reason.
    pub left: &'static [(&'static str, &'static str)],
}

/// Names of the tensors of a block.
#[derive(Debug)]
pub(super) struct BlockNames {
    pub attention_norm: &'static str,
    pub qkv: QkvNames,
    pub projection: &'static str,
    pub mlp_norm: &'static str,
    /// The two linear layers of the MLP: one pair, or another for SwiGLU.
    pub mlp: &'static [[&'static str; 2]],
    /// LayerScale of attention and MLP.
    pub scales: Option<[&'static str; 2]>,
}

/// Names of the linear layers of queries, keys and values.
#[derive(Debug, Clone, Copy)]
pub(super) enum QkvNames {
    /// One layer `[3 * W, W]`.
    Stacked(&'static str),
    /// Three layers `[W, W]`.
    Three([&'static str; 3]),
}

/// Names of a masked autoencoder's decoder.
#[derive(Debug)]
pub(super) struct DecoderNames {
    pub embed: &'static str,
    /// `[1, 1, D]`.
    pub mask_token: &'static str,
    /// `[1, 1 + n * n, D]`.
    pub positions: &'static str,
    /// Prefixes of the blocks, of which a file has one.
    pub blocks: &'static [&'static str],
    pub block: &'static BlockNames,
    pub norm: &'static str,
    /// Linear layer to the pixels of a patch: row, column, channel.
    pub prediction: &'static str,
}

const CLASSIFIER: &str = "a classifier's head";
const POOLED_NORM: &str = "a norm of pooled features, before a classifier";
const MASK_TOKEN: &str = "the mask token of its own pre-training; here masked patches do not enter the encoder";

/// Blocks of timm, of masked autoencoders and of DINOv2.
const TIMM_BLOCK: BlockNames = BlockNames {
    attention_norm: "norm1",
    qkv: QkvNames::Stacked("attn.qkv"),
    projection: "attn.proj",
    mlp_norm: "norm2",
    mlp: &[["mlp.fc1", "mlp.fc2"], ["mlp.w12", "mlp.w3"]],
    scales: Some(["ls1.gamma", "ls2.gamma"]),
};

const THREE: QkvNames =
    QkvNames::Three(["attention.attention.query", "attention.attention.key", "attention.attention.value"]);

/// Blocks of `ViTModel` and `ViTMAEModel` of transformers.
const HUGGING_FACE_VIT_BLOCK: BlockNames = BlockNames {
    attention_norm: "layernorm_before",
    qkv: THREE,
    projection: "attention.output.dense",
    mlp_norm: "layernorm_after",
    mlp: &[["intermediate.dense", "output.dense"]],
    scales: None,
};

/// Blocks of `Dinov2Model` of transformers.
const HUGGING_FACE_DINOV2_BLOCK: BlockNames = BlockNames {
    attention_norm: "norm1",
    qkv: THREE,
    projection: "attention.output.dense",
    mlp_norm: "norm2",
    mlp: &[["mlp.fc1", "mlp.fc2"], ["mlp.weights_in", "mlp.weights_out"]],
    scales: Some(["layer_scale1.lambda1", "layer_scale2.lambda1"]),
};

pub(super) const TIMM: Names = Names {
    class_token: "cls_token",
    positions: "pos_embed",
    kernel: "patch_embed.proj",
    registers: Some("reg_token"),
    final_norm: "norm",
    blocks: "blocks",
    block: &TIMM_BLOCK,
    left: &[("head.", CLASSIFIER), ("pre_logits.", CLASSIFIER), ("fc_norm.", POOLED_NORM)],
};

pub(super) const MAE: Names =
    Names { registers: None, left: &[("head.", CLASSIFIER), ("fc_norm.", POOLED_NORM)], ..TIMM };

pub(super) const DINOV2: Names =
    Names { registers: Some("register_tokens"), left: &[("head.", CLASSIFIER), ("mask_token", MASK_TOKEN)], ..TIMM };

pub(super) const HUGGING_FACE_VIT: Names = Names {
    class_token: "embeddings.cls_token",
    positions: "embeddings.position_embeddings",
    kernel: "embeddings.patch_embeddings.projection",
    registers: None,
    final_norm: "layernorm",
    blocks: "encoder.layer",
    block: &HUGGING_FACE_VIT_BLOCK,
    left: &[
        ("pooler.", "tanh of a linear map of the class token, for tasks of its own"),
        ("classifier.", CLASSIFIER),
        ("embeddings.mask_token", MASK_TOKEN),
    ],
};

pub(super) const HUGGING_FACE_DINOV2: Names = Names { block: &HUGGING_FACE_DINOV2_BLOCK, ..HUGGING_FACE_VIT };

pub(super) const MAE_DECODER: DecoderNames = DecoderNames {
    embed: "decoder_embed",
    mask_token: "mask_token",
    positions: "decoder_pos_embed",
    blocks: &["decoder_blocks"],
    block: &TIMM_BLOCK,
    norm: "decoder_norm",
    prediction: "decoder_pred",
};

/// The decoder lies beside the encoder's prefix. transformers 5.24 has the second name of the blocks.
pub(super) const HUGGING_FACE_MAE_DECODER: DecoderNames = DecoderNames {
    embed: "decoder.decoder_embed",
    mask_token: "decoder.mask_token",
    positions: "decoder.decoder_pos_embed",
    blocks: &["decoder.decoder_layers", "decoder.decoder_encoder.layer"],
    block: &HUGGING_FACE_VIT_BLOCK,
    norm: "decoder.decoder_norm",
    prediction: "decoder.decoder_pred",
};
