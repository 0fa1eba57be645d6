//! The table `[model]` of a configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use medcoss_core::model::{Dimensions, InitialValues, PositionResampling, Preset, TableSize};
use medcoss_core::weights::{DerivedFamily, KnownSizes, PixelStatistics};
use serde::{Deserialize, Serialize};

/// The table `[model]`: a preset and changes to it, all sizes, or a file of initial weights, which has its own sizes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSection {
    /// Preset of sizes: `vit-base`, `vit-small`, `vit-tiny` or `demo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// Checkpoint with the initial weights, relative to the configuration file or to `--data-root`: MedCoSS or
    /// Uni-Perceiver weights (`.pth`, `.safetensors`), a vision transformer of timm, MAE, DINOv2 or transformers (a file, or the folder of
    /// the latter), or an exported file. The record of a run holds its name; the weights are in the folder `initial`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// Token families of the checkpoint to leave out, such as `text` for another vocabulary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub init_without: Vec<String>,
    /// Token families whose embedders are made from that of a vision transformer: of other channels, of volumes, of other values. `image` is
    /// made from it without being named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub init_families: BTreeMap<String, DerivedFamily>,
    /// Mean and standard deviation that a vision transformer's pixels had, between 0 and 1, by channel. Default: those beside the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_pixels: Option<PixelStatistics>,
    /// Width of the encoder, if it differs from the preset's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// Layers of the encoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<usize>,
    /// Attention heads of the encoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heads: Option<usize>,
    /// Hidden width of the encoder's MLP, usually four times the width.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mlp_width: Option<usize>,
    /// Width of the decoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder_width: Option<usize>,
    /// Layers of the decoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder_layers: Option<usize>,
    /// Attention heads of the decoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder_heads: Option<usize>,
    /// Rate of stochastic depth (drop path).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop_path: Option<f64>,
    /// Initial value of LayerScale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer_scale: Option<f32>,
    /// Law of the initial values of embedders: `vit` (the default) or `medcoss`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_values: Option<InitialValues>,
    /// Size of the position table, by token family: a number of entries, or the grid that they belong to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub positions: BTreeMap<String, PositionsSetting>,
    /// Positions of samples whose grid is not that of the position table: `linear` (the default), or `none` for the table's first entries, as in the
    /// reference.
    #[serde(default, skip_serializing_if = "is_default")]
    pub position_resampling: PositionResampling,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Size of a position table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number of positions, or the sides of a grid in a list")]
pub enum PositionsSetting {
    /// Number of entries.
    Entries(usize),
    /// Sides of the grid that the entries belong to.
    Grid(Vec<usize>),
}

impl PositionsSetting {
    /// The setting, as the model takes it.
    pub fn table_size(&self) -> TableSize {
        match self {
            Self::Entries(n) => TableSize::Entries(*n),
            Self::Grid(grid) => TableSize::Grid(grid.clone()),
        }
    }

    /// Number of entries.
    pub(super) fn n_entries(&self) -> usize {
        match self {
            Self::Entries(n) => *n,
            Self::Grid(grid) => grid.iter().fold(1, |product, &side| product.saturating_mul(side)),
        }
    }
}

impl ModelSection {
    /// Checks the settings of the embedders that initial weights give.
    ///
    /// # Errors
    /// A setting out of range, and settings without initial weights.
    pub(super) fn check_init(&self) -> Result<()> {
        if self.init.is_none() && !(self.init_families.is_empty() && self.init_pixels.is_none()) {
            bail!(
                "model.init_families and model.init_pixels are settings of initial weights\nhint: name them with model.init"
            );
        }
        for (name, family) in &self.init_families {
            family.check(name)?;
        }
        self.init_pixels.as_ref().map_or(Ok(()), |pixels| pixels.check(None)).context("model.init_pixels")
    }

    /// The given sizes, from a preset or one by one.
    pub fn known_sizes(&self) -> KnownSizes {
        let preset = self.preset.map(Preset::dimensions);
        let known = |given: Option<usize>, of: fn(&Dimensions) -> usize| given.or(preset.as_ref().map(of));
        KnownSizes {
            width: known(self.width, |sizes| sizes.width),
            layers: known(self.layers, |sizes| sizes.layers),
            heads: known(self.heads, |sizes| sizes.heads),
            mlp_width: known(self.mlp_width, |sizes| sizes.mlp_width),
            decoder_width: known(self.decoder_width, |sizes| sizes.decoder_width),
            decoder_layers: known(self.decoder_layers, |sizes| sizes.decoder_layers),
            decoder_heads: known(self.decoder_heads, |sizes| sizes.decoder_heads),
            vocabulary: None,
            drop_path: self.drop_path.or(preset.as_ref().map(|sizes| sizes.drop_path)),
        }
    }

    /// Sizes of a model with fresh parameters.
    ///
    /// # Errors
    /// Neither a preset nor all sizes, values out of range.
    pub fn dimensions(&self) -> Result<Dimensions> {
        let known = self.known_sizes();
        let needed = |name: &str, value: Option<usize>| {
            value.ok_or_else(|| {
                anyhow!(
                    "model.{name} is missing\n\
                     hint: name a preset (model.preset = \"vit-base\", \"vit-small\", \"vit-tiny\" or \"demo\"), give all sizes, or weights to \
                     begin with (model.init = \"weights.pth\")"
                )
            })
        };
        let usual = Preset::VitBase.dimensions();
        let width =
            needed(if self.preset.is_none() && self.width.is_none() { "preset" } else { "width" }, known.width)?;
        let dimensions = Dimensions {
            width,
            layers: needed("layers", known.layers)?,
            heads: needed("heads", known.heads)?,
            mlp_width: known
                .mlp_width
                .filter(|_| self.mlp_width.is_some() || self.width.is_none())
                .unwrap_or(4 * width),
            decoder_width: needed("decoder_width", known.decoder_width)?,
            decoder_layers: needed("decoder_layers", known.decoder_layers)?,
            decoder_heads: needed("decoder_heads", known.decoder_heads)?,
            drop_path: known.drop_path.unwrap_or(usual.drop_path),
            layer_scale: self.layer_scale.unwrap_or(usual.layer_scale),
        };
        dimensions.check()?;
        Ok(dimensions)
    }
}
