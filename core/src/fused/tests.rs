//! Tests of the kernels against the plain compositions: values, gradients, and the errors of wrong shapes.

use burn::module::Param;
use burn::tensor::TensorData;

use super::*;

use burn::tensor::Device;

const FLOAT32: Precision = Precision::Float32;

fn linear<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    super::linear(layer, x, FLOAT32)
}

fn affine<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    super::affine(x, weight, bias, FLOAT32)
}

fn attention(qkv: Tensor<3>, n_heads: usize, hidden: Option<Tensor<4, Bool>>) -> Tensor<3> {
    super::attention(qkv, n_heads, hidden, FLOAT32)
}

fn device() -> Device {
    Device::flex().autodiff()
}

/// Numbers that look random and are always the same.
fn values<const D: usize>(shape: [usize; D], seed: usize) -> Tensor<D> {
    let n: usize = shape.iter().product();
    let values: Vec<f32> = (0..n).map(|at| ((at * 7919 + seed * 104_729) % 10_007) as f32 / 2500.0 - 2.0).collect();
    Tensor::from_data(TensorData::new(values, shape), &device())
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// Compares values. Products of matrices add in an order that differs by processor, so that sums of 200 values differ by up to 3e-6 of the largest.
fn close(what: &str, found: Vec<f32>, expected: Vec<f32>) {
    let largest = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs())).max(1e-6);
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert!((found - expected).abs() <= 4e-6 * largest, "{what}, value {at}: {found} instead of {expected}");
    }
}

/// Compares two functions of some tensors: outputs, and gradients of a sum in which each output has a different weight.
fn same<const N: usize, const D: usize>(
    what: &str,
    inputs: [Tensor<D>; N],
    found: impl Fn([Tensor<D>; N]) -> Tensor<D>,
    expected: impl Fn([Tensor<D>; N]) -> Tensor<D>,
) {
    let run = |of: &dyn Fn([Tensor<D>; N]) -> Tensor<D>| {
        let inputs = inputs.clone().map(Tensor::require_grad);
        let out = of(inputs.clone());
        let weights = values(out.dims(), 99);
        let gradients = (out.clone() * weights).sum().backward();
        let mut all = vec![numbers(out)];
        all.extend(inputs.iter().map(|input| numbers(input.grad(&gradients).unwrap())));
        all
    };
    for (at, (found, expected)) in run(&found).into_iter().zip(run(&expected)).enumerate() {
        let part = if at == 0 { "output".into() } else { format!("gradient {at}") };
        close(&format!("{what}: {part}"), found, expected);
    }
}

/// Vectors have the shape `[1, 1, width]`, so that all inputs have one type.
fn vector(tensor: &Tensor<3>) -> Tensor<1> {
    tensor.clone().flatten(0, 2)
}

const SHAPES: [[usize; 3]; 4] = [[1, 1, 8], [2, 5, 24], [3, 50, 96], [2, 197, 192]];

#[test]
fn layer_norm_is_its_definition() {
    for [n, length, width] in SHAPES {
        let inputs = [values([n, length, width], 1), values([1, 1, width], 2), values([1, 1, width], 3)];
        same(
            "layer norm",
            inputs,
            |[x, gamma, beta]| layer_norm(x, vector(&gamma), vector(&beta), 1e-5),
            |[x, gamma, beta]| plain::layer_norm(x, vector(&gamma), vector(&beta), 1e-5),
        );
    }
}

#[test]
fn gelu_equals_that_of_burn() {
    for shape in SHAPES {
        same("gelu", [values(shape, 1).mul_scalar(3.0)], |[x]| gelu(x), |[x]| burn::tensor::activation::gelu(x));
    }
}

#[test]
fn a_scaled_residual_is_its_definition() {
    for [n, length, width] in SHAPES {
        let inputs = [values([n, length, width], 1), values([n, length, width], 2), values([1, 1, width], 3)];
        same(
            "residual",
            inputs,
            |[x, branch, scale]| scaled_residual(x, branch, vector(&scale), None),
            |[x, branch, scale]| plain::scaled_residual(x, branch, vector(&scale), None),
        );
    }
}

