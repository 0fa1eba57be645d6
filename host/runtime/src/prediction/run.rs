//! The whole of a prediction: the model, its data, samples by file, tables and masks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use medcoss_abi::message::FileGrid;
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::data::{Dataset, LoaderOptions};
use medcoss_core::decoders::TokenGrid;
use medcoss_core::downstream::{LargestRule, Neighbourhood, keep_largest, remove_small};
use medcoss_core::evaluation::SegmentationClasses;
use medcoss_core::finetuning::{Outputs, Predictor, StoredTaskModel, TargetKind, TaskModelInfo};
use medcoss_core::run::{check_manifest, write_atomically};
use medcoss_plugin_host::PluginRegistry;
use serde::Serialize;

use super::mask_file::{Mask, counts, labels_of, path_of};
use super::projection::{Placed, classify};
use super::tables::Probabilities;
use crate::config::StageSection;
use crate::data_source::{DataSource, Side};
use crate::finetuning::ModelSource;
use crate::observer::{WorkObserver, WorkTracker};
use crate::plugin_dataset::PluginDataset;
use crate::plugins_lock::PluginsLock;

/// Folder of the masks.
const MASKS: &str = "masks";
/// Table of the samples' probabilities, and of the files'.
const SAMPLES: &str = "samples.csv";
const FILES: &str = "files.csv";
/// Largest file in voxels: as many as memory holds with two bytes each.
const MAX_VOXELS: usize = 1 << 32;

/// Options of a prediction.
#[derive(Debug, Clone)]
pub struct PredictOptions<'a> {
    /// Folder of the model.
    pub model: &'a Path,
    /// Files and folders with the data.
    pub data: Vec<PathBuf>,
    /// Options of the plugin, over those that the model was made with.
    pub options: toml::Table,
    /// Folder that data paths are relative to.
    pub base: &'a Path,
    /// Whether voxels are the mean over all flips of a sample.
    pub flips: bool,
    /// Whether only the largest connected part of each class stays.
    pub largest_component: bool,
    /// Smallest connected part of a class that stays, in voxels; 0 keeps all.
    pub min_voxels: usize,
    /// Number of samples in a batch.
    pub batch_size: usize,
    /// Name of the device that computes.
    pub device: &'a str,
    /// Number of worker threads that decode samples.
    pub num_workers: usize,
}

/// What a prediction wrote.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PredictReport {
    /// Number of samples that were predicted.
    pub n_samples: usize,
    /// Number of files.
    pub n_files: usize,
    /// Tables that were written, relative to the folder.
    pub tables: Vec<String>,
    /// Masks that were written, relative to the folder, with the number of voxels of each class.
    pub masks: BTreeMap<String, BTreeMap<String, u64>>,
    /// Voxels of files that no sample covers, by file; they are background.
    pub uncovered: BTreeMap<String, u64>,
    /// Reasons of samples that could not be read, by id.
    pub invalid: BTreeMap<String, String>,
}

/// Predicts data with a fine-tuned model, and writes tables or masks into a folder.
///
/// # Errors
/// A model that is not complete or damaged, data that cannot be opened or do not fit, files that cannot be written, a request to stop.
pub fn predict(
    options: &PredictOptions<'_>,
    registry: &PluginRegistry,
    out: &ConfinedPath,
    observer: &dyn WorkObserver,
) -> Result<PredictReport> {
    let stored = StoredTaskModel::of(ConfinedPath::root(options.model)?);
    if !stored.is_complete()? {
        bail!(
            "{} holds no finished model\nhint: name the folder that `medcoss finetune --out` wrote; the same command finishes one that was interrupted",
            options.model.display()
        );
    }
    let info: TaskModelInfo<ModelSource> = stored.info()?;
    let dataset = open(options, registry, &stored, &info)?;
    let device = medcoss_core::device::by_name(options.device)?;
    let model = stored.load(&info, &device)?.with_precision(info.finetuning.precision);
    let predictor = Predictor {
        model: &model,
        config: &info.config,
        flips: options.flips,
        batch_size: options.batch_size,
        loader: LoaderOptions { num_workers: options.num_workers, max_invalid_fraction: 1.0 },
        device: &device,
    };
    let n_samples = dataset.ids().len();
    let work = WorkTracker::new(
        observer,
        n_samples as u64,
        "while samples were predicted",
        "some masks may be written already",
    );
    work.begin("predicting".into());
    let mut report = PredictReport::default();
    let rows: Vec<u64> = (0..n_samples as u64).collect();
    let mut sink: Box<dyn Sink> = match &info.config.target {
        TargetKind::Segmentation { .. } => Box::new(Masks::new(options, &info, &dataset, out)?),
        target => Box::new(Tables { probabilities: Probabilities::new(target.clone()), dataset: &dataset, out }),
    };
    let mut failure = None;
    let predicted = predictor.for_each(&dataset, &rows, &mut |outputs| {
        for (index, reason) in &outputs.invalid {
            report.invalid.insert(dataset.ids()[*index as usize].clone(), dataset.without_base(reason.clone()));
        }
        report.n_samples += outputs.rows.len();
        work.advance((outputs.rows.len() + outputs.invalid.len()) as u64);
        work.check_stop()?;
        sink.take(outputs, &mut report).map_err(|error| {
            let message = format!("{error:#}");
            failure = Some(error);
            medcoss_core::Error::Caller(message)
        })
    });
    match (predicted, failure) {
        (_, Some(error)) => return Err(error),
        (found, None) => found?,
    }
    if report.n_samples == 0 {
        let first = report.invalid.values().next().map(String::as_str).unwrap_or("there are none");
        bail!("none of the {n_samples} samples could be read; the first: {first}");
    }
    sink.finish(&mut report)?;
    Ok(report)
}

