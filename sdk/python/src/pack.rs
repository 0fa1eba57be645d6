//! Packing: a library of the bridge with the files of a module in it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::worker::Worker;
use crate::{Failure, Package, symbol};

/// File name of the bridge's library.
pub const BRIDGE_FILE: &str = "libmedcoss_python_bridge.so";
/// The author's side, which `plugin new` writes beside a module: the bridge brings its own.
const AUTHOR_FILE: &str = "medcoss_plugin.py";
/// Folders that are not looked through.
const PASSED_OVER: [&str; 2] = ["__pycache__", "tests"];

/// What is to be packed.
#[derive(Debug, Clone)]
pub struct PackRequest<'a> {
    /// Library of the bridge.
    pub bridge: &'a Path,
    /// Folder of the module: `NAME.py` in a folder `NAME`, or the only file of a module in it.
    pub folder: &'a Path,
    /// Library to write. `None`: `libmedcoss_ID.so` in the folder.
    pub out: Option<&'a Path>,
    /// Whether the library reads the folder each time instead of holding its files.
    pub is_for_development: bool,
}

/// A library that was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Packed {
    /// Id of the modality.
    pub id: String,
    /// The library.
    pub library: PathBuf,
    /// Files of the module, by path below its folder.
    pub files: Vec<String>,
    /// Description of the modality.
    pub description: Value,
}

/// Why nothing was packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file that cannot be read or written.
    #[error("{} cannot be {done}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// "read" or "written".
        done: &'static str,
        /// The reason.
        cause: io::Error,
    },
    /// A folder without a module.
    #[error(
        "{} holds no module: there is neither {expected}.py nor exactly one other file of Python (found: {found})\nhint: give the folder that \
         `medcoss plugin new NAME --language python` wrote",
        folder.display()
    )]
    NoModule {
        /// The folder.
        folder: PathBuf,
        /// Name of the folder.
        expected: String,
        /// Files of Python in the folder.
        found: String,
    },
    /// An id that a symbol cannot have.
    #[error(
        "the module's id is {0:?}; a lower-case letter, then lower-case letters, digits or _, 64 at most, were expected\nhint: set `id` in the \
         class"
    )]
    BadId(String),
    /// A file that is not the bridge, or files that do not fit.
    #[error("{}: {what}", path.display())]
    Library {
        /// The bridge.
        path: PathBuf,
        /// The finding.
        what: String,
    },
    /// The module cannot be imported or described.
    #[error(transparent)]
    Module(#[from] Failure),
}

/// Packs a module: imports it once, in a worker, for its id and description, and writes the library.
///
/// # Errors
/// [`PackError`].
pub fn pack(request: &PackRequest<'_>) -> Result<Packed, PackError> {
    let unreadable = |path: &Path| {
        let path = path.to_path_buf();
        |cause| PackError::File { path, done: "read", cause }
    };
    let folder = request.folder.canonicalize().map_err(unreadable(request.folder))?;
    let sources = sources(&folder).map_err(unreadable(&folder))?;
    let module = module_name(&folder, &sources)?;
    let files = sources.keys().cloned().collect();
    let mut package = match request.is_for_development {
        true => Package {
            id: String::new(),
            module,
            folder: Some(folder.clone()),
            sources: BTreeMap::new(),
            description: None,
        },
        false => Package { id: String::new(), module, folder: None, sources, description: None },
    };
    // Named by its module until its id is known.
    let unnamed = Package { id: package.module.clone(), ..package.clone() };
    let description = Worker::start(&unnamed)?.describe()?;
    package.id = description["id"].as_str().unwrap_or_default().into();
    if !is_id(&package.id) {
        return Err(PackError::BadId(package.id));
    }
    if !request.is_for_development {
        package.description = Some(description.clone());
    }
    let mut library = fs::read(request.bridge).map_err(unreadable(request.bridge))?;
    let unfit = |what| PackError::Library { path: request.bridge.to_path_buf(), what };
    symbol::rename(&mut library, &package.id).map_err(unfit)?;
    package.write_into(&mut library).map_err(unfit)?;
    let out = request.out.map_or_else(|| folder.join(format!("libmedcoss_{}.so", package.id)), Path::to_path_buf);
    write(&out, &library).map_err(|cause| PackError::File { path: out.clone(), done: "written", cause })?;
    Ok(Packed { id: package.id, library: out, files, description })
}

/// Writes a file under another name, and renames it: a process that has the former file loaded keeps it.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = path.with_file_name(name);
    let written =
        fs::File::create(&partial).and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()));
    let renamed = written.and_then(|()| fs::rename(&partial, path));
    if renamed.is_err() {
        let _ = fs::remove_file(&partial);
    }
    renamed
}

/// Texts of the files of Python below a folder, without tests, hidden files and environments.
fn sources(folder: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut left = vec![folder.to_path_buf()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with('.') || name.starts_with("test_") || PASSED_OVER.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() && !path.join("pyvenv.cfg").exists() {
                left.push(path);
            } else if name.ends_with(".py") && name != AUTHOR_FILE {
                let text = fs::read_to_string(&path);
                let text =
                    text.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
                let below = path.strip_prefix(folder).unwrap_or(&path);
                found.insert(below.to_string_lossy().into_owned(), text);
            }
        }
    }
    Ok(found)
}

/// The module: called as its folder, or the only file.
fn module_name(folder: &Path, sources: &BTreeMap<String, String>) -> Result<String, PackError> {
    let expected = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names: Vec<&str> = sources.keys().filter_map(|path| path.strip_suffix(".py")).collect();
    let top: Vec<&str> = names.iter().copied().filter(|name| !name.contains('/')).collect();
    match top.as_slice() {
        _ if top.contains(&expected.as_str()) => Ok(expected),
        [only] => Ok((*only).into()),
        _ => {
            let found = if top.is_empty() { "none".into() } else { top.join(".py, ") + ".py" };
            Err(PackError::NoModule { folder: folder.to_path_buf(), expected, found })
        }
    }
}

fn is_id(id: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    id.starts_with(|letter: char| letter.is_ascii_lowercase())
        && id.chars().all(allowed)
        && id.len() <= symbol::LONGEST_ID
}
