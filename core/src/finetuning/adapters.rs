//! Low-rank adapters beside frozen matrices (LoRA, Hu et al., ICLR 2022), as Burn composes them: a weight is `base + alpha / rank * a b`.

use burn::module::{LoraAdapter, Module, Param, Reparameterizer};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::model::{Initialiser, Model};
use crate::ranges::{check_count, check_positive};
use crate::rng;
use crate::{Result, SettingError};

/// Maximum rank: as wide as no layer of a model is.
const MAX_RANK: usize = 4096;

/// Low-rank adapters of the encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdapterConfig {
    /// Rank of the adapters.
    pub rank: usize,
    /// Numerator of their scale, `alpha / rank`.
    pub alpha: f64,
    /// Matrices of each block that get one.
    pub places: Vec<AdapterPlace>,
}

/// Matrix of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdapterPlace {
    /// Queries, keys and values.
    Qkv,
    /// Output of the attention.
    Projection,
    /// First layer of the MLP.
    MlpIn,
    /// Second layer of the MLP.
    MlpOut,
}

impl Default for AdapterConfig {
    fn default() -> Self {
        Self { rank: 8, alpha: 16.0, places: vec![AdapterPlace::Qkv, AdapterPlace::Projection] }
    }
}

impl AdapterPlace {
    fn ending(self) -> &'static str {
        match self {
            Self::Qkv => ".attention.qkv.weight",
            Self::Projection => ".attention.projection.weight",
            Self::MlpIn => ".mlp_in.weight",
            Self::MlpOut => ".mlp_out.weight",
        }
    }
}

impl AdapterConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_count("adapters.rank", self.rank, 1, MAX_RANK)?;
        check_positive("adapters.alpha", self.alpha)?;
        if self.places.is_empty() {
            return Err(SettingError::out_of_range("adapters.places", "empty", "at least one place").into());
        }
        Ok(())
    }

    /// Whether the parameter of a path in the model is a matrix that gets an adapter.
    pub(super) fn adapts(&self, path: &str) -> bool {
        path.contains("encoder.blocks.") && self.places.iter().any(|place| path.ends_with(place.ending()))
    }

    /// The model with adapters in its encoder's blocks; everything else is frozen. The first factor is normal with deviation `1 / rank`, the second 0,
    /// so that the model's outputs do not change.
    pub(super) fn attach(&self, backbone: Model, seed: u64, device: &Device) -> Model {
        let mut init = Initialiser::new(rng::keyed(seed, "adapters", &[]), device);
        backbone.apply_reparameterization(Attached { config: self, init: &mut init })
    }
}

struct Attached<'a, 'b> {
    config: &'a AdapterConfig,
    init: &'a mut Initialiser<'b>,
}

impl Reparameterizer for Attached<'_, '_> {
    type Reparam = LoraAdapter;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<LoraAdapter>) {
        let is_wanted = self.config.adapts(path);
        let dims = param.base().dims();
        let base = param.set_require_grad(false);
        if D != 2 || !is_wanted {
            return (base, None);
        }
        let rank = self.config.rank;
        let adapter = LoraAdapter {
            a: self.init.normal([dims[0], rank], 1.0 / rank as f32),
            b: self.init.constant([rank, dims[1]], 0.0),
            scale: self.config.alpha / rank as f64,
        };
        (base, Some(adapter))
    }
}
