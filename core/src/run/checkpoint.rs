//! Checkpoints of a running stage: model, optimiser, metrics and state in a folder that appears whole or not at all.
//!
//! `checkpoint-00007` was written after seven epochs, `checkpoint-00007-000120` after 120 batches of the eighth. Each is complete
//! by itself: what lies outside of it is written anew when the stage goes on.

use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::tensor::Bytes;

use super::document::{read_document, write_document};
use super::files::{FileCheck, check_file, read_text, remove_folder, sha256_of, write_atomically, write_folder};
use super::layout::RunLayout;
use super::metrics::MetricsLog;
use super::stage_folder::StageFolder;
use super::stage_state::StageState;
use super::stored_model::{load_model, max_model_bytes, save_model};
use crate::confined_path::{ConfinedPath, EntryKind};
use crate::model::Model;
use crate::{Error, Result, RunError};

/// Number of complete checkpoints that are kept: one more than needed, in case the latest is damaged.
const KEPT: usize = 2;

/// The checkpoints of one stage.
pub(crate) struct Checkpoints {
    folder: StageFolder,
}

/// State that a stage continues from, after its latest checkpoint is read.
pub(crate) struct RestoredState {
    pub model: Model,
    pub optimiser: ModuleOptimizer,
    /// State of the stage; none without a checkpoint. Model and optimiser are then the given ones.
    pub state: Option<StageState>,
    /// Lines of the metrics up to the checkpoint.
    pub metrics: String,
    /// Damaged checkpoints that were skipped, with the reason.
    pub damaged: Vec<Error>,
}

/// Complete checkpoints of a stage, oldest first.
fn complete_checkpoints(folder: &StageFolder) -> Result<Vec<ConfinedPath>> {
    let mut found: Vec<([u64; 2], ConfinedPath)> = Vec::new();
    for (name, kind) in folder.path().entries()? {
        let place = name.strip_prefix(RunLayout::CHECKPOINT_PREFIX).and_then(place_of);
        if let Some(place) = place.filter(|_| kind == EntryKind::Folder) {
            found.push((place, folder.path().join(name)));
        }
    }
    // By number: names have as many digits as their numbers need.
    found.sort_by_key(|(place, _)| *place);
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Finished epochs, and batches of the next epoch, from a checkpoint's name without its prefix.
fn place_of(name: &str) -> Option<[u64; 2]> {
    let (epochs, steps) = name.split_once('-').unwrap_or((name, "0"));
    let number = |digits: &str| {
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| plain)
    };
    Some([number(epochs)?, number(steps)?])
}

/// Checkpoints of a stage, as others see them.
impl StageFolder {
    /// State in the latest checkpoint of a stage that is running or was interrupted; none without a checkpoint.
    ///
    /// # Errors
    /// A damaged file, or one of a later format.
    pub fn running(&self) -> Result<Option<StageState>> {
        let latest = complete_checkpoints(self)?.pop();
        latest.map(|folder| self.read_state(&folder.join(RunLayout::STATE))).transpose()
    }

    /// Removes remaining checkpoints of a finished stage, for a process that ended between the two.
    ///
    /// # Errors
    /// A folder that cannot be removed.
    pub fn clear_checkpoints(&self) -> Result<()> {
        Checkpoints::new(self.clone()).clear()
    }

    /// Compares every file of every checkpoint with its checksum.
    ///
    /// # Errors
    /// A folder that cannot be listed.
    pub fn check_checkpoints(&self) -> Result<Vec<FileCheck>> {
        check_all(self)
    }
}

impl Checkpoints {
    /// The checkpoints in a stage's folder.
    pub fn new(folder: StageFolder) -> Self {
        Self { folder }
    }

    /// Latest checkpoint in words, with its path relative to the run.
    pub fn latest_name(&self) -> String {
        match complete_checkpoints(&self.folder).ok().and_then(|mut found| found.pop()) {
            Some(path) => format!("the last good checkpoint is {}/{}", self.folder.name(), path.name()),
            None => "no checkpoint of this stage was written yet; earlier stages are complete".into(),
        }
    }

    /// Writes a checkpoint and removes the oldest ones.
    pub fn save(
        &self,
        model: &Model,
        optimiser: &ModuleOptimizer,
        metrics: &MetricsLog,
        state: &StageState,
    ) -> Result<()> {
        let within = state.unfinished.as_ref().map(|epoch| format!("-{:06}", epoch.steps)).unwrap_or_default();
        let target = self.folder.file(&format!("{}{:05}{within}", RunLayout::CHECKPOINT_PREFIX, state.epochs_done));
        write_folder(&target, |folder| write(folder, model, optimiser, metrics, state))?;
        let complete = complete_checkpoints(&self.folder)?;
        complete[..complete.len().saturating_sub(KEPT)].iter().try_for_each(remove_folder)
    }

