//! Where the value of each parameter comes from: a tensor of the file, several of them, or a number.

use std::collections::BTreeMap;

use super::super::published::Order;
use super::super::shape_checks::check_shape;
use super::super::tensor_file::TensorFile;
use super::names::{BlockNames, DecoderNames, Names, QkvNames};
use super::sizes::Sizes;
use crate::{Result, WeightsError};

/// Values that are computed from tensors of a file.
type Compute = Box<dyn Fn(&TensorFile) -> Result<Vec<f32>>>;

/// Source of a parameter's values.
pub(super) enum Source {
    /// A tensor.
    Tensor { key: String, order: Order },
    /// Three tensors of one size, one after another along the output.
    Stacked { keys: [String; 3], order: Order },
    /// One number.
    Constant(f32),
    /// Tensors whose shapes are known to fit, and what is computed from them.
    Computed { keys: Vec<String>, compute: Compute },
}

/// Recipe of a parameter.
pub(super) struct Recipe {
    /// Part of the model, for people.
    pub part: String,
    /// Shape of the parameter.
    pub shape: Vec<usize>,
    pub source: Source,
}

/// Recipes by the paths of parameters.
#[derive(Default)]
pub(super) struct Recipes(pub BTreeMap<String, Recipe>);

impl Source {
    /// Tensors that the values come from.
    pub fn keys(&self) -> Vec<&str> {
        match self {
            Self::Tensor { key, .. } => vec![key],
            Self::Stacked { keys, .. } => keys.iter().map(String::as_str).collect(),
            Self::Constant(_) => Vec::new(),
            Self::Computed { keys, .. } => keys.iter().map(String::as_str).collect(),
        }
    }

    /// Checks the shapes of the tensors, for a parameter of this shape.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn check(&self, file: &TensorFile, own: &[usize]) -> Result<()> {
        match self {
            Self::Tensor { key, order } => check_shape(file, key, &stored_shape(*order, own)),
            Self::Stacked { keys, order } => {
                let mut shape = stored_shape(*order, own);
                shape[0] /= 3;
                keys.iter().try_for_each(|key| check_shape(file, key, &shape))
            }
            Self::Constant(_) | Self::Computed { .. } => Ok(()),
        }
    }

    /// The values, in the order of a parameter of this shape.
    ///
    /// # Errors
    /// Values that cannot be read or are not finite.
    pub fn values(&self, file: &TensorFile, own: &[usize]) -> Result<Vec<f32>> {
        match self {
            Self::Tensor { key, order } => Ok(order.to_own(file.floats(key)?, own)),
            Self::Stacked { keys, order } => {
                let mut values = Vec::new();
                for key in keys {
                    values.extend(file.floats(key)?);
                }
                Ok(order.to_own(values, own))
            }
            Self::Constant(value) => Ok(vec![*value; own.iter().product()]),
            Self::Computed { keys, compute } => {
                let values = compute(file)?;
                match values.iter().all(|value| value.is_finite()) {
                    true => Ok(values),
                    false => Err(WeightsError::Tensor {
                        path: file.path().into(),
                        name: keys.join(" and "),
                        found: "values that are not finite after pixels and positions are folded in".into(),
                        expected: "finite values".into(),
                    }
                    .into()),
                }
            }
        }
    }
}

/// Shape of a tensor in the file, of linear layers and of those that differ in leading ones.
fn stored_shape(order: Order, own: &[usize]) -> Vec<usize> {
    order.published_shape(own).unwrap_or_else(|| own.to_vec())
}

impl Recipes {
    pub fn add(&mut self, part: &str, own: impl Into<String>, shape: &[usize], source: Source) {
        self.0.insert(own.into(), Recipe { part: part.into(), shape: shape.to_vec(), source });
    }

    fn same(&mut self, part: &str, own: String, key: String, rank: usize, shape: &[usize]) {
        self.add(part, own, shape, Source::Tensor { key, order: Order::Same { rank } });
    }

    fn linear(&mut self, part: &str, own: &str, name: &str, shape: [usize; 2]) {
        let source = Source::Tensor { key: format!("{name}.weight"), order: Order::Linear };
        self.add(part, format!("{own}.weight"), &shape, source);
        self.same(part, format!("{own}.bias"), format!("{name}.bias"), 1, &shape[1..]);
    }

