//! Paths that stay within a folder.
//!
//! A run folder may come from a stranger. Everything in it is reached from the descriptor of the folder, one component at a time: names are
//! plain, links are refused and not followed, and files are regular files. New files are private to the user, under any umask.

use std::fs::{DirBuilder, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::{Error, Result, RunError};

/// Mode of new folders: the user's alone.
const FOLDER_MODE: Mode = Mode::RWXU;

/// Mode of new files: the user's alone.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Extension of the names of files and folders that are not complete yet.
pub const PARTIAL: &str = ".partial";

/// Depth of folders below a root that are entered. A run has 5; a plugin may add some.
const MAX_DEPTH: usize = 32;

/// Number of files below a folder that are listed.
const MAX_FILES: usize = 20_000_000;

/// A path within a folder that was opened once. The folder itself is the user's choice, and a link to it is followed; below it no link is.
#[derive(Debug, Clone)]
pub struct ConfinedPath {
    root: Arc<Root>,
    below: PathBuf,
}

#[derive(Debug)]
struct Root {
    folder: OwnedFd,
    path: PathBuf,
}

/// Kind of an entry of a folder. Links, devices, pipes and sockets are none: they are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
}

/// Ways to a path: what the user chose.
impl ConfinedPath {
    /// Opens a folder.
    ///
    /// # Errors
    /// A folder that does not exist or cannot be entered.
    pub fn root(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let folder =
            fs::open(opened, flags, Mode::empty()).map_err(|errno| Error::file("cannot open", opened)(errno.into()))?;
        Ok(Self { root: Arc::new(Root { folder, path: path.into() }), below: PathBuf::new() })
    }

    /// Opens a folder, which is created with its parents where it does not exist.
    ///
    /// # Errors
    /// A folder that cannot be created or entered.
    pub fn create_root(path: &Path) -> Result<Self> {
        if !path.exists() {
            let created = DirBuilder::new().recursive(true).mode(FOLDER_MODE.bits()).create(path);
            let private = std::fs::Permissions::from_mode(FOLDER_MODE.bits());
            created
                .and_then(|()| std::fs::set_permissions(path, private))
                .map_err(Error::file("cannot create", path))?;
        }
        Self::root(path)
    }

    /// A file or folder of the user's choice, which need not exist: the innermost folder above it that exists is opened.
    ///
    /// # Errors
    /// A path without a name, a folder that cannot be entered.
    pub fn of_user(path: &Path) -> Result<Self> {
        if path.file_name().is_none() {
            return Self::root(path);
        }
        let is_there = |folder: &&Path| folder.as_os_str().is_empty() || folder.exists();
        let root = path.ancestors().skip(1).find(is_there).unwrap_or(Path::new(""));
        Ok(Self::root(root)?.join(path.strip_prefix(root).unwrap_or(path)))
    }

    /// The path of an entry below this folder. Nothing is opened yet.
    pub fn join(&self, name: impl AsRef<Path>) -> Self {
        Self { root: Arc::clone(&self.root), below: self.below.join(name) }
    }

    /// The path beside this one with another name.
    pub(crate) fn with_name(&self, name: &str) -> Self {
        Self { root: Arc::clone(&self.root), below: self.below.with_file_name(name) }
    }

    /// The folder of this path.
    pub fn parent(&self) -> Self {
        Self { root: Arc::clone(&self.root), below: self.below.parent().map(Path::to_path_buf).unwrap_or_default() }
    }

    /// The folders from below the root to this one, the outermost first.
    pub fn ancestors(&self) -> Vec<Self> {
        let mut own = Self { root: Arc::clone(&self.root), below: PathBuf::new() };
        let mut found = Vec::new();
        for part in self.below.components() {
            own = own.join(part);
            found.push(own.clone());
        }
        found
    }

    /// The path in words. Files are not opened by it.
    pub fn path(&self) -> PathBuf {
        if self.below.as_os_str().is_empty() { self.root.path.clone() } else { self.root.path.join(&self.below) }
    }

    /// The last component of the path.
    pub fn name(&self) -> String {
        self.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The path in words.
    pub fn display(&self) -> String {
        self.path().display().to_string()
    }

    /// A path for code that opens files by path, such as a plugin. Everything below the folder is checked first: there is no link and no special
    /// file. The path does not depend on the working folder.
    ///
    /// # Errors
    /// A folder that does not exist, or holds a link or a special file.
    pub fn checked_path(&self) -> Result<PathBuf> {
        self.files_below()?;
        let path = self.path();
        path.canonicalize().map_err(Error::file("cannot open", &path))
    }
}

/// Looking at entries.
impl ConfinedPath {
    /// Kind of the entry; none where nothing has this path.
    ///
    /// # Errors
    /// A link or a special file, at the path or on the way to it.
    pub fn kind(&self) -> Result<Option<EntryKind>> {
        if self.below.as_os_str().is_empty() {
            return Ok(Some(EntryKind::Folder));
        }
        let Some((parent, name)) = self.enter_parent()? else { return Ok(None) };
        match fs::statat(&parent, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => self.kind_of(FileType::from_raw_mode(stat.st_mode)).map(Some),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.failed("cannot examine")(errno.into())),
        }
    }

