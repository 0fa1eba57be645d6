//! Fused operations of a Transformer block, each in one pass over memory.
//!
//! On the CPU the time of a training step outside of its matrix products is bound by memory, and a composition of a
//! framework's operations reads and writes every activation several times. Each function here has two implementations:
//! the plain composition, which is the definition and runs on any device, and on the CPU a kernel of our own with its
//! backward pass. Tests compare the two, values and gradients.

#![deny(clippy::undocumented_unsafe_blocks)]

mod adamw;
mod attention;
mod bfloat16;
mod convolution;
mod cross_entropy;
mod extension;
mod gelu;
mod instance_norm;
mod layer_norm;
mod linear;
mod matrix;
mod products;
mod residual;
mod vector;

use burn::backend::Dispatch;
use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Bool, DType, Int, Tensor, TensorData, module};

use crate::device::is_cpu;
use crate::precision::Precision;
pub use adamw::Step as AdamWStep;
use extension::{FusedBlock, FusedUpdate};

/// Whether the kernels support a tensor's device and element type.
fn has_kernels<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.dtype() == DType::F32 && is_cpu(&tensor.device())
}

/// Size of the last dimension.
fn width<const D: usize>(tensor: &Tensor<D>) -> usize {
    tensor.dims()[D - 1]
}

/// A float32 tensor as the operand of products in a precision. The CPU's kernels round their operands themselves.
pub fn operand<const D: usize>(x: Tensor<D>, precision: Precision) -> Tensor<D> {
    match precision {
        Precision::Bfloat16 if !has_kernels(&x) => x.cast(DType::BF16),
        _ => x,
    }
}

/// A result of products in float32, for sums.
pub fn float32<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if x.dtype() == DType::F32 { x } else { x.cast(DType::F32) }
}

/// A linear layer from float32 to float32, with its product in a precision.
pub fn float32_linear<const D: usize>(layer: &Linear, x: Tensor<D>, precision: Precision) -> Tensor<D> {
    float32(linear(layer, operand(x, precision), precision))
}

/// Linear layer over the last dimension, with a bias if the layer has one, of an [`operand`] of this precision.
pub fn linear<const D: usize>(layer: &Linear, x: Tensor<D>, precision: Precision) -> Tensor<D> {
    affine(x, layer.weight.val(), layer.bias.as_ref().map(Param::val), precision)
}

/// Affine map `x * weight + bias` over the last dimension: `x` `[..., d_in]`, an [`operand`] of this precision, `weight` `[d_in, d_out]`, `bias`
/// `[d_out]`.
///
/// # Panics
/// When `weight` does not have one row for each value of a row of `x`, or `bias` not one value for each column of
/// `weight`.
pub fn affine<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    precision: Precision,
) -> Tensor<D> {
    let [d_in, d_out] = weight.dims();
    assert_eq!(width(&x), d_in, "values of a row, rows of the weight");
    if let Some(bias) = &bias {
        assert_eq!(bias.dims(), [d_out], "values of the bias, columns of the weight");
    }
    if !has_kernels(&x) {
        return plain::linear(x, weight, bias);
    }
    let bias = bias.unwrap_or_else(|| Tensor::zeros([d_out], &x.device()));
    let (weight, bias) = (weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as FusedBlock>::fused_linear(x.into_dispatch(), weight, bias, precision))
}

/// Layer normalisation over the last dimension: `x` `[..., width]`, `gamma` and `beta` `[width]`.
///
/// # Panics
/// When `gamma` or `beta` do not have one value for each value of a row of `x`.
pub fn layer_norm<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, beta: Tensor<1>, epsilon: f64) -> Tensor<D> {
    assert_eq!((gamma.dims(), beta.dims()), ([width(&x)], [width(&x)]), "values of gamma and of beta, of a row");
    if !has_kernels(&x) {
        return plain::layer_norm(x, gamma, beta, epsilon);
    }
    let (gamma, beta) = (gamma.into_dispatch(), beta.into_dispatch());
    Tensor::from_dispatch(<Dispatch as FusedBlock>::fused_layer_norm(x.into_dispatch(), gamma, beta, epsilon as f32))
}

