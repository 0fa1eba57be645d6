//! A probe loads a library in a child process first. A library that crashes, ends the process, hangs or prints while it
//! is loaded does so there. The outcome is cached until the file changes, see `probe_cache`; one that the next probe may
//! not find again, such as an exceeded time limit on a busy machine, is not.
//!
//! 1. The parent starts an executable that calls [`crate::serve_if_asked`]: itself or another program.
//! 2. The child reports the digest of the file, each step before it starts, and finally the [`Outcome`], see `probe_child`.
//! 3. The parent waits for the outcome, the child's end or the time limit, and ends the child. The first bytes that the
//!    child printed become a `tracing` event.
//!
//! A probe guards against mistakes, not against malice: the host loads a library that behaved in the child.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Error, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::library_file::LibraryFile;
use crate::location::{LoadError, PluginLocation};
use crate::plugin_info::PluginInfo;
use crate::probe_cache::{ProbeCache, Stamp};
use crate::probe_child::{Line, PROBE_ARGUMENT, ProbeServer};
use crate::probe_outcome::{Outcome, Probed};
use crate::process_guard::CRASHES;
use crate::untrusted_text::untrusted_bytes;

/// Environment variable that names an executable which answers probes, see [`Probe::from_environment`].
pub const PROBE_VARIABLE: &str = "MEDCOSS_PROBE";
/// Time in which a library must load and describe itself.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// Interval at which the parent checks whether the child is still running.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Largest answer of the child in bytes.
const MAX_ANSWER: u64 = 16 << 20;
/// Bytes that are kept of each of the child's output streams. The rest is read and dropped.
const MAX_PRINTED: usize = 4096;

const UNREADABLE: &str = "check its permissions, and that nothing writes it now";
const REPORT: &str = "report it to the plugin's authors, or use another version";

/// A probe, which loads libraries in a child process first and caches the outcomes.
#[derive(Debug)]
pub struct Probe {
    program: PathBuf,
    time_limit: Duration,
    cache: Mutex<ProbeCache>,
}

impl Probe {
    /// A probe with this executable as the child. `server` proves that the executable answers. Outcomes are cached in
    /// the file `cache`, if given.
    pub fn by_this_program(server: ProbeServer, cache: Option<PathBuf>) -> Self {
        let ProbeServer { .. } = server;
        // On Linux this link stays valid when the executable is replaced.
        let own = PathBuf::from("/proc/self/exe");
        let program = if own.exists() { own } else { std::env::current_exe().unwrap_or(own) };
        Self::by_program(program, cache)
    }

    /// A probe with another executable as the child. The executable calls [`crate::serve_if_asked`] first of all, as
    /// `medcoss` does. For hosts without an executable of their own, such as a library in an interpreter.
    pub fn by_program(program: PathBuf, cache: Option<PathBuf>) -> Self {
        Self { cache: Mutex::new(ProbeCache::new(cache, &program)), program, time_limit: TIME_LIMIT }
    }

    /// A probe with the executable that [`PROBE_VARIABLE`] names, or `None` where the variable is not set.
    pub fn from_environment(cache: Option<PathBuf>) -> Option<Self> {
        std::env::var_os(PROBE_VARIABLE).map(|program| Self::by_program(program.into(), cache))
    }

    /// Removes all cached outcomes.
    ///
    /// # Errors
    /// A file that cannot be removed.
    pub fn clear_cache(&self) -> std::io::Result<()> {
        self.cache().clear()
    }

    fn cache(&self) -> MutexGuard<'_, ProbeCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The description of the plugin `id` in a library, if it is cached. No code of the library runs.
    ///
    /// # Errors
    /// A plugin that cannot be used, with the reason.
    pub(crate) fn known(&self, path: &Path, id: &str) -> Option<Result<PluginInfo, LoadError>> {
        let known = self.cache().get(&path.canonicalize().ok()?, id);
        known.map(|probed| described(path, id, probed))
    }