    /// Whether the path is a folder.
    ///
    /// # Errors
    /// As [`ConfinedPath::kind`].
    pub fn is_folder(&self) -> Result<bool> {
        Ok(self.kind()? == Some(EntryKind::Folder))
    }

    /// Whether the path is a file.
    ///
    /// # Errors
    /// As [`ConfinedPath::kind`].
    pub fn is_file(&self) -> Result<bool> {
        Ok(self.kind()? == Some(EntryKind::File))
    }

    /// Size of the file in bytes.
    ///
    /// # Errors
    /// A file that does not exist.
    pub fn n_bytes(&self) -> Result<u64> {
        self.open()?.metadata().map(|file| file.len()).map_err(self.failed("cannot examine"))
    }

    /// Names of the folder's entries with their kinds, in alphabetical order; none where the folder does not exist.
    ///
    /// # Errors
    /// A link, a special file, a name that is not valid UTF-8, a folder that cannot be listed.
    pub fn entries(&self) -> Result<Vec<(String, EntryKind)>> {
        let Some(folder) = self.enter()? else { return Ok(Vec::new()) };
        let mut found: Vec<(String, EntryKind)> = Vec::new();
        for entry in Dir::read_from(&folder).map_err(|errno| self.failed("cannot list")(errno.into()))? {
            let entry = entry.map_err(|errno| self.failed("cannot list")(errno.into()))?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(name) = entry.file_name().to_str() else {
                let name = entry.file_name().to_string_lossy().into_owned();
                return Err(RunError::BadName { path: self.join(name).path() }.into());
            };
            let own = self.join(name);
            let file_type = match entry.file_type() {
                // Not every file system tells.
                FileType::Unknown => match own.kind()? {
                    Some(kind) => {
                        found.push((name.into(), kind));
                        continue;
                    }
                    None => continue,
                },
                known => known,
            };
            found.push((name.into(), own.kind_of(file_type)?));
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// Paths of all files below the folder, relative to it, in alphabetical order; none where the folder does not exist.
    ///
    /// # Errors
    /// As [`ConfinedPath::entries`]; folders that are nested too deeply.
    pub fn files_below(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        self.list_below("", 0, &mut found)?;
        found.sort();
        Ok(found)
    }

    fn list_below(&self, prefix: &str, depth: usize, found: &mut Vec<String>) -> Result<()> {
        if depth > MAX_DEPTH || found.len() > MAX_FILES {
            let limit = format!("more than {MAX_DEPTH} folders deep, or more than {MAX_FILES} files");
            return Err(Error::damaged(&self.path(), limit));
        }
        for (name, kind) in self.entries()? {
            match kind {
                EntryKind::Folder => {
                    self.join(&name).list_below(&format!("{prefix}{name}/"), depth + 1, found)?;
                }
                EntryKind::File => found.push(format!("{prefix}{name}")),
            }
        }
        Ok(())
    }

    fn kind_of(&self, file_type: FileType) -> Result<EntryKind> {
        let what = match file_type {
            FileType::RegularFile => return Ok(EntryKind::File),
            FileType::Directory => return Ok(EntryKind::Folder),
            FileType::Symlink => "a link",
            FileType::Fifo => "a named pipe",
            FileType::Socket => "a socket",
            FileType::CharacterDevice | FileType::BlockDevice => "a device",
            FileType::Unknown => "of an unknown kind",
        };
        Err(RunError::NotAFile { path: self.path(), what }.into())
    }
}

/// Reading.
impl ConfinedPath {
    /// Opens the file for reading.
    ///
    /// # Errors
    /// A file that does not exist; a link, a folder or a special file.
    pub fn open(&self) -> Result<File> {
        self.open_with(OFlags::RDONLY)
    }

    /// Reads the file, unless it is larger than `limit` bytes.
    ///
    /// # Errors
    /// A file that cannot be opened, or is too large.
    pub fn read(&self, limit: u64) -> Result<Vec<u8>> {
        let file = self.open()?;
        let n_bytes = file.metadata().map_err(self.failed("cannot read"))?.len();
        let mut content = Vec::new();
        if n_bytes <= limit {
            // A file may grow while it is read.
            file.take(limit + 1).read_to_end(&mut content).map_err(self.failed("cannot read"))?;
        }
        let found = n_bytes.max(content.len() as u64);
        if found > limit { Err(RunError::TooLarge { path: self.path(), found, limit }.into()) } else { Ok(content) }
    }

    /// Reads a text file, unless it is larger than `limit` bytes.
    ///
    /// # Errors
    /// A file that cannot be opened, is too large or not valid UTF-8.
    pub fn read_text(&self, limit: u64) -> Result<String> {
        String::from_utf8(self.read(limit)?).map_err(|error| Error::damaged(&self.path(), error))
    }
}

/// Writing.
impl ConfinedPath {
    /// Opens the file for appending, and creates it where it does not exist.
    ///
    /// # Errors
    /// A link, a folder, a special file; a file that cannot be written.
    pub fn append(&self) -> Result<File> {
        self.open_with(OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE)
    }

    /// Opens the file for reading and writing, and creates it where it does not exist.
    pub(crate) fn open_or_create(&self) -> Result<File> {
        self.open_with(OFlags::RDWR | OFlags::CREATE)
    }

    /// A new file of a random name beside this path, which no other process knows or has prepared. The extension [`PARTIAL`] tells the
    /// next process to remove the file if this one ends too early.
    pub(crate) fn create_partial(&self) -> Result<(Self, File)> {
        let partial = self.partial_name();
        match partial.create_new(OFlags::WRONLY)? {
            Some(file) => Ok((partial, file)),
            None => Err(partial.failed("cannot write")(io::ErrorKind::AlreadyExists.into())),
        }
    }

    /// A new folder of a random name beside this path, which no other process knows or has prepared.
    pub fn create_partial_folder(&self) -> Result<Self> {
        let partial = self.partial_name();
        let (parent, name) = partial.parent_for_writing()?;
        fs::mkdirat(&parent, &name, FOLDER_MODE).map_err(|errno| self.failed("cannot write")(errno.into()))?;
        partial.make_private()?;
        Ok(partial)
    }

    fn partial_name(&self) -> Self {
        // The keys of a hasher are drawn from the operating system.
        let random = RandomState::new().hash_one(std::process::id());
        self.with_name(&format!("{}.{random:016x}{}", self.name(), PARTIAL))
    }

    /// Creates the folder and those above it, below the root, where they do not exist.
    ///
    /// # Errors
    /// A link or a file on the way, a folder that cannot be created.
    pub fn create_folder(&self) -> Result<()> {
        for own in self.ancestors() {
            let (parent, name) = own.parent_for_writing()?;
            match fs::mkdirat(&parent, &name, FOLDER_MODE) {
                Ok(()) => own.make_private()?,
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(own.failed("cannot create")(errno.into())),
            }
        }
        match self.enter()? {
            Some(_) => Ok(()),
            None => Err(self.failed("cannot create")(io::ErrorKind::NotFound.into())),
        }
    }

    /// Gives a file or a folder with its content to the user alone, whatever the umask or the program that wrote it.
    pub(crate) fn make_private(&self) -> Result<()> {
        let failed = |errno: Errno| self.failed("cannot change the permissions of")(errno.into());
        match self.kind()? {
            Some(EntryKind::File) => fs::fchmod(&self.open()?, FILE_MODE).map_err(failed),
            Some(EntryKind::Folder) => {
                // A umask may have taken the owner's right to enter.
                if !self.below.as_os_str().is_empty()
                    && let Some((parent, name)) = self.enter_parent()?
                {
                    fs::chmodat(&parent, &name, FOLDER_MODE, AtFlags::empty()).map_err(failed)?;
                }
                self.entries()?.iter().try_for_each(|(name, _)| self.join(name).make_private())
            }
            None => Ok(()),
        }
    }

    /// Renames an entry of the same root; a file there is replaced.
    pub fn rename_to(&self, to: &Self) -> Result<()> {
        let ((from_parent, from), (to_parent, target)) = (self.parent_for_writing()?, to.parent_for_writing()?);
        fs::renameat(&from_parent, &from, &to_parent, &target).map_err(|errno| to.failed("cannot write")(errno.into()))
    }

    /// Flushes a folder, so that renames in it are durable.
    pub(crate) fn sync_folder(&self) -> Result<()> {
        let Some(folder) = self.enter()? else { return Ok(()) };
        fs::fsync(&folder).map_err(|errno| self.failed("cannot flush")(errno.into()))
    }

    /// Removes a file, or a folder with its content, if there is one. A link is removed, not followed.
    ///
    /// # Errors
    /// An entry that cannot be removed.
    pub fn remove(&self) -> Result<()> {
        self.remove_below(0)
    }

    /// Removes the folder if it is empty.
    ///
    /// # Errors
    /// A folder that holds something or cannot be removed.
    pub fn remove_if_empty(&self) -> Result<()> {
        let (parent, name) = self.parent_for_writing()?;
        fs::unlinkat(&parent, &name, AtFlags::REMOVEDIR).map_err(|errno| self.failed("cannot remove")(errno.into()))
    }

    fn remove_below(&self, depth: usize) -> Result<()> {
        let failed = |errno: Errno| self.failed("cannot remove")(errno.into());
        let Some((parent, name)) = self.enter_parent()? else { return Ok(()) };
        match fs::unlinkat(&parent, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR | Errno::PERM) if depth <= MAX_DEPTH => {}
            Err(errno) => return Err(failed(errno)),
        }
        let Some(folder) = self.enter()? else { return Ok(()) };
        let names: Vec<_> = Dir::read_from(&folder)
            .map_err(failed)?
            .map(|entry| entry.map(|entry| entry.file_name().to_owned()))
            .collect::<Result<_, Errno>>()
            .map_err(failed)?;
        for name in names.iter().filter(|name| !matches!(name.to_bytes(), b"." | b"..")) {
            self.join(os_name(name)).remove_below(depth + 1)?;
        }
        match fs::unlinkat(&parent, &name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed(errno)),
        }
    }
}

