//! Data of tasks: opened once, and encoded once with each model, for all tasks that share them.

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use medcoss_core::data::{Dataset, Subset};
use medcoss_core::evaluation::{ClassMaps, LabelledFeatures, SegmentationClasses};
use medcoss_core::model::{Model, ModelConfig, PositionResampling};
use medcoss_core::stage::{Encoding, FeaturePass, Features};
use medcoss_plugin_host::Plugin;

use super::annotation::Unlabelled;
use super::context::EvaluationContext;
use super::label_source::{Annotated, LabelSource, MaskLabels};
use super::samples::TaskSamples;
use super::tasks_file::TaskSection;
use crate::config::StageSection;
use crate::data_source::Side;
use crate::label_maps::MaskedSource;
use crate::plugin_dataset::PluginDataset;
use crate::run::Run;

/// One dataset, and the samples of it that tasks use.
pub(crate) struct TaskData {
    pub source: PluginDataset,
    pub family: usize,
    /// Key of the data in the tasks file. Tasks with an equal key share the data.
    key: String,
    /// Data entries that ids begin with.
    entries: Vec<String>,
    /// Indices of the samples that tasks use, ascending.
    chosen: Vec<u64>,
    /// Indices of the readable samples, known after the first model.
    readable: Option<Vec<u64>>,
}

/// Key by which tasks share their data.
pub(super) fn key(task: &TaskSection) -> String {
    format!("{:?}", (&task.modality, &task.root, &task.data, task.options.to_string()))
}

impl TaskData {
    /// Opens the data of a task, with the options and assets of the run's stage of that modality.
    ///
    /// # Errors
    /// Errors that the plugin reports, samples that do not fit the run's model.
    pub fn open(task: &TaskSection, plugin: &Plugin, run: &Run, config: &ModelConfig, base: &Path) -> Result<Self> {
        let mut section = StageSection::new(&task.modality, task.data.clone());
        section.root = task.root.clone();
        section.options = task.options.clone();
        let sides: &[Side] = match task.finetune {
            Some(_) => &[Side::Train, Side::Validation, Side::Test],
            None => &[Side::Train, Side::Test],
        };
        let dataset = run.open_data(plugin, base, section, sides)?;
        let family = config
            .family(dataset.family())
            .ok_or_else(|| anyhow!("the run's model has no token family {}", dataset.family()))?;
        // A family that does not fit is an error, and one that fits leaves the sizes unchanged.
        config.clone().admit_dataset(&dataset, None, PositionResampling::default())?;
        let entries = task.data.paths().iter().map(|path| entry_of(path)).collect();
        Ok(Self { source: dataset, family, key: key(task), entries, chosen: Vec::new(), readable: None })
    }

    /// Whether a task uses these data.
    pub fn is_of(&self, task: &TaskSection) -> bool {
        self.key == key(task)
    }

    /// Labels the samples of a task, and adds them to the samples to encode.
    ///
    /// # Errors
    /// Those of [`TaskSamples::assemble`], masks that cannot be read.
    pub fn samples_of(&mut self, task: &TaskSection, base: &Path) -> Result<(TaskSamples, Option<TaskMasks>)> {
        let base = task.root.as_ref().map_or_else(|| base.to_path_buf(), |root| base.join(root));
        let masks = self.masks_of(task, &base)?;
        let metadata = |name: &str| Ok(self.source.dataset().metadata(name)?);
        let unlabelled = Unlabelled {
            ids: self.source.ids(),
            samples: self.source.samples(),
            metadata: &metadata,
            entries: &self.entries,
            base: &base,
            masks: masks.as_ref().map(|masks| &masks.maps),
        };
        let samples = TaskSamples::assemble(task, &unlabelled)?;
        self.chosen.extend_from_slice(&samples.indices);
        self.chosen.sort_unstable();
        self.chosen.dedup();
        Ok((samples, masks))
    }

    /// The masks of a task whose labels are masks or their sizes.
    fn masks_of(&self, task: &TaskSection, base: &Path) -> Result<Option<TaskMasks>> {
        let LabelSource::Masks(MaskLabels { files, classes, ignored, annotated, .. }) = task.labels.resolve()? else {
            return Ok(None);
        };
        let masks = MaskedSource::new(&self.source, base, &files)?;
        let all: Vec<u64> = (0..self.source.ids().len() as u64).collect();
        let classes = match classes {
            Some(classes) => classes,
            None => SegmentationClasses::found_in(&masks, &all)?,
        };
        let maps = ClassMaps::read(&masks, &all, &classes, ignored)?;
        if let Some((_, first)) = maps.invalid.first() {
            tracing::warn!(
                "{} of {} samples have no mask that can be used; the first: {first}",
                maps.invalid.len(),
                all.len()
            );
        }
        let names = task.labels.names().unwrap_or(&maps.classes);
        let annotated = annotated_classes(&annotated, names, self.source.ids())?;
        Ok(Some(TaskMasks { maps, classes, annotated }))
    }

