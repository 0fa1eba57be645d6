//! The models of a run that tasks are measured with.

use anyhow::{Result, bail};
use medcoss_core::evaluation::complete_model;
use medcoss_core::model::{Model, ModelConfig};

use crate::run::Run;

/// Which models are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The one that the run began with, and those after every stage.
    EveryStage,
    /// The latest.
    Last,
}

/// The models of a run, each with embedders for every family that the run has learned by its end.
pub(super) struct Models<'a> {
    run: &'a Run,
    /// Of the latest model.
    pub config: ModelConfig,
}

impl<'a> Models<'a> {
    /// # Errors
    /// A run without any model.
    pub fn new(run: &'a Run) -> Result<Self> {
        let latest = run.states.last().map(|state| &state.model);
        match latest.or(run.initial.as_ref().map(|initial| &initial.model)) {
            Some(config) => Ok(Self { run, config: config.clone() }),
            None => bail!("the run has no finished stage\nhint: finish it with `medcoss resume`"),
        }
    }

    /// Numbers of the stages that are rows of the score matrix; 0 is what the run began with.
    pub fn rows(&self, after: After) -> Vec<usize> {
        let n = self.run.states.len();
        match after {
            After::EveryStage => (0..=n).collect(),
            After::Last => vec![n],
        }
    }

    /// The stage that first learned a modality, from 1; 0 where its token family came with the weights that the run began with.
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

    /// Which model the cell of the score matrix in row `after` (0 for what the run began with) for a task of stage `own` is of: the one that the
    /// run would use for such a task then. One model that goes from stage to stage is used for all.
    pub fn of_cell(&self, after: usize, own: usize) -> ModelOf {
        let strategy = self.run.config.strategy.name;
        let is_learned = own <= after;
        match (strategy.has_one_model_per_stage(), strategy.recovers_earlier_models()) {
            // Each modality has a model of its own, and before that none.
            (true, _) => ModelOf { stage: if is_learned { own } else { 0 }, as_of: own },
            (_, true) if is_learned => ModelOf { stage: after, as_of: own },
            _ => ModelOf { stage: after, as_of: after },
        }
    }

    /// The model with whose features a probe of a task of stage `own` is fitted that is not fitted anew for each model: the one after that
    /// stage, for all later ones. With `joint` no model before the last has learned the task's modality.
    pub fn fitted_with(&self, of: ModelOf, own: usize) -> ModelOf {
        match self.run.config.strategy.name.defers_training() {
            false if of.stage > own => self.of_cell(own, own),
            _ => of,
        }
    }

    /// Reads a model with the head that a task's own stage left for its family, as [`Models::fitted_with`] says: heads are made afresh in every
    /// stage, so that a later model knows of an earlier family's pretext task what its encoder does.
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

    /// Reads a model; of stage 0 that is what the run began with, fresh parameters or weights that it was given.
    ///
    /// # Errors
    /// Damaged files, a device that is not there.
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

/// A model of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ModelOf {
    /// After this stage; 0 for what the run began with.
    pub stage: usize,
    /// Where weights belong to stages: without those of stages after this one.
    pub as_of: usize,
}

/// The model after a stage, for people.
pub(super) fn name(run: &Run, of: ModelOf) -> String {
    let number = of.stage;
    match number.checked_sub(1).and_then(|at| run.states.get(at)) {
        Some(state) => format!("after stage {number} {}", state.modality),
        None => "before the first stage".into(),
    }
}
