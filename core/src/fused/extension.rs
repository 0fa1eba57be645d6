//! Kernels as operations of Burn, on the CPU backend with their own backward pass.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
use burn::tensor::{Shape, TensorData};

use crate::precision::Precision;

use super::{adamw, attention, convolution, cross_entropy, gelu, instance_norm, layer_norm, linear, residual};

/// A tensor on the CPU.
type Values = FloatTensor<Flex>;

/// Fused operations of a Transformer block, for backends that have kernels. Tensors are float32.
#[backend_extension(Flex, Autodiff)]
pub trait FusedBlock: Backend {
    /// Linear layer: `x` `[..., d_in]`, `weight` `[d_in, d_out]`, `bias` `[d_out]`.
    fn fused_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        precision: Precision,
    ) -> FloatTensor<Self>;

    /// Layer normalisation: `x` `[..., width]`, `gamma` and `beta` `[width]`.
    fn fused_layer_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self>;

    /// Exact GELU of a tensor of any shape.
    fn fused_gelu(x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Scaled residual: `x` and `branch` `[n, length, width]`, `scale` `[width]`, `kept` `[n]`.
    fn fused_residual(
        x: FloatTensor<Self>,
        branch: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        kept: Vec<f32>,
    ) -> FloatTensor<Self>;

    /// Cross-entropy `[n]` of `scores` `[n, classes]`, with one target per row.
    fn fused_cross_entropy(scores: FloatTensor<Self>, targets: Vec<i32>) -> FloatTensor<Self>;

    /// Multi-head attention: `qkv` `[n, length, 3 * width]` to `[n, length, width]`.
    fn fused_attention(qkv: FloatTensor<Self>, n_heads: usize, precision: Precision) -> FloatTensor<Self>;

    /// Multi-head attention with a `bias` on scores, `[1 or n, 1, length, length]`, which has no gradient.
    fn fused_attention_with(
        qkv: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        n_heads: usize,
        precision: Precision,
    ) -> FloatTensor<Self>;

    /// Convolution of `x` `[n, depth, height, width, d_in]` with `weight` `[taps * d_in, d_out]` that keeps the size.
    fn fused_convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        kernel: [usize; 3],
        precision: Precision,
    ) -> FloatTensor<Self>;

    /// Instance normalisation of `x` `[n, depth, height, width, channels]`, and a leaky ReLU of this slope.
    fn fused_instance_norm(x: FloatTensor<Self>, epsilon: f32, slope: f32) -> FloatTensor<Self>;
}