    /// The description of the plugin `id` in a library, from the cache or from a child process.
    ///
    /// # Errors
    /// A plugin that cannot be used, with the reason.
    pub fn describe(&self, path: &Path, id: &str) -> Result<PluginInfo, LoadError> {
        self.known(path, id).unwrap_or_else(|| described(path, id, self.probe(path, id)?))
    }

    /// The description of the plugin `id` in a library file that was read: the cache and the child must have seen the same
    /// content.
    ///
    /// # Errors
    /// As [`Probe::describe`]; a file that is replaced meanwhile.
    pub(crate) fn describe_file(&self, file: &LibraryFile, id: &str) -> Result<PluginInfo, LoadError> {
        let known = self.cache().get_by_digest(file.canonical(), id, file.sha256());
        let probed = match known {
            Some(probed) => probed,
            None => self.probe(file.path(), id)?,
        };
        // An empty digest: the child could not read it.
        if !probed.sha256.is_empty() && probed.sha256 != file.sha256() {
            let location = PluginLocation::Library { path: file.path().to_path_buf() };
            return Err(LoadError::new(&location, "it was replaced while it was loaded", "run the command again"));
        }
        described(file.path(), id, probed)
    }

    /// Loads the library in a child process, and caches the outcome.
    fn probe(&self, path: &Path, id: &str) -> Result<Probed, LoadError> {
        let failed = |error: Error| {
            let location = PluginLocation::Library { path: path.to_path_buf() };
            let hint = "the program that probes must call medcoss_plugin_host::serve_if_asked first, as medcoss does";
            LoadError::new(&location, format_args!("it cannot be probed: {error}"), hint)
        };
        let whole = path.canonicalize().map_err(failed)?;
        // The cache is unlocked during the probe, so that several libraries can be probed at once.
        let stamp = Stamp::of(&whole).map_err(failed)?;
        let (probed, is_definite) = self.run(&whole, id).map_err(failed)?;
        // Otherwise the outcome may be of another file than the stamp.
        let is_unchanged = Stamp::of(&whole).is_ok_and(|now| now == stamp);
        if is_definite && is_unchanged {
            self.cache().insert(&whole, id, stamp, &probed);
        }
        Ok(probed)
    }

    /// The outcome, and whether the child gave it itself or crashed.
    fn run(&self, path: &Path, id: &str) -> std::io::Result<(Probed, bool)> {
        let (answer, writer) = std::io::pipe()?;
        let mut command = Command::new(&self.program);
        let limit = self.time_limit.as_millis().to_string();
        command.arg0("medcoss-probe").args([PROBE_ARGUMENT, &limit]).args([path.as_os_str(), OsStr::new(id)]);
        // A backtrace would fill the first bytes that are shown of what the library printed.
        command.env("RUST_BACKTRACE", "0").env("RUST_LIB_BACKTRACE", "0");
        let mut child = command.stdin(writer).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        // The drop also closes the parent's copy of the pipe's write end.
        drop(command);
        let printed = [collect(child.stdout.take()), collect(child.stderr.take())];
        let answered = wait_for(&mut child, &lines_of(answer), self.time_limit);
        // The child has ended or is no longer needed; destructors of the library do not run.
        let _ = child.kill();
        let _ = child.wait();
        let printed: String = printed.iter().map(shown).collect();
        let (sha256, outcome, is_definite) = match answered {
            Ok((sha256, outcome)) => (sha256, outcome, true),
            Err(NoOutcome::InLibrary { sha256, reason, is_definite }) => {
                // Rust's own message, which a child without a guard gives.
                let reason = match printed.contains("has overflowed its stack") {
                    true => format!("{reason} (stack overflow)"),
                    false => reason,
                };
                let outcome = Outcome::Refused { reason, hint: Some(REPORT.into()), printed: String::new() };
                (sha256, outcome, is_definite)
            }
            Err(NoOutcome::Unreadable(reason)) => {
                let (reason, hint) = (format!("it cannot be read: {reason}"), Some(UNREADABLE.into()));
                (String::new(), Outcome::Refused { reason, hint, printed: String::new() }, false)
            }
            Err(NoOutcome::NoServer) => {
                return Err(Error::other(format!("{} does not answer as a probe", self.program.display())));
            }
        };
        let outcome = match outcome {
            Outcome::Refused { reason, hint, .. } => Outcome::Refused { reason, hint, printed },
            accepted => {
                report_printed(path, &printed);
                accepted
            }
        };
        Ok((Probed { outcome, sha256 }, is_definite))
    }
}

