//! The location of a plugin, and the error for a plugin that was found and cannot be used.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// Location of a plugin: a library file, or this program itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum PluginLocation {
    /// A shared library.
    Library {
        /// Path of the library file.
        path: PathBuf,
    },
    /// The plugin is linked into this program.
    BuiltIn,
}

impl fmt::Display for PluginLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Library { path } => write!(f, "{}", path.display()),
            Self::BuiltIn => f.write_str("built-in"),
        }
    }
}

/// A plugin that was found and cannot be used, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{location}: {reason}{}", hint_line(.hint))]
pub struct LoadError {
    /// Location of the refused plugin.
    #[serde(rename = "location")]
    pub location: PluginLocation,
    /// Finding and expectation.
    pub reason: String,
    /// The remedy.
    pub hint: Option<String>,
}

fn hint_line(hint: &Option<String>) -> String {
    hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default()
}

impl LoadError {
    /// An error with a reason and a remedy.
    pub(crate) fn new(location: &PluginLocation, reason: impl fmt::Display, hint: impl fmt::Display) -> Self {
        Self { location: location.clone(), reason: reason.to_string(), hint: Some(hint.to_string()) }
    }

    /// An error from text that may carry its remedy on a line of its own.
    pub(crate) fn from_text(location: &PluginLocation, text: &str) -> Self {
        let (reason, hint) = match text.split_once("\nhint: ") {
            Some((reason, hint)) => (reason, Some(hint.to_string())),
            None => (text, None),
        };
        Self { location: location.clone(), reason: reason.to_string(), hint }
    }
}
