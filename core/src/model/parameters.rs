//! All parameters of a model by their path in it, such as `encoder.blocks.0.attention.qkv.weight`.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Tensor, TensorData};

use super::Model;
use crate::{Error, Result};

/// Gives new values for the parameter of a path and shape, or none to leave it as it is.
pub type Replace<'a> = dyn FnMut(&str, &[usize]) -> Result<Option<Vec<f32>>> + 'a;

/// One parameter, as it is visited.
pub struct Parameter<'a> {
    /// Its path in the model.
    pub path: &'a str,
    /// Burn's id of it, by which gradients and optimiser state are found.
    pub id: ParamId,
    /// Its shape.
    pub shape: &'a [usize],
    value: &'a dyn Fn() -> TensorData,
}

impl Parameter<'_> {
    /// Its values in row-major order, copied from the device.
    ///
    /// # Errors
    /// A device that does not give them.
    pub fn values(&self) -> Result<Vec<f32>> {
        (self.value)().try_to_vec::<f32>().map_err(|error| {
            Error::Device(format!("parameter {} cannot be read back from the device: {error:?}", self.path))
        })
    }
}

impl Model {
    /// Visits all parameters, in the order of the model's fields.
    ///
    /// # Errors
    /// The first error of `visit`.
    pub fn visit_parameters(&self, visit: &mut dyn FnMut(Parameter<'_>) -> Result<()>) -> Result<()> {
        let mut visitor = Visitor { path: Path::default(), visit, outcome: Ok(()) };
        self.visit(&mut visitor);
        visitor.outcome
    }

    /// Replaces values: `replace` gives new ones for a path and shape, in row-major order, or none to leave the parameter as it
    /// is. Ids stay.
    ///
    /// # Errors
    /// The first error of `replace`.
    pub fn with_parameters(self, replace: &mut Replace<'_>) -> Result<Self> {
        let mut mapper = Mapper { path: Path::default(), replace, outcome: Ok(()) };
        let model = self.map(&mut mapper);
        mapper.outcome.map(|()| model)
    }
}

/// Where in the tree of modules a walk is. Enums add the name of their variant, which says nothing that the family does not.
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
                // What was a leaf of the graph that learns stays one.
                if old.is_require_grad() { new.require_grad() } else { new }
            }),
            Err(error) => {
                self.outcome = Err(error);
                param
            }
        }
    }
}
