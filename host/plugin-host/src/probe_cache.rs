//! The cache of probe outcomes: one file for all runs of a program, such as `$XDG_CACHE_HOME/medcoss/plugins.json` or
//! `~/.cache/medcoss/plugins.json`.
//!
//! The path, size and times of a file identify it. When these change and the SHA-256 does not, the file counts as
//! unchanged. Outcomes of another build of the program are ignored, since its checks may differ. A damaged cache costs
//! a warning and is written anew; a cache that cannot be written costs a warning.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::{sha256_of_bytes, sha256_of_file as sha256_of};
use crate::probe_outcome::{Outcome, Probed};
use crate::user_file::{self, Kept};

/// Largest number of cached outcomes. The oldest are removed first.
const MAX_ENTRIES: usize = 1024;

/// Content of the cache file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Entries {
    /// SHA-256 of the entries as compact JSON.
    checksum: String,
    entries: Vec<Entry>,
}

/// Cached outcome for one plugin of one library, as one build of this program probed it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    /// Build of the program that probed.
    program: Build,
    /// Path of the library, links resolved.
    path: PathBuf,
    id: String,
    stamp: Stamp,
    sha256: String,
    outcome: Outcome,
}

impl Entry {
    fn probed(&self) -> Probed {
        Probed { outcome: self.outcome.clone(), sha256: self.sha256.clone() }
    }

    fn is_of(&self, program: &Build, path: &Path, id: &str) -> bool {
        self.program == *program && self.path == path && self.id == id
    }
}

/// A build of this program: size, and time of the last change of content. A change of status, such as another link to the file, makes
/// no other program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Build {
    size: u64,
    modified: (i64, i64),
}

impl Build {
    fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self { size: metadata.len(), modified: (metadata.mtime(), metadata.mtime_nsec()) })
    }
}

/// Size of a file, and the times of the last change of its content and of its status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Ok(Self { size: metadata.len(), modified, changed: (metadata.ctime(), metadata.ctime_nsec()) })
    }
}

/// The probe cache of one process.
#[derive(Debug)]
pub(crate) struct ProbeCache {
    /// Path of the cache file; `None` when the user has no cache folder.
    file: Option<PathBuf>,
    /// This build of the program; `None` when the executable cannot be examined, and then nothing is cached.
    program: Option<Build>,
    /// Entries of the file, which are read on first use.
    entries: Option<Vec<Entry>>,
    /// Whether the warning was given, once in a process.
    warned: bool,
}

impl ProbeCache {
    /// A cache in `file` for the outcomes of `program`.
    pub(crate) fn new(file: Option<PathBuf>, program: &Path) -> Self {
        let program = Build::of(program).ok();
        Self { file, program, entries: None, warned: false }
    }

    /// Removes the cache file.
    pub(crate) fn clear(&mut self) -> std::io::Result<()> {
        self.entries = None;
        match self.file.as_ref().map(fs::remove_file) {
            Some(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The cached outcome of probing a library, if the library is unchanged.
    pub(crate) fn get(&mut self, path: &Path, id: &str) -> Option<Probed> {
        let entry = self.entry(path, id)?;
        let stamp = Stamp::of(path).ok()?;
        if entry.stamp == stamp {
            return Some(entry.probed());
        }
        if entry.stamp.size != stamp.size || sha256_of(path).ok()? != entry.sha256 {
            return None;
        }
        // The file was touched, or rewritten with the same content.
        entry.stamp = stamp;
        let entry = entry.clone();
        self.write(entry.clone());
        Some(entry.probed())
    }

    /// The cached outcome of probing a library with this content.
    pub(crate) fn get_by_digest(&mut self, path: &Path, id: &str, sha256: &str) -> Option<Probed> {
        self.entry(path, id).filter(|entry| entry.sha256 == sha256).map(|entry| entry.probed())
    }

    fn entry(&mut self, path: &Path, id: &str) -> Option<&mut Entry> {
        let (file, program) = (self.file.as_ref()?, self.program.clone()?);
        let entries = self.entries.get_or_insert_with(|| read(file));
        entries.iter_mut().find(|entry| entry.is_of(&program, path, id))
    }

    /// Caches an outcome for the file with this stamp, unless the next probe may find another, or the path is not UTF-8.
    pub(crate) fn insert(&mut self, path: &Path, id: &str, stamp: Stamp, probed: &Probed) {
        let Some(program) = self.program.clone() else { return };
        if !probed.outcome.is_lasting() || path.to_str().is_none() {
            return;
        }
        let Probed { outcome, sha256 } = probed.clone();
        self.write(Entry { program, path: path.to_path_buf(), id: id.into(), stamp, sha256, outcome });
    }

    /// Adds an entry to the present content of the file, which another process may have written meanwhile.
    fn write(&mut self, new: Entry) {
        let Some(file) = &self.file else { return };
        let mut entries = read(file);
        entries.retain(|entry| !entry.is_of(&new.program, &new.path, &new.id) && entry.path.exists());
        entries.push(new);
        entries.drain(..entries.len().saturating_sub(MAX_ENTRIES));
        if let Err(error) = write(file, &entries)
            && !self.warned
        {
            tracing::warn!("{} cannot be written: {error}; plugins are probed again each time", file.display());
            self.warned = true;
        }
        self.entries = Some(entries);
    }
}

fn read(file: &Path) -> Vec<Entry> {
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) => {
            let is_new = matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory);
            if !is_new {
                tracing::warn!("{} cannot be read: {error}", file.display());
            }
            return Vec::new();
        }
    };
    match parse(&text) {
        Ok(entries) => entries,
        Err(fault) => {
            tracing::warn!("{} is damaged: {fault}; plugins are probed again", file.display());
            // The warning is given once, whether or not the file is written later.
            let _ = fs::remove_file(file);
            Vec::new()
        }
    }
}