#[test]
fn a_residual_drops_the_branches_of_some_samples() {
    for [n, length, width] in SHAPES {
        let inputs = [values([n, length, width], 1), values([n, length, width], 2), values([1, 1, width], 3)];
        let kept = || Some((0..n).map(|sample| (sample % 2) as f32 * 1.25).collect());
        same(
            "stochastic depth",
            inputs,
            |[x, branch, scale]| scaled_residual(x, branch, vector(&scale), kept()),
            |[x, branch, scale]| plain::scaled_residual(x, branch, vector(&scale), kept()),
        );
    }
}

#[test]
fn cross_entropy_is_its_definition_also_for_large_scores() {
    for [rows, classes] in [[1, 3], [7, 50], [13, 1009], [3, 30_000]] {
        let targets: Vec<i32> = (0..rows).map(|row| ((row * 7919) % classes) as i32).collect();
        for spread in [1.0, 40.0] {
            let run = |of: &dyn Fn(Tensor<2>) -> Tensor<1>| {
                let scores = values([rows, classes], 1).mul_scalar(spread).require_grad();
                let losses = of(scores.clone());
                let gradients = (losses.clone() * values([rows], 99)).sum().backward();
                [numbers(losses), numbers(scores.grad(&gradients).unwrap())]
            };
            let found = run(&|scores| cross_entropy(scores, &targets));
            let expected = run(&|scores| plain::cross_entropy(scores, &targets));
            for (what, (found, expected)) in ["losses", "gradients"].iter().zip(found.into_iter().zip(expected)) {
                close(what, found, expected);
            }
        }
    }
    // Equally likely classes, computed by hand.
    let losses = cross_entropy(Tensor::full([2, 8], -3.5, &device()), &[0, 7]);
    close("equal scores", numbers(losses), vec![8f32.ln(); 2]);
}

#[test]
#[should_panic(expected = "targets among 5 classes")]
fn a_target_must_be_a_class() {
    cross_entropy(values([1, 5], 1), &[5]);
}

#[test]
fn bfloat16_inputs_give_nearly_equal_bfloat16_outputs() {
    let few = |x: Tensor<3>| x.cast(DType::BF16);
    let near = |what: &str, found: Tensor<3>, expected: Tensor<3>| {
        assert_eq!(found.dtype(), DType::BF16, "{what}");
        let difference = numbers((found.cast(DType::F32) - expected.clone()).abs().max())[0];
        let largest = numbers(expected.abs().max())[0];
        assert!(difference < 0.02 * largest, "{what}: {difference} of {largest}");
    };
    let x = values([2, 5, 24], 1);
    near("gelu", gelu(few(x.clone())), gelu(x.clone()));
    near("attention", attention(few(x.clone()), 2, None), attention(x.clone(), 2, None));
    let weight = Param::from_tensor(values([24, 40], 2));
    let layer = Linear { weight, bias: Some(Param::from_tensor(values([40], 3))) };
    near("linear", linear(&layer, few(x.clone())), linear(&layer, x.clone()));
    // Gradients have the element type of their parameter.
    let gradients = linear(&layer, few(x.require_grad())).cast(DType::F32).sum().backward();
    assert_eq!(layer.weight.val().grad(&gradients).unwrap().dtype(), DType::F32);
}

/// Every product in bfloat16, forward and backward, against operands that are rounded before products in float32.
#[test]
fn products_in_bfloat16_are_those_of_rounded_operands() {
    let rounded = |x: &Tensor<3>| x.clone().cast(DType::BF16).cast(DType::F32);
    for [n, length, width] in SHAPES {
        // Rounding a rounded value changes nothing, so that only operands that arise on the way are rounded in one route alone.
        let x = rounded(&values([n, length, width], 1));
        let weight = rounded(&values([1, width, 2 * width + 3], 2)).squeeze_dim::<2>(0);
        let bias = values([2 * width + 3], 3);
        let run = |precision: Precision| {
            let (x, weight) = (x.clone().detach().require_grad(), weight.clone().detach().require_grad());
            let out = super::affine(x.clone(), weight.clone(), Some(bias.clone()), precision);
            // A gradient of ones and zeros is not changed by rounding either.
            let chosen = values(out.dims(), 99).greater_elem(0.0).float();
            let gradients = (out.clone() * chosen).sum().backward();
            [numbers(out), numbers(x.grad(&gradients).unwrap()), numbers(weight.grad(&gradients).unwrap())]
        };
        for (found, expected) in run(Precision::Bfloat16).into_iter().zip(run(FLOAT32)) {
            close("linear in bfloat16", found, expected);
        }
    }
}