    /// Reads the latest valid checkpoint, if there is one, into a model and an optimiser of the same shape. A damaged checkpoint costs the time since
    /// the one before, but changes no result.
    ///
    /// # Errors
    /// Checkpoints of which none is valid.
    pub fn restore(&self, model: Model, optimiser: ModuleOptimizer) -> Result<RestoredState> {
        let mut damaged = Vec::new();
        for folder in complete_checkpoints(&self.folder)?.into_iter().rev() {
            let state = match check(&self.folder, &folder) {
                Ok(state) => state,
                Err(error) => {
                    damaged.push(error);
                    continue;
                }
            };
            let path = folder.join(RunLayout::OPTIMIZER);
            // Adam keeps two moments of each parameter.
            let bytes = path.read(max_model_bytes(model.n_parameters() as u64).saturating_mul(2))?;
            let record = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(bytes))
                .map_err(|error| Error::damaged(&path.path(), error))?;
            let model = load_model(&folder.join(RunLayout::MODEL), model)?;
            let metrics = read_text(&folder.join(RunLayout::METRICS))?;
            let optimiser = optimiser.load_record(record);
            return Ok(RestoredState { model, optimiser, state: Some(state), metrics, damaged });
        }
        match damaged.pop() {
            Some(error) => {
                Err(RunError::NoValidCheckpoint { stage: self.folder.name(), latest: Box::new(error) }.into())
            }
            None => Ok(RestoredState { model, optimiser, state: None, metrics: String::new(), damaged }),
        }
    }

    /// Removes all checkpoints of a finished stage.
    pub fn clear(&self) -> Result<()> {
        complete_checkpoints(&self.folder)?.iter().try_for_each(remove_folder)?;
        self.folder.path().sync_folder()
    }
}

fn write(
    folder: &ConfinedPath,
    model: &Model,
    optimiser: &ModuleOptimizer,
    metrics: &MetricsLog,
    state: &StageState,
) -> Result<()> {
    save_model(&folder.join(RunLayout::MODEL), model)?;
    let path = folder.join(RunLayout::OPTIMIZER);
    let bytes = optimiser.to_record().into_bytes().map_err(|error| Error::damaged(&path.path(), error))?;
    write_atomically(&path, &bytes)?;
    write_atomically(&folder.join(RunLayout::METRICS), metrics.text().as_bytes())?;
    let mut state = state.clone().stamped();
    for name in [RunLayout::MODEL, RunLayout::OPTIMIZER, RunLayout::METRICS] {
        state.checksums.insert(name.into(), sha256_of(&folder.join(name))?);
    }
    write_document(&folder.join(RunLayout::STATE), &state)
}

/// Checks of every file of every checkpoint of a stage.
fn check_all(stage: &StageFolder) -> Result<Vec<FileCheck>> {
    let mut checks = Vec::new();
    for folder in complete_checkpoints(stage)? {
        let checkpoint = folder.name();
        let state = read_document::<StageState>(&folder.join(RunLayout::STATE));
        let recorded = state.as_ref().map(|state| state.checksums.clone()).unwrap_or_default();
        checks.push(FileCheck { name: format!("{checkpoint}/{}", RunLayout::STATE), fault: state.err() });
        for (name, expected) in recorded {
            let fault = check_file(&folder.join(&name), &expected).err();
            checks.push(FileCheck { name: format!("{checkpoint}/{name}"), fault });
        }
    }
    Ok(checks)
}

/// State of a checkpoint whose files are all valid.
fn check(stage: &StageFolder, folder: &ConfinedPath) -> Result<StageState> {
    let state = stage.read_state(&folder.join(RunLayout::STATE))?;
    for name in [RunLayout::MODEL, RunLayout::OPTIMIZER, RunLayout::METRICS] {
        let expected = state.checksums.get(name).map(String::as_str).unwrap_or_default();
        check_file(&folder.join(name), expected)?;
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_are_in_the_order_of_their_numbers() {
        let on_disk = tempfile::tempdir().unwrap();
        let folder = StageFolder::new(&RunLayout::open(on_disk.path()).unwrap(), 1, "toy");
        let expected = ["00007", "00007-000120", "00007-999999", "00007-1000000", "99999-000001", "100000"];
        for name in expected.iter().rev().chain(&["new", "1-2-3", "+1", ""]) {
            folder.path().join(format!("{}{name}", RunLayout::CHECKPOINT_PREFIX)).create_folder().unwrap();
        }
        let found: Vec<String> = complete_checkpoints(&folder).unwrap().iter().map(ConfinedPath::name).collect();
        assert_eq!(found, expected.map(|name| format!("{}{name}", RunLayout::CHECKPOINT_PREFIX)));
    }
}
