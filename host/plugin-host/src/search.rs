//! The search for plugin folders. The working folder is never searched: it holds data, not programs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Environment variable with more plugin folders, separated by colons.
const PATH_VARIABLE: &str = "MEDCOSS_PLUGIN_PATH";

/// The reason why a folder is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The caller named the folder.
    Named,
    /// The environment variable `MEDCOSS_PLUGIN_PATH` names the folder.
    Environment,
    /// The folder is `plugins/` beside the executable.
    BesideExecutable,
    /// The folder is the executable's own, or `deps/` in it, where cargo writes build results. Other libraries are
    /// normal here.
    BuildFolder,
    /// The folder is in the user's data folder.
    UserData,
}

/// A folder that is searched for plugins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Folder {
    /// Path of the folder.
    pub path: PathBuf,
    /// Reason why the folder is searched.
    pub origin: Origin,
}

/// All places that are searched, in order of precedence. Built-in plugins come last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Folders to search. Folders that the caller did not name need not exist.
    pub folders: Vec<Folder>,
    /// Whether built-in plugins are used.
    pub builtin: bool,
}

/// Properties of the process and its user that decide which folders are searched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchEnvironment {
    /// Value of the environment variable `MEDCOSS_PLUGIN_PATH`.
    pub plugin_path: Option<OsString>,
    /// Path of the executable, links resolved.
    pub executable: Option<PathBuf>,
    /// The user's data folder: `XDG_DATA_HOME`, or `~/.local/share`.
    pub user_data: Option<PathBuf>,
}

impl SearchEnvironment {
    /// The search environment of this process.
    pub fn of_process() -> Self {
        Self {
            plugin_path: std::env::var_os(PATH_VARIABLE),
            executable: std::env::current_exe().and_then(|path| path.canonicalize()).ok(),
            user_data: user_folder("XDG_DATA_HOME", ".local/share"),
        }
    }
}

/// A folder of the user by the XDG specification: the folder that an environment variable names, or one in the home
/// folder. `None` without either.
pub fn user_folder(variable: &str, in_home: &str) -> Option<PathBuf> {
    // The XDG specification says to ignore relative paths.
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(in_home)))
}

/// The error that a folder named for the search does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MissingFolder {
    /// No file or folder has this path.
    #[error("there is no plugin folder {}\nhint: check the path", .0.display())]
    Absent(PathBuf),
    /// The path is that of a file.
    #[error(
        "plugin folder {} is a file\nhint: name the folder that holds it", .0.display()
    )]
    NotAFolder(PathBuf),
}

impl Search {
    /// The search order: named folders, environment, `plugins/` beside the executable, the executable's folder and its
    /// `deps/`, the user's data folder. A repeated folder is searched once.
    ///
    /// # Errors
    /// A named folder that does not exist.
    pub fn new(named: &[PathBuf], builtin: bool, environment: &SearchEnvironment) -> Result<Self, MissingFolder> {
        let mut folders = Vec::new();
        for path in named {
            if !path.exists() {
                return Err(MissingFolder::Absent(path.clone()));
            }
            if !path.is_dir() {
                return Err(MissingFolder::NotAFolder(path.clone()));
            }
            push(&mut folders, path.clone(), Origin::Named);
        }
        for path in environment.plugin_path.iter().flat_map(std::env::split_paths) {
            match usable(&path) {
                Ok(()) => push(&mut folders, path, Origin::Environment),
                Err(Some(why)) => tracing::warn!("{PATH_VARIABLE}: {} {why}; it is skipped", path.display()),
                Err(None) => {}
            }
        }
        if let Some(folder) = environment.executable.as_deref().and_then(Path::parent) {
            push(&mut folders, folder.join("plugins"), Origin::BesideExecutable);
            push(&mut folders, folder.to_path_buf(), Origin::BuildFolder);
            push(&mut folders, folder.join("deps"), Origin::BuildFolder);
        }
        if let Some(folder) = &environment.user_data {
            push(&mut folders, folder.join("medcoss/plugins"), Origin::UserData);
        }
        Ok(Self { folders, builtin })
    }
}

/// Adds a folder unless it is there already under this or another name.
fn push(folders: &mut Vec<Folder>, path: PathBuf, origin: Origin) {
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let same = whole(&path);
    if folders.iter().all(|folder| whole(&folder.path) != same) {
        folders.push(Folder { path, origin });
    }
}

/// Whether an entry of the environment variable counts. An empty one, as a stray colon leaves it, does not and is
/// nothing to speak of; a relative one would depend on the working folder.
fn usable(path: &Path) -> Result<(), Option<&'static str>> {
    match path {
        path if path.as_os_str().is_empty() => Err(None),
        path if !path.is_absolute() => Err(Some("is not an absolute path")),
        path if !path.is_dir() => Err(Some("is not a folder")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_in_order_and_once() {
        let place = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let path = place.path().join(name);
            std::fs::create_dir_all(&path).unwrap();
            path
        };
        let (flag, path, bin) = (folder("flag"), folder("path"), folder("bin"));
        let variable = std::env::join_paths([&path, &flag, Path::new(""), Path::new("relative")]).unwrap();
        let environment = SearchEnvironment {
            plugin_path: Some(variable),
            executable: Some(bin.join("medcoss")),
            user_data: Some(place.path().join("share")),
        };
        let again = flag.join("../flag");
        let search = Search::new(&[flag.clone(), again], true, &environment).unwrap();
        let found: Vec<_> = search.folders.iter().map(|folder| (folder.path.clone(), folder.origin)).collect();
        let expected = [
            (flag, Origin::Named),
            (path, Origin::Environment),
            (bin.join("plugins"), Origin::BesideExecutable),
            (bin.clone(), Origin::BuildFolder),
            (bin.join("deps"), Origin::BuildFolder),
            (place.path().join("share/medcoss/plugins"), Origin::UserData),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_named_folder_must_exist() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("x.so");
        std::fs::write(&file, "x").unwrap();
        let search = |path: &Path| Search::new(&[path.to_path_buf()], true, &SearchEnvironment::default()).unwrap_err();
        assert_eq!(search(&file), MissingFolder::NotAFolder(file.clone()));
        let gone = place.path().join("gone");
        assert_eq!(search(&gone), MissingFolder::Absent(gone.clone()));
    }
}