/// Fused update of parameters, outside of any graph.
#[backend_extension(Flex)]
pub trait FusedUpdate: Backend {
    /// One step of AdamW: parameters, first moment and second moment, all of one shape.
    fn fused_adamw(
        parameters: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: adamw::Step,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// A tensor in row-major order, without gaps.
fn dense(tensor: &Values) -> Values {
    tensor.to_contiguous()
}

/// The values of a tensor that [`dense`] made.
fn slice(tensor: &Values) -> &[f32] {
    let layout = tensor.layout();
    &tensor.storage::<f32>()[layout.start_offset()..][..layout.num_elements()]
}

fn tensor(values: Vec<f32>, shape: Shape) -> Values {
    Values::from_data(TensorData::new(values, shape))
}

fn shape(tensor: &Values) -> Shape {
    tensor.layout().shape().clone()
}

fn last(tensor: &Values) -> usize {
    let shape = tensor.layout().shape();
    shape[shape.num_dims() - 1]
}

fn attention_shape(qkv: &Values, n_heads: usize) -> attention::Shape {
    let dims = qkv.layout().shape();
    attention::Shape { n: dims[0], length: dims[1], width: dims[2] / 3, n_heads }
}

fn convolution_sizes(x: &Values, weight: &Values, kernel: [usize; 3]) -> convolution::Sizes {
    let dims = x.layout().shape();
    let space = [dims[1], dims[2], dims[3]];
    convolution::Sizes { n: dims[0], space, d_in: dims[4], d_out: last(weight), kernel }
}

fn instance_sizes(x: &Values) -> instance_norm::Sizes {
    let dims = x.layout().shape();
    instance_norm::Sizes { n_voxels: dims[1] * dims[2] * dims[3], width: dims[4] }
}

impl FusedBlock for Flex {
    fn fused_linear(x: Values, weight: Values, bias: Values, precision: Precision) -> Values {
        let (x, weight, bias) = (dense(&x), dense(&weight), dense(&bias));
        let mut out = shape(&x);
        let at = out.num_dims() - 1;
        out[at] = last(&bias);
        tensor(linear::forward(slice(&x), slice(&weight), slice(&bias), precision), out)
    }

    fn fused_layer_norm(x: Values, gamma: Values, beta: Values, epsilon: f32) -> Values {
        let (x, gamma, beta) = (dense(&x), dense(&gamma), dense(&beta));
        tensor(layer_norm::forward(slice(&x), slice(&gamma), slice(&beta), epsilon), shape(&x))
    }

    fn fused_gelu(x: Values) -> Values {
        let x = dense(&x);
        tensor(gelu::forward(slice(&x)), shape(&x))
    }

    fn fused_residual(x: Values, branch: Values, scale: Values, kept: Vec<f32>) -> Values {
        let (x, branch, scale) = (dense(&x), dense(&branch), dense(&scale));
        tensor(residual::forward(slice(&x), slice(&branch), slice(&scale), &kept), shape(&x))
    }

    fn fused_cross_entropy(scores: Values, targets: Vec<i32>) -> Values {
        let scores = dense(&scores);
        let log_sums = cross_entropy::log_sums(slice(&scores), last(&scores));
        let losses = cross_entropy::forward(slice(&scores), &log_sums, &targets);
        tensor(losses, Shape::new([targets.len()]))
    }

    fn fused_attention(qkv: Values, n_heads: usize, precision: Precision) -> Values {
        let qkv = dense(&qkv);
        let sizes = attention_shape(&qkv, n_heads);
        tensor(
            attention::forward(slice(&qkv), None, sizes, precision),
            Shape::new([sizes.n, sizes.length, sizes.width]),
        )
    }

    fn fused_attention_with(qkv: Values, bias: Values, n_heads: usize, precision: Precision) -> Values {
        let (qkv, bias) = (dense(&qkv), dense(&bias));
        let sizes = attention_shape(&qkv, n_heads);
        let out = attention::forward(slice(&qkv), Some(slice(&bias)), sizes, precision);
        tensor(out, Shape::new([sizes.n, sizes.length, sizes.width]))
    }

    fn fused_convolution(x: Values, weight: Values, kernel: [usize; 3], precision: Precision) -> Values {
        let (x, weight) = (dense(&x), dense(&weight));
        let sizes = convolution_sizes(&x, &weight, kernel);
        let mut out = shape(&x);
        out[4] = sizes.d_out;
        tensor(convolution::forward(slice(&x), slice(&weight), sizes, precision), out)
    }

    fn fused_instance_norm(x: Values, epsilon: f32, slope: f32) -> Values {
        let x = dense(&x);
        tensor(instance_norm::forward(slice(&x), instance_sizes(&x), epsilon, slope), shape(&x))
    }
}

impl FusedUpdate for Flex {
    fn fused_adamw(
        mut parameters: Values,
        gradient: Values,
        mut first: Values,
        mut second: Values,
        step: adamw::Step,
    ) -> (Values, Values, Values) {
        let gradient = dense(&gradient);
        for values in [&mut parameters, &mut first, &mut second] {
            let has_gaps = values.layout().num_elements() != values.storage::<f32>().len();
            if has_gaps || !values.is_contiguous() {
                *values = tensor(slice(&dense(values)).to_vec(), shape(values));
            }
        }
        adamw::update(parameters.storage_mut(), slice(&gradient), first.storage_mut(), second.storage_mut(), step);
        (parameters, first, second)
    }
}

/// Output of an operation, with the state of its backward pass where a gradient is needed.
fn finish<B, C, const N: usize>(
    kind: OpsKind<B, Flex, B::State, C, N>,
    state: B::State,
    out: Values,
) -> FloatTensor<Autodiff<Flex, C>>
where
    B: Backward<Flex, N>,
    C: CheckpointStrategy,
{
    match kind {
        OpsKind::Tracked(prepared) => prepared.finish(state, out),
        OpsKind::UnTracked(prepared) => prepared.finish(out),
    }
}

impl<C: CheckpointStrategy> FusedBlock for Autodiff<Flex, C> {
    fn fused_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        precision: Precision,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct OfLinear;

        impl Backward<Flex, 3> for OfLinear {
            /// State of the backward pass: input, weight, precision.
            type State = (Values, Values, Precision);

            fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let gradient = dense(&gradients.consume::<Flex>(&ops.node));
                let [of_x, of_weight, of_bias] = ops.parents;
                let (x, weight, precision) = ops.state;
                let (d_in, d_out) = (last(&x), last(&gradient));
                if let Some(node) = of_x {
                    let values = linear::of_input(slice(&weight), d_out, slice(&gradient), precision);
                    gradients.register::<Flex>(node.id, tensor(values, shape(&x)));
                }
                if let Some(node) = of_weight {
                    let values = linear::of_weight(slice(&x), d_in, slice(&gradient), d_out, precision);
                    gradients.register::<Flex>(node.id, tensor(values, Shape::new([d_in, d_out])));
                }
                if let Some(node) = of_bias {
                    let values = linear::of_bias(slice(&gradient), d_out);
                    gradients.register::<Flex>(node.id, tensor(values, Shape::new([d_out])));
                }
            }
        }

        let prepared = OfLinear.prepare::<C>([x.node(), weight.node(), bias.node()]);
        let (x, weight, bias) = (dense(x.primitive()), dense(weight.primitive()), bias.into_primitive());
        let out = Flex::fused_linear(x.clone(), weight.clone(), bias, precision);
        finish(prepared.compute_bound().stateful(), (x, weight, precision), out)
    }

