//! Other users who could replace a plugin. A plugin runs with the rights of the user who loads it, so whoever can write
//! its file or its folder has these rights, too.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Permission of everyone to write.
const OTHERS_WRITE: u32 = 0o002;
/// In a folder with this bit only the owner of a file removes or renames it.
const STICKY: u32 = 0o1000;
const ROOT: u32 = 0;

/// Warns of a folder with plugins, a folder above it, or a library, that others can change: once each in a process.
pub(crate) fn warn_of_others(folder: &Path, libraries: &[PathBuf]) {
    static WARNED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let Ok(whole) = folder.canonicalize() else { return };
    // The system says who owns this process's folder: its user.
    let Ok(own) = std::fs::metadata("/proc/self").map(|metadata| metadata.uid()) else { return };
    let above = whole.ancestors().skip(1).map(|path| (path.to_path_buf(), Place::Above));
    let files = libraries.iter().map(|path| (path.clone(), Place::Plugins));
    for (path, place) in [(folder.to_path_buf(), Place::Plugins)].into_iter().chain(above).chain(files) {
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        let Some(found) = found(metadata.mode(), metadata.uid(), own, place) else { continue };
        if WARNED.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone()) {
            let path = path.display();
            tracing::warn!(
                "{path} {found}, and so replace plugins, which run with your rights\n\
                 hint: chmod go-w {path}, or move the plugins into a folder of your own"
            );
        }
    }
}

/// The use of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A library, or the folder that holds it.
    Plugins,
    /// A folder above.
    Above,
}

fn found(mode: u32, owner: u32, own: u32, place: Place) -> Option<String> {
    // In /tmp others can add files, but not replace a folder.
    let is_open = mode & OTHERS_WRITE != 0 && (place == Place::Plugins || mode & STICKY == 0);
    if is_open {
        return Some(format!("has mode {:04o}: every user of this machine can write it", mode & 0o7777));
    }
    let is_others = owner != ROOT && owner != own && place == Place::Plugins;
    is_others.then(|| format!("belongs to user {owner}, not to you (user {own}) or root: this user can write it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_else_can_replace_a_plugin_is_named() {
        let of = |mode, owner, place| found(mode, owner, 1000, place).unwrap_or_default();
        for (mode, owner) in [(0o40755, 1000), (0o40755, ROOT), (0o40775, 1000)] {
            assert_eq!(of(mode, owner, Place::Plugins), "");
        }
        assert!(of(0o40777, 1000, Place::Plugins).contains("mode 0777: every user"));
        assert!(of(0o100644, 1001, Place::Plugins).contains("belongs to user 1001, not to you (user 1000)"));
        // In a folder such as /tmp others can add plugins, but they cannot replace a folder.
        assert!(of(0o41777, ROOT, Place::Plugins).contains("mode 1777"));
        assert_eq!(of(0o41777, ROOT, Place::Above), "");
        assert_eq!(of(0o40755, 1001, Place::Above), "");
        assert!(of(0o40777, ROOT, Place::Above).contains("mode 0777"));
    }
}
