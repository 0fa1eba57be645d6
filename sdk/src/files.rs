//! Finding a dataset's files. Every file of the entries is used or left out for a reason.

use std::borrow::Cow;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use crate::{Account, Error, SampleRecord, log, sample_id};

/// Largest file in bytes that [`FoundFile::read`] reads.
pub const MAX_WHOLE_BYTES: u64 = 1 << 29;

/// A file of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// Path of the file.
    pub path: PathBuf,
    /// Entry and path below it, with `/`: `xray/pneumonia/img/chest_0.jpeg`.
    pub id: String,
    /// Index of the entry of the data that it was found in.
    pub entry: u32,
    /// Size.
    pub bytes: u64,
    /// When it was last written, where the file system reports it.
    pub modified: Option<SystemTime>,
}

impl FoundFile {
    /// The record of a sample that is this file.
    pub fn record(&self) -> SampleRecord {
        SampleRecord::new(self.id.as_str()).of_entry(self.entry)
    }

    /// The record of one of several samples of this file: its id is the file's and `#` and the suffix.
    pub fn record_of_part(&self, suffix: impl std::fmt::Display) -> SampleRecord {
        SampleRecord::new(format!("{}#{suffix}", self.id)).of_file(self.id.as_str()).of_entry(self.entry)
    }

    /// The whole file.
    ///
    /// # Errors
    /// A file that cannot be read, or of more than 512 MiB.
    pub fn read(&self) -> Result<Vec<u8>, Error> {
        self.read_at_most(MAX_WHOLE_BYTES)
    }

    /// The whole file, of a kind that has so many bytes at most. No more than that is read, however long the file is.
    ///
    /// # Errors
    /// A file that cannot be read, or of more bytes.
    pub fn read_at_most(&self, limit_bytes: u64) -> Result<Vec<u8>, Error> {
        let path = self.path.display();
        let failed = |error: std::io::Error| Error::unreadable(format!("{path} cannot be read")).caused_by(&error);
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&self.path).map_err(failed)?;
        file.take(limit_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > limit_bytes {
            let (found, most) = (self.bytes.max(bytes.len() as u64) >> 20, limit_bytes >> 20);
            return Err(Error::unsupported(format!(
                "{path} has {found} MiB; files of up to {most} MiB are read as a whole"
            )));
        }
        Ok(bytes)
    }

    /// The whole file as text.
    ///
    /// # Errors
    /// A file that cannot be read, or is no UTF-8.
    pub fn read_text(&self) -> Result<String, Error> {
        String::from_utf8(self.read()?).map_err(|error| Error::corrupt("it is no UTF-8 text").caused_by(&error))
    }

    /// Checks that the file has not changed since it was found: a run must not mix content from before and after a change. Costs one `stat`.
    ///
    /// # Errors
    /// A file that is gone, or that was written since.
    pub fn check_unchanged(&self) -> Result<(), Error> {
        let now = std::fs::metadata(&self.path).map_err(|error| {
            if let Ok(target) = std::fs::read_link(&self.path) {
                let (path, target) = (self.path.display(), target.display());
                return Error::unreadable(format!("{path} is a link to {target}, which cannot be followed"))
                    .caused_by(&error);
            }
            Error::unreadable(format!("{} no longer exists or cannot be examined", self.path.display()))
                .caused_by(&error)
        })?;
        if now.len() != self.bytes || now.modified().ok() != self.modified {
            return Err(Error::corrupt(format!(
                "{} has changed since the data were opened ({} bytes then, {} now)",
                self.path.display(),
                self.bytes,
                now.len()
            )));
        }
        Ok(())
    }
}

/// Name of a data entry as it begins sample ids: the entry itself, or its last component when it is absolute or
/// climbs out of the base.
pub fn entry_name(entry: &Path) -> String {
    let plain = entry.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let parts: Vec<_> = entry
        .components()
        .filter_map(|part| match part {
            Component::Normal(part) => Some(sample_id::part(part)),
            _ => None,
        })
        .collect();
    if plain { parts.join("/") } else { parts.last().cloned().unwrap_or_default() }
}

/// Whether a file of the data is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inclusion {
    /// It is.
    Included,
    /// It is not, for this reason, a phrase without the file's name: "a localiser".
    Excluded(Cow<'static, str>),
    /// It is not, because it is of a kind that is not read. Its extension is the reason.
    AnotherKind,
}

/// The files of the data.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Those that are used, in the order of their ids.
    pub files: Vec<FoundFile>,
    /// All that were found.
    pub account: Account,
}

