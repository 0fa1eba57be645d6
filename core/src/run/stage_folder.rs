//! Folder of one stage: files, checksums, and the state of a finished stage.

use super::document::{read_document, write_document};
use super::files::{FileCheck, check_file, read_lines, remove_folder, sha256_of, to_json_line, write_atomically};
use super::layout::RunLayout;
use super::manifest::check_manifest;
use super::stage_state::StageState;
use crate::buffer::RehearsalBuffer;
use crate::confined_path::ConfinedPath;
use crate::{Error, Result};

/// Folder of one stage.
#[derive(Debug, Clone)]
pub struct StageFolder {
    path: ConfinedPath,
}

impl StageFolder {
    /// The folder of a stage: `run/stages/01-text` for the first stage with modality `text`.
    pub fn new(run: &RunLayout, stage: usize, modality: &str) -> Self {
        Self { path: run.stage(stage, modality) }
    }

    /// Path of the folder.
    pub fn path(&self) -> &ConfinedPath {
        &self.path
    }

    /// Name of the folder in messages: `stages/01-text`.
    pub fn name(&self) -> String {
        format!("{}/{}", RunLayout::STAGES, self.path.name())
    }

    /// Path of a file in the folder.
    pub fn file(&self, name: &str) -> ConfinedPath {
        self.path.join(name)
    }

    /// State of the finished stage; none before the stage has finished.
    ///
    /// # Errors
    /// A damaged file, or one of a later format.
    pub fn finished(&self) -> Result<Option<StageState>> {
        let path = self.file(RunLayout::STATE);
        match path.kind()? {
            Some(_) => self.read_state(&path).map(Some),
            None => Ok(None),
        }
    }

    /// Reads a state of this stage. Sizes of the model are checked, before anyone allocates memory for it.
    pub(crate) fn read_state(&self, path: &ConfinedPath) -> Result<StageState> {
        let state: StageState = read_document(path)?;
        let (found, expected) = (RunLayout::stage_name(state.stage, &state.modality), self.path.name());
        if found != expected {
            return Err(Error::damaged(&path.path(), format!("it is the state of {found:?}, expected {expected:?}")));
        }
        state.model.check().map_err(|error| Error::damaged(&path.path(), error))?;
        Ok(state)
    }

    /// Removes the folder, as if the stage had never begun.
    ///
    /// # Errors
    /// A folder that cannot be removed.
    pub fn remove(&self) -> Result<()> {
        remove_folder(&self.path)
    }

    /// Checks every file of a finished stage against its checksum.
    pub fn check_files(&self, state: &StageState) -> Vec<FileCheck> {
        let mut checks = Vec::new();
        for (name, expected) in &state.checksums {
            let fault = check_file(&self.file(name), expected).err();
            let valid = fault.is_none();
            checks.push(FileCheck { name: name.clone(), fault });
            // A manifest represents its folder.
            if let Some(folder) = name.strip_suffix(RunLayout::MANIFEST).filter(|_| valid) {
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

    /// Verifies that every file is as the state records.
    ///
    /// # Errors
    /// The first file that is missing or differs.
    pub fn verify(&self, state: &StageState) -> Result<()> {
        self.check_files(state).into_iter().find_map(|check| check.fault).map_or(Ok(()), Err)
    }

    /// Rehearsal buffer of the stage.
    ///
    /// # Errors
    /// A file that is missing or damaged.
    pub fn buffer(&self) -> Result<RehearsalBuffer> {
        Ok(RehearsalBuffer { entries: read_lines(&self.file(RunLayout::BUFFER))? })
    }

    /// Writes the rehearsal buffer of the stage.
    pub(crate) fn save_buffer(&self, buffer: &RehearsalBuffer) -> Result<()> {
        let path = self.file(RunLayout::BUFFER);
        let lines: String = buffer.entries.iter().map(|entry| to_json_line(entry, &path)).collect::<Result<_>>()?;
        write_atomically(&path, lines.as_bytes())
    }

    /// Finishes the stage: writes the final state with checksums of the files `names`.
    pub(crate) fn finish(&self, mut state: StageState, names: &[String]) -> Result<StageState> {
        state.unfinished = None;
        state.checksums =
            names.iter().map(|name| Ok((name.clone(), sha256_of(&self.file(name))?))).collect::<Result<_>>()?;
        let state = state.stamped();
        write_document(&self.file(RunLayout::STATE), &state)?;
        Ok(state)
    }
}
