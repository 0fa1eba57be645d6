//! Access to all parameters of a model by their path, such as `encoder.blocks.0.attention.qkv.weight`.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use sha2::{Digest, Sha256};

use super::Model;
use crate::{DeviceError, Result};

/// Replacement of a parameter, by its path and shape: new values, or none for unchanged ones.
pub type Replace<'a> = dyn FnMut(&str, &[usize]) -> Result<Option<Vec<f32>>> + 'a;

/// Parameter of a model, as a visitor sees it.
pub struct Parameter<'a> {
    /// Path of the parameter in the model.
    pub path: &'a str,
    /// Burn's id of the parameter, the key of its gradient and optimiser state.
    pub id: ParamId,
    /// Sizes of the parameter, outermost first.
    pub shape: &'a [usize],
    value: &'a dyn Fn() -> TensorData,
}

impl Parameter<'_> {
    /// Values of the parameter in row-major order, copied from the device.
    ///
    /// # Errors
    /// A device that does not give them.
    pub fn values(&self) -> Result<Vec<f32>> {
        (self.value)()
            .try_to_vec::<f32>()
            .map_err(|error| DeviceError::read_back(format!("values of parameter {}", self.path), error).into())
    }
}

/// Parameters by their path, each as one row of values, on the device and outside of any graph.
pub(crate) type FlatParameters = BTreeMap<String, Tensor<1>>;

impl Model {
    /// The parameters of some paths, flattened.
    pub(crate) fn flat_parameters(&self, is_wanted: &dyn Fn(&str) -> bool) -> FlatParameters {
        let mut collector = Collector { path: Path::default(), is_wanted, found: BTreeMap::new() };
        self.visit(&mut collector);
        collector.found
    }

    /// Replaces parameters: `change` gets the path and the flattened values, outside of any graph, and returns new values, or none for unchanged
    /// ones. Ids stay.
    pub(crate) fn map_flat(self, change: &mut dyn FnMut(&str, Tensor<1>) -> Option<Tensor<1>>) -> Self {
        self.map(&mut FlatMapper { path: Path::default(), change })
    }

    /// Number of learned values in the model.
    pub fn n_parameters(&self) -> usize {
        self.num_params()
    }

    /// Path of the first parameter with a value that is not finite; none where all are finite.
    ///
    /// # Errors
    /// A device that does not give the values.
    pub(crate) fn not_finite(&self) -> Result<Option<String>> {
        let mut found = None;
        self.visit_parameters(&mut |parameter| {
            if found.is_none() && parameter.values()?.iter().any(|value| !value.is_finite()) {
                found = Some(parameter.path.to_string());
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// SHA-256 of all values in the order of the model's fields, in hexadecimal digits.
    ///
    /// # Errors
    /// A device that does not give the values.
    pub(crate) fn digest(&self) -> Result<String> {
        let mut hasher = Sha256::new();
        self.visit_parameters(&mut |parameter| {
            hasher.update(bytemuck::cast_slice::<f32, u8>(&parameter.values()?));
            Ok(())
        })?;
        Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Visits all parameters, in the order of the model's fields.
    ///
    /// # Errors
    /// The first error of `visit`.
    pub fn visit_parameters(&self, visit: &mut dyn FnMut(Parameter<'_>) -> Result<()>) -> Result<()> {
        visit_parameters_of(self, visit)
    }

    /// Replaces values: `replace` returns new values for a path and shape, in row-major order, or none for unchanged ones. Ids stay.
    ///
    /// # Errors
    /// The first error of `replace`.
    pub fn with_parameters(self, replace: &mut Replace<'_>) -> Result<Self> {
        with_parameters_of(self, replace)
    }
}

/// Visits all parameters of a module, see [`Model::visit_parameters`].
pub(crate) fn visit_parameters_of<M: Module>(
    module: &M,
    visit: &mut dyn FnMut(Parameter<'_>) -> Result<()>,
) -> Result<()> {
    let mut visitor = Visitor { path: Path::default(), visit, outcome: Ok(()) };
    module.visit(&mut visitor);
    visitor.outcome
}

/// Replaces values of a module, see [`Model::with_parameters`].
pub(crate) fn with_parameters_of<M: Module>(module: M, replace: &mut Replace<'_>) -> Result<M> {
    let mut mapper = Mapper { path: Path::default(), replace, outcome: Ok(()) };
    let module = module.map(&mut mapper);
    mapper.outcome.map(|()| module)
}

/// Replaces gradients: `change` gets a parameter's path and the flattened values of parameter and gradient, and returns the new gradient or none. Parameters
/// without a gradient are left out.
pub(crate) fn map_gradients(
    model: &Model,
    gradients: GradientsParams,
    change: &mut dyn FnMut(&str, Tensor<1>, Tensor<1>) -> Option<Tensor<1>>,
) -> GradientsParams {
    let mut mapper = GradientMapper { path: Path::default(), gradients, change };
    model.visit(&mut mapper);
    mapper.gradients
}

/// Fills missing gradients: each parameter in `known` (paths) that has none gets a gradient of zero, and each parameter with a gradient joins `known`.
pub fn fill_missing_gradients(model: &Model, gradients: &mut GradientsParams, known: &mut BTreeSet<String>) {
    model.visit(&mut MissingGradientFiller { path: Path::default(), gradients, known });
}

struct MissingGradientFiller<'a> {
    path: Path,
    gradients: &'a mut GradientsParams,
    known: &'a mut BTreeSet<String>,
}

impl ModuleVisitor for MissingGradientFiller<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.joined();
        if self.gradients.get::<D>(param.id).is_some() {
            self.known.insert(path);
        } else if self.known.contains(&path) {
            self.gradients.register(param.id, plain(param.val()).zeros_like());
        }
    }
}

struct Collector<'a> {
    path: Path,
    is_wanted: &'a dyn Fn(&str) -> bool,
    found: FlatParameters,
}

impl ModuleVisitor for Collector<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.joined();
        if (self.is_wanted)(&path) {
            self.found.insert(path, plain(param.val()).flatten(0, -1));
        }
    }
}

struct FlatMapper<'a> {
    path: Path,
    change: &'a mut dyn FnMut(&str, Tensor<1>) -> Option<Tensor<1>>,
}