#[test]
fn attention_in_bfloat16_is_near_that_in_float32() {
    for [n, length, width] in SHAPES {
        let run = |precision: Precision| {
            let qkv = values([n, length, 3 * width], 1).require_grad();
            let out = super::attention(qkv.clone(), 4, None, precision);
            let gradients = (out.clone() * values(out.dims(), 99)).sum().backward();
            [numbers(out), numbers(qkv.grad(&gradients).unwrap())]
        };
        for (found, expected) in run(Precision::Bfloat16).into_iter().zip(run(FLOAT32)) {
            let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x * x)).sum::<f64>().sqrt();
            let apart =
                norm(&mut found.iter().zip(&expected).map(|(a, b)| a - b)) / norm(&mut expected.iter().copied());
            assert!(apart > 0.0 && apart < 0.02, "{length} tokens: {apart}");
        }
    }
}

#[test]
fn a_linear_layer_equals_that_of_burn() {
    for [n, length, width] in SHAPES {
        let layer = |weight: &Tensor<3>, bias: &Tensor<3>| Linear {
            weight: Param::from_tensor(weight.clone().squeeze_dim::<2>(0)),
            bias: Some(Param::from_tensor(vector(bias))),
        };
        // Parameters are leaves of their own, so gradients are read from the layer.
        let (weight, bias) = (values([1, width, 2 * width + 3], 2), values([1, 1, 2 * width + 3], 3));
        let run = |fused: bool| {
            let layer = layer(&weight, &bias);
            let x = values([n, length, width], 1).require_grad();
            let out = if fused { linear(&layer, x.clone()) } else { layer.forward(x.clone()) };
            let gradients = (out.clone() * values(out.dims(), 99)).sum().backward();
            [
                numbers(out),
                numbers(x.grad(&gradients).unwrap()),
                numbers(layer.weight.val().grad(&gradients).unwrap()),
                numbers(layer.bias.unwrap().val().grad(&gradients).unwrap()),
            ]
        };
        for (at, (found, expected)) in run(true).into_iter().zip(run(false)).enumerate() {
            close(&format!("linear, part {at}"), found, expected);
        }
    }
}

#[test]
fn attention_is_its_definition_with_and_without_hidden_keys() {
    for [n, length, width] in SHAPES {
        let qkv = values([n, length, 3 * width], 1);
        same("attention", [qkv.clone()], |[qkv]| attention(qkv, 4, None), |[qkv]| plain::attention(qkv, 4, None));
        // Hidden keys: all later ones, the same in all samples; or some keys of each sample, and all keys of the first.
        let later = Tensor::<2, Bool>::tril_mask([length, length], 0, &device()).unsqueeze::<4>();
        let some: Vec<bool> = (0..n * length).map(|at| at < length || at % 3 == 0).collect();
        let some = Tensor::<4, Bool>::from_data(TensorData::new(some, [n, 1, 1, length]), &device());
        for hidden in [later, some] {
            let hidden = Some(hidden);
            same(
                "masked attention",
                [qkv.clone()],
                |[qkv]| attention(qkv, 4, hidden.clone()),
                |[qkv]| plain::attention(qkv, 4, hidden.clone()),
            );
        }
    }
}

#[test]
fn views_with_gaps_are_read_in_their_order() {
    let wide = values([2, 48, 5], 1);
    let view = |x: &Tensor<3>| x.clone().swap_dims(1, 2).narrow(2, 12, 24);
    same("gelu of a view", [wide.clone()], |[x]| gelu(view(&x)), |[x]| burn::tensor::activation::gelu(view(&x)));
    same("attention of a view", [wide], |[x]| attention(view(&x), 2, None), |[x]| plain::attention(view(&x), 2, None));
}