impl Found {
    /// Leaves out the files that `inclusion` does not use.
    pub fn keep(&mut self, mut inclusion: impl FnMut(&FoundFile) -> Inclusion) {
        let account = &mut self.account;
        self.files.retain(|file| match reason(inclusion(file), &file.path) {
            None => true,
            Some(reason) => {
                account.leave_out(file.id.as_str(), reason);
                false
            }
        });
    }
}

/// Reason of a inclusion; `None`: the file is used.
fn reason(inclusion: Inclusion, path: &Path) -> Option<Cow<'static, str>> {
    match inclusion {
        Inclusion::Included => None,
        Inclusion::Excluded(reason) => Some(reason),
        Inclusion::AnotherKind => Some(match path.extension() {
            Some(extension) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
                // A compressed file is of the kind of what it holds.
                let inner = Path::new(&name).file_stem().map(Path::new).and_then(Path::extension);
                let extension = sample_id::part(&extension.to_ascii_lowercase());
                match (inner, extension.as_str()) {
                    (Some(inner), "gz" | "bz2" | "xz" | "zst") => {
                        format!("another kind of file (.{}.{extension})", sample_id::part(inner)).into()
                    }
                    _ => format!("another kind of file (.{extension})").into(),
                }
            }
            None => "another kind of file (no extension)".into(),
        }),
    }
}

/// Reason of a hidden file or folder.
const HIDDEN: &str = "hidden (the name begins with a dot)";
/// Reason of a run's folder.
const A_RUN: &str = "a run folder of medcoss";
/// Reason of a link that leads nowhere or back.
const BROKEN_LINK: &str = "a link that leads nowhere or back into its own folder";
/// Files that the folder of a run holds.
const MARKS_OF_A_RUN: [&str; 2] = ["run.toml", "plugins.lock"];

/// Files of the entries that `accepts` by their lower-case file name, in the order of their ids. An entry that is itself a file is
/// taken whatever its name. Symbolic links are followed. A link with the name of a data file that leads to no file stands for a sample that
/// cannot be read. Hidden files and folders, folders of runs, and other links that lead nowhere or back into their own folder are left
/// out; a folder counts as one file.
///
/// # Errors
/// An entry that is missing, a folder that cannot be read, no file at all, two entries that give the same id.
pub fn find_files(
    base: &Path,
    entries: &[PathBuf],
    accepts: impl Fn(&str) -> bool,
    kinds: &str,
) -> Result<Found, Error> {
    let inclusion = |_: &Path, name: &str| if accepts(name) { Inclusion::Included } else { Inclusion::AnotherKind };
    find_files_by_content(base, entries, inclusion, kinds)
}

/// As [`find_files`], for kinds whose names say little: `inclusion` is given each file's path as well, and may look into it.
///
/// # Errors
/// Those of [`find_files`].
pub fn find_files_by_content(
    base: &Path,
    entries: &[PathBuf],
    inclusion: impl Fn(&Path, &str) -> Inclusion,
    kinds: &str,
) -> Result<Found, Error> {
    let mut found = Found::default();
    let mut paced = log::Paced::new("files listed", 0);
    for (at, entry) in entries.iter().enumerate() {
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        let root = base.join(entry);
        if !root.exists() {
            return Err(Error::unreadable(format!(
                "data {} not found (looked for {})\nhint: paths are relative to the configuration file, or to --data-root",
                entry.display(),
                root.display()
            )));
        }
        let name = entry_name(entry);
        let single = root.is_file();
        let inclusion = |path: &Path| match single {
            true => Inclusion::Included,
            false => inclusion(path, &path.file_name().unwrap_or_default().to_string_lossy().to_lowercase()),
        };
        let mut items = walkdir::WalkDir::new(&root).follow_links(true).sort_by_file_name().into_iter();
        while let Some(item) = items.next() {
            let item = match item {
                Ok(item) => item,
                Err(error) => {
                    let broken = broken_link(&error).ok_or_else(|| {
                        Error::unreadable(format!("data {} cannot be listed", entry.display())).caused_by(&error)
                    })?;
                    let id = id_of(&name, &root, broken);
                    found.account.count_file();
                    if broken.file_name().is_some_and(is_hidden) {
                        found.account.leave_out(id, HIDDEN);
                    } else if error.loop_ancestor().is_none() && inclusion(broken) == Inclusion::Included {
                        found.files.push(FoundFile {
                            path: broken.to_owned(),
                            id,
                            entry: at,
                            bytes: 0,
                            modified: None,
                        });
                    } else {
                        found.account.leave_out(id, BROKEN_LINK);
                    }
                    continue;
                }
            };
            let is_folder = item.file_type().is_dir();
            let aside = match item.depth() {
                0 => None,
                _ if is_hidden(item.file_name()) => Some(HIDDEN),
                _ if is_folder && MARKS_OF_A_RUN.iter().all(|mark| item.path().join(mark).is_file()) => Some(A_RUN),
                _ => None,
            };
            if let Some(reason) = aside {
                found.account.count_file();
                found.account.leave_out(id_of(&name, &root, item.path()), reason);
                if is_folder {
                    items.skip_current_dir();
                }
                continue;
            }
            if is_folder {
                continue;
            }
            paced.step()?;
            let id = id_of(&name, &root, item.path());
            found.account.count_file();
            let inclusion = match item.file_type().is_file() {
                true => inclusion(item.path()),
                false => Inclusion::Excluded("no plain file (a device, a pipe or a socket)".into()),
            };
            if let Some(reason) = reason(inclusion, item.path()) {
                found.account.leave_out(id, reason);
                continue;
            }
            let metadata = item.metadata().map_err(|error| {
                Error::unreadable(format!("{} cannot be examined", item.path().display())).caused_by(&error)
            })?;
            let (bytes, modified) = (metadata.len(), metadata.modified().ok());
            found.files.push(FoundFile { path: item.into_path(), id, entry: at, bytes, modified });
        }
    }
    paced.finish();
    let files = &mut found.files;
    files.sort_by(|a, b| a.id.cmp(&b.id));
    if let Some(pair) = files.windows(2).find(|pair| pair[0].id == pair[1].id) {
        return Err(Error::bad_request(format!(
            "{} and {} would have the same sample id {}\nhint: name each data entry once, and entries with distinct names",
            pair[0].path.display(),
            pair[1].path.display(),
            pair[0].id
        )));
    }
    if files.is_empty() {
        let names: Vec<_> = entries.iter().map(|entry| entry.display().to_string()).collect();
        let summary = match found.account.summary().as_str() {
            "" => String::from("there are no files"),
            left => format!("left out: {left}"),
        };
        return Err(Error::unreadable(format!(
            "no files of a known format in {} (looked for {kinds}); {summary}",
            names.join(", ")
        )));
    }
    Ok(found)
}

