//! The weights that a run begins with: fresh, in the run folder, or in a file that is not imported yet.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use medcoss_core::model::ModelConfig;
use medcoss_core::run::RunLayout;
use medcoss_core::weights::{Imported, InitialModel, Origin};

use crate::config::RunConfig;
use crate::observer::RunObserver;

/// Source of the initial weights.
pub(crate) enum InitialWeights {
    /// Fresh parameters.
    Fresh,
    /// A model that the run folder holds.
    InRun(Box<InitialModel>),
    /// Weights from a file, which the run folder does not hold yet.
    Imported(Box<Imported>, PathBuf),
}

impl InitialWeights {
    /// Origin of the weights that a run begins with: of those in the run folder `out`, or else of the file that the
    /// configuration names, relative to `base`; `None` for fresh parameters, and where an earlier version imported them.
    ///
    /// # Errors
    /// Weights that cannot be read.
    pub fn origin(config: &RunConfig, base: &Path, out: &Path) -> Result<Option<Origin>> {
        let Some(init) = &config.model.init else { return Ok(None) };
        if out.exists()
            && let Some(initial) =
                InitialModel::read(&RunLayout::open(out)?).context("the model that the run begins with")?
        {
            return Ok(initial.report.origin);
        }
        Ok(Some(Origin::of_file(&base.join(init)).context("model.init")?))
    }

    /// The initial weights: in the run, or still in the file that the configuration names, relative to `base`.
    ///
    /// # Errors
    /// Weights that cannot be read.
    pub fn find(config: &RunConfig, base: &Path, layout: &RunLayout) -> Result<Self> {
        let Some(init) = &config.model.init else { return Ok(Self::Fresh) };
        if let Some(initial) = InitialModel::read(layout).context("the model that the run begins with")? {
            return Ok(Self::InRun(Box::new(initial)));
        }
        let path = base.join(init);
        let imported = config.import().read(&path).context("model.init")?;
        Ok(Self::Imported(Box::new(imported), path))
    }

    /// Configuration of the initial model.
    pub fn model(&self, config: &RunConfig) -> Result<ModelConfig> {
        match self {
            Self::Fresh => config.empty_model(),
            Self::InRun(initial) => Ok(initial.model.clone()),
            Self::Imported(imported, _) => Ok(imported.config.clone()),
        }
    }

    /// Writes the initial model into the run folder, if it is not there yet.
    pub fn publish(self, run: &RunLayout, observer: &mut dyn RunObserver) -> Result<Option<InitialModel>> {
        Ok(match self {
            Self::Fresh => None,
            Self::InRun(initial) => Some(*initial),
            Self::Imported(imported, path) => {
                let initial = InitialModel::write(run, &imported, &path)?;
                observer.weights_imported(&initial);
                Some(initial)
            }
        })
    }
}
