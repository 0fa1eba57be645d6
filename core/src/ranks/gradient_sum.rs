//! The sum of the gradients of an update's batches, over all ranks.
//!
//! Each bucket of parameters is divided among the ranks: a rank gets everybody's nodes of its part ([`Communicator::all_to_all`]), finishes the tree,
//! and gives the sum to all ([`Communicator::all_gather`]). Parameters with a gradient in the same nodes travel together.
//!
//! In bfloat16, half as many bytes travel. Every gradient and every sum of the tree is then rounded, on one rank as well, so that the number of ranks
//! still changes nothing.
//!
//! [`Communicator::all_to_all`]: super::Communicator::all_to_all
//! [`Communicator::all_gather`]: super::Communicator::all_gather

use std::borrow::Cow;
use std::ops::Range;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Tensor, TensorData};
use half::bf16;
use serde::{Deserialize, Serialize};

use super::group::Ranks;
use super::sum_tree::{Node, SumTree};
use crate::model::Model;
use crate::precision::Precision;
use crate::{DeviceError, Result};

/// Largest number of values in a bucket, unless a single parameter has more: 16 MiB.
const BUCKET: usize = 4 << 20;

/// Gradients of the batches that this rank has learned since the last update.
#[derive(Default)]
pub(crate) struct GradientSum {
    tree: SumTree<GradientsParams>,
}

/// A node of a rank's tree, without its values: which parameters have a gradient in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct NodeParameters {
    first: usize,
    len: usize,
    /// By parameter, in the order of the model: `1` with a gradient, `0` without.
    has: String,
}

/// A parameter that has a gradient in some nodes: its number of values, and the nodes.
struct Summand {
    n_values: usize,
    /// Ranks and their nodes, by position in the rank's list.
    nodes: Vec<(usize, usize)>,
}

impl GradientSum {
    /// Adds the gradients of the batch with the number `leaf` within the update.
    pub fn push(&mut self, leaf: usize, gradients: GradientsParams, model: &Model, precision: Precision) {
        // A sum with nothing rounds the gradients.
        let gradients = match precision {
            Precision::Float32 => gradients,
            Precision::Bfloat16 => added(model, gradients, GradientsParams::new(), precision),
        };
        self.tree.push(Node { first: leaf, len: 1, sum: gradients }, &mut |a, b| added(model, a, b, precision));
    }

    /// The nodes of this rank without their values, which [`GradientSum::over_ranks`] needs of all ranks.
    pub fn nodes(&self, model: &Model) -> Vec<NodeParameters> {
        self.tree.nodes().iter().map(|node| NodeParameters::of(node, model)).collect()
    }

    /// The sum of this rank's batches, where there is no other rank.
    pub fn of_one_rank(self, model: &Model, precision: Precision) -> GradientsParams {
        self.tree.total(&mut |a, b| added(model, a, b, precision)).unwrap_or_default()
    }

    /// The sum over all ranks. `nodes` are those of each rank, in the order of ranks.
    ///
    /// # Errors
    /// A device that does not give gradients, a connection that broke.
    pub fn over_ranks(
        self,
        model: &Model,
        ranks: &Ranks,
        nodes: &[Vec<NodeParameters>],
        precision: Precision,
    ) -> Result<GradientsParams> {
        let mut own: Vec<GradientsParams> = self.tree.into_nodes().into_iter().map(|node| node.sum).collect();
        let summands = summands(model, nodes);
        let mut total = GradientsParams::new();
        for bucket in buckets(&summands) {
            let places = &summands[bucket.start].nodes;
            if !places.is_empty() {
                let n_values = summands[bucket.clone()].iter().map(|summand| summand.n_values).sum();
                let sums = Bucket { parameters: bucket.clone(), n_values, places, nodes, precision }
                    .sum(model, ranks, &mut own)?;
                model.visit(&mut Writer { at: 0, parameters: bucket, values: &sums, total: &mut total });
            }
        }
        Ok(total)
    }
}

impl NodeParameters {
    fn of(node: &Node<GradientsParams>, model: &Model) -> Self {
        let mut presence = Presence { gradients: &node.sum, has: String::new() };
        model.visit(&mut presence);
        Self { first: node.first, len: node.len, has: presence.has }
    }
}

