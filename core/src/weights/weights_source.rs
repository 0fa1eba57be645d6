//! Where weights lie: in a file, or in a folder of the Hugging Face Hub beside their configuration.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Error, Result, WeightsError};

/// Largest size of a configuration in bytes.
const MAX_JSON: u64 = 4 << 20;

/// Files of weights in a folder, the first one first.
const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// Weights, and what lies beside them.
#[derive(Debug)]
pub(super) struct WeightsSource {
    /// File of the tensors.
    pub weights: PathBuf,
    /// Configuration of the model: `config.json`.
    pub config: Option<Document>,
    /// Configuration of the reading of images: `preprocessor_config.json`.
    pub preprocessor: Option<Document>,
}

/// JSON document.
#[derive(Debug)]
pub(super) struct Document {
    pub path: PathBuf,
    pub value: Value,
}

impl WeightsSource {
    /// Finds the weights at a path: those of a file, or of a folder with its configuration.
    ///
    /// # Errors
    /// A folder without weights, or with weights in several files; a configuration that is no JSON, or too large.
    pub fn find(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            return Ok(Self { weights: path.into(), config: None, preprocessor: None });
        }
        let unfit = |found: String| Err(WeightsError::UnknownFile { path: path.into(), found }.into());
        let Some(weights) = WEIGHTS.map(|name| path.join(name)).into_iter().find(|path| path.is_file()) else {
            let index = WEIGHTS.map(|name| format!("{name}.index.json"));
            return match index.iter().find(|name| path.join(name).is_file()) {
                Some(name) => unfit(format!("is a folder whose weights are divided among several files ({name})")),
                None => unfit(format!("is a folder with neither {} nor {}", WEIGHTS[0], WEIGHTS[1])),
            };
        };
        let (config, preprocessor) =
            (Document::read(path.join("config.json"))?, Document::read(path.join("preprocessor_config.json"))?);
        Ok(Self { weights, config, preprocessor })
    }

    /// Name of the weights for people, without the folders before: `model.pth`, or `folder/model.safetensors`.
    pub fn name(&self, given: &Path) -> String {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if self.weights == given { name(given) } else { format!("{}/{}", name(given), name(&self.weights)) }
    }
}

impl Document {
    /// Reads a document; `None` where there is no file.
    fn read(path: PathBuf) -> Result<Option<Self>> {
        if !path.is_file() {
            return Ok(None);
        }
        let mut text = Vec::new();
        let file = File::open(&path).map_err(Error::file("cannot read", &path))?;
        file.take(MAX_JSON + 1).read_to_end(&mut text).map_err(Error::file("cannot read", &path))?;
        if text.len() as u64 > MAX_JSON {
            return Err(Error::damaged(&path, format!("it has more than {MAX_JSON} bytes")));
        }
        let value = serde_json::from_slice(&text).map_err(|error| Error::damaged(&path, error))?;
        Ok(Some(Self { path, value }))
    }

    /// Error for an entry of the document.
    pub fn wrong(&self, name: &str, expected: impl Into<String>) -> Error {
        let found = self.value.get(name).map_or_else(|| "missing".into(), Value::to_string);
        let found = found.chars().take(80).collect();
        WeightsError::Configuration { path: self.path.clone(), name: name.into(), found, expected: expected.into() }
            .into()
    }

    /// A whole number of the document.
    ///
    /// # Errors
    /// An entry that is missing or no whole number.
    pub fn size(&self, name: &str) -> Result<usize> {
        let value = self.value.get(name).and_then(Value::as_u64).and_then(|value| usize::try_from(value).ok());
        value.ok_or_else(|| self.wrong(name, "a whole number"))
    }
}