/// The checked description, or the error, that an outcome stands for.
fn described(path: &Path, id: &str, probed: Probed) -> Result<PluginInfo, LoadError> {
    let location = PluginLocation::Library { path: path.to_path_buf() };
    match probed.outcome {
        Outcome::Accepted(description) => PluginInfo::new(*description, id, location.clone(), probed.sha256)
            .map_err(|violation| LoadError::new(&location, violation, REPORT)),
        Outcome::Refused { reason, hint, printed } => {
            report_printed(path, &printed);
            Err(LoadError { location, reason, hint })
        }
    }
}

fn report_printed(path: &Path, printed: &str) {
    if !printed.is_empty() {
        tracing::info!("{} printed while it was probed:\n{}", path.display(), printed.trim_end());
    }
}

/// Reason why a child gave no outcome.
#[derive(Debug, PartialEq)]
enum NoOutcome {
    /// The library ended the process, or exceeded the time limit.
    InLibrary {
        /// SHA-256 of the library file.
        sha256: String,
        reason: String,
        /// Whether the next probe would end in the same way.
        is_definite: bool,
    },
    /// The library file cannot be read.
    Unreadable(String),
    /// The executable ended before it reached the library.
    NoServer,
}

/// Waits for the digest and the outcome of a child, up to a time limit.
fn wait_for(child: &mut Child, lines: &Receiver<Line>, limit: Duration) -> Result<(String, Outcome), NoOutcome> {
    let began = Instant::now();
    let (mut sha256, mut step) = (None, None);
    let mut ended = None;
    // Whether everything that the child has written was read.
    let mut is_complete = false;
    loop {
        match lines.recv_timeout(POLL_INTERVAL) {
            Ok(Line::Read(Ok(digest))) => sha256 = Some(digest),
            Ok(Line::Read(Err(reason))) => return Err(NoOutcome::Unreadable(reason)),
            Ok(Line::Next(next)) => step = Some(next),
            Ok(Line::Outcome(outcome)) => return Ok((sha256.ok_or(NoOutcome::NoServer)?, outcome)),
            // The child has ended, and all of its lines have arrived.
            Err(RecvTimeoutError::Disconnected) if ended.is_some() => {
                is_complete = true;
                break;
            }
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(POLL_INTERVAL),
            // The reading thread may not have run yet, and a process that the library started may hold the pipe open.
            Err(RecvTimeoutError::Timeout) if ended.is_some() && began.elapsed() > limit => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        ended = ended.or_else(|| child.try_wait().ok().flatten());
        if ended.is_none() && began.elapsed() > limit {
            break;
        }
    }
    let (Some(sha256), Some(step)) = (sha256, step) else { return Err(NoOutcome::NoServer) };
    let reason = match ended {
        Some(status) => format!("it {} while {step}", end_in_words(status)),
        None => format!("it did not end within {} s while {step}", limit.as_secs()),
    };
    let is_definite = is_complete && ended.is_some_and(is_own_end);
    Err(NoOutcome::InLibrary { sha256, reason, is_definite })
}

/// Whether a process ended by itself: with an exit code, or by a crash. Other signals come from outside, such as from a
/// system without memory.
fn is_own_end(status: ExitStatus) -> bool {
    status.signal().is_none_or(|signal| CRASHES.contains(&signal))
}

fn end_in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended the process with exit code {code}"),
        (None, Some(signal)) => {
            let name = match signal {
                4 => " (illegal instruction)",
                6 => " (abort)",
                7 => " (bus error)",
                8 => " (arithmetic)",
                9 => " (killed, perhaps out of memory)",
                11 => " (segmentation fault)",
                _ => "",
            };
            format!("crashed with signal {signal}{name}")
        }
        (None, None) => "ended the process".into(),
    }
}