#[test]
fn a_step_of_adamw_is_its_definition_and_leaves_shared_values_alone() {
    let device = Device::flex();
    let draw = |seed| values([37, 501], seed).to_device(&device).inner();
    let step = AdamWStep {
        beta_1: 0.9,
        beta_2: 0.95,
        epsilon: 1e-8,
        rate: 1e-3,
        kept: 0.99,
        correction_1: 0.19,
        correction_2: 0.0975,
    };
    let shared = draw(1);
    let found = adamw(shared.clone(), draw(2), draw(3), draw(4).square(), step);
    let expected = plain::adamw(draw(1), draw(2), draw(3), draw(4).square(), step);
    for (what, (found, expected)) in ["parameters", "first", "second"].iter().zip(found.into_iter().zip(expected)) {
        close(what, numbers(found), numbers(expected));
    }
    assert_eq!(numbers(shared), numbers(draw(1)));
}

/// Columns that belong to no head would never be written.
#[test]
#[should_panic(expected = "32 columns for 3 heads")]
fn heads_must_share_the_width() {
    attention(values([1, 5, 96], 1), 3, None);
}

#[test]
fn values_do_not_depend_on_the_number_of_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let x = values([4, 197, 96], 1).require_grad();
            let (gamma, beta) = (values([96], 2).require_grad(), values([96], 3));
            let (weight, bias) = (Param::from_tensor(values([32, 768], 4)), Some(Param::from_tensor(values([768], 5))));
            let layer = Linear { weight, bias };
            let out = linear(&layer, attention(layer_norm(x.clone(), gamma.clone(), beta, 1e-6), 4, None));
            let gradients = (out.clone() * values(out.dims(), 9)).sum().backward();
            let of_vectors = [gamma, layer.bias.unwrap().val()].map(|vector| numbers(vector.grad(&gradients).unwrap()));
            let of_weight = numbers(layer.weight.val().grad(&gradients).unwrap());
            (numbers(out), numbers(x.grad(&gradients).unwrap()), of_weight, of_vectors)
        })
    };
    let expected = run(1);
    (2..=5).for_each(|threads| assert!(run(threads) == expected, "{threads} threads"));
}

/// The message of a panic that `work` must end with.
fn error(work: &dyn Fn()) -> Option<String> {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).err()?;
    panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
}

fn all_refused(rows: &[(&str, &dyn Fn(), &str)]) {
    for (what, work, expected) in rows {
        let message = error(work).unwrap_or_else(|| format!("{what} was not refused"));
        assert!(message.contains(expected), "{what}: {message}");
    }
}

