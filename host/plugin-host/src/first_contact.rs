//! First contact with a library: a child process loads it, so that whatever it does on that occasion (crash, end the process,
//! hang, print) it does there. What came of it is remembered until the file changes, see `contact_memory`.
//!
//! 1. The parent starts this program again, with a pipe as the child's standard input, turned round: the child writes its answer
//!    into it. So nothing that a library prints is taken for an answer, and no descriptor has to be handed on by number.
//! 2. The child tells what it is about to do, a line of JSON each, and at last the [`Outcome`]; see [`child`].
//! 3. The parent takes the answer, or the child's end, or the end of its patience, and ends the child. What the child printed was
//!    collected up to a limit and is shown with `-v`.
//!
//! Guards against mistakes, not against malice: a library that lies low in the child is loaded by the host.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use medcoss_abi::message::Description;
use serde::{Deserialize, Serialize};

use crate::contact_memory::Memory;
use crate::contracts::CONTRACTS;
use crate::described::Described;
use crate::plugin::{LOADER_REFUSES, Plugin};
use crate::source::{Refusal, Source};
use crate::text::foreign_bytes;

/// First argument of the child.
pub const CHILD: &str = "__first-contact";
/// How long a library has to load and to describe itself.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much longer the child waits before it ends itself, should the parent be gone.
const GRACE: Duration = Duration::from_secs(2);
/// How often the parent looks whether the child is still there.
const LOOK: Duration = Duration::from_millis(20);
/// Largest answer, in bytes.
const LARGEST_ANSWER: u64 = 16 << 20;
/// What is kept of each of the child's outputs, in bytes; the rest is read and thrown away.
const MOST_PRINTED: usize = 4096;

const TRY_AGAIN: &str =
    "tell its authors, or use another version; `medcoss plugin rescan -v` tries it again and shows what it printed";

/// What came of a first contact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// It can be used.
    Accepted(Box<Description>),
    /// It cannot.
    Refused {
        /// Why.
        reason: String,
        /// The remedy.
        hint: Option<String>,
        /// What it printed, cut.
        #[serde(default)]
        printed: String,
    },
}

/// A line of the child's.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    /// What the library is about to be asked for, as the end of a sentence.
    Next(String),
    Outcome(Outcome),
}

/// Meets libraries for the first time, and remembers how it went.
#[derive(Debug)]
pub struct FirstContact {
    program: PathBuf,
    patience: Duration,
    memory: Mutex<Memory>,
}

impl FirstContact {
    /// With this program as the child, remembering in `file` if there is one.
    pub fn new(file: Option<PathBuf>) -> Self {
        // The link stays good when the program is built anew meanwhile.
        let own = PathBuf::from("/proc/self/exe");
        let program = if own.exists() { own } else { std::env::current_exe().unwrap_or(own) };
        Self { memory: Mutex::new(Memory::new(file, &program)), program, patience: PATIENCE }
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// A file that cannot be removed.
    pub fn forget(&self) -> std::io::Result<()> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).forget()
    }

    /// What the plugin `id` of a library says of itself.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn meet(&self, path: &Path, id: &str) -> Result<Described, Refusal> {
        let source = Source::Library { path: path.to_path_buf() };
        let memory = || self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let cannot =
            |error: std::io::Error| Refusal::new(&source, format_args!("it cannot be tried out: {error}"), "try again");
        let whole = path.canonicalize().map_err(cannot)?;
        let known = memory().recall(&whole, id);
        let outcome = match known {
            Some(outcome) => outcome,
            // Several libraries are tried out at once.
            None => {
                let outcome = self.try_out(&whole, id).map_err(cannot)?;
                memory().keep(&whole, id, &outcome);
                outcome
            }
        };
        match outcome {
            Outcome::Accepted(description) => Described::new(*description, id, source.clone()).map_err(|violation| {
                Refusal::new(&source, violation, "this is a fault in the plugin; tell its authors")
            }),
            Outcome::Refused { reason, hint, printed } => {
                tell_printed(path, &printed);
                Err(Refusal { source_of: source, reason, hint })
            }
        }
    }

    fn try_out(&self, path: &Path, id: &str) -> std::io::Result<Outcome> {
        let (answer, writer) = std::io::pipe()?;
        let mut command = Command::new(&self.program);
        command.arg0("medcoss").arg(CHILD).arg(self.patience.as_millis().to_string()).arg(path).arg(id);
        let mut child = command.stdin(writer).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        // With it goes this side's copy of the end that the child writes into.
        drop(command);
        let printed = [collect(child.stdout.take()), collect(child.stderr.take())];
        let told = wait_for(&mut child, &lines_of(answer), self.patience);
        // Gone already, or of no more use; destructors of the library do not run.
        let _ = child.kill();
        let _ = child.wait();
        let printed: String = printed.iter().map(shown).collect();
        Ok(match told {
            Ok(Outcome::Refused { reason, hint, .. }) => Outcome::Refused { reason, hint, printed },
            Ok(accepted) => {
                tell_printed(path, &printed);
                accepted
            }
            Err(reason) => Outcome::Refused { reason, hint: Some(TRY_AGAIN.into()), printed },
        })
    }
}

