//! The registry maps ids to plugin files and linked-in plugins. It reads symbol tables only. A library is loaded on
//! request, and in a child process first.
//!
//! The first plugin that is found for an id keeps the id, even if it then cannot be loaded. To use another plugin with
//! other samples silently would be worse than an error. Of several files of one id in one folder, the one with the higher
//! version keeps it, see `versions`.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use medcoss_abi::Builtin;
use rayon::prelude::*;
use serde::Serialize;

use crate::acceptance::{Acceptance, NewLibrary};
use crate::contracts::CONTRACTS;
use crate::library_file::LibraryFile;
use crate::location::{LoadError, PluginLocation};
use crate::nearest::did_you_mean;
use crate::plugin::{Plugin, read_library};
use crate::plugin_info::PluginInfo;
use crate::probe::Probe;
use crate::process_guard;
use crate::search::{Folder, Origin, Search};
use crate::symbols::{NotAPlugin, plugin_ids};
use crate::writers::warn_of_others;

mod versions;

/// Number of digits of the hash that cargo may append to a library's name.
const HASH_DIGITS: usize = 16;

/// A plugin that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundPlugin {
    /// Id of the plugin.
    pub id: String,
    /// Location of the plugin.
    pub location: PluginLocation,
}

/// A plugin that was found when its id was already taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShadowedPlugin {
    /// Id of the plugin.
    pub id: String,
    /// Location of the plugin.
    pub location: PluginLocation,
    /// Location of the plugin that is used in its place.
    pub by: PluginLocation,
    /// Version of the plugin, where the two were compared by their versions.
    pub version: Option<String>,
}

/// The way in which a library is loaded for the first time.
#[derive(Debug, Clone, Default)]
pub enum Loading {
    /// The library is loaded in a child process first.
    Probed(Arc<Probe>),
    /// The library is loaded into this process at once. A library that crashes while it is loaded ends this process.
    #[default]
    Unprobed,
}

/// All plugins that a search found, which are loaded on request.
#[derive(Debug, Clone, Default)]
pub struct PluginRegistry {
    /// Plugins that can be loaded, by id.
    pub found: Vec<FoundPlugin>,
    /// Plugins that are not used because an earlier one has their id.
    pub shadowed: Vec<ShadowedPlugin>,
    /// Files that the host cannot use as plugins, with the reasons.
    pub refused: Vec<LoadError>,
    /// Libraries in plugin folders that export no plugin: helpers of plugins, or crates that forgot `export_plugin!`.
    pub helpers: Vec<PathBuf>,
    /// Folders that were searched.
    pub searched: Vec<Folder>,
    loading: Loading,
    guards_process: bool,
    acceptance: Option<Acceptance>,
    /// Plugins that are linked into this program.
    linked: Linked,
    /// Ids with the files that export them, by device and inode.
    seen: HashSet<(String, (u64, u64))>,
}

/// Plugins that are linked into this program.
#[derive(Clone, Default)]
struct Linked(Vec<&'static Builtin>);

impl std::fmt::Debug for Linked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.iter().map(|builtin| builtin.id)).finish()
    }
}

/// The error that no plugin has the requested id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no plugin for modality {id:?}\nhint: {hint}")]
pub struct UnknownModality {
    id: String,
    hint: String,
}

