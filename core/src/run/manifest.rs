//! Manifests: checksums of a folder whose files a plugin wrote, in a file `manifest.json` in the folder.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::checksum::CHECKSUM_PLACEHOLDER;
use super::document::{FORMAT, read_document, write_document};
use super::files::{check_file, sha256_of};
use super::layout::RunLayout;
use crate::confined_path::ConfinedPath;
use crate::{Error, Result};

#[derive(Serialize, Deserialize)]
struct Manifest {
    format: u32,
    checksum: String,
    /// SHA-256 by path relative to the folder, with `/` as separator.
    files: BTreeMap<String, String>,
}

/// Flushes all files of a folder, makes them private and writes their checksums into the folder's manifest.
///
/// # Errors
/// Links and special files, files that cannot be read, a manifest that cannot be written.
pub fn write_manifest(folder: &ConfinedPath) -> Result<()> {
    folder.make_private()?;
    let mut files = BTreeMap::new();
    for name in listed_files(folder)? {
        let path = folder.join(&name);
        path.open()?.sync_all().map_err(Error::file("cannot flush", &path.path()))?;
        files.insert(name, sha256_of(&path)?);
    }
    write_document(
        &folder.join(RunLayout::MANIFEST),
        &Manifest { format: FORMAT, checksum: CHECKSUM_PLACEHOLDER.into(), files },
    )
}

/// Checks a folder against its manifest. Returns the path of each compared file, relative to the folder, with its fault.
///
/// # Errors
/// A manifest that is missing or damaged, a folder that cannot be listed.
pub fn check_manifest(folder: &ConfinedPath) -> Result<Vec<(String, Option<Error>)>> {
    let manifest: Manifest = read_document(&folder.join(RunLayout::MANIFEST))?;
    let mut checks = Vec::new();
    for (name, expected) in &manifest.files {
        checks.push((name.clone(), check_file(&folder.join(name), expected).err()));
    }
    for name in listed_files(folder)?.into_iter().filter(|name| !manifest.files.contains_key(name)) {
        let fault =
            Error::damaged(&folder.join(&name).path(), format!("{} beside it does not name it", RunLayout::MANIFEST));
        checks.push((name, Some(fault)));
    }
    Ok(checks)
}

/// Paths of all files below a folder, in the order of their names, without the manifest.
fn listed_files(folder: &ConfinedPath) -> Result<Vec<String>> {
    let mut files = folder.files_below()?;
    files.retain(|name| name != RunLayout::MANIFEST);
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn changed_missing_and_added_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let confined = ConfinedPath::root(folder.path()).unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("samples")).unwrap();
        for name in ["samples/a.png", "samples/b.png", "kept.json"] {
            fs::write(path(name), name).unwrap();
        }
        write_manifest(&confined).unwrap();
        let valid = check_manifest(&confined).unwrap();
        assert_eq!(
            valid.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["kept.json", "samples/a.png", "samples/b.png"]
        );
        assert!(valid.iter().all(|(_, fault)| fault.is_none()));

        fs::write(path("samples/a.png"), "samples/a.pnG").unwrap();
        fs::remove_file(path("samples/b.png")).unwrap();
        fs::write(path("samples/c.png"), "").unwrap();
        let faults: Vec<String> =
            check_manifest(&confined).unwrap().into_iter().filter(|(_, f)| f.is_some()).map(|(n, _)| n).collect();
        assert_eq!(faults, ["samples/a.png", "samples/b.png", "samples/c.png"]);
    }
}
