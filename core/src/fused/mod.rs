//! Operations of a Transformer block in one pass over memory each.
//!
//! On the processor a step is bound by memory outside of its matrix products, and a composition of a framework's operations reads and writes every
//! activation several times. Each function here has two bodies: the plain composition, which is the definition and runs on any device, and
//! on the processor a kernel of our own with its backward pass, which tests hold to the plain one, values and gradients.

mod adamw;
mod attention;
mod extension;
mod gelu;
mod layer_norm;
mod linear;
mod products;
mod residual;
mod vector;

use burn::backend::Dispatch;
use burn::nn::Linear;
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, DType, Device, Tensor};

pub use adamw::Step as AdamWStep;
use extension::{FusedBlock, FusedUpdate};

/// Whether a tensor is where the kernels are.
fn has_kernels<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.dtype() == DType::F32 && tensor.device().without_autodiff() == Device::flex()
}

/// A linear layer with a bias over the last dimension.
pub fn linear<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    match &layer.bias {
        Some(bias) if has_kernels(&x) => {
            let (weight, bias) = (layer.weight.val().into_dispatch(), bias.val().into_dispatch());
            Tensor::from_dispatch(<Dispatch as FusedBlock>::fused_linear(x.into_dispatch(), weight, bias))
        }
        _ => layer.forward(x),
    }
}

/// Layer normalisation over the last dimension.
pub fn layer_norm<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, beta: Tensor<1>, epsilon: f64) -> Tensor<D> {
    if !has_kernels(&x) {
        return plain::layer_norm(x, gamma, beta, epsilon);
    }
    let (gamma, beta) = (gamma.into_dispatch(), beta.into_dispatch());
    Tensor::from_dispatch(<Dispatch as FusedBlock>::fused_layer_norm(x.into_dispatch(), gamma, beta, epsilon as f32))
}

/// The exact Gaussian error linear unit.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if !has_kernels(&x) {
        return burn::tensor::activation::gelu(x);
    }
    Tensor::from_dispatch(<Dispatch as FusedBlock>::fused_gelu(x.into_dispatch()))
}

/// `x + branch * scale`, with `scale` over the last dimension.
pub fn scaled_residual(x: Tensor<3>, branch: Tensor<3>, scale: Tensor<1>) -> Tensor<3> {
    if !has_kernels(&x) {
        return plain::scaled_residual(x, branch, scale);
    }
    let (branch, scale) = (branch.into_dispatch(), scale.into_dispatch());
    Tensor::from_dispatch(<Dispatch as FusedBlock>::fused_residual(x.into_dispatch(), branch, scale))
}

/// Multi-head attention. `qkv` `[n, length, 3 * width]` holds queries, keys and values; `hidden` broadcasts to `[n, heads, length, length]`, the
/// same for all heads, true where a query must not see a key. `[n, length, width]`.
///
/// # Panics
/// When the heads do not share the width evenly.
pub fn attention(qkv: Tensor<3>, n_heads: usize, hidden: Option<Tensor<4, Bool>>) -> Tensor<3> {
    let width = qkv.dims()[2] / 3;
    assert!(width.is_multiple_of(n_heads) && qkv.dims()[2] == 3 * width, "{width} columns for {n_heads} heads");
    if !has_kernels(&qkv) {
        return plain::attention(qkv, n_heads, hidden);
    }
    Tensor::from_dispatch(match hidden {
        None => <Dispatch as FusedBlock>::fused_attention(qkv.into_dispatch(), n_heads),
        Some(hidden) => {
            let [_, length, _] = qkv.dims();
            let [n, ..] = hidden.dims();
            let bias = hidden.float().mul_scalar(HIDDEN).expand([n, 1, length, length]).into_dispatch();
            <Dispatch as FusedBlock>::fused_attention_with(qkv.into_dispatch(), bias, n_heads)
        }
    })
}

/// The score of a key that a query must not see. Large rather than infinite: a row that sees nothing then gives numbers, not NaN.
const HIDDEN: f32 = -1e30;

/// A step of AdamW; parameters, mean of gradients, mean of their squares.
pub fn adamw<const D: usize>(
    parameters: Tensor<D>,
    gradient: Tensor<D>,
    first: Tensor<D>,
    second: Tensor<D>,
    step: AdamWStep,
) -> [Tensor<D>; 3] {
    if !has_kernels(&parameters) {
        return plain::adamw(parameters, gradient, first, second, step);
    }
    let (parameters, first, second) = <Dispatch as FusedUpdate>::fused_adamw(
        parameters.into_dispatch(),
        gradient.into_dispatch(),
        first.into_dispatch(),
        second.into_dispatch(),
        step.beta_1,
        step.beta_2,
        step.epsilon,
        step.rate,
        step.kept,
        step.correction_1,
        step.correction_2,
    );
    [parameters, first, second].map(Tensor::from_dispatch)
}

/// What the operations mean, composed of the framework's.
pub mod plain {
    use super::*;

    /// See [`super::layer_norm`].
    pub fn layer_norm<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, beta: Tensor<1>, epsilon: f64) -> Tensor<D> {
        let (variance, mean) = x.clone().var_mean_bias(D - 1);
        (x - mean) / (variance + epsilon).sqrt() * gamma.unsqueeze() + beta.unsqueeze()
    }

    /// See [`super::scaled_residual`].
    pub fn scaled_residual(x: Tensor<3>, branch: Tensor<3>, scale: Tensor<1>) -> Tensor<3> {
        x + branch * scale.unsqueeze()
    }

    /// See [`super::attention`].
    pub fn attention(qkv: Tensor<3>, n_heads: usize, hidden: Option<Tensor<4, Bool>>) -> Tensor<3> {
        let [n, length, width] = qkv.dims();
        let (width, d_head) = (width / 3, width / 3 / n_heads);
        let part = |at: usize| {
            let part = qkv.clone().narrow(2, at * width, width);
            part.reshape([n, length, n_heads, d_head]).swap_dims(1, 2)
        };
        let mut scores = part(0).mul_scalar((d_head as f64).powf(-0.5)).matmul(part(1).swap_dims(2, 3));
        if let Some(hidden) = hidden {
            scores = scores.mask_fill(hidden.expand([n, n_heads, length, length]), HIDDEN);
        }
        softmax(scores, 3).matmul(part(2)).swap_dims(1, 2).reshape([n, length, width])
    }

    /// See [`super::adamw`].
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
