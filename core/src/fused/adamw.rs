//! The update of AdamW (Loshchilov and Hutter, ICLR 2019) in one pass over a parameter, its gradient and its moments.

use pulp::Simd;
use rayon::prelude::*;

use super::vector::rows_per_block;

/// Constants of one step of AdamW, the same for all values of a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Decay rate of the first moment (mean of gradients).
    pub beta_1: f32,
    /// Decay rate of the second moment (mean of squared gradients).
    pub beta_2: f32,
    /// Constant added to the root of the second moment.
    pub epsilon: f32,
    /// Learning rate.
    pub rate: f32,
    /// Factor of the weight decay: one minus learning rate times decay.
    pub kept: f32,
    /// Bias correction of the first moment: `1 - beta_1^t` in step `t`, from 1.
    pub correction_1: f32,
    /// Bias correction of the second moment: `1 - beta_2^t`.
    pub correction_2: f32,
}

/// One step of AdamW: updates parameters and moments in place.
///
/// # Panics
/// When the slices differ in length.
pub fn update(parameters: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32], step: Step) {
    let n = parameters.len();
    assert!(gradient.len() == n && first.len() == n && second.len() == n, "a gradient and two moments of {n} values");
    let block = rows_per_block(1);
    parameters
        .par_chunks_mut(block)
        .zip(gradient.par_chunks(block))
        .zip(first.par_chunks_mut(block))
        .zip(second.par_chunks_mut(block))
        .for_each(|(((parameters, gradient), first), second)| values(parameters, gradient, first, second, step));
}

#[pulp::with_simd(values = pulp::Arch::new())]
#[inline(always)]
fn values_with_simd<'a, S: Simd>(
    _simd: S,
    parameters: &'a mut [f32],
    gradient: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    step: Step,
) {
    let values = parameters.iter_mut().zip(gradient).zip(first).zip(second);
    for (((parameter, &gradient), first), second) in values {
        *first = *first * step.beta_1 + gradient * (1.0 - step.beta_1);
        *second = *second * step.beta_2 + gradient * gradient * (1.0 - step.beta_2);
        let change = (*first / step.correction_1) / ((*second / step.correction_2).sqrt() + step.epsilon);
        *parameter = *parameter * step.kept - change * step.rate;
    }
}
