//! Checkpoints of a running stage: model, optimiser and state in a folder that appears whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::ModuleRecord;

use super::files::sync_folder;
use super::{StageFolder, StageState, read_json, write_atomically};
use crate::model::Model;
use crate::{Error, Result};

/// Complete checkpoints that are kept: one more than needed, in case the latest is found damaged.
const KEPT: usize = 2;

/// The checkpoints of one stage.
pub(crate) struct Checkpoints {
    folder: StageFolder,
}

/// Where a stage goes on from.
pub(crate) struct Restored {
    pub model: Model,
    pub optimiser: ModuleOptimizer,
    /// None when there was no checkpoint; model and optimiser are then the given ones.
    pub state: Option<StageState>,
}

impl Checkpoints {
    pub fn new(folder: StageFolder) -> Self {
        Self { folder }
    }

    /// Complete checkpoints, oldest first.
    fn complete(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.folder.path()) else { return Vec::new() };
        let mut found: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.strip_prefix("checkpoint-").is_some_and(|epoch| epoch.bytes().all(|b| b.is_ascii_digit()))
            })
            .collect();
        found.sort();
        found
    }

    /// The latest one for people, relative to the run.
    pub fn latest_name(&self) -> String {
        match self.complete().last() {
            Some(path) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                format!("the last good checkpoint is {}/{name}", self.folder.name())
            }
            None => "no checkpoint of this stage was written yet; earlier stages are complete".into(),
        }
    }

    /// Writes a checkpoint and removes those that are no longer kept.
    pub fn save(&self, model: &Model, optimiser: &ModuleOptimizer, state: &StageState) -> Result<()> {
        let target = self.folder.file(&format!("checkpoint-{:05}", state.epochs_done));
        let partial = target.with_extension("partial");
        let _ = fs::remove_dir_all(&partial);
        fs::create_dir_all(&partial).map_err(Error::file("cannot create", &partial))?;
        let written = self.write(&partial, model, optimiser, state).and_then(|()| {
            let _ = fs::remove_dir_all(&target);
            fs::rename(&partial, &target)
                .and_then(|()| sync_folder(Some(self.folder.path())))
                .map_err(Error::file("cannot write", &target))
        });
        if written.is_err() {
            let _ = fs::remove_dir_all(&partial);
            return written;
        }
        let complete = self.complete();
        for old in &complete[..complete.len().saturating_sub(KEPT)] {
            fs::remove_dir_all(old).map_err(Error::file("cannot remove", old))?;
        }
        Ok(())
    }

    fn write(&self, folder: &Path, model: &Model, optimiser: &ModuleOptimizer, state: &StageState) -> Result<()> {
        save_model(&folder.join("model.bpk"), model)?;
        let path = folder.join("optimizer.bpk");
        let bytes = optimiser.to_record().into_bytes().map_err(|error| Error::damaged(&path, error))?;
        write_atomically(&path, &bytes)?;
        let path = folder.join("state.json");
        let text = serde_json::to_vec_pretty(state).map_err(|error| Error::damaged(&path, error))?;
        write_atomically(&path, &text)
    }

    /// Reads the latest checkpoint, if there is one, into a model and an optimiser of the right shape.
    pub fn restore(&self, model: Model, optimiser: ModuleOptimizer) -> Result<Restored> {
        let Some(latest) = self.complete().pop() else { return Ok(Restored { model, optimiser, state: None }) };
        let state: StageState = read_json(&latest.join("state.json"))?;
        let model = load_model(&latest.join("model.bpk"), model)?;
        let path = latest.join("optimizer.bpk");
        let record = OptimizerRecord::load(&path).map_err(|error| Error::damaged(&path, error))?;
        Ok(Restored { model, optimiser: optimiser.load_record(record), state: Some(state) })
    }

    /// Removes all of them: the stage has finished.
    pub fn clear(&self) -> Result<()> {
        for path in self.complete() {
            fs::remove_dir_all(&path).map_err(Error::file("cannot remove", &path))?;
        }
        Ok(())
    }
}

/// Writes all parameters.
pub(crate) fn save_model(path: &Path, model: &Model) -> Result<()> {
    let bytes = model.valid().into_record().into_bytes().map_err(|error| Error::damaged(path, error))?;
    write_atomically(path, &bytes)
}

/// Reads all parameters into a model of the same shape.
pub(crate) fn load_model(path: &Path, model: Model) -> Result<Model> {
    let record = ModuleRecord::load(path).map_err(|error| Error::damaged(path, error))?;
    model.try_load_record(record).map_err(|error| Error::damaged(path, error))
}