/// The error that the plugin of a modality is not available.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginUnavailable {
    /// No plugin has the requested id.
    #[error(transparent)]
    Unknown(#[from] UnknownModality),
    /// The plugin cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl PluginRegistry {
    /// Searches all folders for plugins. No code of a found file runs.
    ///
    /// `linked`: the plugins that are linked into this program, such as [`medcoss_abi::builtins`].
    pub fn discover(search: &Search, linked: Vec<&'static Builtin>, loading: Loading) -> Self {
        let mut registry =
            Self { searched: search.folders.clone(), linked: Linked(linked), loading, ..Self::default() };
        // A build writes libraries to two folders, and `cargo test` renews only one of them.
        let of_one_build = |a: &Folder, b: &Folder| [a, b].iter().all(|folder| folder.origin == Origin::BuildFolder);
        for folders in search.folders.chunk_by(of_one_build) {
            let origin = folders[0].origin;
            let libraries = libraries_in(folders, &mut registry.refused);
            for folder in folders {
                let own: Vec<PathBuf> =
                    libraries.iter().filter(|path| path.parent() == Some(&folder.path)).cloned().collect();
                if !own.is_empty() || origin != Origin::BuildFolder {
                    warn_of_others(&folder.path, &own);
                }
            }
            for path in libraries {
                let location = PluginLocation::Library { path: path.clone() };
                match plugin_ids(&path) {
                    Ok(ids) => ids.into_iter().for_each(|id| registry.add(id, location.clone())),
                    Err(NotAPlugin::NoSymbol) if origin != Origin::BuildFolder => registry.helpers.push(path),
                    Err(why) if origin != Origin::BuildFolder || why.is_meant_as_plugin() => {
                        registry.refused.push(LoadError::new(&location, &why, why.hint()));
                    }
                    Err(why) => tracing::debug!("{location} is skipped: {why}"),
                }
            }
        }
        if search.builtin {
            registry
                .linked
                .clone()
                .0
                .into_iter()
                .for_each(|builtin| registry.add(builtin.id.into(), PluginLocation::BuiltIn));
        }
        registry.found.sort_by(|a, b| a.id.cmp(&b.id));
        registry
    }

    /// A registry of one file: the plugins that it exports.
    ///
    /// # Errors
    /// A file that is not a plugin library.
    pub fn of_file(path: &Path, loading: Loading) -> Result<Self, LoadError> {
        let location = PluginLocation::Library { path: path.to_path_buf() };
        let ids = plugin_ids(path).map_err(|why: NotAPlugin| LoadError::new(&location, &why, why.hint()))?;
        let found = ids.into_iter().map(|id| FoundPlugin { id, location: location.clone() }).collect();
        Ok(Self { found, loading, ..Self::default() })
    }

    fn add(&mut self, id: String, location: PluginLocation) {
        // Cargo links the same file into two folders.
        if identity(&location).is_some_and(|file| !self.seen.insert((id.clone(), file))) {
            return;
        }
        match self.find(&id) {
            None => self.found.push(FoundPlugin { id, location }),
            Some(first) => {
                let by = first.location.clone();
                self.shadowed.push(ShadowedPlugin { id, location, by, version: None });
            }
        }
    }

    /// This registry with a guarded process: from the first library that is loaded into it, a plugin that ends the
    /// process or crashes is named, and its prints do not mix with results, see [`crate::original_stdout`]. For
    /// programs; a library leaves the signal handlers and standard output of its process alone.
    pub fn guarding_process(self) -> Self {
        Self { guards_process: true, ..self }
    }

    /// This registry with a choice of the libraries whose code may run. Libraries of this program's build are part of the
    /// program and need no choice, and neither do descriptions that are cached.
    pub fn accepting(self, acceptance: Acceptance) -> Self {
        Self { acceptance: Some(acceptance), ..self }
    }

    /// The found plugin of a modality.
    pub fn find(&self, id: &str) -> Option<&FoundPlugin> {
        self.found.iter().find(|found| found.id == id)
    }

    /// Whether a found plugin is part of this program's build: built in, or a library of a built-in plugin's id in a
    /// build folder.
    pub fn is_of_this_build(&self, found: &FoundPlugin) -> bool {
        let PluginLocation::Library { path } = &found.location else { return true };
        let folder = self.searched.iter().find(|folder| path.parent() == Some(&folder.path));
        folder.is_some_and(|folder| folder.origin == Origin::BuildFolder)
            && self.linked.0.iter().any(|builtin| builtin.id == found.id)
    }

    /// Loads the plugin of a modality.
    ///
    /// # Errors
    /// No plugin with the id, or the [`LoadError`] of the file that exports the id.
    pub fn load(&self, id: &str) -> Result<Plugin, PluginUnavailable> {
        Ok(self.open(id)?.load()?)
    }

    /// Reads the plugin file of a modality, so that its digest is known before any of its code runs.
    ///
    /// # Errors
    /// No plugin with the id, a file that cannot be read.
    pub fn open(&self, id: &str) -> Result<OpenedPlugin<'_>, PluginUnavailable> {
        match self.find(id) {
            Some(found) => Ok(self.open_found(found)?),
            None => Err(self.no_such(id).into()),
        }
    }

    /// Loads every plugin that was found, by id.
    pub fn load_all(&self) -> Vec<Result<Plugin, LoadError>> {
        self.found.iter().map(|found| self.load_found(found)).collect()
    }

    /// The description of a modality's plugin. The library is not loaded into this process.
    ///
    /// # Errors
    /// As [`PluginRegistry::load`].
    pub fn describe(&self, id: &str) -> Result<PluginInfo, PluginUnavailable> {
        match self.find(id) {
            Some(found) => Ok(self.describe_found(found)?),
            None => Err(self.no_such(id).into()),
        }
    }

    /// The descriptions of all plugins that were found, by id.
    pub fn describe_all(&self) -> Vec<Result<PluginInfo, LoadError>> {
        // Probes mostly wait for the disk, not for a core.
        self.found.par_iter().map(|found| self.describe_found(found)).collect()
    }

    fn describe_found(&self, found: &FoundPlugin) -> Result<PluginInfo, LoadError> {
        match (&found.location, &self.loading) {
            (PluginLocation::Library { path }, Loading::Probed(probe)) => {
                if let Some(known) = probe.known(path, &found.id) {
                    return known;
                }
                match self.acceptance {
                    Some(_) => self.open_found(found)?.describe(probe),
                    None => probe.describe(path, &found.id),
                }
            }
            _ => self.load_found(found).map(PluginInfo::from),
        }
    }

    fn load_found(&self, found: &FoundPlugin) -> Result<Plugin, LoadError> {
        self.open_found(found)?.load()
    }

    fn open_found<'a>(&'a self, found: &'a FoundPlugin) -> Result<OpenedPlugin<'a>, LoadError> {
        let file = match &found.location {
            PluginLocation::Library { path } => Some(read_library(path)?),
            PluginLocation::BuiltIn => None,
        };
        Ok(OpenedPlugin { registry: self, found, file })
    }

    fn load_builtin(&self, found: &FoundPlugin) -> Result<Plugin, LoadError> {
        match self.linked.0.iter().find(|builtin| builtin.id == found.id) {
            Some(builtin) => Plugin::from_header(builtin.header, builtin.id, PluginLocation::BuiltIn),
            None => Err(LoadError::new(
                &PluginLocation::BuiltIn,
                "it is not linked into this program",
                "name another plugin",
            )),
        }
    }

    fn no_such(&self, id: &str) -> UnknownModality {
        let known: Vec<_> = self.found.iter().map(|found| found.id.as_str()).collect();
        let proposal = did_you_mean(id, known.iter().copied());
        let there = match known.as_slice() {
            [] => "no plugin was found".into(),
            known => format!("found: {}", known.join(", ")),
        };
        let refused = match self.refused.len() {
            0 => String::new(),
            1 => String::from(" (one file was refused)"),
            n => format!(" ({n} files were refused)"),
        };
        let helpers = match self.helpers.len() {
            0 => String::new(),
            1 => String::from(" (one library exports no plugin)"),
            n => format!(" ({n} libraries export no plugin)"),
        };
        let hint = format!("{proposal}{there}{refused}{helpers}");
        UnknownModality { id: id.into(), hint }
    }
}

