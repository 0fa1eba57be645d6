//! The program as a process, and its output.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The program `medcoss` of the build that the running test belongs to.
///
/// # Panics
///
/// Where it is missing or older than its sources: a test must not pass with a program of other sources.
pub fn path() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = profile_folder().join("medcoss");
        let remedy = "hint: `cargo test --workspace` or `cargo build -p medcoss` builds it";
        assert!(program.is_file(), "the program {} is missing\n{remedy}", program.display());
        if let Some(source) = newer_source(&program) {
            panic!("the program {} is older than its source {}\n{remedy}", program.display(), source.display());
        }
        program
    })
}

/// The folder of the profile that the running test was built with, which contains the program.
pub fn profile_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = std::env::current_exe().expect("a test knows its executable");
        let folder = test.ancestors().nth(2).expect("cargo leaves tests in `deps` below the profile's folder");
        folder.to_owned()
    })
}

/// The build folder of all profiles.
pub fn target_folder() -> &'static Path {
    profile_folder().parent().expect("a profile's folder lies in the build folder")
}

/// A folder of the build for files of tests, on the file system of the program.
pub fn temporary_folder() -> PathBuf {
    let folder = target_folder().join("tmp");
    fs::create_dir_all(&folder).expect("the build folder can be written to");
    folder
}

/// A source of the program that changed after it was built. Cargo lists the sources beside the program.
fn newer_source(program: &Path) -> Option<PathBuf> {
    let built = fs::metadata(program).and_then(|metadata| metadata.modified()).ok()?;
    let list = fs::read_to_string(program.with_extension("d")).ok()?;
    let (_, sources) = list.split_once(": ")?;
    let sources = sources.trim().replace("\\ ", "\0");
    let mut sources = sources.split(' ').map(|source| PathBuf::from(source.replace('\0', " ")));
    sources.find(|source| fs::metadata(source).and_then(|metadata| metadata.modified()).is_ok_and(|time| time > built))
}

/// A command of the program with some arguments, without the caller's plugin folders.
pub fn command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(path());
    command.args(arguments).env_remove("MEDCOSS_PLUGIN_PATH");
    command
}

/// Runs the program to its end.
pub fn medcoss(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the program starts")
}

/// The output of a command that must succeed.
pub fn succeeded(output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The error message of a failing command; it must end with exit code 1 and without a panic.
pub fn refused(output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    let has_error = errors.lines().any(|line| line.starts_with("error: "));
    assert!(has_error && !errors.contains("panicked"), "{errors}");
    errors
}

/// A path as an argument.
pub fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_string()
}
