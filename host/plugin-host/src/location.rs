//! Where a plugin comes from, and a plugin that was found but not used.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::digest::sha256_of_file;

/// Where a plugin comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum PluginLocation {
    /// A shared library.
    Library {
        /// The file.
        path: PathBuf,
    },
    /// Linked into this program.
    BuiltIn,
}

impl PluginLocation {
    /// SHA-256 of the library's file, 64 hexadecimal digits. None of a built-in plugin: it is this program's own.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn sha256(&self) -> std::io::Result<Option<String>> {
        let Self::Library { path } = self else { return Ok(None) };
        sha256_of_file(path).map(Some)
    }
}

impl fmt::Display for PluginLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Library { path } => write!(f, "{}", path.display()),
            Self::BuiltIn => f.write_str("built-in"),
        }
    }
}

/// A file (or a built-in plugin) that was found and is not used, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{location}: {reason}{}", hint_line(.hint))]
pub struct LoadError {
    /// What was refused.
    #[serde(rename = "location")]
    pub location: PluginLocation,
    /// What was found and what was expected.
    pub reason: String,
    /// The remedy.
    pub hint: Option<String>,
}

fn hint_line(hint: &Option<String>) -> String {
    hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default()
}

impl LoadError {
    /// With what was found and the remedy.
    pub(crate) fn new(location: &PluginLocation, reason: impl fmt::Display, hint: impl fmt::Display) -> Self {
        Self { location: location.clone(), reason: reason.to_string(), hint: Some(hint.to_string()) }
    }

    /// From text that may carry its remedy on a line of its own.
    pub(crate) fn from_text(location: &PluginLocation, text: &str) -> Self {
        let (reason, hint) = match text.split_once("\nhint: ") {
            Some((reason, hint)) => (reason, Some(hint.to_string())),
            None => (text, None),
        };
        Self { location: location.clone(), reason: reason.to_string(), hint }
    }
}
