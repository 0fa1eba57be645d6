//! Files of saved samples: names, copies, and the options to open them with. For [`crate::Dataset::save_samples`].

use std::path::{Path, PathBuf};

use medcoss_abi::message::Synthesised;
use serde::Serialize;

use crate::labels::LabelTable;
use crate::{Error, FoundFile};

/// Name of the file of a saved sample. Names sort in the order of the positions; the extension is such as `.png`.
pub fn name(position: usize, extension: &str) -> String {
    format!("{position:06}{extension}")
}

/// Copies a file that is one sample, and returns the name of the copy. The copy has all that the file states of a patient. A plugin
/// whose formats have room for names or dates writes samples with [`write()`] instead, without them.
///
/// # Errors
/// A file that cannot be read, a copy that cannot be written.
pub fn copy(file: &FoundFile, position: usize, folder: &Path) -> Result<PathBuf, Error> {
    let extension = file.path.extension().map(|extension| format!(".{}", extension.to_string_lossy().to_lowercase()));
    let name = name(position, &extension.unwrap_or_default());
    std::fs::copy(&file.path, folder.join(&name)).map_err(|error| {
        Error::unreadable(format!("{} cannot be copied to {}", file.path.display(), folder.display())).caused_by(&error)
    })?;
    Ok(name.into())
}

/// Writes a file of a saved sample.
///
/// # Errors
/// A file that cannot be written.
pub fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    std::fs::write(path, content)
        .map_err(|error| Error::unreadable(format!("{} cannot be written", path.display())).caused_by(&error))
}

/// The answer of [`crate::Dataset::save_samples`]: the files in their order, and the options to open them with.
///
/// # Errors
/// Options that cannot be written as JSON.
pub fn reopened_with(data: Vec<PathBuf>, options: &impl Serialize) -> Result<Synthesised, Error> {
    let options = serde_json::to_value(options)
        .map_err(|error| Error::bad_request("options cannot be written as JSON").caused_by(&error))?;
    Ok(Synthesised { data, options })
}

/// As [`reopened_with`], without the option that is this table of labels.
///
/// # Errors
/// Options that cannot be written as JSON.
pub(crate) fn reopened_without_labels(
    data: Vec<PathBuf>,
    options: &impl Serialize,
    table: Option<&LabelTable>,
) -> Result<Synthesised, Error> {
    let mut answer = reopened_with(data, options)?;
    if let (Some(table), Some(options)) = (table, answer.options.as_object_mut()) {
        options.retain(|_, value| serde_json::from_value::<LabelTable>(value.clone()).ok().as_ref() != Some(table));
    }
    Ok(answer)
}