/// Opens data with the plugin and the options of the model.
fn open(
    options: &PredictOptions<'_>,
    registry: &PluginRegistry,
    stored: &StoredTaskModel,
    info: &TaskModelInfo<ModelSource>,
) -> Result<PluginDataset> {
    let source = &info.source;
    let plugin = registry.load(&source.modality)?;
    PluginsLock { plugin: vec![source.plugin.clone()] }.warn_of_other(&plugin);
    let mut section = StageSection::new(&source.modality, DataSource::of_paths(options.data.clone()));
    section.options = toml::Table::try_from(&source.options).context("the model's options of its plugin")?;
    section.options.extend(options.options.clone());
    let assets = stored.folder().join(StoredTaskModel::ASSETS);
    let assets = match assets.is_folder()? {
        true => {
            if let Some(fault) = check_manifest(&assets)?.into_iter().find_map(|(_, fault)| fault) {
                return Err(fault.into());
            }
            Some(assets.checked_path()?)
        }
        false => None,
    };
    let dataset = PluginDataset::open(
        &plugin,
        options.base,
        &section,
        assets.as_deref(),
        &[Side::Train, Side::Validation, Side::Test],
    )?;
    if dataset.spec() != info.config.tokens {
        bail!(
            "samples are {:?}, and the model reads {:?}\nhint: leave out the options that change their size",
            dataset.spec(),
            info.config.tokens
        );
    }
    if let (Some(grid), Some(layout)) = (&info.config.grid, dataset.layout()) {
        let found = TokenGrid::new(layout, grid.patch.iter().product::<usize>() * grid.channels)?;
        if found != *grid {
            bail!("samples have {found:?}, and the model reads {grid:?}\nhint: leave out the options that change them");
        }
    }
    Ok(dataset)
}

/// Where outputs go.
trait Sink {
    fn take(&mut self, outputs: Outputs, report: &mut PredictReport) -> Result<()>;
    fn finish(&mut self, report: &mut PredictReport) -> Result<()>;
}

struct Tables<'a> {
    probabilities: Probabilities,
    dataset: &'a PluginDataset,
    out: &'a ConfinedPath,
}

impl Sink for Tables<'_> {
    fn take(&mut self, outputs: Outputs, _: &mut PredictReport) -> Result<()> {
        for (row, values) in outputs.rows.iter().zip(outputs.values.chunks_exact(outputs.n_values.max(1))) {
            let (id, file) = (&self.dataset.ids()[*row as usize], self.dataset.samples().file(*row as usize));
            self.probabilities.push(id.clone(), file.to_string(), values.to_vec());
        }
        Ok(())
    }

    fn finish(&mut self, report: &mut PredictReport) -> Result<()> {
        report.n_files = self.probabilities.n_files();
        write_atomically(&self.out.join(SAMPLES), self.probabilities.of_samples()?.as_bytes())?;
        report.tables.push(SAMPLES.into());
        if report.n_files < self.probabilities.len() {
            write_atomically(&self.out.join(FILES), self.probabilities.of_files()?.as_bytes())?;
            report.tables.push(FILES.into());
        }
        Ok(())
    }
}

/// Gathers the samples of a file, and writes its mask when the next file begins.
struct Masks<'a> {
    options: &'a PredictOptions<'a>,
    dataset: &'a PluginDataset,
    out: &'a ConfinedPath,
    grid: TokenGrid,
    n_axes: usize,
    names: Vec<String>,
    overlapping: bool,
    classes: SegmentationClasses,
    file: Option<(String, FileGrid)>,
    samples: Vec<Placed>,
}

impl<'a> Masks<'a> {
    fn new(
        options: &'a PredictOptions<'a>,
        info: &TaskModelInfo<ModelSource>,
        dataset: &'a PluginDataset,
        out: &'a ConfinedPath,
    ) -> Result<Self> {
        let TargetKind::Segmentation { classes: names, overlapping } = &info.config.target else {
            bail!("the model segments nothing");
        };
        let missing = |what: &str| anyhow!("the model's description lacks {what}");
        Ok(Self {
            options,
            dataset,
            out,
            grid: info.config.grid.ok_or_else(|| missing("the grid of its samples"))?,
            n_axes: dataset.layout().map_or(3, |layout| layout.grid.len()),
            names: names.clone(),
            overlapping: *overlapping,
            classes: info.source.segmented.clone().ok_or_else(|| missing("the classes of its masks"))?,
            file: None,
            samples: Vec::new(),
        })
    }

