//! Checkpoints of fine-tuning: one folder that appears whole, and replaces the one before.

use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::tensor::Bytes;
use serde::{Deserialize, Serialize};

use super::epoch_report::EpochReport;
use super::stored::{read_weights, write_weights};
use super::task_model::TaskModel;
use crate::confined_path::ConfinedPath;
use crate::run::{
    CHECKSUM_PLACEHOLDER, FORMAT, check_file, read_document, remove_folder, sha256_of, write_atomically,
    write_document, write_folder,
};
use crate::{Error, Result};

const PREFIX: &str = "checkpoint-";
const WEIGHTS: &str = "weights.safetensors";
const BEST: &str = "best.safetensors";
const OPTIMIZER: &str = "optimizer.bpk";
const STATE: &str = "state.json";
/// Largest file of an optimiser, in bytes.
const MAX_OPTIMIZER: u64 = 64 << 30;

/// State of the training in a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    format: u32,
    checksum: String,
    /// Digest of all that decides the training: settings, task, data and seed.
    pub key: String,
    /// Reports of the finished epochs.
    pub reports: Vec<EpochReport>,
    /// Number of the best epoch so far, from 1.
    pub best: Option<usize>,
    checksums: std::collections::BTreeMap<String, String>,
}

/// Training that goes on.
pub(super) struct Restored {
    pub model: TaskModel,
    pub optimiser: ModuleOptimizer,
    /// Weights of the best epoch; none where it is the last, or there is none.
    pub best_model: Option<TaskModel>,
    pub reports: Vec<EpochReport>,
    pub best: Option<usize>,
}

/// Checkpoints in the folder of a model.
pub(super) struct Checkpoints<'a> {
    pub folder: &'a ConfinedPath,
    pub key: &'a str,
}

impl Checkpoints<'_> {
    fn all(&self) -> Result<Vec<ConfinedPath>> {
        let names = self.folder.entries()?.into_iter().map(|(name, _)| name);
        let mut names: Vec<String> = names.filter(|name| is_checkpoint(name)).collect();
        names.sort();
        Ok(names.into_iter().map(|name| self.folder.join(name)).collect())
    }

    /// Writes a checkpoint and removes earlier ones.
    pub fn save(
        &self,
        model: &TaskModel,
        optimiser: &ModuleOptimizer,
        best_model: Option<&TaskModel>,
        reports: &[EpochReport],
        best: Option<usize>,
    ) -> Result<()> {
        let earlier = self.all()?;
        write_folder(&self.folder.join(format!("{PREFIX}{:06}", reports.len())), |folder| {
            write_weights(&folder.join(WEIGHTS), model)?;
            let path = folder.join(OPTIMIZER);
            let bytes = optimiser.to_record().into_bytes().map_err(|error| Error::damaged(&path.path(), error))?;
            write_atomically(&path, &bytes)?;
            let mut names = vec![WEIGHTS, OPTIMIZER];
            if let Some(best_model) = best_model {
                write_weights(&folder.join(BEST), best_model)?;
                names.push(BEST);
            }
            let sums = names.iter().map(|name| Ok(((*name).into(), sha256_of(&folder.join(name))?)));
            let state = State {
                format: FORMAT,
                checksum: CHECKSUM_PLACEHOLDER.into(),
                key: self.key.into(),
                reports: reports.to_vec(),
                best,
                checksums: sums.collect::<Result<_>>()?,
            };
            write_document(&folder.join(STATE), &state)
        })?;
        earlier.iter().filter(|path| path.name() != format!("{PREFIX}{:06}", reports.len())).try_for_each(remove_folder)
    }

    /// Reads the latest checkpoint into a model and an optimiser of the same shape; none where there is none.
    ///
    /// # Errors
    /// A checkpoint that is damaged, or belongs to another training.
    pub fn restore(
        &self,
        model: TaskModel,
        best_model: TaskModel,
        optimiser: ModuleOptimizer,
    ) -> Result<Result<Restored, (TaskModel, ModuleOptimizer)>> {
        let Some(folder) = self.all()?.pop() else { return Ok(Err((model, optimiser))) };
        let state: State = read_document(&folder.join(STATE))?;
        if state.key != self.key {
            return Err(Error::damaged(
                &folder.path(),
                "it belongs to a fine-tuning with other settings or data\nhint: name another folder, or remove this one to begin again",
            ));
        }
        for (name, expected) in &state.checksums {
            if ![WEIGHTS, OPTIMIZER, BEST].contains(&name.as_str()) {
                return Err(Error::damaged(&folder.path(), format!("it names the file {name:?}")));
            }
            check_file(&folder.join(name), expected)?;
        }
        let model = read_weights(&folder.join(WEIGHTS), model)?;
        let best_model = match state.checksums.contains_key(BEST) {
            true => Some(read_weights(&folder.join(BEST), best_model)?),
            false => None,
        };
        let path = folder.join(OPTIMIZER);
        let record = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(path.read(MAX_OPTIMIZER)?))
            .map_err(|error| Error::damaged(&path.path(), error))?;
        let optimiser = optimiser.load_record(record);
        Ok(Ok(Restored { model, optimiser, best_model, reports: state.reports, best: state.best }))
    }

    /// Removes all checkpoints.
    pub fn clear(&self) -> Result<()> {
        self.all()?.iter().try_for_each(remove_folder)
    }
}

fn is_checkpoint(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .is_some_and(|digits| digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}