/// Every parameter of the model, with the nodes that have a gradient of it.
fn summands(model: &Model, nodes: &[Vec<NodeParameters>]) -> Vec<Summand> {
    let mut sizes = Sizes(Vec::new());
    model.visit(&mut sizes);
    let having = |parameter: usize| {
        let of_rank = move |(rank, nodes): (usize, &Vec<NodeParameters>)| {
            let has = |node: &NodeParameters| node.has.as_bytes().get(parameter) == Some(&b'1');
            let having: Vec<_> = (0..nodes.len()).filter(|at| has(&nodes[*at])).map(|at| (rank, at)).collect();
            having
        };
        nodes.iter().enumerate().flat_map(of_rank).collect()
    };
    sizes.0.into_iter().enumerate().map(|(at, n_values)| Summand { n_values, nodes: having(at) }).collect()
}

/// Ranges of parameters that travel together: in a row, in the same nodes, and not too many values.
fn buckets(summands: &[Summand]) -> Vec<Range<usize>> {
    let mut buckets: Vec<Range<usize>> = Vec::new();
    let mut n_values = 0;
    for (at, summand) in summands.iter().enumerate() {
        n_values += summand.n_values;
        match buckets.last_mut() {
            Some(last) if n_values <= BUCKET && summands[last.start].nodes == summand.nodes => last.end = at + 1,
            _ => {
                n_values = summand.n_values;
                buckets.push(at..at + 1);
            }
        }
    }
    buckets
}

/// Parameters whose gradients travel together.
struct Bucket<'a> {
    parameters: Range<usize>,
    n_values: usize,
    places: &'a [(usize, usize)],
    nodes: &'a [Vec<NodeParameters>],
    precision: Precision,
}

impl Bucket<'_> {
    /// The sums of all values of the bucket, on every rank.
    fn sum(&self, model: &Model, ranks: &Ranks, own: &mut [GradientsParams]) -> Result<Vec<f32>> {
        let n_ranks = ranks.n_ranks();
        let part = |rank: usize| self.n_values * rank / n_ranks..self.n_values * (rank + 1) / n_ranks;
        let n_nodes = |rank: usize| self.places.iter().filter(|(of, _)| *of == rank).count();
        let bytes = |n_values: usize| n_values * self.precision.n_bytes();

        let mut values = Vec::new();
        for (_, at) in self.places.iter().filter(|(rank, _)| *rank == ranks.rank()) {
            values.push(self.values(model, &mut own[*at])?);
        }
        let mut parts = Vec::with_capacity(values.len() * self.n_values);
        (0..n_ranks).for_each(|rank| values.iter().for_each(|node| parts.extend_from_slice(&node[part(rank)])));
        drop(values);
        let sent: Vec<usize> = (0..n_ranks).map(|rank| bytes(part(rank).len() * n_nodes(ranks.rank()))).collect();
        let own_part = part(ranks.rank()).len();
        let received: Vec<usize> = (0..n_ranks).map(|rank| bytes(own_part * n_nodes(rank))).collect();
        let parts = ranks.communicator.all_to_all(&encoded(&parts, self.precision), &sent, &received)?;

        // A node without these parameters has its place in the tree as well: what is added to what must not depend on it.
        let mut tree = SumTree::default();
        let mut add = |left: Option<Vec<f32>>, right: Option<Vec<f32>>| match (left, right) {
            (Some(mut left), Some(right)) => {
                left.iter_mut().zip(right).for_each(|(left, right)| *left = rounded(*left + right, self.precision));
                Some(left)
            }
            (left, right) => left.or(right),
        };
        let mut received = parts.chunks_exact(bytes(own_part).max(1));
        for (rank, nodes) in self.nodes.iter().enumerate() {
            for (at, NodeParameters { first, len, .. }) in nodes.iter().enumerate() {
                let is_here = own_part > 0 && self.places.contains(&(rank, at));
                let part = if is_here { received.next() } else { None };
                tree.push(
                    Node { first: *first, len: *len, sum: part.map(|part| decoded(part, self.precision)) },
                    &mut add,
                );
            }
        }
        let sum = tree.total(&mut add).flatten().unwrap_or_default();
        let sizes: Vec<usize> = (0..n_ranks).map(|rank| bytes(part(rank).len())).collect();
        let sums = ranks.communicator.all_gather(&encoded(&sum, self.precision), &sizes)?;
        Ok(decoded(&sums, self.precision))
    }

    /// The values of this bucket's gradients in a node, taken out of it.
    fn values(&self, model: &Model, gradients: &mut GradientsParams) -> Result<Vec<f32>> {
        let values = Vec::with_capacity(self.n_values);
        let mut reader = Reader { at: 0, parameters: self.parameters.clone(), gradients, values: Ok(values) };
        model.visit(&mut reader);
        reader.values
    }
}