/// The exact Gaussian error linear unit.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if !has_kernels(&x) {
        return plain::gelu(x);
    }
    Tensor::from_dispatch(<Dispatch as FusedBlock>::fused_gelu(x.into_dispatch()))
}

/// Scaled residual `x + branch * scale * kept`: `x` and `branch` `[n, length, width]`, `scale` `[width]`, `kept` `[n]`,
/// or 1 without it.
///
/// # Panics
/// When `branch` does not have the shape of `x`, `scale` not one value for each of the last dimension, or `kept` not
/// one for each of the first.
pub fn scaled_residual(x: Tensor<3>, branch: Tensor<3>, scale: Tensor<1>, kept: Option<Vec<f32>>) -> Tensor<3> {
    let [n, _, width] = x.dims();
    assert_eq!(branch.dims(), x.dims(), "shapes of the branch and of the residual stream");
    assert_eq!(scale.dims(), [width], "values of the scale, of a row");
    assert_eq!(kept.as_ref().map_or(n, Vec::len), n, "what is kept of each sample");
    if !has_kernels(&x) {
        return plain::scaled_residual(x, branch, scale, kept);
    }
    let kept = kept.unwrap_or_else(|| vec![1.0; n]);
    let (branch, scale) = (branch.into_dispatch(), scale.into_dispatch());
    Tensor::from_dispatch(<Dispatch as FusedBlock>::fused_residual(x.into_dispatch(), branch, scale, kept))
}

/// Cross-entropy of each row, `[n]`: minus the logarithm of the probability that the softmax of `scores` `[n, classes]` gives to the row's target.
///
/// # Panics
/// When there is not one target for each row, or a target is not a class.
pub fn cross_entropy(scores: Tensor<2>, targets: &[i32]) -> Tensor<1> {
    let [n, classes] = scores.dims();
    assert_eq!(targets.len(), n, "targets of {n} rows");
    let is_class = |target: &i32| usize::try_from(*target).is_ok_and(|target| target < classes);
    assert!(targets.iter().all(is_class), "targets among {classes} classes");
    if !has_kernels(&scores) {
        return plain::cross_entropy(scores, targets);
    }
    let losses = <Dispatch as FusedBlock>::fused_cross_entropy(scores.into_dispatch(), targets.to_vec());
    Tensor::from_dispatch(losses)
}

/// Multi-head attention, `[n, length, width]`. `qkv` `[n, length, 3 * width]` holds queries, keys and values; `hidden` broadcasts to `[n, heads,
/// length, length]`, the same for all heads, true where a query must not see a key.
///
/// # Panics
/// When the heads do not divide the width, or `hidden` does not broadcast from one head.
pub fn attention(qkv: Tensor<3>, n_heads: usize, hidden: Option<Tensor<4, Bool>>, precision: Precision) -> Tensor<3> {
    let [n, length, columns] = qkv.dims();
    let width = columns / 3;
    assert!(
        n_heads > 0 && width.is_multiple_of(n_heads) && columns == 3 * width,
        "{width} columns for {n_heads} heads"
    );
    if let Some(hidden) = &hidden {
        let dims = hidden.dims();
        let broadcasts = dims.iter().zip([n, 1, length, length]).all(|(found, size)| *found == 1 || *found == size);
        assert!(broadcasts, "what is hidden, {dims:?}, for {n} samples of {length} tokens");
    }
    if !has_kernels(&qkv) {
        return plain::attention(qkv, n_heads, hidden);
    }
    Tensor::from_dispatch(match hidden {
        None => <Dispatch as FusedBlock>::fused_attention(qkv.into_dispatch(), n_heads, precision),
        Some(hidden) => {
            let [_, length, _] = qkv.dims();
            let [n, ..] = hidden.dims();
            let bias = hidden.float().mul_scalar(HIDDEN).expand([n, 1, length, length]).into_dispatch();
            <Dispatch as FusedBlock>::fused_attention_with(qkv.into_dispatch(), bias, n_heads, precision)
        }
    })
}

