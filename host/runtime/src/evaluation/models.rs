//! The models of a run that are evaluated.

use anyhow::{Result, bail};
use medcoss_core::evaluation::complete_model;
use medcoss_core::model::{Model, ModelConfig};

use crate::run::Run;

/// Selection of the models that are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The initial model, and the models after every stage.
    EveryStage,
    /// The latest model.
    Last,
}

/// The models of a run, each with embedders for every family that the run has learned by its end.
pub(crate) struct Models<'a> {
    run: &'a Run,
    /// Configuration of the latest model.
    pub config: ModelConfig,
}

impl<'a> Models<'a> {
    /// The models of an opened run.
    pub fn new(run: &'a Run) -> Result<Self> {
        let latest = run.states.last().map(|state| &state.model);
        match latest.or(run.initial.as_ref().map(|initial| &initial.model)) {
            Some(config) => Ok(Self { run, config: config.clone() }),
            None => bail!("the run has no finished stage\nhint: finish it with `medcoss resume`"),
        }
    }

    /// Numbers of the stages that are rows of the score matrix; 0 is the initial model.
    pub fn rows(&self, after: After) -> Vec<usize> {
        let n = self.run.states.len();
        match after {
            After::EveryStage => (0..=n).collect(),
            After::Last => vec![n],
        }
    }

    /// Number of the stage that first learned a modality, from 1; 0 where the initial weights contain its token family.
    ///
    /// # Errors
    /// A modality that the run does not know.
    pub fn own_stage(&self, modality: &str, family: impl FnOnce() -> Result<String>) -> Result<usize> {
        if let Some(at) = self.run.states.iter().position(|state| state.modality == modality) {
            return Ok(at + 1);
        }
        if let Some(initial) = &self.run.initial
            && initial.model.family(&family()?).is_some()
        {
            return Ok(0);
        }
        let mut learned: Vec<&str> = self.run.states.iter().map(|state| state.modality.as_str()).collect();
        learned.dedup();
        bail!(
            "the run never learned modality {modality}\nhint: it learned {}; remove the task, or add the stage (medcoss stage add)",
            learned.join(", ")
        )
    }

    /// The model of one cell of the score matrix: row `after` (0 for the initial model), for a task of stage `own`. It
    /// is the model that the run would use for the task at that time. A model that passes from stage to stage is used
    /// for all tasks.
    pub fn of_cell(&self, after: usize, own: usize) -> ModelOf {
        let strategy = self.run.config.strategy.name;
        let is_learned = own <= after;
        match (strategy.has_one_model_per_stage(), strategy.recovers_earlier_models()) {
            // Each modality has a model of its own, from its stage on.
            (true, _) => ModelOf { stage: if is_learned { own } else { 0 }, as_of: own },
            (_, true) if is_learned => ModelOf { stage: after, as_of: own },
            _ => ModelOf { stage: after, as_of: after },
        }
    }

    /// The model whose features a probe of stage `own` is fitted to once, for all later models: the model after that
    /// stage. With `joint` no model before the last has learned the task's modality.
    pub fn fitted_with(&self, of: ModelOf, own: usize) -> ModelOf {
        match self.run.config.strategy.name.defers_training() {
            false if of.stage > own => self.of_cell(own, own),
            _ => of,
        }
    }

    /// Reads a model with the head that a task's own stage trained for its family, see [`Models::fitted_with`]. Each stage
    /// initialises new heads, so a later model contributes only its encoder to an earlier family's pretext task.
    ///
    /// # Errors
    /// As [`Models::load`].
    pub fn load_with_head(&self, of: ModelOf, own: usize, family: usize, device: &str) -> Result<Model> {
        let model = self.load(of, device, false)?;
        let from = self.fitted_with(of, own);
        if from.stage < own || (from.stage == 0 && self.run.initial.is_none()) {
            return Ok(model);
        }
        let stored = self.run.model(Some(from.stage))?;
        let device = medcoss_core::device::by_name(device)?;
        let trained = complete_model(Some(&stored), from.as_of, &stored.config, self.run.config.seed, &device)?;
        Ok(model.with_head_of(&trained, family))
    }

    /// Reads a model. Stage 0 is the initial model, with fresh parameters or imported weights.
    ///
    /// # Errors
    /// Damaged files, a missing device.
    pub fn load(&self, of: ModelOf, device: &str, with_gradients: bool) -> Result<Model> {
        let device = medcoss_core::device::by_name(device)?;
        let device = if with_gradients { device.autodiff() } else { device };
        let stored = match of.stage {
            0 if self.run.initial.is_none() => None,
            stage => Some(self.run.model(Some(stage))?),
        };
        Ok(complete_model(stored.as_ref(), of.as_of, &self.config, self.run.config.seed, &device)?)
    }
}

/// Identifies a model of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ModelOf {
    /// Number of the stage after which the model was saved; 0 for the initial model.
    pub stage: usize,
    /// Number of the last stage whose weights are used, where weights belong to stages.
    pub as_of: usize,
}

/// Name of the model after a stage, for people.
pub(crate) fn name(run: &Run, of: ModelOf) -> String {
    let number = of.stage;
    match number.checked_sub(1).and_then(|at| run.states.get(at)) {
        Some(state) => format!("after stage {number} {}", state.modality),
        None => "before the first stage".into(),
    }
}