/// A found plugin whose file was read. No code of it has run; what is loaded is what was read.
#[derive(Debug)]
pub struct OpenedPlugin<'a> {
    registry: &'a PluginRegistry,
    found: &'a FoundPlugin,
    /// Content of the library file; `None` for a built-in plugin.
    file: Option<LibraryFile>,
}

impl OpenedPlugin<'_> {
    /// Location of the plugin.
    pub fn location(&self) -> &PluginLocation {
        &self.found.location
    }

    /// SHA-256 of the library file, as 64 hexadecimal digits; `None` for a built-in plugin.
    pub fn sha256(&self) -> Option<&str> {
        self.file.as_ref().map(LibraryFile::sha256)
    }

    /// Whether the plugin is part of this program's build.
    pub fn is_of_this_build(&self) -> bool {
        self.registry.is_of_this_build(self.found)
    }

    /// Loads the plugin, in a child process first where the registry probes.
    ///
    /// # Errors
    /// A plugin that cannot be used or is not accepted, with the reason.
    pub fn load(self) -> Result<Plugin, LoadError> {
        let Self { registry, found, file } = &self;
        let Some(file) = file else { return registry.load_builtin(found) };
        self.check_accepted(file)?;
        if let Loading::Probed(probe) = &registry.loading {
            probe.describe_file(file, &found.id)?;
        }
        if registry.guards_process {
            process_guard::install();
        }
        Plugin::load_file(file, &found.id, CONTRACTS)
    }

    fn describe(&self, probe: &Probe) -> Result<PluginInfo, LoadError> {
        let Some(file) = &self.file else { return self.registry.load_builtin(self.found).map(PluginInfo::from) };
        self.check_accepted(file)?;
        probe.describe_file(file, &self.found.id)
    }

    fn check_accepted(&self, file: &LibraryFile) -> Result<(), LoadError> {
        let Some(acceptance) = self.registry.acceptance.as_ref().filter(|_| !self.is_of_this_build()) else {
            return Ok(());
        };
        let library = NewLibrary { id: &self.found.id, path: file.path(), sha256: file.sha256() };
        acceptance.check(library).map_err(|remedy| {
            let reason = format!("it is not accepted, and none of its code was run (SHA-256 {})", file.sha256());
            LoadError::new(&self.found.location, reason, remedy)
        })
    }
}

