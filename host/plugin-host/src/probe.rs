//! A probe loads a library in a child process first. A library that crashes, ends the process, hangs or prints while it
//! is loaded does so there. The outcome is cached until the file changes, see `probe_cache`.
//!
//! 1. The parent starts an executable that calls [`crate::serve_if_asked`]: itself or another program.
//! 2. The child reports each step before it starts, and finally the [`Outcome`], see `probe_child`.
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

use crate::location::{LoadError, PluginLocation};
use crate::plugin_info::PluginInfo;
use crate::probe_cache::ProbeCache;
use crate::probe_child::{Line, PROBE_ARGUMENT, ProbeServer};
use crate::probe_outcome::Outcome;
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

    /// The description of the plugin `id` in a library, from the cache or from a child process.
    ///
    /// # Errors
    /// A plugin that cannot be used, with the reason.
    pub fn describe(&self, path: &Path, id: &str) -> Result<PluginInfo, LoadError> {
        let location = PluginLocation::Library { path: path.to_path_buf() };
        let failed = |error: Error| {
            let hint = "the program that probes must call medcoss_plugin_host::serve_if_asked first, as medcoss does";
            LoadError::new(&location, format_args!("it cannot be probed: {error}"), hint)
        };
        let whole = path.canonicalize().map_err(failed)?;
        let known = self.cache().get(&whole, id);
        let outcome = match known {
            Some(outcome) => outcome,
            // The cache is unlocked during the probe, so that several libraries can be probed at once.
            None => {
                let outcome = self.run(&whole, id).map_err(failed)?;
                self.cache().insert(&whole, id, &outcome);
                outcome
            }
        };
        match outcome {
            Outcome::Accepted(description) => PluginInfo::new(*description, id, location.clone())
                .map_err(|violation| LoadError::new(&location, violation, REPORT)),
            Outcome::Refused { reason, hint, printed } => {
                report_printed(path, &printed);
                Err(LoadError { location, reason, hint })
            }
        }
    }

    fn run(&self, path: &Path, id: &str) -> std::io::Result<Outcome> {
        let (answer, writer) = std::io::pipe()?;
        let mut command = Command::new(&self.program);
        let limit = self.time_limit.as_millis().to_string();
        command.arg0("medcoss-probe").args([PROBE_ARGUMENT, &limit]).args([path.as_os_str(), OsStr::new(id)]);
        let mut child = command.stdin(writer).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        // The drop also closes the parent's copy of the pipe's write end.
        drop(command);
        let printed = [collect(child.stdout.take()), collect(child.stderr.take())];
        let answered = wait_for(&mut child, &lines_of(answer), self.time_limit);
        // The child has ended or is no longer needed; destructors of the library do not run.
        let _ = child.kill();
        let _ = child.wait();
        let printed: String = printed.iter().map(shown).collect();
        match answered {
            Ok(Outcome::Refused { reason, hint, .. }) => Ok(Outcome::Refused { reason, hint, printed }),
            Ok(accepted) => {
                report_printed(path, &printed);
                Ok(accepted)
            }
            Err(NoOutcome::InLibrary(reason)) => Ok(Outcome::Refused { reason, hint: Some(REPORT.into()), printed }),
            Err(NoOutcome::NoServer) => {
                Err(Error::other(format!("{} does not answer as a probe", self.program.display())))
            }
        }
    }
}

fn report_printed(path: &Path, printed: &str) {
    if !printed.is_empty() {
        tracing::info!("{} printed while it was probed:\n{}", path.display(), printed.trim_end());
    }
}

/// Reason why a child gave no outcome.
enum NoOutcome {
    /// The library ended the process, or exceeded the time limit.
    InLibrary(String),
    /// The executable ended before it reached the library.
    NoServer,
}

/// Waits for the outcome of a child, up to a time limit.
fn wait_for(child: &mut Child, lines: &Receiver<Line>, limit: Duration) -> Result<Outcome, NoOutcome> {
    let began = Instant::now();
    let mut step = None;
    let mut ended = None;
    loop {
        match lines.recv_timeout(POLL_INTERVAL) {
            Ok(Line::Next(next)) => step = Some(next),
            Ok(Line::Outcome(outcome)) => return Ok(outcome),
            // The child has ended, and all of its lines have arrived.
            Err(RecvTimeoutError::Disconnected) if ended.is_some() => break,
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
    let Some(step) = step else { return Err(NoOutcome::NoServer) };
    Err(NoOutcome::InLibrary(match ended {
        Some(status) => format!("it {} while {step}", end_in_words(status)),
        None => format!("it did not end within {} s while {step}", limit.as_secs()),
    }))
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
