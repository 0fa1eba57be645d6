//! Initial model of a run: imported weights, in the run's folder `initial`.

use std::fs::File;
use std::path::Path;

use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use super::import::Imported;
use super::import_report::ImportReport;
use super::safetensors_file::{TensorOut, floats_to_bytes, write_safetensors};
use super::tensor_file::{NamedTensor, TensorFile};
use super::weights_source::WeightsSource;
use crate::confined_path::ConfinedPath;
use crate::model::ModelConfig;
use crate::run::{
    CHECKSUM_PLACEHOLDER, FORMAT, RunLayout, StoredModel, check_manifest, read_document, save_model, sha256_of_content,
    write_document, write_folder, write_manifest,
};
use crate::{Error, Result};

/// Initial model of a run: `initial/initial.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InitialModel {
    /// Version of the run format.
    pub format: u32,
    /// SHA-256 of the file itself, where it stands in the file; otherwise zeros.
    pub checksum: String,
    /// Name of the imported file, without its folder; with it where the folder was imported.
    pub source: String,
    /// SHA-256 of the imported file.
    pub source_sha256: String,
    /// Configuration of the model: sizes and families.
    pub model: ModelConfig,
    /// Report of the import.
    pub report: ImportReport,
}

impl InitialModel {
    /// Reads the initial model of a run and compares its files with their checksums; `None` where the run has no
    /// initial model.
    ///
    /// # Errors
    /// Files that are missing, damaged, or of a later format.
    pub fn read(run: &RunLayout) -> Result<Option<Self>> {
        let folder = run.initial();
        if !folder.is_folder()? {
            return Ok(None);
        }
        match check_manifest(&folder)?.into_iter().find_map(|(_, fault)| fault) {
            Some(fault) => Err(fault),
            None => {
                let path = folder.join(RunLayout::INITIAL_DESCRIPTION);
                let initial: Self = read_document(&path)?;
                initial.model.check().map_err(|error| Error::damaged(&path.path(), error))?;
                Ok(Some(initial))
            }
        }
    }

    /// Checks every file of the initial model against its checksum; names are relative to the run. Empty where the run has no initial model.
    ///
    /// # Errors
    /// A manifest that is missing or damaged.
    pub fn check_files(run: &RunLayout) -> Result<Vec<(String, Option<Error>)>> {
        let folder = run.initial();
        if !folder.is_folder()? {
            return Ok(Vec::new());
        }
        let checks = check_manifest(&folder)?;
        let manifest = (format!("{}/{}", RunLayout::INITIAL, RunLayout::MANIFEST), None);
        Ok(checks
            .into_iter()
            .map(|(name, fault)| (format!("{}/{name}", RunLayout::INITIAL), fault))
            .chain([manifest])
            .collect())
    }

    /// Writes the folder of the initial model, atomically. `source` is the file or folder that was imported.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn write(run: &RunLayout, imported: &Imported, source: &Path) -> Result<Self> {
        let found = WeightsSource::find(source)?;
        let initial = Self {
            format: FORMAT,
            checksum: CHECKSUM_PLACEHOLDER.into(),
            source: found.name(source),
            source_sha256: File::open(&found.weights)
                .and_then(sha256_of_content)
                .map_err(Error::file("cannot read", &found.weights))?,
            model: imported.config.clone(),
            report: imported.report.clone(),
        };
        write_folder(&run.initial(), |folder| {
            save_model(&folder.join(RunLayout::MODEL), &imported.model)?;
            if !imported.passed_through.is_empty() {
                write_passed_through(&folder.join(RunLayout::PASSED_THROUGH), &imported.passed_through)?;
            }
            write_document(&folder.join(RunLayout::INITIAL_DESCRIPTION), &initial)?;
            write_manifest(folder)
        })?;
        Ok(initial)
    }

    /// Stored model with the initial parameters.
    pub fn stored(&self, run: &RunLayout) -> StoredModel {
        StoredModel::new(run.initial().join(RunLayout::MODEL), self.model.clone())
    }

    /// Passed-through tensors of the import: tensors of the published layout that no model uses.
    ///
    /// # Errors
    /// A file that is damaged.
    pub fn passed_through(run: &RunLayout) -> Result<Vec<NamedTensor>> {
        let mut found = None;
        for name in [RunLayout::PASSED_THROUGH, RunLayout::PASSED_THROUGH_BEFORE_FORMAT_4] {
            let path = run.initial().join(name);
            if found.is_none() && path.is_file()? {
                found = Some(path);
            }
        }
        let Some(path) = found else { return Ok(Vec::new()) };
        let file = TensorFile::open_confined(&path)?;
        let read = |name: &String| {
            Ok(NamedTensor { name: name.clone(), shape: file.shape(name)?.to_vec(), values: file.floats(name)? })
        };
        file.tensors().keys().map(read).collect()
    }
}

fn write_passed_through(path: &ConfinedPath, passed_through: &[NamedTensor]) -> Result<()> {
    let tensors: Vec<TensorOut> = passed_through
        .iter()
        .map(|tensor| TensorOut { name: tensor.name.clone(), shape: tensor.shape.clone(), dtype: Dtype::F32 })
        .collect();
    write_safetensors(path, &tensors, "", &mut |file| {
        passed_through.iter().try_for_each(|tensor| {
            file.write_all(&floats_to_bytes(&tensor.values)).map_err(Error::file("cannot write", &path.path()))
        })
    })
}
