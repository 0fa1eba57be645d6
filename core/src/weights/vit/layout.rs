//! Layouts of published vision transformers, and how a file is recognised as one: by the names of its tensors, and by the configuration beside them.

use std::collections::BTreeSet;

use super::super::import_report::Origin;
use super::super::tensor_file::TensorFile;
use super::super::weights_source::Document;
use super::names::{
    DINOV2, DecoderNames, HUGGING_FACE_DINOV2, HUGGING_FACE_MAE_DECODER, HUGGING_FACE_VIT, MAE, MAE_DECODER, Names,
    TIMM,
};
use crate::model::Interpolation;
use crate::{Result, WeightsError};

/// Layout of a file with a vision transformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum VitLayout {
    /// timm's `VisionTransformer`.
    Timm,
    /// facebookresearch/mae.
    Mae,
    /// facebookresearch/dinov2.
    Dinov2,
    /// `ViTModel` of transformers, alone or below a head.
    HuggingFaceVit,
    /// `ViTMAEForPreTraining` of transformers.
    HuggingFaceVitMae,
    /// `Dinov2Model` of transformers.
    HuggingFaceDinov2,
}

/// A vision transformer that was found in a file.
#[derive(Debug)]
pub(in super::super) struct Recognised {
    pub layout: VitLayout,
    /// What precedes the names of the encoder's tensors in the file.
    pub prefix: String,
}

impl VitLayout {
    pub(super) fn names(self) -> &'static Names {
        match self {
            Self::Timm => &TIMM,
            Self::Mae => &MAE,
            Self::Dinov2 => &DINOV2,
            Self::HuggingFaceVit | Self::HuggingFaceVitMae => &HUGGING_FACE_VIT,
            Self::HuggingFaceDinov2 => &HUGGING_FACE_DINOV2,
        }
    }

    /// Names of the decoder; `None` for layouts without one.
    pub(super) fn decoder(self) -> Option<&'static DecoderNames> {
        match self {
            Self::Mae => Some(&MAE_DECODER),
            Self::HuggingFaceVitMae => Some(&HUGGING_FACE_MAE_DECODER),
            _ => None,
        }
    }

    pub fn origin(self) -> Origin {
        match self {
            Self::Timm => Origin::Timm,
            Self::Mae => Origin::Mae,
            Self::Dinov2 => Origin::Dinov2,
            Self::HuggingFaceVit => Origin::HuggingFaceVit,
            Self::HuggingFaceVitMae => Origin::HuggingFaceVitMae,
            Self::HuggingFaceDinov2 => Origin::HuggingFaceDinov2,
        }
    }

    /// Whether sizes and epsilon are in a `config.json`.
    pub(super) fn has_config(self) -> bool {
        matches!(self, Self::HuggingFaceVit | Self::HuggingFaceVitMae | Self::HuggingFaceDinov2)
    }

    /// How the library interpolates positions for images of another size.
    pub(super) fn interpolation(self, has_registers: bool) -> Interpolation {
        match self {
            Self::Timm => Interpolation::BicubicAntialiased,
            Self::Dinov2 if has_registers => Interpolation::BicubicAntialiased,
            Self::Dinov2 => Interpolation::BicubicOffset,
            Self::Mae | Self::HuggingFaceVit | Self::HuggingFaceVitMae | Self::HuggingFaceDinov2 => {
                Interpolation::Bicubic
            }
        }
    }

    /// Finds a vision transformer in a file; `None` for a file without the embedding of one.
    ///
    /// # Errors
    /// A model that medcoss has no counterpart of, and several encoders in one file.
    pub fn recognise(file: &TensorFile, config: Option<&Document>) -> Result<Option<Recognised>> {
        let names = || file.tensors().keys().map(String::as_str);
        refuse_post_norm(file)?;
        let of_timm = prefixes(file, &format!("{}.weight", TIMM.kernel));
        let of_hugging_face = prefixes(file, &format!("{}.weight", HUGGING_FACE_VIT.kernel));
        let Some(prefix) = of_timm.first().or(of_hugging_face.first()).cloned() else { return Ok(None) };
        if of_timm.len() + of_hugging_face.len() > 1 {
            let prefixes = of_timm.into_iter().chain(of_hugging_face).collect();
            return Err(WeightsError::SeveralEncoders { path: file.path().into(), prefixes }.into());
        }
        let has = |name: &str| file.tensors().contains_key(&format!("{prefix}{name}"));
        let layout = if of_hugging_face.is_empty() {
            if !names().any(|name| name.strip_prefix(&prefix).is_some_and(|name| name.starts_with("blocks."))) {
                let what = "a patch embedding without blocks after it (blocks.0.norm1, ...)";
                let why = "it is no plain vision transformer; Swin and other hierarchical ones have stages of different widths";
                return Err(not_representable(file, what, why));
            }
            let mask_token = file.tensors().get(&format!("{prefix}mask_token"));
            if has("decoder_embed.weight") {
                Self::Mae
            } else if has("register_tokens") || mask_token.is_some_and(|mask| mask.shape.len() == 2) {
                Self::Dinov2
            } else {
                Self::Timm
            }
        } else {
            let kind = config.and_then(|config| config.value.get("model_type")).and_then(|kind| kind.as_str());
            match kind {
                None | Some("vit" | "vit_mae" | "dinov2") => {}
                Some(other) => {
                    let what = format!("a model of type {} of transformers", other.escape_debug());
                    let why = "of its models with patches, ViT, ViTMAE and Dinov2 have blocks like medcoss's";
                    return Err(not_representable(file, &what, why));
                }
            }
            if file.tensors().contains_key("decoder.decoder_embed.weight") {
                Self::HuggingFaceVitMae
            } else if has("encoder.layer.0.layernorm_before.weight") {
                Self::HuggingFaceVit
            } else if has("encoder.layer.0.norm1.weight") {
                Self::HuggingFaceDinov2
            } else {
                let what = "blocks of transformers without layernorm_before or norm1";
                return Err(not_representable(file, what, "ViT, ViTMAE and Dinov2 have one of them"));
            }
        };
        Ok(Some(Recognised { layout, prefix }))
    }
}

/// Prefixes of a tensor's name, in order.
fn prefixes(file: &TensorFile, name: &str) -> Vec<String> {
    let found: BTreeSet<&str> = file.tensors().keys().filter_map(|key| key.strip_suffix(name)).collect();
    let is_prefix = |prefix: &&str| prefix.is_empty() || prefix.ends_with('.');
    found.into_iter().filter(is_prefix).map(String::from).collect()
}

/// Error for a model that has no counterpart here.
pub(super) fn not_representable(file: &TensorFile, what: &str, why: &str) -> crate::Error {
    WeightsError::NotRepresentable { path: file.path().into(), what: what.into(), why: why.into() }.into()
}

/// Refuses BERT and its kin, whose blocks no choice of parameters makes pre-norm ones.
fn refuse_post_norm(file: &TensorFile) -> Result<()> {
    let has = |part: &str| file.tensors().keys().any(|name| name.contains(part));
    if has("embeddings.word_embeddings.weight") && has(".attention.self.query.weight") {
        let what = "a text encoder like BertModel";
        let why = "its norms come after each sum (post-norm: x = norm(x + attention(x))), those of medcoss before attention and MLP \
                   (pre-norm: x = x + attention(norm(x))), and no choice of weights makes one of the other";
        return Err(not_representable(file, what, why));
    }
    Ok(())
}
