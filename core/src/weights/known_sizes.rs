//! Sizes of a model that are known before its weights are read.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::model::Dimensions;
use crate::{Error, Result, WeightsError};

/// Model sizes that are known before the import, from a configuration. Sizes that a checkpoint's shapes determine are compared with them; others, the
/// numbers of heads, are taken from them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KnownSizes {
    /// Width of the encoder.
    pub width: Option<usize>,
    /// Number of encoder layers.
    pub layers: Option<usize>,
    /// Number of attention heads of the encoder.
    pub heads: Option<usize>,
    /// Hidden width of the encoder's MLP.
    #[serde(alias = "ffn")]
    pub mlp_width: Option<usize>,
    /// Width of the decoder.
    pub decoder_width: Option<usize>,
    /// Number of decoder layers.
    pub decoder_layers: Option<usize>,
    /// Number of attention heads of the decoder.
    pub decoder_heads: Option<usize>,
    /// Number of token ids of text.
    #[serde(alias = "vocab")]
    pub vocabulary: Option<usize>,
    /// Rate of stochastic depth in later training.
    pub drop_path: Option<f64>,
}

impl KnownSizes {
    /// Compares the known sizes with those of a checkpoint.
    pub(super) fn agree(&self, found: &Dimensions, path: &Path) -> Result<()> {
        for (name, given, found) in [
            ("width", self.width, found.width),
            ("layers", self.layers, found.layers),
            ("heads", self.heads, found.heads),
            ("mlp_width", self.mlp_width, found.mlp_width),
            ("decoder_width", self.decoder_width, found.decoder_width),
            ("decoder_layers", self.decoder_layers, found.decoder_layers),
            ("decoder_heads", self.decoder_heads, found.decoder_heads),
        ] {
            match given {
                Some(given) if given != found => return Err(contradiction(path, name, given, found)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Error for a given size that the file contradicts.
pub(super) fn contradiction(path: &Path, name: &str, given: usize, found: impl std::fmt::Display) -> Error {
    WeightsError::SizeConflict { path: path.into(), name: name.into(), given, found: found.to_string() }.into()
}
