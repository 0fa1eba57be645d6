//! Patterns that choose files by their paths.

use anyhow::{Result, anyhow};
use glob::{MatchOptions, Pattern};

/// `*` and `?` end at the border of a folder, `**` does not.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// Patterns of files to use and of files to leave out.
pub(super) struct FilePatterns {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

impl FilePatterns {
    /// The patterns of the two settings.
    ///
    /// # Errors
    /// The first text that is no pattern.
    pub fn new(include: Option<&[String]>, exclude: Option<&[String]>) -> Result<Self> {
        let of = |name: &str, texts: Option<&[String]>| {
            let pattern = |text: &String| {
                Pattern::new(text).map_err(|error| {
                    anyhow!(
                        "data.{name} has {text:?}, which is no pattern: {}\nhint: write as in \"**/volume-*.nii.gz\"",
                        error.msg
                    )
                })
            };
            texts.unwrap_or_default().iter().map(pattern).collect::<Result<Vec<Pattern>>>()
        };
        Ok(Self { include: of("include", include)?, exclude: of("exclude", exclude)? })
    }

    /// Why a file is left out; none for one that is used.
    pub fn left_out(&self, path: &str) -> Option<String> {
        let fits = |pattern: &&Pattern| pattern.matches_with(path, OPTIONS);
        match self.exclude.iter().find(fits) {
            Some(pattern) => Some(format!("by data.exclude {:?}", pattern.as_str())),
            None if self.include.is_empty() || self.include.iter().any(|pattern| fits(&pattern)) => None,
            None => Some("not in data.include".into()),
        }
    }
}