    /// Number of samples that are encoded with each model.
    pub fn n_chosen(&self) -> usize {
        self.chosen.len()
    }

    /// Indices of the readable samples, ascending; known after the first call of [`TaskData::encode`].
    pub fn readable(&self) -> &[u64] {
        self.readable.as_deref().unwrap_or(&self.chosen)
    }

    /// Encodes the samples that tasks use, with one model.
    ///
    /// # Errors
    /// Too many unreadable samples, other unreadable samples than with the first model, a request to stop.
    pub fn encode(&mut self, model: &Model, context: &EvaluationContext<'_>) -> Result<Encoded> {
        let device = medcoss_core::device::by_name(context.options.device)?;
        let subset = Subset::new(&self.source, self.chosen.clone());
        let began = context.work.done();
        let pass = FeaturePass {
            model,
            family: self.family,
            dataset: &subset,
            encoding: Encoding::default(),
            options: context.loader,
            device: &device,
        };
        let features = pass.on_all_ranks(context.options.ranks, &mut |done| {
            context.work.set_done(began + done as u64);
            context.work.check_stop()
        });
        let Features { values, width, rows, invalid, .. } = features?;
        let read: Vec<u64> = rows.iter().map(|row| self.chosen[*row as usize]).collect();
        match &self.readable {
            None => {
                for (id, reason) in &invalid {
                    let reason = reason.lines().next().unwrap_or_default();
                    tracing::warn!("{}: sample {id} is skipped: {reason}", self.source.modality());
                }
            }
            Some(before) if *before != read => bail!(
                "samples of {} that could be read before now cannot, or the reverse\nhint: leave the data as they are and evaluate again",
                self.source.modality()
            ),
            Some(_) => {}
        }
        self.readable = Some(read.clone());
        Ok(Encoded { values, width, read })
    }
}

/// Segmentation masks of a task's data.
pub(crate) struct TaskMasks {
    /// The masks as codes.
    pub maps: ClassMaps,
    /// What the codes mean.
    pub classes: SegmentationClasses,
    /// Whether each class was annotated, by index in the dataset; empty for a sample in which all were.
    pub annotated: Vec<Vec<bool>>,
}

/// The classes that were annotated in each sample, by the first entry whose pattern its id has in it.
///
/// # Errors
/// A class that the task does not have, a pattern that no id has in it.
fn annotated_classes(entries: &[Annotated], names: &[String], ids: &[String]) -> Result<Vec<Vec<bool>>> {
    for entry in entries {
        if let Some(class) = entry.classes.iter().find(|class| !names.contains(class)) {
            bail!("labels.annotated names the class {class:?}\nhint: the masks have {}", names.join(", "));
        }
        if !ids.iter().any(|id| entry.pattern.is_match(id)) {
            bail!(
                "labels.annotated: the pattern {:?} is in no id; the first id is {}",
                entry.pattern.as_str(),
                ids.first().map_or("", String::as_str)
            );
        }
    }
    let of = |id: &String| match entries.iter().find(|entry| entry.pattern.is_match(id)) {
        Some(entry) => names.iter().map(|name| entry.classes.contains(name)).collect(),
        None => Vec::new(),
    };
    Ok(ids.iter().map(of).collect())
}

/// Features of a dataset's samples.
pub(crate) struct Encoded {
    values: Vec<f32>,
    width: usize,
    /// Dataset index of each row, ascending.
    read: Vec<u64>,
}

impl Encoded {
    /// Features of some samples of a task, by their positions in it.
    pub fn of(&self, samples: &TaskSamples, places: &[usize]) -> Result<LabelledFeatures> {
        let mut set = LabelledFeatures { width: self.width, ..LabelledFeatures::default() };
        for at in places {
            let row = self.read.binary_search(&samples.indices[*at]);
            let row = row.map_err(|_| anyhow!("sample {} was not encoded", samples.indices[*at]))?;
            set.values.extend_from_slice(&self.values[row * self.width..][..self.width]);
            set.labels.push(samples.labels[*at]);
        }
        Ok(set)
    }
}

/// A data entry in the form that ids begin with: `/` between folders, without `.` parts and a trailing `/`.
fn entry_of(path: &Path) -> String {
    let parts = path.components().filter(|part| !matches!(part, std::path::Component::CurDir));
    let parts: Vec<_> = parts.map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}
