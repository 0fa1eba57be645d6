//! `dataset.json` of nnU-Net and of the Medical Segmentation Decathlon.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

/// Largest `dataset.json` in bytes.
const MAX_BYTES: u64 = 1 << 28;
/// Name of the file.
const NAME: &str = "dataset.json";

/// What is used of a `dataset.json`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct DatasetJson {
    /// Number of channels of an image, where it is stated.
    pub n_channels: Option<usize>,
    /// Images to learn from.
    pub training: Vec<String>,
    /// Images to test with.
    pub test: Vec<String>,
}

#[derive(Deserialize)]
struct Content {
    channel_names: Option<Value>,
    modality: Option<Value>,
    #[serde(default)]
    training: Vec<Value>,
    #[serde(default)]
    test: Vec<Value>,
}

impl DatasetJson {
    /// Reads the file in a folder.
    ///
    /// # Errors
    /// A file that is missing, too large or of another form.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let file = File::open(&path).with_context(|| format!("there is no {NAME} in {}", folder.display()))?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).with_context(|| format!("{NAME} cannot be read"))?;
        if bytes.len() as u64 > MAX_BYTES {
            bail!("{NAME} has more than {} MiB", MAX_BYTES >> 20);
        }
        let content: Content = serde_json::from_slice(&bytes).with_context(|| format!("{NAME} is damaged"))?;
        let n = |value: &Value| value.as_object().map(|channels| channels.len());
        let n_channels = content.channel_names.as_ref().or(content.modality.as_ref()).and_then(n);
        let image = |item: &Value| match item {
            Value::String(image) => Some(image.clone()),
            other => other.get("image").and_then(Value::as_str).map(String::from),
        };
        let images = |name: &str, items: &[Value]| -> Result<Vec<String>> {
            let found: Option<Vec<String>> = items.iter().map(image).collect();
            found.with_context(|| format!("{NAME} names an item of {name} without an image"))
        };
        Ok(Self { n_channels, training: images("training", &content.training)?, test: images("test", &content.test)? })
    }
}