/// Files of some folders that may be libraries. Of several builds of one library, as they pile up in cargo's folders, the one
/// without a hash in its name comes first, then the newest, then that of the earlier folder.
fn libraries_in(folders: &[Folder], refused: &mut Vec<LoadError>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for (at, folder) in folders.iter().enumerate() {
        let entries = match fs::read_dir(&folder.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                let location = PluginLocation::Library { path: folder.path.clone() };
                refused.push(LoadError::new(
                    &location,
                    format_args!("the folder cannot be listed: {error}"),
                    "check its permissions",
                ));
                continue;
            }
        };
        let libraries = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "so") && !path.is_dir());
        files.extend(libraries.map(|path| {
            let changed =
                fs::metadata(&path).and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            ((has_hash(&path), Reverse(changed), at), path)
        }));
    }
    files.sort();
    files.into_iter().map(|(_, path)| path).collect()
}

/// Whether a name ends in a hash, as in `libmedcoss_xray-0123456789abcdef.so`.
fn has_hash(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem.rsplit_once('-')
        .is_some_and(|(_, hash)| hash.len() == HASH_DIGITS && hash.chars().all(|c| c.is_ascii_hexdigit()))
}

/// Device and inode of a library's file.
fn identity(location: &PluginLocation) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    match location {
        PluginLocation::Library { path } => fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino())),
        PluginLocation::BuiltIn => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_builds_the_plain_name_wins_then_the_newest() {
        let place = tempfile::tempdir().unwrap();
        let file = |name: &str, age: u64| {
            let file = fs::File::create(place.path().join(name)).unwrap();
            file.set_modified(SystemTime::now() - std::time::Duration::from_secs(age)).unwrap();
        };
        file("liba-00000000000000ff.so", 30);
        file("liba-0123456789abcdef.so", 10);
        file("liba.so", 90);
        file("liba-plugin.so", 95);
        file("notes.txt", 1);
        fs::create_dir(place.path().join("folder.so")).unwrap();
        let folder = Folder { path: place.path().to_path_buf(), origin: Origin::Named };
        let found = libraries_in(&[folder], &mut Vec::new());
        let names: Vec<_> = found.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        assert_eq!(names, ["liba.so", "liba-plugin.so", "liba-0123456789abcdef.so", "liba-00000000000000ff.so"]);
    }

    #[test]
    fn of_the_two_folders_of_a_build_the_newer_library_wins() {
        let place = tempfile::tempdir().unwrap();
        let file = |path: &str, age: u64| {
            let path = place.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let file = fs::File::create(&path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1000 - age)).unwrap();
        };
        for (path, age) in [("liba.so", 20), ("libb.so", 10), ("libc.so", 10)] {
            file(path, age);
        }
        for (path, age) in [("deps/liba.so", 10), ("deps/libb.so", 20), ("deps/libc.so", 10)] {
            file(path, age);
        }
        let folder = |path| Folder { path, origin: Origin::BuildFolder };
        let folders = [folder(place.path().to_path_buf()), folder(place.path().join("deps"))];
        let found = libraries_in(&folders, &mut Vec::new());
        let first = |name: &str| found.iter().find(|path| path.ends_with(name)).unwrap().strip_prefix(place.path());
        let firsts: Vec<_> = ["liba.so", "libb.so", "libc.so"].iter().map(|name| first(name).unwrap()).collect();
        assert_eq!(firsts, ["deps/liba.so", "libb.so", "libc.so"].map(Path::new));
    }

    #[test]
    fn an_unknown_modality_gives_the_nearest_and_all_known_names() {
        let found = ["ct", "xray"].map(|id| FoundPlugin { id: id.into(), location: PluginLocation::BuiltIn });
        let registry = PluginRegistry { found: found.to_vec(), ..PluginRegistry::default() };
        let message = registry.load("xrays").unwrap_err().to_string();
        assert_eq!(message, "there is no plugin for modality \"xrays\"\nhint: did you mean \"xray\"? found: ct, xray");
        let message = PluginRegistry::default().load("xray").unwrap_err().to_string();
        assert!(message.contains("hint: no plugin was found"), "{message}");
    }

    #[test]
    fn the_first_find_wins_and_later_ones_are_shadowed() {
        let mut registry = PluginRegistry::default();
        let library = |path: &str| PluginLocation::Library { path: path.into() };
        registry.add("gait".into(), library("/one/gait.so"));
        registry.add("gait".into(), library("/two/gait.so"));
        registry.add("gait".into(), PluginLocation::BuiltIn);
        assert_eq!(registry.found, [FoundPlugin { id: "gait".into(), location: library("/one/gait.so") }]);
        let shadows: Vec<_> = registry.shadowed.iter().map(|shadowed| shadowed.location.to_string()).collect();
        assert_eq!(shadows, ["/two/gait.so", "built-in"]);
        assert!(registry.shadowed.iter().all(|shadowed| shadowed.by == library("/one/gait.so")));
    }
}