fn write(file: &Path, entries: &[Entry]) -> std::io::Result<()> {
    let content = Entries { checksum: checksum(entries)?, entries: entries.to_vec() };
    user_file::write(file, &serde_json::to_vec_pretty(&content)?, Kept::WhileTheSystemRuns)
}

fn parse(text: &[u8]) -> Result<Vec<Entry>, String> {
    let Entries { checksum: expected, entries } = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    match checksum(&entries).map_err(|error| error.to_string())? {
        found if found == expected => Ok(entries),
        _ => Err("its checksum does not match its entries".into()),
    }
}

fn checksum(entries: &[Entry]) -> serde_json::Result<String> {
    Ok(sha256_of_bytes(&serde_json::to_vec(entries)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(reason: &str) -> Outcome {
        Outcome::Refused { reason: reason.into(), hint: None, printed: String::new() }
    }

    /// Caches an outcome for the present content of a file.
    fn insert(cache: &mut ProbeCache, path: &Path, id: &str, outcome: &Outcome) {
        let probed = Probed { outcome: outcome.clone(), sha256: sha256_of(path).unwrap() };
        cache.insert(path, id, Stamp::of(path).unwrap(), &probed);
    }

    fn get(cache: &mut ProbeCache, path: &Path, id: &str) -> Option<Outcome> {
        cache.get(path, id).map(|probed| probed.outcome)
    }

    struct Place {
        folder: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let place = Self { folder: tempfile::tempdir().unwrap() };
            fs::write(place.plugin(), "one").unwrap();
            fs::write(place.program(), "program").unwrap();
            place
        }

        fn plugin(&self) -> PathBuf {
            self.folder.path().join("a.so")
        }

        fn program(&self) -> PathBuf {
            self.folder.path().join("medcoss")
        }

        fn file(&self) -> PathBuf {
            self.folder.path().join("cache/medcoss/plugins.json")
        }

        /// The cache of a new process.
        fn cache(&self) -> ProbeCache {
            ProbeCache::new(Some(self.file()), &self.program())
        }
    }

    #[test]
    fn a_library_is_found_in_the_cache_until_its_content_or_the_program_changes() {
        let place = Place::new();
        let plugin = place.plugin();
        insert(&mut place.cache(), &plugin, "a", &outcome("crashed"));
        assert_eq!(get(&mut place.cache(), &plugin, "a"), Some(outcome("crashed")));
        assert_eq!(get(&mut place.cache(), &plugin, "b"), None);
        // The file is rewritten: another time, the same content.
        fs::write(&plugin, "one").unwrap();
        fs::File::open(&plugin).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(get(&mut place.cache(), &plugin, "a"), Some(outcome("crashed")));
        // The new content has the same size.
        fs::write(&plugin, "two").unwrap();
        assert_eq!(get(&mut place.cache(), &plugin, "a"), None);
        insert(&mut place.cache(), &plugin, "a", &outcome("hung"));
        assert_eq!(get(&mut place.cache(), &plugin, "a"), Some(outcome("hung")));
        // Another name of the executable makes no other program.
        fs::hard_link(place.program(), place.folder.path().join("link")).unwrap();
        assert_eq!(get(&mut place.cache(), &plugin, "a"), Some(outcome("hung")));
        let (same, other) = (sha256_of(&plugin).unwrap(), "ab".repeat(32));
        assert!(place.cache().get_by_digest(&plugin, "a", &same).is_some());
        assert!(place.cache().get_by_digest(&plugin, "a", &other).is_none());
        fs::write(place.program(), "another build").unwrap();
        assert_eq!(get(&mut place.cache(), &plugin, "a"), None);
    }

    #[test]
    fn what_the_loader_refuses_is_not_cached() {
        let place = Place::new();
        insert(&mut place.cache(), &place.plugin(), "a", &outcome("the dynamic loader refuses it: libx.so is missing"));
        assert_eq!(get(&mut place.cache(), &place.plugin(), "a"), None);
    }

    #[test]
    fn a_damaged_or_unwritable_file_costs_the_cache_and_nothing_else() {
        let place = Place::new();
        let plugin = place.plugin();
        insert(&mut place.cache(), &plugin, "a", &outcome("crashed"));
        let text = fs::read_to_string(place.file()).unwrap();
        for broken in [text.replace("crashed", "Crashed"), text[..text.len() / 2].into(), String::new()] {
            fs::write(place.file(), broken).unwrap();
            assert_eq!(get(&mut place.cache(), &plugin, "a"), None);
        }
        insert(&mut place.cache(), &plugin, "a", &outcome("crashed"));
        assert_eq!(get(&mut place.cache(), &plugin, "a"), Some(outcome("crashed")));
        place.cache().clear().unwrap();
        assert_eq!(get(&mut place.cache(), &plugin, "a"), None);

        // A file takes the place of the folder.
        fs::remove_dir_all(place.folder.path().join("cache")).unwrap();
        fs::write(place.folder.path().join("cache"), "").unwrap();
        let mut cache = place.cache();
        insert(&mut cache, &plugin, "a", &outcome("crashed"));
        assert!(cache.warned);
        assert_eq!(get(&mut place.cache(), &plugin, "a"), None);
    }
}
