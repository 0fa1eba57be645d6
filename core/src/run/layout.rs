//! The names of all files and folders of a run.
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
//!     buffer/                 their files, where they are materialised, with a manifest.json
//!     assets/                 what the plugin learned from the data, with a manifest.json
//!     metrics.jsonl           losses by epoch
//!     timing.jsonl            times by epoch
//!     checkpoint-EEEEE[-SSSSSS]/  model.bpk optimizer.bpk metrics.jsonl state.json
//! evaluation/NAME/scores.json
//! report.html
//! *.partial                   not yet complete
//! ```

use std::path::{Path, PathBuf};

/// The folder of a run.
#[derive(Debug, Clone)]
pub struct RunLayout {
    path: PathBuf,
}

/// Names in the folder of a run.
impl RunLayout {
    /// The configuration.
    pub const RECORD: &str = "run.toml";
    /// The plugins that the run was made with.
    pub const PLUGINS_LOCK: &str = "plugins.lock";
    /// The lock of the process that writes the run. The file stays and has no meaning afterwards.
    pub const LOCK: &str = ".lock";
    /// Folder of the stages.
    pub const STAGES: &str = "stages";
    /// Folder of the imported weights that the run starts from.
    pub const INITIAL: &str = "initial";
    /// Folder of the evaluations.
    pub const EVALUATIONS: &str = "evaluation";
    /// The scores of an evaluation.
    pub const SCORES: &str = "scores.json";
    /// The report.
    pub const REPORT: &str = "report.html";
    /// Extension of files and folders that are not complete.
    pub const PARTIAL: &str = ".partial";
    /// Checksums of the files of a folder.
    pub const MANIFEST: &str = "manifest.json";
    /// Parameters of a model.
    pub const MODEL: &str = "model.bpk";
}

/// Names in the folder of a stage.
impl RunLayout {
    /// State of a finished stage, or of a checkpoint.
    pub const STATE: &str = "state.json";
    /// State of the optimiser, in checkpoints.
    pub const OPTIMIZER: &str = "optimizer.bpk";
    /// Importance of each parameter (`ewc`), in the shape of a model.
    pub const IMPORTANCE: &str = "importance.bpk";
    /// The stage that each weight belongs to (`packnet`), in the shape of a model.
    pub const OWNERS: &str = "owners.bpk";
    /// The samples of the rehearsal buffer.
    pub const BUFFER: &str = "buffer.jsonl";
    /// Folder of the buffer's samples, where they are materialised.
    pub const BUFFER_SAMPLES: &str = "buffer";
    /// Losses by epoch.
    pub const METRICS: &str = "metrics.jsonl";
    /// Times by epoch.
    pub const TIMING: &str = "timing.jsonl";
    /// Folder of what the plugin learned from the data.
    pub const ASSETS: &str = "assets";
    /// The same while the run has no record yet: an attempt that fails before then leaves nothing that counts.
    pub const NEW_ASSETS: &str = "assets.new.partial";
    /// What the name of a checkpoint starts with.
    pub const CHECKPOINT_PREFIX: &str = "checkpoint-";
}

/// Names in the folder of imported weights.
impl RunLayout {
    /// What was imported.
    pub const INITIAL_DESCRIPTION: &str = "initial.json";
    /// Tensors of the published layout that no model uses.
    pub const PASSED_THROUGH: &str = "passed-through.safetensors";
    /// The same in run formats 1 to 3.
    pub const PASSED_THROUGH_BEFORE_FORMAT_4: &str = "carried.safetensors";
}

/// Paths.
impl RunLayout {
    /// The layout of the run in a folder.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The run's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `run.toml`.
    pub fn record(&self) -> PathBuf {
        self.path.join(Self::RECORD)
    }

    /// `plugins.lock`.
    pub fn plugins_lock(&self) -> PathBuf {
        self.path.join(Self::PLUGINS_LOCK)
    }

    /// `initial/`.
    pub fn initial(&self) -> PathBuf {
        self.path.join(Self::INITIAL)
    }

    /// `evaluation/`.
    pub fn evaluations(&self) -> PathBuf {
        self.path.join(Self::EVALUATIONS)
    }

    /// `evaluation/NAME/`.
    pub fn evaluation(&self, name: &str) -> PathBuf {
        self.evaluations().join(name)
    }

    /// `report.html`.
    pub fn report(&self) -> PathBuf {
        self.path.join(Self::REPORT)
    }

    /// `stages/NN-modality/`; `stage` counts from 1.
    pub fn stage(&self, stage: usize, modality: &str) -> PathBuf {
        self.path.join(Self::STAGES).join(format!("{stage:02}-{modality}"))
    }
}
