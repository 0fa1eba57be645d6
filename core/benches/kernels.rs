//! The operations of a Transformer block, forward and backward, each as our kernel and as the plain composition that it stands for; and a step of
//! Lloyd's algorithm. Sizes are those of ViT-B with 50 visible tokens and batches of 8.
//!
//! `cargo bench --workspace --bench kernels`, or with a part of a name behind `--`.

use std::hint::black_box;

use burn::nn::LinearConfig;
use burn::tensor::{Device, Distribution, Tensor};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use medcoss_core::clustering::{Clusters, Initialisation, KMeansOptions};
use medcoss_core::fused::{self, AdamWStep, plain};
use medcoss_core::model::Precision;

const SHAPE: [usize; 3] = [8, 50, 768];
const HEADS: usize = 12;

fn drawn<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

/// Forward and backward of an operation on tensors that are learned.
fn both_ways(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    shape: [usize; 3],
    operation: impl Fn(Tensor<3>) -> Tensor<3>,
) {
    let x = drawn(shape, &Device::flex().autodiff()).require_grad();
    group.bench_function(name, |bencher| {
        bencher.iter(|| black_box(operation(x.clone()).sum().backward()));
    });
}

fn block(criterion: &mut Criterion) {
    let device = Device::flex().autodiff();
    device.seed(1);
    let [_, _, width] = SHAPE;

    let layer = LinearConfig::new(width, 4 * width).init(&device);
    let mut group = criterion.benchmark_group("linear");
    both_ways(&mut group, "ours", SHAPE, |x| fused::linear(&layer, x, Precision::Float32));
    both_ways(&mut group, "plain", SHAPE, |x| layer.forward(x));
    group.finish();

    let (gamma, beta) = (drawn([width], &device).require_grad(), drawn([width], &device).require_grad());
    let mut group = criterion.benchmark_group("layer norm");
    both_ways(&mut group, "ours", SHAPE, |x| fused::layer_norm(x, gamma.clone(), beta.clone(), 1e-6));
    both_ways(&mut group, "plain", SHAPE, |x| plain::layer_norm(x, gamma.clone(), beta.clone(), 1e-6));
    group.finish();

    let hidden = [SHAPE[0], SHAPE[1], 4 * width];
    let mut group = criterion.benchmark_group("gelu");
    both_ways(&mut group, "ours", hidden, fused::gelu);
    both_ways(&mut group, "plain", hidden, burn::tensor::activation::gelu);
    group.finish();

    let branch = drawn(SHAPE, &device).require_grad();
    let mut group = criterion.benchmark_group("scaled residual");
    both_ways(&mut group, "ours", SHAPE, |x| fused::scaled_residual(x, branch.clone(), gamma.clone(), None));
    both_ways(&mut group, "plain", SHAPE, |x| plain::scaled_residual(x, branch.clone(), gamma.clone(), None));
    group.finish();

    let [rows, vocabulary] = [512, 28_996];
    let targets: Vec<i32> = (0..rows).map(|row| (row * 37 % vocabulary) as i32).collect();
    let mut group = criterion.benchmark_group("cross-entropy");
    let of_rows = |x: Tensor<3>| x.reshape([rows, vocabulary]);
    both_ways(&mut group, "ours", [1, rows, vocabulary], |x| {
        fused::cross_entropy(of_rows(x), &targets).reshape([1, 1, rows])
    });
    both_ways(&mut group, "plain", [1, rows, vocabulary], |x| {
        plain::cross_entropy(of_rows(x), &targets).reshape([1, 1, rows])
    });
    group.finish();

    let qkv = [SHAPE[0], SHAPE[1], 3 * width];
    let mut group = criterion.benchmark_group("attention");
    both_ways(&mut group, "ours", qkv, |x| fused::attention(x, HEADS, None, Precision::Float32));
    both_ways(&mut group, "plain", qkv, |x| plain::attention(x, HEADS, None));
    group.finish();
}

fn update(criterion: &mut Criterion) {
    let device = Device::flex();
    let step = AdamWStep {
        beta_1: 0.9,
        beta_2: 0.95,
        epsilon: 1e-8,
        rate: 1e-4,
        kept: 0.999,
        correction_1: 0.1,
        correction_2: 0.05,
    };
    let gradient = drawn([768, 3072], &device);
    let mut group = criterion.benchmark_group("AdamW");
    type Update = fn(Tensor<2>, Tensor<2>, Tensor<2>, Tensor<2>, AdamWStep) -> [Tensor<2>; 3];
    for (name, update) in [("ours", fused::adamw as Update), ("plain", plain::adamw)] {
        // As in training nobody else holds the parameters: they are updated in place.
        let mut state = Some([gradient.clone() * 1.0, gradient.zeros_like(), gradient.zeros_like()]);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                state =
                    state.take().map(|[values, first, second]| update(values, gradient.clone(), first, second, step));
            });
        });
    }
    group.finish();
}

fn lloyd(criterion: &mut Criterion) {
    let (n, width, n_centres) = (4096, 768, 64);
    let device = Device::flex();
    device.seed(2);
    let points: Vec<f32> = drawn([n, width], &device).into_data().try_into_vec().expect("float32 on the CPU");
    let centres: Vec<f64> = points[..n_centres * width].iter().map(|value| f64::from(*value)).collect();
    criterion.bench_function("k-means/first step", |bencher| {
        bencher.iter(|| {
            let mut options =
                KMeansOptions { device: &device, max_iterations: 1, tolerance: 0.0, progress: &mut |_, _| Ok(()) };
            black_box(Clusters::fit(&points, width, Initialisation::Given(&centres), &mut options))
        });
    });
}

criterion_group!(kernels, block, update, lloyd);
criterion_main!(kernels);
