//! Sandbox for a copy of the program: an executable folder, a user data folder and a working folder, so that the
//! contents of cargo's folders do not matter. Also copies the fixture's library, intact or damaged.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use medcoss_abi::{CONTRACT_MAJOR, CONTRACT_MINOR, MAGIC};
use tempfile::TempDir;

use crate::program;

/// Folders of one test; removed when dropped.
pub struct Sandbox {
    place: TempDir,
}

/// Result of a run of the program.
#[derive(Debug)]
pub struct Answer {
    /// The exit code; -1 where a signal ended it.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Sandbox {
    /// Creates the folders, and puts the program into one of them.
    #[expect(clippy::new_without_default, reason = "it writes files")]
    pub fn new() -> Self {
        // On the file system of the program, so that it can be linked instead of copied.
        let place = TempDir::new_in(program::temporary_folder()).unwrap();
        for folder in ["bin", "work", "data"] {
            fs::create_dir(place.path().join(folder)).unwrap();
        }
        let built = program::path();
        let program = place.path().join("bin/medcoss");
        fs::hard_link(built, &program).or_else(|_| fs::copy(built, &program).map(drop)).unwrap();
        Self { place }
    }

    /// A path in the sandbox.
    pub fn path(&self, below: &str) -> PathBuf {
        self.place.path().canonicalize().unwrap().join(below)
    }

    /// A new folder in the sandbox.
    pub fn folder(&self, below: &str) -> PathBuf {
        let path = self.path(below);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// The program with a bare environment, in the working folder.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(self.path("bin/medcoss"));
        command.args(arguments).env_clear().current_dir(self.path("work")).env("XDG_DATA_HOME", self.path("data"));
        command
    }

    /// Runs the program to its end, and checks that it did not panic.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Answer {
        answer(&mut self.command(arguments))
    }

    /// The text with the sandbox's folder written as `SANDBOX`.
    pub fn anonymous(&self, text: &str) -> String {
        text.replace(&*self.path("").to_string_lossy(), "SANDBOX/")
    }
}

/// Runs a command to its end, and checks that it did not panic.
pub fn answer(command: &mut Command) -> Answer {
    let output = command.output().unwrap();
    let answer = Answer {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(!answer.err.contains("panicked"), "{answer:?}");
    assert!(!answer.err.contains("RUST_BACKTRACE"), "{answer:?}");
    answer
}

/// Folder in which cargo leaves the fixture's library: that of the program, as for every plugin.
pub fn build_folder() -> PathBuf {
    program::profile_folder().join("deps")
}

/// Path of the fixture's library.
pub fn fixture() -> PathBuf {
    build_folder().join("libmedcoss_fixture.so")
}

/// Copies the fixture's library into a folder.
pub fn put_fixture(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    fs::hard_link(fixture(), &path).or_else(|_| fs::copy(fixture(), &path).map(drop)).unwrap();
    path
}

/// Copies the fixture's library into a folder, with its bytes changed by `spoil`.
pub fn put_spoilt(folder: &Path, name: &str, spoil: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let mut bytes = fs::read(fixture()).unwrap();
    spoil(&mut bytes);
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// Overwrites every occurrence of `from`, of which there must be one.
pub fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let mut found = false;
    let mut at = 0;
    while let Some(next) = bytes[at..].windows(from.len()).position(|window| window == from) {
        at += next;
        bytes[at..at + to.len()].copy_from_slice(to);
        found = true;
    }
    assert!(found, "{:?} does not occur", String::from_utf8_lossy(from));
}

/// Offset of the plugin's header in the file: the only place of the magic followed by the contract's version.
pub fn header_at(bytes: &[u8]) -> usize {
    let mut start = MAGIC.to_vec();
    start.extend(CONTRACT_MAJOR.to_ne_bytes());
    start.extend(CONTRACT_MINOR.to_ne_bytes());
    let all: Vec<_> = (0..bytes.len() - start.len()).filter(|&at| bytes[at..].starts_with(&start)).collect();
    assert_eq!(all.len(), 1, "the header's first bytes occur at {all:?}");
    all[0]
}
