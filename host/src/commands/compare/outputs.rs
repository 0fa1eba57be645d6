//! The files of a comparison.

use std::path::Path;

use anyhow::{Context, Result};
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::run::{FolderLock, remove_partial, write_atomically};
use medcoss_runtime::comparison::Comparison;

use crate::arguments::check_replaceable;

/// Largest earlier comparison in bytes that is replaced.
const MAX_COMPARISON: u64 = 64 << 20;

/// Files of a comparison, in a folder that no other process writes.
pub(super) struct Outputs {
    folder: ConfinedPath,
    _lock: FolderLock,
}

impl Outputs {
    /// Claims a folder, which may hold an earlier comparison and its runs.
    pub(super) fn claim(out: &Path) -> Result<Self> {
        let folder = ConfinedPath::create_root(out)?;
        let lock = FolderLock::take(&folder).context(
            "the comparison is in use\nhint: wait for the other process, or choose another folder with --out",
        )?;
        remove_partial(&folder)?;
        let earlier = folder.join("comparison.json").read(MAX_COMPARISON).ok();
        let earlier = earlier.and_then(|text| serde_json::from_slice::<Comparison>(&text).ok());
        check_replaceable(&folder, &["comparison.json", "comparison.csv"], earlier.is_some())?;
        Ok(Self { folder, _lock: lock })
    }

    pub(super) fn write(&self, comparison: &Comparison) -> Result<()> {
        let json = format!("{}\n", serde_json::to_string_pretty(comparison)?);
        write_atomically(&self.folder.join("comparison.json"), json.as_bytes())?;
        Ok(write_atomically(&self.folder.join("comparison.csv"), &comparison.to_csv()?)?)
    }
}