impl ModuleMapper for FlatMapper<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let old = param.val();
        let shape = old.dims();
        let Some(new) = (self.change)(&self.path.joined(), plain(old.clone()).flatten(0, -1)) else { return param };
        param.map(|old| {
            let new = new.clone().reshape(shape);
            // A parameter that was a leaf of the graph stays a leaf.
            if old.device().is_autodiff() {
                Tensor::from_inner(new).set_require_grad(old.is_require_grad())
            } else {
                new
            }
        })
    }
}

struct GradientMapper<'a> {
    path: Path,
    gradients: GradientsParams,
    change: &'a mut dyn FnMut(&str, Tensor<1>, Tensor<1>) -> Option<Tensor<1>>,
}

impl ModuleVisitor for GradientMapper<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.get::<D>(param.id) else { return };
        let shape = gradient.dims();
        let value = plain(param.val()).flatten(0, -1);
        if let Some(new) = (self.change)(&self.path.joined(), value, gradient.flatten(0, -1)) {
            self.gradients.register(param.id, new.reshape(shape));
        }
    }
}

/// A tensor outside of any graph.
fn plain<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.device().is_autodiff() { tensor.inner() } else { tensor }
}

/// Path of a visitor in the tree of modules. Variants of enums are left out: the family determines them.
#[derive(Default)]
struct Path {
    parts: Vec<String>,
    skipped: Vec<bool>,
}

impl Path {
    fn enter(&mut self, name: &str, container: &str) {
        let skip = container.starts_with("Enum:");
        self.skipped.push(skip);
        if !skip {
            self.parts.push(name.into());
        }
    }

    fn exit(&mut self) {
        if self.skipped.pop() == Some(false) {
            self.parts.pop();
        }
    }

    fn joined(&self) -> String {
        self.parts.join(".")
    }
}

struct Visitor<'a> {
    path: Path,
    visit: &'a mut dyn FnMut(Parameter<'_>) -> Result<()>,
    outcome: Result<()>,
}

impl ModuleVisitor for Visitor<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.outcome.is_ok() {
            let (path, shape) = (self.path.joined(), param.val().dims());
            let value = || param.val().into_data();
            self.outcome = (self.visit)(Parameter { path: &path, id: param.id, shape: &shape, value: &value });
        }
    }
}

struct Mapper<'a> {
    path: Path,
    replace: &'a mut Replace<'a>,
    outcome: Result<()>,
}

impl ModuleMapper for Mapper<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.outcome.is_err() {
            return param;
        }
        let shape = param.val().dims();
        match (self.replace)(&self.path.joined(), &shape) {
            Ok(None) => param,
            Ok(Some(values)) => param.map(|old| {
                let new = Tensor::from_data(TensorData::new(values, shape), &old.device());
                // A parameter that was a leaf of the graph stays a leaf.
                if old.is_require_grad() { new.require_grad() } else { new }
            }),
            Err(error) => {
                self.outcome = Err(error);
                param
            }
        }
    }
}