fn tell_printed(path: &Path, printed: &str) {
    if !printed.is_empty() {
        tracing::info!("{} printed when it was tried out:\n{}", path.display(), printed.trim_end());
    }
}

/// The answer, or why there is none.
fn wait_for(child: &mut Child, lines: &Receiver<Line>, patience: Duration) -> Result<Outcome, String> {
    let began = Instant::now();
    let mut doing = String::from("it was loaded");
    let mut ended = None;
    loop {
        match lines.recv_timeout(LOOK) {
            Ok(Line::Next(next)) => doing = next,
            Ok(Line::Outcome(outcome)) => return Ok(outcome),
            // It has ended before, and what it had written has come.
            Err(_) if ended.is_some() => break,
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK),
            Err(RecvTimeoutError::Timeout) => {}
        }
        ended = child.try_wait().ok().flatten();
        if ended.is_none() && began.elapsed() > patience {
            return Err(format!("it did not come to an end within {} s while {doing}", patience.as_secs()));
        }
    }
    Err(format!("it {} while {doing}", end_in_words(ended.unwrap_or_default())))
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
                9 => " (killed, perhaps for want of memory)",
                11 => " (segmentation fault)",
                _ => "",
            };
            format!("crashed with signal {signal}{name}")
        }
        (None, None) => "ended the process".into(),
    }
}

/// The child's lines as they come. What is no line of ours ends them.
fn lines_of(answer: impl Read + Send + 'static) -> Receiver<Line> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(answer.take(LARGEST_ANSWER)).lines().map_while(Result::ok) {
            let Ok(line) = serde_json::from_str(&line) else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Reads an output to its end, on a thread of its own, and keeps the beginning.
fn collect(output: Option<impl Read + Send + 'static>) -> Arc<Mutex<Vec<u8>>> {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let copy = kept.clone();
    std::thread::spawn(move || {
        let Some(mut output) = output else { return };
        let mut block = vec![0; 1 << 16];
        while let Ok(n @ 1..) = output.read(&mut block) {
            let mut kept = copy.lock().unwrap_or_else(PoisonError::into_inner);
            let room = MOST_PRINTED.saturating_sub(kept.len());
            kept.extend_from_slice(&block[..n.min(room)]);
        }
    });
    kept
}

fn shown(printed: &Arc<Mutex<Vec<u8>>>) -> String {
    foreign_bytes(&printed.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The child: loads the plugin and writes into standard input what came of it.
pub fn child(arguments: &[OsString]) -> ExitCode {
    let [patience, path, id] = arguments else { return ExitCode::FAILURE };
    let Some(patience) = patience.to_str().and_then(|text| text.parse().ok()).map(Duration::from_millis) else {
        return ExitCode::FAILURE;
    };
    std::thread::spawn(move || {
        std::thread::sleep(patience + GRACE);
        std::process::abort();
    });
    let Ok(answer) = std::io::stdin().as_fd().try_clone_to_owned() else { return ExitCode::FAILURE };
    match tell_all(File::from(answer), path, id) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn tell_all(mut answer: File, path: &OsStr, id: &OsStr) -> std::io::Result<()> {
    let mut tell = |line: Line| writeln!(answer, "{}", serde_json::to_string(&line)?);
    let id = id.to_str().ok_or(std::io::ErrorKind::InvalidInput)?;
    let path = Path::new(path);
    tell(Line::Next("it was loaded".into()))?;
    let loaded = Plugin::open_library(path, id, CONTRACTS);
    tell(Line::Next("it described itself".into()))?;
    let source = Source::Library { path: path.to_path_buf() };
    let outcome = match loaded.and_then(|loaded| Plugin::from_table(loaded.table(), id, source)) {
        Ok(plugin) => Outcome::Accepted(Box::new(plugin.description().clone())),
        Err(Refusal { reason, hint, .. }) => Outcome::Refused { reason, hint, printed: String::new() },
    };
    tell(Line::Outcome(outcome))
}

impl Outcome {
    /// Whether it stays as it is while the file does: the loader may have missed another library.
    pub(crate) fn is_lasting(&self) -> bool {
        !matches!(self, Self::Refused { reason, .. } if reason.starts_with(LOADER_REFUSES))
    }
}
