//! Names of all files and folders of a run.
//!
//! ```text
//! run.toml                    configuration, with a checksum
//! plugins.lock                plugins that the run was made with
//! .lock                       held by the process that writes the run
//! initial/                    imported weights that the run starts from
//!     initial.json model.bpk passed-through.safetensors manifest.json
//! stages/NN-modality/
//!     state.json              the stage is finished; checksums of the files beside it
//!     model.bpk               parameters
//!     importance.bpk          of `ewc`;  owners.bpk  of `packnet`
//!     buffer.jsonl            samples of the rehearsal buffer
//!     buffer/                 their files and labels, where they are materialised, with a manifest.json
//!     assets/                 what the plugin learned from the data, with a manifest.json
//!     metrics.jsonl           losses by epoch
//!     timing.jsonl            times by epoch
//!     checkpoint-EEEEE[-SSSSSS]/  model.bpk optimizer.bpk metrics.jsonl state.json
//! evaluation/NAME/scores.json
//! report.html
//! *.partial                   not yet complete
//! ```

use std::path::Path;

use crate::confined_path::{ConfinedPath, PARTIAL};
use crate::{Result, RunError};

/// Layout of a run's folder: the paths of its files and folders.
#[derive(Debug, Clone)]
pub struct RunLayout {
    folder: ConfinedPath,
}

/// Names in the folder of a run.
impl RunLayout {
    /// File of the run's configuration.
    pub const RECORD: &str = "run.toml";
    /// File of the plugins that the run was made with.
    pub const PLUGINS_LOCK: &str = "plugins.lock";
    /// Lock file of the process that writes the run. The file stays and has no meaning afterwards.
    pub const LOCK: &str = ".lock";
    /// Folder of the stages.
    pub const STAGES: &str = "stages";
    /// Folder of the imported weights that the run starts from.
    pub const INITIAL: &str = "initial";
    /// Folder of the evaluations.
    pub const EVALUATIONS: &str = "evaluation";
    /// File of an evaluation's scores.
    pub const SCORES: &str = "scores.json";
    /// File of the report.
    pub const REPORT: &str = "report.html";
    /// Extension of incomplete files and folders.
    pub const PARTIAL: &str = PARTIAL;
    /// File of the checksums of a folder's files.
    pub const MANIFEST: &str = "manifest.json";
    /// File of a model's parameters.
    pub const MODEL: &str = "model.bpk";
}

/// Names in the folder of a stage.
impl RunLayout {
    /// File of the state of a finished stage, or of a checkpoint.
    pub const STATE: &str = "state.json";
    /// File of the optimiser's state, in checkpoints.
    pub const OPTIMIZER: &str = "optimizer.bpk";
    /// File of the importance of each parameter (`ewc`), in the shape of a model.
    pub const IMPORTANCE: &str = "importance.bpk";
    /// File of the stage that owns each weight (`packnet`), in the shape of a model.
    pub const OWNERS: &str = "owners.bpk";
    /// File of the rehearsal buffer's sample ids.
    pub const BUFFER: &str = "buffer.jsonl";
    /// Folder of the rehearsal buffer's materialised samples.
    pub const BUFFER_SAMPLES: &str = "buffer";
    /// File of the losses by epoch.
    pub const METRICS: &str = "metrics.jsonl";
    /// File of the times by epoch.
    pub const TIMING: &str = "timing.jsonl";
    /// Folder of the plugin's assets, learned from the data.
    pub const ASSETS: &str = "assets";
    /// Folder of the plugin's assets while the run has no record: a failed attempt leaves nothing valid.
    pub const NEW_ASSETS: &str = "assets.new.partial";
    /// Prefix of a checkpoint's name.
    pub const CHECKPOINT_PREFIX: &str = "checkpoint-";
}

/// Names in the folder of imported weights.
impl RunLayout {
    /// File of the description of the import.
    pub const INITIAL_DESCRIPTION: &str = "initial.json";
    /// File of the tensors of the published layout that no model uses.
    pub const PASSED_THROUGH: &str = "passed-through.safetensors";
    /// File of the passed-through tensors in run formats 1 to 3.
    pub const PASSED_THROUGH_BEFORE_FORMAT_4: &str = "carried.safetensors";
}

/// Paths of a run's files and folders.
impl RunLayout {
    /// Opens the folder of a run.
    ///
    /// # Errors
    /// A folder that does not exist or cannot be entered.
    pub fn open(path: &Path) -> Result<Self> {
        ConfinedPath::root(path).map(Self::of)
    }

    /// Opens the folder of a run, which is created where it does not exist.
    ///
    /// # Errors
    /// A folder that cannot be created or entered.
    pub fn create(path: &Path) -> Result<Self> {
        ConfinedPath::create_root(path).map(Self::of)
    }

    /// The layout of the run in a folder that is open.
    pub fn of(folder: ConfinedPath) -> Self {
        Self { folder }
    }

    /// Folder of the run.
    pub fn folder(&self) -> &ConfinedPath {
        &self.folder
    }

    /// File of the run's configuration: `run.toml`.
    pub fn record(&self) -> ConfinedPath {
        self.folder.join(Self::RECORD)
    }

    /// File of the run's plugins: `plugins.lock`.
    pub fn plugins_lock(&self) -> ConfinedPath {
        self.folder.join(Self::PLUGINS_LOCK)
    }

    /// Lock file: `.lock`.
    pub fn lock(&self) -> ConfinedPath {
        self.folder.join(Self::LOCK)
    }

    /// Folder of the imported weights: `initial/`.
    pub fn initial(&self) -> ConfinedPath {
        self.folder.join(Self::INITIAL)
    }

    /// Folder of the evaluations: `evaluation/`.
    pub fn evaluations(&self) -> ConfinedPath {
        self.folder.join(Self::EVALUATIONS)
    }

    /// Folder of one evaluation: `evaluation/NAME/`.
    pub fn evaluation(&self, name: &str) -> ConfinedPath {
        self.evaluations().join(name)
    }

    /// File of the report: `report.html`.
    pub fn report(&self) -> ConfinedPath {
        self.folder.join(Self::REPORT)
    }

    /// Folder of a stage: `stages/NN-modality/`; `stage` counts from 1.
    pub fn stage(&self, stage: usize, modality: &str) -> ConfinedPath {
        self.folder.join(Self::STAGES).join(Self::stage_name(stage, modality))
    }

    /// Name of a stage's folder.
    pub(crate) fn stage_name(stage: usize, modality: &str) -> String {
        format!("{stage:02}-{modality}")
    }
}

/// Checks the name of a modality, which is part of a folder's name: lowercase letters, digits and `_`, beginning with a letter, 64 bytes at
/// most.
///
/// # Errors
/// Another name.
pub fn check_modality(name: &str) -> Result<()> {
    let allowed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    let begins = name.starts_with(|letter: char| letter.is_ascii_lowercase());
    if begins && name.len() <= MAX_MODALITY && name.chars().all(allowed) {
        return Ok(());
    }
    Err(RunError::BadModality { name: name.into() }.into())
}

/// Number of bytes of a modality's name.
const MAX_MODALITY: usize = 64;
