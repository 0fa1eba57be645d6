//! One path or several, as a configuration writes them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A path, or a list of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMore {
    /// One path.
    One(PathBuf),
    /// Several paths.
    More(Vec<PathBuf>),
}

impl OneOrMore {
    /// The paths as a list.
    pub fn paths(&self) -> Vec<PathBuf> {
        match self {
            Self::One(path) => vec![path.clone()],
            Self::More(paths) => paths.clone(),
        }
    }
}
