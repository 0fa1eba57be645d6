//! The models of a run that tasks are measured with.

use anyhow::{Result, bail};
use medcoss_core::evaluation::complete_model;
use medcoss_core::model::{Model, ModelConfig};

use crate::finished_run::FinishedRun;

/// Which models are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// The one that the run began with, and those after every stage.
    EveryStage,
    /// The latest.
    Last,
}

/// The models of a run, each with embedders for every family that the run has learned by its end.
pub(super) struct Models<'a> {
    run: &'a FinishedRun,
    /// Of the latest model.
    pub config: ModelConfig,
}

impl<'a> Models<'a> {
    /// # Errors
    /// A run without any model.
    pub fn new(run: &'a FinishedRun) -> Result<Self> {
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

    /// Which stored model the cell of the score matrix in row `after` (0 for what the run began with) for a task of stage `own` is of: the
    /// model that the run would use for such a task then. One model that goes from stage to stage is used for all.
    pub fn of_cell(&self, after: usize, _own: usize) -> usize {
        after
    }

    /// Reads the model after a stage; 0 for what the run began with, fresh parameters or weights that it was given.
    ///
    /// # Errors
    /// Damaged files, a device that is not there.
    pub fn load(&self, stage: usize, device: &str, with_gradients: bool) -> Result<Model> {
        let device = medcoss_core::device::by_name(device)?;
        let device = if with_gradients { device.autodiff() } else { device };
        let stored = match stage {
            0 if self.run.initial.is_none() => None,
            _ => Some(self.run.model(Some(stage))?),
        };
        Ok(complete_model(stored.as_ref(), &self.config, self.run.config.seed, &device)?)
    }
}

/// The model after a stage, for people.
pub(super) fn name(run: &FinishedRun, number: usize) -> String {
    match number.checked_sub(1).and_then(|at| run.states.get(at)) {
        Some(state) => format!("after stage {number} {}", state.modality),
        None => "before the first stage".into(),
    }
}