/// Convolution of stride 1 with zeros around, which keeps the size: `x` `[n, depth, height, width, d_in]`, `weight` `[d_out, d_in, kernel...]` with odd
/// sides: `[n, depth, height, width, d_out]`.
///
/// # Panics
/// When `weight` does not have the input's channels, or a kernel with an even side.
pub fn convolution(x: Tensor<5>, weight: Tensor<5>, precision: Precision) -> Tensor<5> {
    let [d_out, d_in, depth, height, width] = weight.dims();
    let kernel = [depth, height, width];
    assert_eq!(x.dims()[4], d_in, "channels of the input, of the weight");
    assert!(kernel.iter().all(|side| side % 2 == 1), "a kernel of odd sides, not {kernel:?}");
    if !has_kernels(&x) {
        return plain::convolution(x, weight);
    }
    let n_taps = kernel.iter().product::<usize>();
    let rows = weight.permute([2, 3, 4, 1, 0]).reshape([n_taps * d_in, d_out]);
    let (x, rows) = (x.into_dispatch(), rows.into_dispatch());
    Tensor::from_dispatch(<Dispatch as FusedBlock>::fused_convolution(x, rows, kernel, precision))
}

/// Instance normalisation without learned parameters, and a leaky ReLU: each channel of each sample of `x` `[n, depth, height, width, channels]` gets mean
/// 0 and variance 1 over its voxels, then negative values are multiplied by `slope`.
pub fn instance_norm(x: Tensor<5>, epsilon: f64, slope: f64) -> Tensor<5> {
    if !has_kernels(&x) {
        return plain::instance_norm(x, epsilon, slope);
    }
    let x = x.into_dispatch();
    Tensor::from_dispatch(<Dispatch as FusedBlock>::fused_instance_norm(x, epsilon as f32, slope as f32))
}

/// Score of a key that a query must not see. Large rather than infinite: a row without visible keys then gives numbers,
/// not NaN.
const HIDDEN: f32 = -1e30;

/// One step of AdamW: returns parameters, first moment and second moment after the step.
///
/// # Panics
/// When the tensors differ in shape.
pub fn adamw<const D: usize>(
    parameters: Tensor<D>,
    gradient: Tensor<D>,
    first: Tensor<D>,
    second: Tensor<D>,
    step: AdamWStep,
) -> [Tensor<D>; 3] {
    for other in [&gradient, &first, &second] {
        assert_eq!(other.dims(), parameters.dims(), "shapes of a gradient or moment, and of the parameters");
    }
    if !has_kernels(&parameters) {
        return plain::adamw(parameters, gradient, first, second, step);
    }
    let (parameters, first, second) = <Dispatch as FusedUpdate>::fused_adamw(
        parameters.into_dispatch(),
        gradient.into_dispatch(),
        first.into_dispatch(),
        second.into_dispatch(),
        step,
    );
    [parameters, first, second].map(Tensor::from_dispatch)
}

/// Reference definitions of the operations, composed of Burn's.
///
/// Element types narrower than float32 are kept for products and the values between two products; softmax and GELU
/// convert to float32.
pub mod plain {
    use super::*;

