//! The child process of a probe: any executable that calls [`serve_if_asked`] first of all.
//!
//! The child's standard input is the write end of a pipe, into which the child writes lines of JSON. So no text that a
//! library prints is mistaken for an answer, and no descriptor has to be passed by number.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::contracts::CONTRACTS;
use crate::library_file::LibraryFile;
use crate::location::LoadError;
use crate::plugin::{Plugin, from_library};
use crate::probe_outcome::Outcome;

/// First argument of the child process.
pub(crate) const PROBE_ARGUMENT: &str = "__medcoss-probe";
/// Time that the child waits longer than its parent before it ends itself, in case the parent is gone.
const GRACE: Duration = Duration::from_secs(2);
/// First step of a probe, as the end of a sentence.
pub(crate) const LOADING: &str = "it was loaded";

/// One line of the child's output. The first says what was read.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Line {
    /// SHA-256 of the library file, or the reason why it cannot be read.
    Read(Result<String, String>),
    /// The next step of the probe, as the end of a sentence.
    Next(String),
    Outcome(Outcome),
}

/// Proof that this executable answers as the child of a probe.
#[derive(Debug, Clone, Copy)]
pub struct ProbeServer(());

/// Answers a probe and ends the process, if this process was started as the child of a probe. Otherwise returns at
/// once.
///
/// Call it first in `main`, before threads are started and arguments are parsed. The token that it returns lets
/// [`Probe::by_this_program`](crate::Probe::by_this_program) start this executable again.
pub fn serve_if_asked() -> ProbeServer {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some((_, rest)) = arguments.split_first().filter(|(first, _)| *first == PROBE_ARGUMENT) {
        std::process::exit(if child(rest) == ExitCode::SUCCESS { 0 } else { 1 });
    }
    ProbeServer(())
}

/// Loads the plugin and writes the outcome into standard input.
fn child(arguments: &[OsString]) -> ExitCode {
    let [patience, path, id] = arguments else { return ExitCode::FAILURE };
    let Some(patience) = patience.to_str().and_then(|text| text.parse().ok()).map(Duration::from_millis) else {
        return ExitCode::FAILURE;
    };
    std::thread::spawn(move || {
        std::thread::sleep(patience + GRACE);
        std::process::abort();
    });
    let Ok(answer) = std::io::stdin().as_fd().try_clone_to_owned() else { return ExitCode::FAILURE };
    match describe_to(File::from(answer), path, id) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn describe_to(mut answer: File, path: &OsStr, id: &OsStr) -> std::io::Result<()> {
    let mut report = |line: Line| writeln!(answer, "{}", serde_json::to_string(&line)?);
    let id = id.to_str().ok_or(std::io::ErrorKind::InvalidInput)?;
    let path = Path::new(path);
    let file = match LibraryFile::open(path) {
        Ok(file) => file,
        Err(error) => return report(Line::Read(Err(error.to_string()))),
    };
    report(Line::Read(Ok(file.sha256().into())))?;
    report(Line::Next(LOADING.into()))?;
    let loaded = Plugin::open_library(&file, id, CONTRACTS);
    report(Line::Next("it described itself".into()))?;
    let outcome = match loaded.and_then(|loaded| from_library(loaded, &file, id)) {
        Ok(plugin) => Outcome::Accepted(Box::new(plugin.description().clone())),
        Err(LoadError { reason, hint, .. }) => Outcome::Refused { reason, hint, printed: String::new() },
    };
    report(Line::Outcome(outcome))
}
