//! Adding a stage to a finished run.

use anyhow::{Context, Result, bail};
use medcoss_core::run::{RunLock, StageFolder};

use crate::config::RunConfig;
use crate::modality_data::ModalityData;
use crate::observer::{RunObserver, is_interruption};
use crate::plugins_lock::PluginsLock;
use crate::relative_paths::is_below;
use crate::resources::Resources;
use crate::run::Run;
use crate::run_summary::{StageSummary, Summary};
use crate::stage_plugin::plugins_of;
use crate::training::Training;

/// Names of the settings that a stage may set. All other settings belong to the run.
const STAGE_SETTINGS: [&str; 6] = [
    "epochs",
    "warmup_epochs",
    "batch_size",
    "gradient_accumulation",
    // The former name is refused with the current one.
    "accumulation",
    "options",
];

/// A stage to add to a finished run.
#[derive(Debug, Clone, PartialEq)]
pub struct NewStage {
    /// Data of the stage. Their paths lie below the data root, which also holds the data of earlier stages whose
    /// buffers refer to them.
    pub data: ModalityData,
    /// Settings `key=value` of the stage, such as `epochs=3` or `options.size=96`, or of the run, as far as they may
    /// change.
    pub settings: Vec<String>,
}

impl NewStage {
    /// A stage with the run's settings.
    pub fn new(data: ModalityData) -> Self {
        Self { data, settings: Vec::new() }
    }

    /// This stage with one more setting `key=value`.
    pub fn with(mut self, setting: &str) -> Self {
        self.settings.push(setting.into());
        self
    }
}

impl Run {
    /// Trains one more stage, which starts from the latest model and replays the buffers of all earlier stages.
    ///
    /// # Errors
    /// A run that is not finished, data, plugins or settings that do not fit it, and any error of a stage. A stage that
    /// fails before its first checkpoint is taken back; one that was stopped continues when the run is resumed.
    pub fn add_stage(
        &mut self,
        stage: &NewStage,
        resources: &Resources<'_>,
        observer: &mut dyn RunObserver,
    ) -> Result<StageSummary> {
        let training = self.training_with(stage, resources)?;
        let plugins = self.plugins()?;
        let states = training.run(observer).map_err(|error| self.without_refused_stage(&plugins, error))?;
        let summary = Summary::read(&self.layout, &states, &training.plugins)?;
        *self = Self::open(&self.layout.folder().path())?;
        summary.stages.into_iter().next_back().ok_or_else(|| anyhow::anyhow!("the run has no stages"))
    }

    /// The training of one more stage. Nothing changes before it runs.
    ///
    /// # Errors
    /// A run that is not finished, data, plugins or settings that do not fit it.
    pub fn training_with(&self, stage: &NewStage, resources: &Resources<'_>) -> Result<Training> {
        self.check_finished()?;
        let config = self.configuration_with(stage, resources)?;
        let plugins = plugins_of(&config, resources.registry, Some(&self.layout))?;
        let folders = [resources.data_root.clone(), self.layout.folder().path()];
        Training::new(config, folders, true, &resources.device, plugins)
    }

    /// The plugins that the run was made with so far.
    ///
    /// # Errors
    /// A file that is missing or was changed.
    pub fn plugins(&self) -> Result<PluginsLock> {
        PluginsLock::read(&self.layout.plugins_lock())
    }

    /// Takes back a stage that failed before its first checkpoint, so that the run is as it was when it was opened, and
    /// returns the error with a word on it. A stage with a checkpoint, and one that someone stopped, stay: `resume`
    /// continues them. `before`: the plugins of the run before the stage.
    pub fn without_refused_stage(&self, before: &PluginsLock, error: anyhow::Error) -> anyhow::Error {
        if is_interruption(&error) {
            return error;
        }
        match self.take_back(before) {
            Ok(false) => error,
            Ok(true) => error.context("the stage was not added; the run is as it was"),
            Err(second) => error.context(format!("the stage could not be taken back ({second:#})")),
        }
    }

    /// Whether there was a stage to take back.
    fn take_back(&self, plugins: &PluginsLock) -> Result<bool> {
        let _lock = RunLock::take(&self.layout)?;
        let recorded = RunConfig::read_record(&self.layout.record())?;
        let number = self.config.stages.len() + 1;
        let Some(section) = recorded.stages.get(number - 1) else { return Ok(false) };
        let folder = StageFolder::new(&self.layout, number, &section.modality);
        if folder.finished()?.is_some() || folder.running()?.is_some() {
            return Ok(false);
        }
        folder.remove().context("its folder cannot be removed")?;
        plugins.write(&self.layout.plugins_lock())?;
        self.config.write_record(&self.layout.record())?;
        Ok(true)
    }

    /// Checks that every stage has finished, since a new stage starts from the latest model.
    fn check_finished(&self) -> Result<()> {
        if let Some(section) = self.config.stages.get(self.states.len()) {
            let (number, run) = (self.states.len() + 1, self.layout.folder().display());
            bail!(
                "stage {number} {} of {run} is not finished\n\
                 hint: finish it with `medcoss resume {run}`; if it was added by mistake, `medcoss stage remove {run}` takes it back",
                section.modality
            );
        }
        Ok(())
    }

    /// The run's configuration with the new stage appended.
    fn configuration_with(&self, stage: &NewStage, resources: &Resources<'_>) -> Result<RunConfig> {
        let mut data = stage.data.clone();
        for path in &mut data.paths {
            if let Ok(below) = path.strip_prefix(&resources.data_root) {
                *path = below.to_path_buf();
            }
            if !is_below(path) {
                bail!(
                    "data {} does not lie in the data root {}\nhint: name another with --data-root DIR; it also holds the data of \
                     earlier stages whose samples were kept by reference",
                    path.display(),
                    resources.data_root.display()
                );
            }
        }
        let mut config = self.config.clone();
        let position = config.stages.len() + 1;
        config.stages.push(data.section());
        let place = |setting: &String| {
            let name = setting.split(['.', '=']).next().unwrap_or_default().trim();
            if STAGE_SETTINGS.contains(&name) { format!("stage.{position}.{setting}") } else { setting.clone() }
        };
        config.with_settings(&stage.settings.iter().map(place).collect::<Vec<_>>())
    }
}