/// A kernel writes row by row: with wrong shapes, part of its output would be uninitialised memory.
#[test]
fn wrong_shapes_are_refused_by_every_operation() {
    let x = || values([2, 5, 24], 1);
    let v = |n| values([n], 2);
    let step = AdamWStep {
        beta_1: 0.9,
        beta_2: 0.95,
        epsilon: 1e-8,
        rate: 1e-3,
        kept: 0.99,
        correction_1: 0.19,
        correction_2: 0.0975,
    };
    let p = |n: usize| values([n], 3).inner();
    let hidden = |dims: [usize; 4]| {
        let n = dims.iter().product();
        Some(Tensor::<4, Bool>::from_data(TensorData::new(vec![false; n], dims), &device()))
    };
    all_refused(&[
        ("a short gamma", &|| drop(layer_norm(x(), v(23), v(24), 1e-5)), "values of gamma and of beta"),
        ("a gamma that divides the width", &|| drop(layer_norm(x(), v(8), v(8), 1e-5)), "values of gamma and of beta"),
        ("a long gamma", &|| drop(layer_norm(x(), v(48), v(48), 1e-5)), "values of gamma and of beta"),
        ("a short beta", &|| drop(layer_norm(x(), v(24), v(7), 1e-5)), "values of gamma and of beta"),
        ("a long beta", &|| drop(layer_norm(x(), v(24), v(25), 1e-5)), "values of gamma and of beta"),
        ("a short branch", &|| drop(scaled_residual(x(), values([2, 4, 24], 1), v(24), None)), "shapes of the branch"),
        (
            "a branch of fewer samples",
            &|| drop(scaled_residual(x(), values([1, 5, 24], 1), v(24), None)),
            "shapes of the branch",
        ),
        ("a short scale", &|| drop(scaled_residual(x(), x(), v(7), None)), "values of the scale"),
        ("a scale that divides the width", &|| drop(scaled_residual(x(), x(), v(12), None)), "values of the scale"),
        ("too few kept", &|| drop(scaled_residual(x(), x(), v(24), Some(vec![1.0]))), "what is kept"),
        ("too many kept", &|| drop(scaled_residual(x(), x(), v(24), Some(vec![1.0; 10]))), "what is kept"),
        ("a weight of another width", &|| drop(affine(x(), values([12, 4], 1), Some(v(4)))), "rows of the weight"),
        ("a short bias", &|| drop(affine(x(), values([24, 4], 1), Some(v(2)))), "values of the bias"),
        ("a weight without a bias", &|| drop(affine(x(), values([25, 4], 1), None)), "rows of the weight"),
        ("too few targets", &|| drop(cross_entropy(values([3, 5], 1), &[0, 1])), "targets of 3 rows"),
        ("a negative target", &|| drop(cross_entropy(values([1, 5], 1), &[-1])), "targets among 5 classes"),
        ("no heads", &|| drop(attention(x(), 0, None)), "8 columns for 0 heads"),
        ("no three parts", &|| drop(attention(values([2, 5, 25], 1), 4, None)), "columns for 4 heads"),
        ("hidden keys of other samples", &|| drop(attention(x(), 2, hidden([3, 1, 5, 5]))), "what is hidden"),
        ("hidden keys by head", &|| drop(attention(x(), 2, hidden([2, 2, 5, 5]))), "what is hidden"),
        ("hidden keys of fewer tokens", &|| drop(attention(x(), 2, hidden([2, 1, 1, 4]))), "what is hidden"),
        ("a short gradient", &|| drop(adamw(p(9), p(8), p(9), p(9), step)), "shapes of a gradient or moment"),
        ("a short first moment", &|| drop(adamw(p(9), p(9), p(8), p(9), step)), "shapes of a gradient or moment"),
        ("a long second moment", &|| drop(adamw(p(9), p(9), p(9), p(10), step)), "shapes of a gradient or moment"),
    ]);
}

