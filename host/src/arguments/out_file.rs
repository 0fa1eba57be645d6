//! Argument for a file to write. An existing file is not overwritten unless that is asked for, and an input of the command
//! never is, under whatever name.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use medcoss_core::confined_path::ConfinedPath;
use walkdir::WalkDir;

/// Argument for a file to write, or a folder of files.
#[derive(Debug, Clone, Args)]
pub(crate) struct OutFileArgs {
    /// File to write
    #[arg(long = "out", value_name = "FILE")]
    path: PathBuf,
    /// Overwrite the file if it exists
    #[arg(long)]
    force: bool,
}

impl OutFileArgs {
    /// The file, which is not overwritten against the user's will: checked before the work and again before the file is
    /// written. `inputs` are files and folders that the command reads.
    ///
    /// # Errors
    /// A file that exists, and is an input or is not to be overwritten; something else than a file.
    pub(crate) fn checked(&self, inputs: &[PathBuf]) -> Result<&Path> {
        let (out, shown) = (self.path.as_path(), self.path.display());
        match fs::symlink_metadata(out) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(out),
            Err(error) => return Err(error).with_context(|| format!("--out {shown} cannot be examined")),
            Ok(_) if !self.force => {
                bail!("--out {shown} exists\nhint: choose another file, or overwrite it with --force")
            }
            Ok(_) => {}
        }
        // A link to nothing is replaced as a file is.
        let Ok(existing) = fs::metadata(out) else { return Ok(out) };
        if !existing.is_file() {
            bail!("--out {shown} is no regular file\nhint: choose another file");
        }
        match inputs.iter().find_map(|input| same_file(input, &existing)) {
            Some(input) => {
                bail!("--out {shown} is an input of this command: {}\nhint: choose another file", input.display())
            }
            None => Ok(out),
        }
    }

    /// The folder to write, which is new or empty: a folder is never overwritten.
    ///
    /// # Errors
    /// A folder with files, something else than a folder, and the wish to overwrite.
    pub(crate) fn new_folder(&self) -> Result<&Path> {
        let (out, shown) = (self.path.as_path(), self.path.display());
        let is_free = fs::read_dir(out).map_or_else(
            |error| error.kind() == ErrorKind::NotFound && fs::symlink_metadata(out).is_err(),
            |mut entries| entries.next().is_none(),
        );
        match is_free && !self.force {
            true => Ok(out),
            false if self.force => {
                bail!("--force overwrites files, and --out {shown} is a folder here\nhint: leave it out")
            }
            false => bail!("--out {shown} is not empty, or no folder\nhint: name a new folder"),
        }
    }
}

/// Checks a folder for results, which replace earlier results of the same command and no other file.
///
/// # Errors
/// A file of one of these names where there are no earlier results.
pub(crate) fn check_replaceable(folder: &ConfinedPath, names: &[&str], holds_earlier: bool) -> Result<()> {
    for name in names {
        let file = folder.join(name);
        if !holds_earlier && file.kind()?.is_some() {
            bail!(
                "{} exists and is no earlier result of this command\nhint: move it away, or choose another folder with --out DIR",
                file.display()
            );
        }
    }
    Ok(())
}

/// The path of a file, at or below `input`, that is the same as another one.
fn same_file(input: &Path, other: &Metadata) -> Option<PathBuf> {
    let is_it = |metadata: &Metadata| (metadata.dev(), metadata.ino()) == (other.dev(), other.ino());
    // What cannot be read here is no obstacle: reading it as an input will say so.
    let entries = WalkDir::new(input).follow_links(true).into_iter().filter_map(Result::ok);
    entries
        .filter(|entry| entry.metadata().is_ok_and(|metadata| is_it(&metadata)))
        .map(|entry| entry.into_path())
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(path: &Path, force: bool, input: &Path) -> String {
        let arguments = OutFileArgs { path: path.into(), force };
        arguments.checked(&[input.to_path_buf()]).map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn a_file_is_overwritten_on_request_and_an_input_never() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::create_dir_all(path("run/stages")).unwrap();
        fs::write(path("run/stages/model.bpk"), "weights").unwrap();
        fs::write(path("other"), "other").unwrap();
        assert_eq!(error_of(&path("new"), false, &path("run")), "");
        assert!(error_of(&path("other"), false, &path("run")).contains("overwrite it with --force"));
        assert_eq!(error_of(&path("other"), true, &path("run")), "");
        std::os::unix::fs::symlink(path("run/stages/model.bpk"), path("link")).unwrap();
        fs::hard_link(path("run/stages/model.bpk"), path("hard")).unwrap();
        std::os::unix::fs::symlink(path("run"), path("alias")).unwrap();
        for own in ["link", "hard", "alias/stages/model.bpk", "run/../run/stages/model.bpk"] {
            for input in ["run", "run/stages/model.bpk", "alias"] {
                let error = error_of(&path(own), true, &path(input));
                assert!(error.contains("is an input of this command"), "{own} {input}: {error:?}");
            }
        }
        // A folder is new or empty, and nothing replaces another one.
        let folder = |name: &str, force| OutFileArgs { path: path(name), force }.new_folder().is_ok();
        fs::create_dir(path("empty")).unwrap();
        assert!(folder("unborn", false) && folder("empty", false));
        for other in ["other", "run", "dangling-folder"] {
            std::os::unix::fs::symlink(path("nowhere"), path("dangling-folder")).ok();
            assert!(!folder(other, false), "{other}");
        }
        assert!(!folder("unborn", true));
        // Replacing a link to nothing harms nothing; a folder or a device is no file.
        std::os::unix::fs::symlink(path("nothing"), path("dangling")).unwrap();
        assert!(error_of(&path("dangling"), false, &path("run")).contains("--force"));
        assert_eq!(error_of(&path("dangling"), true, &path("run")), "");
        for special in [path("run"), "/dev/null".into()] {
            assert!(error_of(&special, true, &path("other")).contains("is no regular file"));
        }
    }
}