    /// Linear layer, see [`super::affine`].
    pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
        let dtype = x.dtype();
        module::linear(x, weight.cast(dtype), bias.map(|bias| bias.cast(dtype)))
    }

    /// Exact GELU, see [`super::gelu`].
    pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
        let dtype = x.dtype();
        burn::tensor::activation::gelu(x.cast(DType::F32)).cast(dtype)
    }

    /// Layer normalisation, see [`super::layer_norm`].
    pub fn layer_norm<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, beta: Tensor<1>, epsilon: f64) -> Tensor<D> {
        let (variance, mean) = x.clone().var_mean_bias(D - 1);
        (x - mean) / (variance + epsilon).sqrt() * gamma.unsqueeze() + beta.unsqueeze()
    }

    /// Scaled residual, see [`super::scaled_residual`].
    pub fn scaled_residual(x: Tensor<3>, branch: Tensor<3>, scale: Tensor<1>, kept: Option<Vec<f32>>) -> Tensor<3> {
        x + scaled_samples(branch, kept) * scale.unsqueeze()
    }

    /// Scaled samples: each sample of `x` `[n, length, width]` times its value of `kept`.
    pub fn scaled_samples(x: Tensor<3>, kept: Option<Vec<f32>>) -> Tensor<3> {
        let Some(kept) = kept else { return x };
        let (n, device) = (kept.len(), x.device());
        x * Tensor::from_data(TensorData::new(kept, [n, 1, 1]), &device)
    }

    /// Cross-entropy, see [`super::cross_entropy`].
    pub fn cross_entropy(scores: Tensor<2>, targets: &[i32]) -> Tensor<1> {
        let device = scores.device();
        let targets = Tensor::<1, Int>::from_data(TensorData::new(targets.to_vec(), [targets.len()]), &device);
        log_softmax(scores, 1).gather(1, targets.unsqueeze_dim(1)).squeeze_dim::<1>(1).neg()
    }

    /// Convolution, see [`super::convolution`].
    pub fn convolution(x: Tensor<5>, weight: Tensor<5>) -> Tensor<5> {
        let [_, _, depth, height, width] = weight.dims();
        let padding = [depth / 2, height / 2, width / 2];
        let options = ConvOptions::new([1; 3], padding, [1; 3], 1);
        let out = module::conv3d(x.permute([0, 4, 1, 2, 3]), weight, None, options);
        out.permute([0, 2, 3, 4, 1])
    }

    /// Instance normalisation and a leaky ReLU, see [`super::instance_norm`].
    pub fn instance_norm(x: Tensor<5>, epsilon: f64, slope: f64) -> Tensor<5> {
        let [n, depth, height, width, channels] = x.dims();
        let flat: Tensor<3> = x.reshape([n, depth * height * width, channels]);
        let (variance, mean) = flat.clone().var_mean_bias(1);
        let normalised = (flat - mean) / (variance + epsilon).sqrt();
        burn::tensor::activation::leaky_relu(normalised, slope).reshape([n, depth, height, width, channels])
    }

    /// Multi-head attention, see [`super::attention`].
    pub fn attention(qkv: Tensor<3>, n_heads: usize, hidden: Option<Tensor<4, Bool>>) -> Tensor<3> {
        let [n, length, width] = qkv.dims();
        let (width, d_head) = (width / 3, width / 3 / n_heads);
        let part = |at: usize| {
            let part = qkv.clone().narrow(2, at * width, width);
            part.reshape([n, length, n_heads, d_head]).swap_dims(1, 2)
        };
        let scores = part(0).mul_scalar((d_head as f64).powf(-0.5)).matmul(part(1).swap_dims(2, 3));
        let (dtype, mut scores) = (scores.dtype(), scores.cast(DType::F32));
        if let Some(hidden) = hidden {
            scores = scores.mask_fill(hidden.expand([n, n_heads, length, length]), HIDDEN);
        }
        softmax(scores, 3).cast(dtype).matmul(part(2)).swap_dims(1, 2).reshape([n, length, width])
    }

    /// One step of AdamW, see [`super::adamw`].
    pub fn adamw<const D: usize>(
        parameters: Tensor<D>,
        gradient: Tensor<D>,
        first: Tensor<D>,
        second: Tensor<D>,
        step: AdamWStep,
    ) -> [Tensor<D>; 3] {
        let first = first.mul_scalar(step.beta_1) + gradient.clone().mul_scalar(1.0 - step.beta_1);
        let second = second.mul_scalar(step.beta_2) + gradient.square().mul_scalar(1.0 - step.beta_2);
        let root = second.clone().div_scalar(step.correction_2).sqrt().add_scalar(step.epsilon);
        let change = first.clone().div_scalar(step.correction_1) / root;
        [parameters.mul_scalar(step.kept) - change.mul_scalar(step.rate), first, second]
    }
}

#[cfg(test)]
mod tests;