/// The kernels check lengths themselves, so that their unsafe code does not depend on the caller.
#[test]
fn wrong_lengths_are_refused_by_every_kernel() {
    let z = |n: usize| vec![0.5_f32; n];
    let shape = attention::Shape { n: 2, length: 3, width: 4, n_heads: 2 };
    all_refused(&[
        ("rows with a remainder", &|| drop(layer_norm::forward(&z(25), &z(8), &z(8), 0.1)), "no rows of 8"),
        ("rows of nothing", &|| drop(layer_norm::forward(&z(24), &[], &[], 0.1)), "no rows of 0"),
        ("a short beta", &|| drop(layer_norm::forward(&z(24), &z(8), &z(7), 0.1)), "of one width"),
        ("a norm's gradient", &|| drop(layer_norm::backward(&z(24), &z(8), &z(16), 0.1)), "a gradient of the shape"),
        ("a norm's input", &|| drop(layer_norm::backward(&z(25), &z(8), &z(25), 0.1)), "no rows of 8"),
        ("a short branch", &|| drop(residual::forward(&z(24), &z(16), &z(8), &z(1))), "a branch of the shape"),
        ("a stream with a remainder", &|| drop(residual::forward(&z(25), &z(25), &z(8), &z(1))), "no rows of 8"),
        ("samples of uneven rows", &|| drop(residual::forward(&z(24), &z(24), &z(8), &z(2))), "share the rows evenly"),
        ("no samples", &|| drop(residual::forward(&z(24), &z(24), &z(8), &[])), "share the rows evenly"),
        ("a residual's gradient", &|| drop(residual::backward(&z(24), &z(8), &z(3), &z(8))), "a gradient of the shape"),
        ("a branch with a remainder", &|| drop(residual::backward(&z(25), &z(8), &z(1), &z(25))), "no rows of 8"),
        ("a short gradient", &|| drop(gelu::backward(&z(24), &z(23))), "a gradient of the shape"),
        ("a weight with a remainder", &|| drop(linear::forward(&z(24), &z(25), &z(8), FLOAT32)), "no rows of 8"),
        ("inputs with a remainder", &|| drop(linear::forward(&z(25), &z(64), &z(8), FLOAT32)), "no rows of 8"),
        ("scores with a remainder", &|| drop(cross_entropy::log_sums(&z(25), 8)), "no rows of 8"),
        ("scores of no class", &|| drop(cross_entropy::log_sums(&z(25), 0)), "no rows of 0"),
        ("too few sums", &|| drop(cross_entropy::backward(&z(24), &z(2), &[0; 3], &z(3))), "for each of 3 targets"),
        (
            "too few gradients",
            &|| drop(cross_entropy::backward(&z(24), &z(3), &[0; 3], &z(2))),
            "for each of 3 targets",
        ),
        ("uneven scores", &|| drop(cross_entropy::backward(&z(25), &z(3), &[0; 3], &z(3))), "no rows of 3 targets"),
        ("too few values", &|| drop(attention::forward(&z(71), None, shape, FLOAT32)), "queries, keys and values"),
        (
            "too many biases",
            &|| drop(attention::forward(&z(72), Some(&z(27)), shape, FLOAT32)),
            "one bias for all or for each",
        ),
        (
            "a bias cut short",
            &|| drop(attention::forward(&z(72), Some(&z(17)), shape, FLOAT32)),
            "one bias for all or for each",
        ),
        (
            "a gradient cut short",
            &|| drop(attention::backward(&z(72), None, &z(23), shape, FLOAT32)),
            "a gradient of the attention",
        ),
        (
            "heads that do not divide",
            &|| drop(attention::forward(&z(72), None, attention::Shape { n_heads: 3, ..shape }, FLOAT32)),
            "n_heads: 3",
        ),
    ]);
}

#[test]
fn kernels_use_the_widest_vectors_that_the_processor_has() {
    #[cfg(target_arch = "x86_64")]
    {
        let arch = format!("{:?}", pulp::Arch::new());
        let has_avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        assert!(!has_avx2 || arch.starts_with("V3") || arch.starts_with("V4"), "{arch}");
    }
}

/// Sizes with all borders, one voxel an axis, more channels than a block has room for, several blocks, kernels of one and three.
#[test]
fn a_convolution_is_that_of_burn() {
    for ([n, depth, height, width, d_in], d_out, kernel) in [
        ([1, 1, 1, 1, 1], 1, [1, 1, 1]),
        ([2, 1, 5, 7, 3], 4, [1, 3, 3]),
        ([2, 4, 3, 5, 2], 3, [3, 3, 3]),
        ([1, 2, 2, 1, 5], 6, [3, 1, 5]),
        ([1, 6, 20, 25, 16], 8, [3, 3, 3]),
    ] {
        let [of_depth, of_height, of_width] = kernel;
        let n_weight = of_depth * of_height * of_width * d_in * d_out;
        let inputs = [values([n, depth, height, width, d_in], 1), values([1, 1, 1, 1, n_weight], 2)];
        let weight = |flat: Tensor<5>| flat.reshape([d_out, d_in, of_depth, of_height, of_width]);
        same(
            "convolution",
            inputs,
            |[x, flat]| convolution(x, weight(flat), FLOAT32),
            |[x, flat]| plain::convolution(x, weight(flat)),
        );
    }
}

#[test]
fn an_instance_norm_is_its_definition() {
    for shape in [[1, 1, 1, 9, 3], [2, 3, 4, 5, 6], [1, 8, 30, 31, 16]] {
        for slope in [1.0, 0.01] {
            let found = |[x]: [Tensor<5>; 1]| instance_norm(x, 1e-5, slope);
            same("instance norm", [values(shape, 3)], found, |[x]| plain::instance_norm(x, 1e-5, slope));
        }
    }
}