fn rounded(value: f32, precision: Precision) -> f32 {
    match precision {
        Precision::Float32 => value,
        Precision::Bfloat16 => bf16::from_f32(value).to_f32(),
    }
}

/// Values as they travel.
fn encoded(values: &[f32], precision: Precision) -> Cow<'_, [u8]> {
    match precision {
        Precision::Float32 => Cow::Borrowed(bytemuck::cast_slice(values)),
        Precision::Bfloat16 => values.iter().flat_map(|value| bf16::from_f32(*value).to_ne_bytes()).collect(),
    }
}

fn decoded(bytes: &[u8], precision: Precision) -> Vec<f32> {
    match precision {
        Precision::Float32 => bytemuck::pod_collect_to_vec(bytes),
        Precision::Bfloat16 => bytes.as_chunks().0.iter().map(|value| bf16::from_ne_bytes(*value).to_f32()).collect(),
    }
}

/// The sum of two sets of gradients in a precision; what one of them lacks is the other's.
fn added(model: &Model, left: GradientsParams, right: GradientsParams, precision: Precision) -> GradientsParams {
    let mut adder = Adder { left, right, precision };
    model.visit(&mut adder);
    adder.left
}

struct Adder {
    left: GradientsParams,
    right: GradientsParams,
    precision: Precision,
}

impl ModuleVisitor for Adder {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let sum = match (self.left.remove::<D>(param.id), self.right.remove::<D>(param.id)) {
            (Some(left), Some(right)) => left + right,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return,
        };
        let sum = match self.precision {
            Precision::Float32 => sum,
            Precision::Bfloat16 => sum.cast(DType::BF16).cast(DType::F32),
        };
        self.left.register(param.id, sum);
    }
}

struct Sizes(Vec<usize>);

impl ModuleVisitor for Sizes {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.val().dims().iter().product());
    }
}

struct Presence<'a> {
    gradients: &'a GradientsParams,
    has: String,
}

impl ModuleVisitor for Presence<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.has.push(if self.gradients.get::<D>(param.id).is_some() { '1' } else { '0' });
    }
}

/// Takes the gradients of some parameters, by number in the order of the model.
struct Reader<'a> {
    at: usize,
    parameters: Range<usize>,
    gradients: &'a mut GradientsParams,
    values: Result<Vec<f32>>,
}

impl ModuleVisitor for Reader<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let is_wanted = self.parameters.contains(&self.at);
        self.at += 1;
        let Some(gradient) = is_wanted.then(|| self.gradients.remove::<D>(param.id)).flatten() else { return };
        let read = gradient.try_into_vec_as::<f32>();
        match (&mut self.values, read) {
            (Ok(values), Ok(read)) => values.extend(read),
            (Ok(_), Err(error)) => self.values = Err(DeviceError::read_back("gradients", error).into()),
            (Err(_), _) => {}
        }
    }
}

/// Registers the sums of some parameters.
struct Writer<'a> {
    at: usize,
    parameters: Range<usize>,
    values: &'a [f32],
    total: &'a mut GradientsParams,
}

impl ModuleVisitor for Writer<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let is_wanted = self.parameters.contains(&self.at);
        self.at += 1;
        if !is_wanted {
            return;
        }
        let value = param.val();
        let shape = value.dims();
        let (own, rest) = self.values.split_at(shape.iter().product());
        self.values = rest;
        let device = if value.device().is_autodiff() { value.device().inner() } else { value.device() };
        self.total.register(param.id, Tensor::<D>::from_data(TensorData::new(own.to_vec(), shape), &device));
    }
}