    fn fused_layer_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct OfLayerNorm;

        impl Backward<Flex, 3> for OfLayerNorm {
            /// State of the backward pass: input, gamma, epsilon.
            type State = (Values, Values, f32);

            fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let gradient = dense(&gradients.consume::<Flex>(&ops.node));
                let (x, gamma, epsilon) = ops.state;
                let found = layer_norm::backward(slice(&x), slice(&gamma), slice(&gradient), epsilon);
                let shapes = [shape(&x), shape(&gamma), shape(&gamma)];
                for ((node, values), shape) in ops.parents.into_iter().zip(found).zip(shapes) {
                    if let Some(node) = node {
                        gradients.register::<Flex>(node.id, tensor(values, shape));
                    }
                }
            }
        }

        let prepared = OfLayerNorm.prepare::<C>([x.node(), gamma.node(), beta.node()]);
        let (x, gamma, beta) = (dense(x.primitive()), dense(gamma.primitive()), beta.into_primitive());
        let out = Flex::fused_layer_norm(x.clone(), gamma.clone(), beta, epsilon);
        finish(prepared.compute_bound().stateful(), (x, gamma, epsilon), out)
    }

    fn fused_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct OfGelu;

        impl Backward<Flex, 1> for OfGelu {
            type State = Values;

            fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let gradient = dense(&gradients.consume::<Flex>(&ops.node));
                let [node] = ops.parents;
                if let Some(node) = node {
                    let values = gelu::backward(slice(&ops.state), slice(&gradient));
                    gradients.register::<Flex>(node.id, tensor(values, shape(&ops.state)));
                }
            }
        }

        let prepared = OfGelu.prepare::<C>([x.node()]);
        let x = dense(x.primitive());
        let out = Flex::fused_gelu(x.clone());
        finish(prepared.compute_bound().stateful(), x, out)
    }

    fn fused_residual(
        x: FloatTensor<Self>,
        branch: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        kept: Vec<f32>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct OfResidual;

        impl Backward<Flex, 3> for OfResidual {
            /// State of the backward pass: branch, scale and the factors of samples.
            type State = (Values, Values, Vec<f32>);

            fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let gradient = dense(&gradients.consume::<Flex>(&ops.node));
                let [of_x, of_branch, of_scale] = ops.parents;
                let (branch, scale, kept) = ops.state;
                let [branches, scales] = residual::backward(slice(&branch), slice(&scale), &kept, slice(&gradient));
                if let Some(node) = of_branch {
                    gradients.register::<Flex>(node.id, tensor(branches, shape(&branch)));
                }
                if let Some(node) = of_scale {
                    gradients.register::<Flex>(node.id, tensor(scales, shape(&scale)));
                }
                if let Some(node) = of_x {
                    gradients.register::<Flex>(node.id, gradient);
                }
            }
        }

        let prepared = OfResidual.prepare::<C>([x.node(), branch.node(), scale.node()]);
        let (x, branch, scale) = (x.into_primitive(), dense(branch.primitive()), dense(scale.primitive()));
        let out = Flex::fused_residual(x, branch.clone(), scale.clone(), kept.clone());
        finish(prepared.compute_bound().stateful(), (branch, scale, kept), out)
    }

    fn fused_cross_entropy(scores: FloatTensor<Self>, targets: Vec<i32>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct OfCrossEntropy;

        impl Backward<Flex, 1> for OfCrossEntropy {
            /// State of the backward pass: scores, log-sum-exp of each row, targets.
            type State = (Values, Vec<f32>, Vec<i32>);

            fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let gradient = dense(&gradients.consume::<Flex>(&ops.node));
                let [node] = ops.parents;
                if let Some(node) = node {
                    let (scores, log_sums, targets) = ops.state;
                    let values = cross_entropy::backward(slice(&scores), &log_sums, &targets, slice(&gradient));
                    gradients.register::<Flex>(node.id, tensor(values, shape(&scores)));
                }
            }
        }

        let prepared = OfCrossEntropy.prepare::<C>([scores.node()]);
        let scores = dense(scores.primitive());
        let log_sums = cross_entropy::log_sums(slice(&scores), last(&scores));
        let losses = cross_entropy::forward(slice(&scores), &log_sums, &targets);
        let out = tensor(losses, Shape::new([targets.len()]));
        finish(prepared.compute_bound().stateful(), (scores, log_sums, targets), out)
    }

    fn fused_attention(qkv: FloatTensor<Self>, n_heads: usize, precision: Precision) -> FloatTensor<Self> {
        let prepared = OfAttention.prepare::<C>([qkv.node()]);
        let qkv = dense(qkv.primitive());
        let out = Flex::fused_attention(qkv.clone(), n_heads, precision);
        finish(prepared.compute_bound().stateful(), (qkv, None, n_heads, precision), out)
    }

    fn fused_attention_with(
        qkv: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        n_heads: usize,
        precision: Precision,
    ) -> FloatTensor<Self> {
        let prepared = OfAttention.prepare::<C>([qkv.node()]);
        let (qkv, bias) = (dense(qkv.primitive()), dense(bias.primitive()));
        let out = Flex::fused_attention_with(qkv.clone(), bias.clone(), n_heads, precision);
        finish(prepared.compute_bound().stateful(), (qkv, Some(bias), n_heads, precision), out)
    }

    fn fused_convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        kernel: [usize; 3],
        precision: Precision,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct OfConvolution;

        impl Backward<Flex, 2> for OfConvolution {
            /// State of the backward pass: input, weight, sides of the kernel, precision.
            type State = (Values, Values, [usize; 3], Precision);

            fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let gradient = dense(&gradients.consume::<Flex>(&ops.node));
                let [of_x, of_weight] = ops.parents;
                let (x, weight, kernel, precision) = ops.state;
                let sizes = convolution_sizes(&x, &weight, kernel);
                if let Some(node) = of_x {
                    let values = convolution::of_input(slice(&weight), slice(&gradient), sizes, precision);
                    gradients.register::<Flex>(node.id, tensor(values, shape(&x)));
                }
                if let Some(node) = of_weight {
                    let values = convolution::of_weight(slice(&x), slice(&gradient), sizes, precision);
                    gradients.register::<Flex>(node.id, tensor(values, shape(&weight)));
                }
            }
        }

        let prepared = OfConvolution.prepare::<C>([x.node(), weight.node()]);
        let (x, weight) = (dense(x.primitive()), dense(weight.primitive()));
        let out = Flex::fused_convolution(x.clone(), weight.clone(), kernel, precision);
        finish(prepared.compute_bound().stateful(), (x, weight, kernel, precision), out)
    }

    fn fused_instance_norm(x: FloatTensor<Self>, epsilon: f32, slope: f32) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct OfInstanceNorm;

        impl Backward<Flex, 1> for OfInstanceNorm {
            /// State of the backward pass: input, epsilon, slope.
            type State = (Values, f32, f32);

            fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let gradient = dense(&gradients.consume::<Flex>(&ops.node));
                let [node] = ops.parents;
                if let Some(node) = node {
                    let (x, epsilon, slope) = ops.state;
                    let values =
                        instance_norm::backward(slice(&x), slice(&gradient), instance_sizes(&x), epsilon, slope);
                    gradients.register::<Flex>(node.id, tensor(values, shape(&x)));
                }
            }
        }

        let prepared = OfInstanceNorm.prepare::<C>([x.node()]);
        let x = dense(x.primitive());
        let out = Flex::fused_instance_norm(x.clone(), epsilon, slope);
        finish(prepared.compute_bound().stateful(), (x, epsilon, slope), out)
    }
}

#[derive(Debug)]
struct OfAttention;

impl Backward<Flex, 1> for OfAttention {
    /// State of the backward pass: queries, keys and values; bias; number of heads; precision.
    type State = (Values, Option<Values>, usize, Precision);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = dense(&gradients.consume::<Flex>(&ops.node));
        let [node] = ops.parents;
        if let Some(node) = node {
            let (qkv, bias, n_heads, precision) = ops.state;
            let bias = bias.as_ref().map(slice);
            let sizes = attention_shape(&qkv, n_heads);
            let values = attention::backward(slice(&qkv), bias, slice(&gradient), sizes, precision);
            gradients.register::<Flex>(node.id, tensor(values, shape(&qkv)));
        }
    }
}