/// The id of a file below the folder of an entry.
fn id_of(entry: &str, root: &Path, file: &Path) -> String {
    let mut id = entry.to_owned();
    for part in file.strip_prefix(root).unwrap_or(file).components() {
        if !id.is_empty() {
            id.push('/');
        }
        id.push_str(&sample_id::part(part.as_os_str()));
    }
    id
}

/// The link because of which a folder could not be followed: one that leads nowhere, or back into a folder that it lies in. `None` where
/// something else is wrong.
fn broken_link(error: &walkdir::Error) -> Option<&Path> {
    let path = error.path()?;
    let is_link = path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_symlink());
    let leads_nowhere = || path.metadata().is_err_and(|error| error.kind() != std::io::ErrorKind::PermissionDenied);
    (is_link && (error.loop_ancestor().is_some() || leads_nowhere())).then_some(path)
}

fn is_hidden(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().first() == Some(&b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_as_text_says_why() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.txt"), "sch\u{f6}n").unwrap();
        std::fs::write(folder.path().join("b.txt"), [0x61, 0xff]).unwrap();
        let files = find_files(folder.path(), &[PathBuf::from(".")], |_| true, "text").unwrap().files;
        assert_eq!(files[0].read_text().unwrap(), "sch\u{f6}n");
        assert_eq!(files[1].read().unwrap(), [0x61, 0xff]);
        assert_eq!(files[1].read_text().unwrap_err().code(), crate::code::CORRUPT);
        std::fs::remove_file(&files[0].path).unwrap();
        assert_eq!(files[0].read_text().unwrap_err().code(), crate::code::UNREADABLE);
    }

    #[test]
    fn no_more_than_the_limit_is_read_of_a_long_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::File::create(folder.path().join("a.bin")).unwrap().set_len(1 << 40).unwrap();
        let file = find_files(folder.path(), &[PathBuf::from("a.bin")], |_| true, "bin").unwrap().files.remove(0);
        let error = file.read_at_most(1 << 20).unwrap_err();
        assert_eq!(error.code(), crate::code::UNSUPPORTED);
        assert!(
            error.message().ends_with("a.bin has 1048576 MiB; files of up to 1 MiB are read as a whole"),
            "{error}"
        );
        std::fs::write(&file.path, "ab").unwrap();
        assert_eq!(file.read_at_most(2).unwrap(), b"ab");
    }

    #[test]
    #[cfg(unix)]
    fn links_that_lead_nowhere_or_back_do_not_spoil_the_others() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        std::fs::create_dir_all(base.join("d/deep")).unwrap();
        std::fs::write(base.join("d/deep/a.png"), "a").unwrap();
        symlink("..", base.join("d/deep/up")).unwrap();
        symlink("self.png", base.join("d/self.png")).unwrap();
        symlink("nowhere.png", base.join("d/gone.png")).unwrap();
        symlink("/nowhere", base.join("d/patient")).unwrap();
        symlink("nowhere", base.join("d/.hidden.png")).unwrap();
        symlink("deep/a.png", base.join("d/good.png")).unwrap();
        let Found { files, account } =
            find_files(base, &[PathBuf::from("d")], |name| name.ends_with(".png"), "PNG").unwrap();
        let ids: Vec<_> = files.iter().map(|file| file.id.as_str()).collect();
        assert_eq!(ids, ["d/deep/a.png", "d/gone.png", "d/good.png", "d/self.png"]);
        for (file, is_valid) in files.iter().zip([true, false, true, false]) {
            assert_eq!(file.check_unchanged().is_ok(), is_valid, "{}", file.id);
        }
        let left_out: Vec<_> = account.left_out().collect();
        assert_eq!(left_out, [("d/.hidden.png", HIDDEN), ("d/deep/up", BROKEN_LINK), ("d/patient", BROKEN_LINK)]);
        let error = files[1].check_unchanged().unwrap_err();
        assert!(error.message().contains("d/gone.png is a link to nowhere.png, which cannot be followed"), "{error}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn names_that_are_not_printable_give_printable_ids() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        for name in [&b"a\tb.png"[..], b"a\nb.png", b"\xfc.png", b"\xfd.png"] {
            std::fs::write(folder.path().join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
        }
        let found = find_files(folder.path(), &[PathBuf::from(".")], |name| name.ends_with(".png"), "PNG").unwrap();
        let files = found.files;
        let ids: Vec<_> = files.iter().map(|file| file.id.as_str()).collect();
        assert_eq!(ids, ["\\xfc.png", "\\xfd.png", "a\\x09b.png", "a\\x0ab.png"]);
        assert!(files.iter().all(|file| file.check_unchanged().is_ok()));
    }

    #[test]
    fn a_file_that_was_written_again_or_removed_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        std::fs::write(&path, "one").unwrap();
        let file = find_files(folder.path(), &[PathBuf::from("a.png")], |_| true, "PNG").unwrap().files.remove(0);
        file.check_unchanged().unwrap();
        // Of the same size, but later.
        let later = std::fs::File::options().write(true).open(&path).unwrap();
        later.set_modified(SystemTime::now() + std::time::Duration::from_secs(5)).unwrap();
        assert!(file.check_unchanged().unwrap_err().message().contains("has changed since"));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(file.check_unchanged().unwrap_err().code(), crate::code::UNREADABLE);
    }

    #[test]
    fn every_file_is_used_or_left_out_for_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        for path in [
            "a.png",
            "notes.txt",
            "scan.nii.gz",
            "README",
            ".git/config",
            ".DS_Store",
            "old/run.toml",
            "old/plugins.lock",
            "old/stages/b.png",
            "run.toml",
        ] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let every = |accepts: fn(&str) -> bool| find_files(folder.path(), &[PathBuf::from(".")], accepts, "PNG");
        let found = every(|name| name.ends_with(".png")).unwrap();
        assert_eq!((found.files.len(), found.account.n_used()), (1, 1));
        let mut left_out: Vec<_> = found.account.left_out().collect();
        left_out.sort_unstable();
        assert_eq!(
            left_out,
            [
                (".DS_Store", HIDDEN),
                (".git", HIDDEN),
                ("README", "another kind of file (no extension)"),
                ("notes.txt", "another kind of file (.txt)"),
                ("old", A_RUN),
                ("run.toml", "another kind of file (.toml)"),
                ("scan.nii.gz", "another kind of file (.nii.gz)"),
            ]
        );
        let error = every(|name| name.ends_with(".tif")).unwrap_err();
        assert!(error.message().contains("left out: "), "{error}");
        assert!(error.message().contains("1 another kind of file (.png)"), "{error}");
        // Whoever names the run's folder itself means it.
        let named =
            find_files(folder.path(), &[PathBuf::from("old/stages")], |name| name.ends_with(".png"), "PNG").unwrap();
        assert_eq!(named.files.len(), 1);
    }

    #[test]
    fn files_that_were_found_can_be_left_out_later() {
        let folder = tempfile::tempdir().unwrap();
        ["a.png", "b.png"].iter().for_each(|name| std::fs::write(folder.path().join(name), name).unwrap());
        let mut found = find_files(folder.path(), &[PathBuf::from(".")], |_| true, "PNG").unwrap();
        found.keep(
            |file| if file.id == "a.png" { Inclusion::Excluded("a localiser".into()) } else { Inclusion::Included },
        );
        assert_eq!((found.files.len(), found.account.n_used()), (1, 1));
        assert_eq!(found.account.summary(), "1 a localiser");
    }
}