/// Descriptors.
impl ConfinedPath {
    /// A descriptor of the folder of its own; none where it does not exist.
    pub(crate) fn enter(&self) -> Result<Option<OwnedFd>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut folder = fs::openat(&self.root.folder, ".", flags, Mode::empty())
            .map_err(|errno| self.failed("cannot open")(errno.into()))?;
        let mut own = PathBuf::new();
        for part in self.below.components() {
            let Component::Normal(name) = part else {
                return Err(RunError::BadName { path: self.path() }.into());
            };
            own.push(name);
            folder = match fs::openat(&folder, name, flags, Mode::empty()) {
                Ok(inner) => inner,
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => {
                    let at = Self { root: Arc::clone(&self.root), below: own };
                    // A link is an error of another name: which one differs between systems.
                    if let Ok(stat) = fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                        at.kind_of(FileType::from_raw_mode(stat.st_mode))?;
                    }
                    return Err(at.failed("cannot enter")(errno.into()));
                }
            };
        }
        Ok(Some(folder))
    }

    /// A descriptor of the parent folder, and the name in it; none where the parent does not exist.
    fn enter_parent(&self) -> Result<Option<(OwnedFd, PathBuf)>> {
        let Some(Component::Normal(name)) = self.below.components().next_back() else {
            return Err(RunError::BadName { path: self.path() }.into());
        };
        Ok(self.parent().enter()?.map(|parent| (parent, name.into())))
    }

    fn parent_for_writing(&self) -> Result<(OwnedFd, PathBuf)> {
        let missing = || self.failed("cannot write")(io::ErrorKind::NotFound.into());
        self.enter_parent()?.ok_or_else(missing)
    }

    fn open_with(&self, flags: OFlags) -> Result<File> {
        let action = if flags.contains(OFlags::CREATE) { "cannot write" } else { "cannot read" };
        // What is no file is not opened at all: opening a device may have an effect.
        match self.kind()? {
            Some(EntryKind::Folder) => return Err(RunError::NotAFile { path: self.path(), what: "a folder" }.into()),
            Some(EntryKind::File) => {}
            None if flags.contains(OFlags::CREATE) => {
                if let Some(file) = self.create_new(flags)? {
                    return Ok(file);
                }
                // Another process was faster.
            }
            None => return Err(self.failed(action)(io::ErrorKind::NotFound.into())),
        }
        let (parent, name) = self.parent_for_writing()?;
        let flags = flags.difference(OFlags::CREATE) | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file =
            fs::openat(&parent, &name, flags, Mode::empty()).map_err(|errno| self.failed(action)(errno.into()))?;
        let stat = fs::fstat(&file).map_err(|errno| self.failed(action)(errno.into()))?;
        self.kind_of(FileType::from_raw_mode(stat.st_mode))?;
        Ok(file.into())
    }

    /// Creates the file; none where something has this path already.
    fn create_new(&self, flags: OFlags) -> Result<Option<File>> {
        let failed = |errno: Errno| self.failed("cannot write")(errno.into());
        let (parent, name) = self.parent_for_writing()?;
        let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match fs::openat(&parent, &name, flags, FILE_MODE) {
            Ok(file) => {
                fs::fchmod(&file, FILE_MODE).map_err(failed)?;
                Ok(Some(file.into()))
            }
            Err(Errno::EXIST) => Ok(None),
            Err(errno) => Err(failed(errno)),
        }
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> Error + use<> {
        let path = self.path();
        move |reason| Error::File { action, path, reason }
    }
}

fn os_name(name: &std::ffi::CStr) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(name.to_bytes()))
}
