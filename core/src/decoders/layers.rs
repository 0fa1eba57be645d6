//! Layers of decoders: convolutions, transposed convolutions, residual blocks.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::leaky_relu;

use crate::fused;
use crate::model::Initialiser;
use crate::precision::Precision;

/// Slope of negative values in leaky ReLUs, as in the reference.
const SLOPE: f64 = 0.01;
/// Added to the variance in instance norms.
const EPSILON: f64 = 1e-5;

/// Convolution of stride 1 that keeps the size, without bias.
#[derive(Module, Debug)]
pub(super) struct Convolution {
    /// `[d_out, d_in, kernel...]`.
    weight: Param<Tensor<5>>,
}

impl Convolution {
    /// Initial values are uniform within one over the root of the fan-in, PyTorch's default.
    pub fn new([d_in, d_out]: [usize; 2], [depth, height, width]: [usize; 3], init: &mut Initialiser<'_>) -> Self {
        let fan_in = (d_in * depth * height * width) as f32;
        Self { weight: init.uniform([d_out, d_in, depth, height, width], 1.0 / fan_in.sqrt()) }
    }

    pub fn forward(&self, x: Tensor<5>, precision: Precision) -> Tensor<5> {
        let [d_out, d_in, depth, height, width] = self.weight.dims();
        if [depth, height, width] != [1; 3] {
            return fused::convolution(x, self.weight.val(), precision);
        }
        // A kernel of one voxel is a linear layer of channels.
        let weight = self.weight.val().reshape([d_out, d_in]).transpose();
        fused::float32(fused::affine(fused::operand(x, precision), weight, None, precision))
    }
}

/// Transposed convolution whose stride is its kernel, without bias: each voxel becomes a block of voxels.
#[derive(Module, Debug)]
pub(super) struct TransposedConvolution {
    /// `[d_in, d_out, kernel...]`.
    weight: Param<Tensor<5>>,
}

impl TransposedConvolution {
    /// Initial values are PyTorch's, whose fan-in is `d_out` times the kernel.
    pub fn new([d_in, d_out]: [usize; 2], factors: [usize; 3], init: &mut Initialiser<'_>) -> Self {
        let [depth, height, width] = factors;
        let fan_in = (d_out * depth * height * width) as f32;
        Self { weight: init.uniform([d_in, d_out, depth, height, width], 1.0 / fan_in.sqrt()) }
    }

    pub fn forward(&self, x: Tensor<5>, precision: Precision) -> Tensor<5> {
        let [n, depth, height, width, _] = x.dims();
        let [d_in, d_out, by_z, by_y, by_x] = self.weight.dims();
        let weight = self.weight.val().permute([0, 2, 3, 4, 1]).reshape([d_in, by_z * by_y * by_x * d_out]);
        let blocks = fused::float32(fused::affine(fused::operand(x, precision), weight, None, precision));
        let blocks: Tensor<8> = blocks.reshape([n, depth, height, width, by_z, by_y, by_x, d_out]);
        blocks.permute([0, 1, 4, 2, 5, 3, 6, 7]).reshape([n, depth * by_z, height * by_y, width * by_x, d_out])
    }
}

/// Residual block: two convolutions, each with an instance norm; where the number of channels changes, a third one on the direct way.
#[derive(Module, Debug)]
pub(super) struct ResidualBlock {
    conv1: Convolution,
    conv2: Convolution,
    /// Kernel of one voxel; none where the number of channels stays.
    conv3: Option<Convolution>,
}

impl ResidualBlock {
    pub fn new([d_in, d_out]: [usize; 2], kernel: [usize; 3], init: &mut Initialiser<'_>) -> Self {
        Self {
            conv1: Convolution::new([d_in, d_out], kernel, init),
            conv2: Convolution::new([d_out, d_out], kernel, init),
            conv3: (d_in != d_out).then(|| Convolution::new([d_in, d_out], [1; 3], init)),
        }
    }

    pub fn forward(&self, x: Tensor<5>, precision: Precision) -> Tensor<5> {
        let inner = fused::instance_norm(self.conv1.forward(x.clone(), precision), EPSILON, SLOPE);
        let inner = fused::instance_norm(self.conv2.forward(inner, precision), EPSILON, 1.0);
        let direct = match &self.conv3 {
            Some(conv) => fused::instance_norm(conv.forward(x, precision), EPSILON, 1.0),
            None => x,
        };
        leaky_relu(inner + direct, SLOPE)
    }
}

/// Kernel of three voxels along each axis that a sample has.
pub(super) fn kernel_of(space: [usize; 3]) -> [usize; 3] {
    // Along an axis of one voxel the outer taps would only ever meet zeros.
    space.map(|side| if side > 1 { 3 } else { 1 })
}
