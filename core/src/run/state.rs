//! The folder of one stage and its `state.json`.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::checksum::CHECKSUM_PLACEHOLDER;
use super::document::{FORMAT, read_document, write_document};
use super::manifest::{MANIFEST, check_manifest};
use super::metrics::LossSums;
use super::{read_lines, sha256_of, to_json_line, write_atomically};
use crate::buffer::RehearsalBuffer;
use crate::model::ModelConfig;
use crate::{Error, Result};

/// Name of the folder with the kept samples, where they are materialised.
pub const KEPT_SAMPLES: &str = "buffer";

/// What a stage knows of itself; `state.json`. Paths in it, if any, are relative.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageState {
    /// Version of the file's layout.
    pub format: u32,
    /// The file's own checksum, where it stands in the file; else zeros.
    pub checksum: String,
    /// Position in the run, from 1.
    pub stage: usize,
    /// Modality that was learned.
    pub modality: String,
    /// Its token family.
    pub family: String,
    /// Sizes and families of the model.
    pub model: ModelConfig,
    /// Seed of the run.
    pub seed: u64,
    /// Epochs that are done.
    pub epochs_done: usize,
    /// Epochs that were asked for.
    pub epochs: usize,
    /// Batches seen.
    pub steps: u64,
    /// The epoch that was left in its middle; only in checkpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<EpochSoFar>,
    /// Samples of the modality.
    pub n_samples: usize,
    /// Fingerprint of the data.
    pub fingerprint: String,
    /// Samples that could not be read, with the reason.
    pub invalid_samples: BTreeMap<String, String>,
    /// SHA-256 of the files beside this one; complete once the stage has finished.
    pub checksums: BTreeMap<String, String>,
}

/// An epoch that has begun and is not done.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EpochSoFar {
    /// Batches seen.
    pub steps: usize,
    /// Pretext losses.
    pub pretext: LossSums,
    /// Distillation losses.
    pub distillation: LossSums,
    /// At the latest update.
    pub learning_rate: f64,
}

impl StageState {
    /// A state as it stands in files of this version.
    pub(crate) fn stamped(mut self) -> Self {
        self.format = FORMAT;
        self.checksum = CHECKSUM_PLACEHOLDER.into();
        self
    }
}

/// One file of a run, after it was compared with its checksum.
#[derive(Debug)]
pub struct FileCheck {
    /// Relative to the stage's folder.
    pub name: String,
    /// What is wrong with it.
    pub fault: Option<Error>,
}

/// The folder of one stage.
#[derive(Debug, Clone)]
pub struct StageFolder {
    path: PathBuf,
}

impl StageFolder {
    /// `run/stages/01-text` for the first stage with modality `text`.
    pub fn new(run: &Path, stage: usize, modality: &str) -> Self {
        Self { path: run.join("stages").join(format!("{stage:02}-{modality}")) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name, for people: `stages/01-text`.
    pub fn name(&self) -> String {
        let folder = self.path.file_name().unwrap_or_default().to_string_lossy();
        format!("stages/{folder}")
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The state of the stage once it has finished; `None` before.
    ///
    /// # Errors
    /// A damaged file, or one of a later format.
    pub fn finished(&self) -> Result<Option<StageState>> {
        let path = self.file(STATE);
        if path.exists() { read_document(&path).map(Some) } else { Ok(None) }
    }

    /// The state in the latest checkpoint of a stage that runs or was interrupted; `None` without one.
    ///
    /// # Errors
    /// A damaged file, or one of a later format.
    pub fn running(&self) -> Result<Option<StageState>> {
        let latest = super::checkpoint::complete_checkpoints(self).pop();
        latest.map(|folder| read_document(&folder.join(STATE))).transpose()
    }

    /// Removes the folder, as if the stage had never begun.
    ///
    /// # Errors
    /// A folder that cannot be removed.
    pub fn remove(&self) -> Result<()> {
        super::files::remove_folder(&self.path)
    }

    /// Removes the checkpoints of a finished stage, which a process that ended at the wrong moment leaves behind.
    ///
    /// # Errors
    /// A folder that cannot be removed.
    pub fn clear_checkpoints(&self) -> Result<()> {
        super::Checkpoints::new(self.clone()).clear()
    }

    /// Compares every file of every checkpoint with its checksum.
    pub fn check_checkpoints(&self) -> Vec<FileCheck> {
        super::checkpoint::check_all(self)
    }

    /// Compares every file of a finished stage with its checksum.
    pub fn check_files(&self, state: &StageState) -> Vec<FileCheck> {
        let mut checks = Vec::new();
        for (name, expected) in &state.checksums {
            // A name that leads out of the folder was not written by this program.
            if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
                let fault =
                    Error::damaged(&self.file(STATE), format!("it names {name:?}, which is no file of the stage"));
                checks.push(FileCheck { name: STATE.into(), fault: Some(fault) });
                continue;
            }
            let fault = check_file(&self.file(name), expected).err();
            let sound = fault.is_none();
            checks.push(FileCheck { name: name.clone(), fault });
            // A manifest stands for the folder that it is in.
            if let Some(folder) = name.strip_suffix(MANIFEST).filter(|_| sound) {
                match check_manifest(&self.file(folder)) {
                    Ok(files) => checks.extend(
                        files.into_iter().map(|(file, fault)| FileCheck { name: format!("{folder}{file}"), fault }),
                    ),
                    Err(fault) => checks.push(FileCheck { name: folder.into(), fault: Some(fault) }),
                }
            }
        }
        checks
    }

    /// Makes sure that every file is as the state records it.
    ///
    /// # Errors
    /// The first file that is missing or differs.
    pub fn verify(&self, state: &StageState) -> Result<()> {
        self.check_files(state).into_iter().find_map(|check| check.fault).map_or(Ok(()), Err)
    }

    /// The stage's buffer.
    ///
    /// # Errors
    /// A file that is missing or damaged.
    pub fn buffer(&self) -> Result<RehearsalBuffer> {
        Ok(RehearsalBuffer { entries: read_lines(&self.file("buffer.jsonl"))? })
    }

    pub(crate) fn save_buffer(&self, buffer: &RehearsalBuffer) -> Result<()> {
        let path = self.file("buffer.jsonl");
        let lines: String = buffer.entries.iter().map(|entry| to_json_line(entry, &path)).collect::<Result<_>>()?;
        write_atomically(&path, lines.as_bytes())
    }

    /// Writes the final state with checksums of `names`; from then on the stage counts as finished.
    pub(crate) fn finish(&self, mut state: StageState, names: &[String]) -> Result<StageState> {
        state.unfinished = None;
        state.checksums =
            names.iter().map(|name| Ok((name.clone(), sha256_of(&self.file(name))?))).collect::<Result<_>>()?;
        let state = state.stamped();
        write_document(&self.file(STATE), &state)?;
        Ok(state)
    }
}

/// Name of the file with a stage's state.
pub(crate) const STATE: &str = "state.json";

/// Compares a file with its recorded SHA-256.
pub(crate) fn check_file(path: &Path, expected: &str) -> Result<()> {
    match sha256_of(path)? {
        found if found == expected => Ok(()),
        found => Err(Error::damaged(path, format!("its SHA-256 is {found}, recorded is {expected}"))),
    }
}