    /// Writes the mask of the file whose samples were gathered.
    fn write(&mut self, report: &mut PredictReport) -> Result<()> {
        let Some((file, grid)) = self.file.take() else { return Ok(()) };
        let samples = std::mem::take(&mut self.samples);
        let mut shape = [1; 3];
        shape[3 - grid.shape.len()..].copy_from_slice(&grid.shape);
        if shape.iter().product::<usize>() > MAX_VOXELS {
            bail!("{file} has {:?} voxels; masks of up to {MAX_VOXELS} are written", grid.shape);
        }
        let mut found = classify(shape, &samples, &self.grid, self.names.len(), self.overlapping)?;
        drop(samples);
        for class in 0..self.names.len() {
            self.filter(&mut found.classes, shape, class)?;
        }
        if found.n_uncovered > 0 {
            report.uncovered.insert(file.clone(), found.n_uncovered);
        }
        let extension = if grid.shape.len() == 2 { ".png" } else { ".nii.gz" };
        let n = counts(&found.classes, &self.names);
        if self.overlapping {
            for (class, name) in self.names.iter().enumerate() {
                let labels: Vec<u16> = found.classes.iter().map(|voxel| voxel >> class & 1).collect();
                let own = BTreeMap::from([(name.clone(), n[name])]);
                self.save(&grid, &labels, &path_of(&file, Some(name), extension), own, report)?;
            }
        } else {
            let of_class = labels_of(&self.classes);
            let label = |voxel: u16| match voxel {
                0 => 0,
                voxel => of_class.get(voxel.trailing_zeros() as usize).copied().unwrap_or_default(),
            };
            found.classes.iter_mut().for_each(|voxel| *voxel = label(*voxel));
            self.save(&grid, &found.classes, &path_of(&file, None, extension), n, report)?;
        }
        report.n_files += 1;
        Ok(())
    }

    /// Removes the parts of a class that the options do not keep.
    fn filter(&self, classes: &mut [u16], shape: [usize; 3], class: usize) -> Result<()> {
        if !self.options.largest_component && self.options.min_voxels <= 1 {
            return Ok(());
        }
        let mut mask: Vec<bool> = classes.iter().map(|voxel| voxel >> class & 1 == 1).collect();
        if self.options.largest_component {
            keep_largest(&mut mask, &shape, Neighbourhood::Edges, LargestRule::Foreground)?;
        }
        if self.options.min_voxels > 1 {
            remove_small(&mut mask, &shape, Neighbourhood::Edges, self.options.min_voxels)?;
        }
        for (voxel, kept) in classes.iter_mut().zip(mask) {
            if !kept {
                *voxel &= !(1 << class);
            }
        }
        Ok(())
    }

    fn save(
        &self,
        grid: &FileGrid,
        labels: &[u16],
        name: &Path,
        n: BTreeMap<String, u64>,
        report: &mut PredictReport,
    ) -> Result<()> {
        let below = Path::new(MASKS).join(name);
        let path = self.out.path().join(&below);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let key = below.to_string_lossy().into_owned();
        if report.masks.contains_key(&key) {
            bail!("two files would get the mask {key}\nhint: predict them into folders of their own");
        }
        Mask { grid, labels }.write(&path)?;
        report.masks.insert(key, n);
        Ok(())
    }
}

impl Sink for Masks<'_> {
    fn take(&mut self, outputs: Outputs, report: &mut PredictReport) -> Result<()> {
        if outputs.rows.is_empty() {
            return Ok(());
        }
        if outputs.affines.len() != outputs.rows.len() {
            bail!(
                "plugin {} does not say where samples lie in their files, so that masks have no place there\n\
                 hint: the plugin has to fill AFFINES; see CONTRACT.md",
                self.dataset.modality()
            );
        }
        let a_sample = outputs.n_voxels * outputs.n_values;
        let each = outputs.rows.iter().zip(&outputs.affines).zip(outputs.values.chunks_exact(a_sample.max(1)));
        for ((row, affine), values) in each {
            let file = self.dataset.samples().file(*row as usize).to_string();
            if self.file.as_ref().is_none_or(|(own, _)| *own != file) {
                self.write(report)?;
                let grid = self.dataset.dataset().grids(&[*row])?.into_iter().next().flatten();
                let grid = grid.ok_or_else(|| {
                    anyhow!(
                        "plugin {} does not know the grid of {file}\nhint: its files have no voxels of their own",
                        self.dataset.modality()
                    )
                })?;
                if grid.shape.len() != self.n_axes {
                    bail!("{file} has {} axes, and the samples have {}", grid.shape.len(), self.n_axes);
                }
                self.file = Some((file.clone(), grid));
            }
            let placed = Placed::new(values, affine, &self.grid, self.n_axes);
            self.samples.push(placed.with_context(|| format!("sample {}", self.dataset.ids()[*row as usize]))?);
        }
        Ok(())
    }

    fn finish(&mut self, report: &mut PredictReport) -> Result<()> {
        self.write(report)
    }
}