    fn norm(&mut self, part: &str, own: &str, name: &str, width: usize) {
        self.same(part, format!("{own}.gamma"), format!("{name}.weight"), 1, &[width]);
        self.same(part, format!("{own}.beta"), format!("{name}.bias"), 1, &[width]);
    }

    /// Blocks and final norm of the encoder.
    pub fn encoder(&mut self, names: &Names, sizes: &Sizes) {
        let (part, dims) = ("encoder", &sizes.dimensions);
        for layer in 0..dims.layers {
            let (own, name) = (format!("encoder.blocks.{layer}"), format!("{}.{layer}", names.blocks));
            let mlp = (sizes.mlp, [sizes.variant.mlp.n_inputs(dims.mlp_width), dims.mlp_width]);
            self.block(part, [&own, &name], names.block, dims.width, mlp, sizes.has_qkv_bias);
            for (scale, at) in [("attention_scale", 0), ("mlp_scale", 1)] {
                let own = format!("{own}.{scale}");
                match names.block.scales.filter(|_| sizes.has_scales) {
                    Some(scales) => self.same(part, own, format!("{name}.{}", scales[at]), 1, &[dims.width]),
                    None => self.add(part, own, &[dims.width], Source::Constant(1.0)),
                }
            }
        }
        if sizes.variant.final_norm {
            self.norm(part, "encoder.norm", names.final_norm, dims.width);
        }
    }

    fn block(
        &mut self,
        part: &str,
        [own, name]: [&str; 2],
        names: &BlockNames,
        width: usize,
        (mlp, [n_inputs, mlp_width]): ([&str; 2], [usize; 2]),
        has_qkv_bias: bool,
    ) {
        self.norm(part, &format!("{own}.attention_norm"), &format!("{name}.{}", names.attention_norm), width);
        self.norm(part, &format!("{own}.mlp_norm"), &format!("{name}.{}", names.mlp_norm), width);
        let projection = format!("{name}.{}", names.projection);
        self.linear(part, &format!("{own}.attention.projection"), &projection, [width, width]);
        let qkv = format!("{own}.attention.qkv");
        let stored = |ending: &str, order: Order| match names.qkv {
            QkvNames::Stacked(qkv) => Source::Tensor { key: format!("{name}.{qkv}.{ending}"), order },
            QkvNames::Three(three) => {
                Source::Stacked { keys: three.map(|part| format!("{name}.{part}.{ending}")), order }
            }
        };
        self.add(part, format!("{qkv}.weight"), &[width, 3 * width], stored("weight", Order::Linear));
        let bias = if has_qkv_bias { stored("bias", Order::Same { rank: 1 }) } else { Source::Constant(0.0) };
        self.add(part, format!("{qkv}.bias"), &[3 * width], bias);
        let [mlp_in, mlp_out] = mlp.map(|layer| format!("{name}.{layer}"));
        self.linear(part, &format!("{own}.mlp_in"), &mlp_in, [width, n_inputs]);
        self.linear(part, &format!("{own}.mlp_out"), &mlp_out, [mlp_width, width]);
    }

    /// The decoder; `blocks` is the prefix of its blocks in the file.
    pub fn decoder(&mut self, names: &DecoderNames, blocks: &str, sizes: &Sizes) {
        let (part, dims) = ("decoder", &sizes.dimensions);
        let width = dims.decoder_width;
        self.linear(part, "decoder.embed", names.embed, [dims.width, width]);
        self.same(part, "decoder.mask_token".into(), names.mask_token.into(), 3, &[1, width]);
        for layer in 0..dims.decoder_layers {
            let (own, name) = (format!("decoder.blocks.{layer}"), format!("{blocks}.{layer}"));
            let mlp = (names.block.mlp[0], [4 * width; 2]);
            self.block(part, [&own, &name], names.block, width, mlp, sizes.has_qkv_bias);
        }
        self.norm(part, "decoder.norm", names.norm, width);
    }

    /// The head of family number `at`, whose tokens are patches of the file's images.
    pub fn head(&mut self, part: &str, at: usize, names: &DecoderNames, sizes: &Sizes, d_token: usize) {
        let (own, width) = (format!("heads.{at}"), sizes.dimensions.decoder_width);
        let positions = [sizes.n_positions() + 1, width];
        self.same(part, format!("{own}.positions"), names.positions.into(), 3, &positions);
        self.linear(part, &format!("{own}.projection"), names.prediction, [width, d_token]);
    }
}
