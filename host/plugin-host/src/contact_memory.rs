//! What came of first contacts, remembered in one file for all runs of the program:
//! `$XDG_CACHE_HOME/medcoss/plugins.json`, or `~/.cache/medcoss/plugins.json`.
//!
//! A file is known again by its path, size and times; when these have changed but its SHA-256 has not, it still is. What another
//! build of this program found does not count, since its checks may be others. The memory is a convenience: a file that is
//! damaged is told of and written anew, one that cannot be written is told of, and the work goes on.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::{sha256_of_bytes, sha256_of_file as sha256_of};
use crate::first_contact::Outcome;
use crate::user_file::{self, Kept};

/// Most entries that are kept; the oldest go.
const MOST: usize = 1024;

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Entries {
    /// SHA-256 of the entries as compact JSON.
    checksum: String,
    entries: Vec<Entry>,
}

/// One plugin of one library, as one build of this program found it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    /// The program that looked.
    program: Build,
    /// Links resolved.
    path: PathBuf,
    id: String,
    stamp: Stamp,
    sha256: String,
    outcome: Outcome,
}

impl Entry {
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

/// Size, and times of the last change of content and of status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Ok(Self { size: metadata.len(), modified, changed: (metadata.ctime(), metadata.ctime_nsec()) })
    }
}

/// The memory of one process.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Where it is kept; nowhere when the user has no folder for such files.
    file: Option<PathBuf>,
    /// None when the program cannot be examined: then nothing can be remembered.
    program: Option<Build>,
    /// Read when it is first asked for.
    entries: Option<Vec<Entry>>,
    /// Told once a process.
    told_unwritable: bool,
}

impl Memory {
    pub(crate) fn new(file: Option<PathBuf>, program: &Path) -> Self {
        let program = Build::of(program).ok();
        Self { file, program, entries: None, told_unwritable: false }
    }

    /// Removes the file.
    pub(crate) fn forget(&mut self) -> std::io::Result<()> {
        self.entries = None;
        match self.file.as_ref().map(fs::remove_file) {
            Some(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// What came of the contact with a library, if it still is the same.
    pub(crate) fn recall(&mut self, path: &Path, id: &str) -> Option<Outcome> {
        let (file, program) = (self.file.as_ref()?, self.program.clone()?);
        let entries = self.entries.get_or_insert_with(|| read(file));
        let entry = entries.iter_mut().find(|entry| entry.is_of(&program, path, id))?;
        let stamp = Stamp::of(path).ok()?;
        if entry.stamp == stamp {
            return Some(entry.outcome.clone());
        }
        if entry.stamp.size != stamp.size || sha256_of(path).ok()? != entry.sha256 {
            return None;
        }
        // Touched, or written again as it was.
        entry.stamp = stamp;
        let entry = entry.clone();
        self.write(entry.clone());
        Some(entry.outcome)
    }

    /// Remembers it, unless it may be otherwise next time, or cannot be written down.
    pub(crate) fn keep(&mut self, path: &Path, id: &str, outcome: &Outcome) {
        let Some(program) = self.program.clone() else { return };
        if !outcome.is_lasting() || path.to_str().is_none() {
            return;
        }
        let (Ok(stamp), Ok(sha256)) = (Stamp::of(path), sha256_of(path)) else { return };
        let (path, id, outcome) = (path.to_path_buf(), id.to_string(), outcome.clone());
        self.write(Entry { program, path, id, stamp, sha256, outcome });
    }

    /// Adds an entry to what is in the file now: another process may have written it meanwhile.
    fn write(&mut self, new: Entry) {
        let Some(file) = &self.file else { return };
        let mut entries = read(file);
        entries.retain(|entry| !entry.is_of(&new.program, &new.path, &new.id) && entry.path.exists());
        entries.push(new);
        entries.drain(..entries.len().saturating_sub(MOST));
        if let Err(error) = write(file, &entries)
            && !self.told_unwritable
        {
            tracing::warn!("{} cannot be written: {error}; plugins are tried out again each time", file.display());
            self.told_unwritable = true;
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
            tracing::warn!("{} is damaged: {fault}; plugins are tried out again", file.display());
            // So that it is told once, whether or not something is written later.
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

        /// That of a new process.
        fn memory(&self) -> Memory {
            Memory::new(Some(self.file()), &self.program())
        }
    }

    #[test]
    fn a_library_is_known_again_until_its_content_or_the_program_changes() {
        let place = Place::new();
        let plugin = place.plugin();
        place.memory().keep(&plugin, "a", &outcome("crashed"));
        assert_eq!(place.memory().recall(&plugin, "a"), Some(outcome("crashed")));
        assert_eq!(place.memory().recall(&plugin, "b"), None);
        // Written again as it was: another time, the same content.
        fs::write(&plugin, "one").unwrap();
        fs::File::open(&plugin).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(place.memory().recall(&plugin, "a"), Some(outcome("crashed")));
        // As large as before.
        fs::write(&plugin, "two").unwrap();
        assert_eq!(place.memory().recall(&plugin, "a"), None);
        place.memory().keep(&plugin, "a", &outcome("hung"));
        assert_eq!(place.memory().recall(&plugin, "a"), Some(outcome("hung")));
        // Another name for the program makes no other program.
        fs::hard_link(place.program(), place.folder.path().join("link")).unwrap();
        assert_eq!(place.memory().recall(&plugin, "a"), Some(outcome("hung")));
        fs::write(place.program(), "another build").unwrap();
        assert_eq!(place.memory().recall(&plugin, "a"), None);
    }

    #[test]
    fn what_the_loader_says_is_not_remembered() {
        let place = Place::new();
        place.memory().keep(&place.plugin(), "a", &outcome("the dynamic loader refuses it: libx.so is missing"));
        assert_eq!(place.memory().recall(&place.plugin(), "a"), None);
    }

    #[test]
    fn a_damaged_or_unwritable_file_costs_the_memory_and_nothing_else() {
        let place = Place::new();
        let plugin = place.plugin();
        place.memory().keep(&plugin, "a", &outcome("crashed"));
        let text = fs::read_to_string(place.file()).unwrap();
        for broken in [text.replace("crashed", "Crashed"), text[..text.len() / 2].into(), String::new()] {
            fs::write(place.file(), broken).unwrap();
            assert_eq!(place.memory().recall(&plugin, "a"), None);
        }
        place.memory().keep(&plugin, "a", &outcome("crashed"));
        assert_eq!(place.memory().recall(&plugin, "a"), Some(outcome("crashed")));
        place.memory().forget().unwrap();
        assert_eq!(place.memory().recall(&plugin, "a"), None);

        // A file where the folder should be.
        fs::remove_dir_all(place.folder.path().join("cache")).unwrap();
        fs::write(place.folder.path().join("cache"), "").unwrap();
        let mut memory = place.memory();
        memory.keep(&plugin, "a", &outcome("crashed"));
        assert!(memory.told_unwritable);
        assert_eq!(place.memory().recall(&plugin, "a"), None);
    }
}
