//! The folder of one stage and its `state.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{read_json, read_lines, sha256_of, to_json_line, write_atomically};
use crate::model::ModelConfig;
use crate::rehearsal::RehearsalBuffer;
use crate::{Error, Result};

/// Version of the files in a stage's folder.
pub const FORMAT: u32 = 1;

/// What a stage knows of itself; `state.json`. Paths in it, if any, are relative.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageState {
    /// [`FORMAT`].
    pub format: u32,
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
    /// Samples of the modality.
    pub n_samples: usize,
    /// Fingerprint of the data.
    pub fingerprint: String,
    /// Samples that could not be read, with the reason.
    pub bad_samples: BTreeMap<String, String>,
    /// SHA-256 of the files beside this one; complete once the stage has finished.
    pub checksums: BTreeMap<String, String>,
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
    /// A damaged file, or one of another format.
    pub fn finished(&self) -> Result<Option<StageState>> {
        let path = self.file("state.json");
        if !path.exists() {
            return Ok(None);
        }
        let state: StageState = read_json(&path)?;
        if state.format != FORMAT {
            return Err(Error::damaged(&path, format!("format {} found, {FORMAT} expected", state.format)));
        }
        Ok(Some(state))
    }

    /// Compares the files with the checksums of the state.
    ///
    /// # Errors
    /// A file that is missing or differs.
    pub fn verify(&self, state: &StageState) -> Result<()> {
        for (name, expected) in &state.checksums {
            let path = self.file(name);
            let found = sha256_of(&path)?;
            if found != *expected {
                return Err(Error::damaged(&path, format!("SHA-256 {found} found, {expected} recorded in state.json")));
            }
        }
        Ok(())
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
    pub(crate) fn finish(&self, mut state: StageState, names: &[&str]) -> Result<StageState> {
        for &name in names {
            state.checksums.insert(name.into(), sha256_of(&self.file(name))?);
        }
        let path = self.file("state.json");
        let mut text = serde_json::to_string_pretty(&state).map_err(|error| Error::damaged(&path, error))?;
        text.push('\n');
        write_atomically(&path, text.as_bytes())?;
        Ok(state)
    }
}
