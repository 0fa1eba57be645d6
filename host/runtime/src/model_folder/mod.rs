//! Folders with the encoder of one token family, which other libraries load.
//!
//! ```text
//! README.md                 model card
//! config.json               arguments of the encoder
//! model.safetensors         its parameters
//! *_medcoss.py              transformers: its code
//! preprocessor_config.json  transformers: size and range of pixels, for images
//! ```
//!
//! Nothing in a folder names a sample, a file of the data or a path.

mod card;
mod layout;
mod timm;
mod transformers;

use std::path::Path;

use anyhow::{Context, Result};
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::run::{write_atomically, write_folder};
use medcoss_core::weights::{export_encoder, export_timm};
use serde::Serialize;

use self::card::ModelCard;
pub use self::layout::FolderLayout;
use crate::encoding::family_of;
use crate::plugins_lock::PluginsLock;
use crate::run::Run;

/// Summary of an export.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExportedFolder {
    /// Number of tensors.
    pub n_tensors: usize,
    /// Number of values.
    pub n_values: usize,
    /// Names of the files.
    pub files: Vec<String>,
}

impl Run {
    /// Writes the encoder of a token family after a stage (the latest for none, the initial model for 0) to a folder. A folder that was there is
    /// replaced.
    ///
    /// # Errors
    /// A stage or a family that the run does not have, a model that the library would compute otherwise, damaged files, a folder that cannot be
    /// written.
    pub fn export_folder(
        &self,
        layout: FolderLayout,
        stage: Option<usize>,
        family: &str,
        out: &Path,
    ) -> Result<ExportedFolder> {
        let stored = self.model(stage)?;
        let config = &stored.config;
        let at = family_of(&stored, family)?;
        let mut files = match layout {
            FolderLayout::Huggingface => transformers::files(config, at),
            FolderLayout::Timm => timm::files(config, at)?,
        };
        let model = stored.load(&medcoss_core::device::by_name("cpu")?)?;
        let last = stage.unwrap_or(self.states.len());
        let plugins = PluginsLock::read(&self.layout.plugins_lock()).map(|lock| lock.plugin).unwrap_or_default();
        let card = ModelCard {
            layout,
            family: &config.families[at],
            n_parameters: 0,
            strategy: self.config.strategy.name.name(),
            seed: self.config.seed,
            stages: &self.states[..last],
            plugins: &plugins,
            initial: self.initial.as_ref(),
        };
        let mut summary = ExportedFolder { n_tensors: 0, n_values: 0, files: Vec::new() };
        write_folder(&ConfinedPath::of_user(out)?, |folder| {
            let weights = folder.join("model.safetensors");
            let exported = match layout {
                FolderLayout::Huggingface => export_encoder(&model, config, at, &weights)?,
                FolderLayout::Timm => export_timm(&model, config, at, &weights)?,
            };
            (summary.n_tensors, summary.n_values) = (exported.n_tensors, exported.n_values);
            files.push(("README.md", ModelCard { n_parameters: exported.n_values, ..card }.to_markdown()));
            files.iter().try_for_each(|(name, text)| write_atomically(&folder.join(name), text.as_bytes()))
        })
        .with_context(|| format!("cannot write {}", out.display()))?;
        summary.files = files.iter().map(|(name, _)| name.to_string()).chain(["model.safetensors".into()]).collect();
        summary.files.sort();
        Ok(summary)
    }
}