/// The child's lines as they arrive. An invalid line ends them.
fn lines_of(answer: impl Read + Send + 'static) -> Receiver<Line> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(answer.take(MAX_ANSWER)).lines().map_while(Result::ok) {
            let Ok(line) = serde_json::from_str(&line) else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Reads an output stream to its end on a thread of its own, and keeps the beginning.
fn collect(output: Option<impl Read + Send + 'static>) -> Arc<Mutex<Vec<u8>>> {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let copy = kept.clone();
    std::thread::spawn(move || {
        let Some(mut output) = output else { return };
        let mut block = vec![0; 1 << 16];
        while let Ok(n @ 1..) = output.read(&mut block) {
            let mut kept = copy.lock().unwrap_or_else(PoisonError::into_inner);
            let room = MAX_PRINTED.saturating_sub(kept.len());
            kept.extend_from_slice(&block[..n.min(room)]);
        }
    });
    kept
}

fn shown(printed: &Arc<Mutex<Vec<u8>>>) -> String {
    untrusted_bytes(&printed.lock().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::Sender;

    /// What the parent makes of a child process that runs a shell command, and of lines that arrive as a test sends them.
    fn outcome_of(command: &str, send: impl FnOnce(&mut Child, Sender<Line>)) -> Result<(String, Outcome), NoOutcome> {
        let (sender, lines) = channel();
        let mut child = Command::new("sh").args(["-c", command]).spawn().unwrap();
        send(&mut child, sender);
        let outcome = wait_for(&mut child, &lines, Duration::from_millis(300));
        let _ = child.kill();
        child.wait().unwrap();
        outcome
    }

    fn begin(lines: &Sender<Line>) {
        lines.send(Line::Read(Ok("ab".into()))).unwrap();
        lines.send(Line::Next("it was loaded".into())).unwrap();
    }

    fn is_definite(outcome: Result<(String, Outcome), NoOutcome>) -> bool {
        match outcome {
            Err(NoOutcome::InLibrary { is_definite, .. }) => is_definite,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_that_arrive_late_count() {
        let outcome = outcome_of("exit 0", |child, lines| {
            child.wait().unwrap();
            std::thread::spawn(move || {
                std::thread::sleep(3 * POLL_INTERVAL);
                begin(&lines);
                let refused = Outcome::Refused { reason: "no".into(), hint: None, printed: String::new() };
                lines.send(Line::Outcome(refused)).unwrap();
            });
        });
        assert!(matches!(&outcome, Ok((sha256, Outcome::Refused { reason, .. })) if sha256 == "ab" && reason == "no"));
    }

    #[test]
    fn only_a_library_that_ends_its_process_is_refused_for_good() {
        let ends = |command| {
            outcome_of(command, |child, lines| {
                begin(&lines);
                drop(lines);
                if command != "sleep 60" {
                    child.wait().unwrap();
                }
            })
        };
        assert!(is_definite(ends("exit 3")));
        assert!(is_definite(ends("kill -SEGV $$")));
        // As a system without memory ends a process.
        assert!(!is_definite(ends("kill -KILL $$")));
        assert!(!is_definite(ends("sleep 60")));
        // Another process holds the pipe open, so lines may be missing.
        let mut open = None;
        let incomplete = outcome_of("exit 0", |child, lines| {
            begin(&lines);
            child.wait().unwrap();
            open = Some(lines);
        });
        assert!(!is_definite(incomplete));
    }
}
