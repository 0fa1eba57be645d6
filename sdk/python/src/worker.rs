//! A worker: a process with a Python interpreter that holds open datasets and loads samples, one request at a time.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, PipeWriter};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ExitStatus};
use std::time::Duration;

use medcoss_abi::message::{Description, Progress};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::link::Link;
use crate::printed::Printed;
use crate::{Failure, Package, interpreter, services};

/// The author's side and the loop of the worker, which the bootstrap imports.
const OWN: [(&str, &str); 3] = [
    ("medcoss_plugin", include_str!("../author/medcoss_plugin.py")),
    ("medcoss_masks", include_str!("../worker/medcoss_masks.py")),
    ("medcoss_worker", include_str!("../worker/medcoss_worker.py")),
];
/// How long the import of the module may take. Some libraries take a minute on a network drive.
const START_LIMIT: Duration = Duration::from_secs(300);
/// Limits of what a module may ask for as its own limit, in seconds.
const TIME_LIMITS: [f64; 2] = [0.01, 86_400.0];
/// Stands for no slot.
const NO_SLOT: [u8; 8] = [0xff; 8];
/// How often, and how far apart, it is looked whether a worker that closed its end has ended.
const N_LOOKS: usize = 200;
const LOOK: Duration = Duration::from_millis(10);

/// A message of a worker.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Message {
    /// The call failed.
    pub(crate) error: Option<ErrorMessage>,
    progress: Option<Progress>,
    /// Of `fill`: samples that are done.
    #[serde(default)]
    pub(crate) done: Vec<Done>,
    time_limit_s: Option<f64>,
    #[serde(flatten)]
    pub(crate) rest: serde_json::Map<String, Value>,
}

/// A sample that is done.
#[derive(Debug, Deserialize)]
pub(crate) struct Done {
    pub(crate) slot: usize,
    /// The sample was not simply delivered.
    #[serde(flatten)]
    pub(crate) error: Option<ErrorMessage>,
}

/// An error as a worker reports it.
#[derive(Debug, Deserialize)]
pub(crate) struct ErrorMessage {
    code: i32,
    message: String,
}

impl From<ErrorMessage> for Failure {
    fn from(error: ErrorMessage) -> Self {
        Self::new(error.code, error.message)
    }
}

/// A running worker, killed when dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    id: String,
    child: Child,
    link: Link,
    printed: Printed,
    /// Memory that both sides know. It is read with `pread`: a mapping of a file that a worker can shorten could end the host.
    memory: File,
    memory_bytes: u64,
    /// The end of a pipe that the worker hears of when this process ends, however it ends.
    _lifeline: PipeWriter,
    time_limit: Duration,
    is_alive: bool,
    /// Datasets that are open in this worker.
    pub(crate) datasets: HashSet<u64>,
}

impl Worker {
    /// Starts a worker and imports the module.
    ///
    /// # Errors
    /// A missing interpreter, a missing NumPy, a module that cannot be imported.
    pub(crate) fn start(package: &Package) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::fault(format!("no worker can be started: {error}"));
        let (own, other) = UnixStream::pair().map_err(failed)?;
        let (lifeline, held) = io::pipe().map_err(failed)?;
        let memory =
            memfd_create("medcoss-python-samples", MemfdFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
        let printed = Printed::new().map_err(failed)?;
        let child = interpreter::command(&package.id)
            .stdin(OwnedFd::from(other))
            .stdout(printed.for_worker().map_err(failed)?)
            .stderr(printed.for_worker().map_err(failed)?)
            // Ctrl-C in a terminal is for the host, and what the worker starts ends with it.
            .process_group(0)
            .spawn()
            .map_err(|error| interpreter::cannot_start(&error))?;
        let mut worker = Self {
            id: package.id.clone(),
            child,
            link: Link::new(own),
            printed,
            memory: File::from(memory),
            memory_bytes: 0,
            _lifeline: held,
            time_limit: START_LIMIT,
            is_alive: true,
            datasets: HashSet::new(),
        };
        worker.set_time_limit(START_LIMIT)?;
        let start = json!({
            "own": OWN,
            "module": package.module,
            "folder": package.folder,
            "sources": package.sources,
        });
        let sent = worker
            .link
            .send_descriptors([worker.memory.as_fd(), lifeline.as_fd()])
            .and_then(|()| worker.link.send(&start, &[]));
        drop(lifeline);
        sent.map_err(|error| worker.death(&error, "it started"))?;
        let (hello, _) = worker.answer("it imported the module")?;
        let limit = hello.time_limit_s.unwrap_or_default().clamp(TIME_LIMITS[0], TIME_LIMITS[1]);
        worker.set_time_limit(Duration::from_secs_f64(limit))?;
        Ok(worker)
    }

    fn set_time_limit(&mut self, limit: Duration) -> Result<(), Failure> {
        self.time_limit = limit;
        self.link
            .set_time_limit(limit)
            .map_err(|error| Failure::fault(format!("the time limit of a worker cannot be set: {error}")))
    }

    /// Whether the worker can be asked again.
    pub(crate) fn is_alive(&self) -> bool {
        self.is_alive
    }

    /// Whether an idle worker is still there: the system may have ended it for want of memory.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a request and waits for its one answer. `doing` completes "while".
    ///
    /// # Errors
    /// What the module reports; the end of the worker.
    pub(crate) fn call(&mut self, request: &Value, content: &[u8], doing: &str) -> Result<(Message, Vec<u8>), Failure> {
        self.send(request, content, doing)?;
        self.answer(doing)
    }

    /// Sends a request.
    ///
    /// # Errors
    /// The end of the worker.
    pub(crate) fn send(&mut self, request: &Value, content: &[u8], doing: &str) -> Result<(), Failure> {
        self.link.send(request, content).map_err(|error| self.death(&error, doing))
    }

    /// Waits for the answer; reports of progress go to the host.
    ///
    /// # Errors
    /// What the module reports; the end of the worker.
    pub(crate) fn answer(&mut self, doing: &str) -> Result<(Message, Vec<u8>), Failure> {
        loop {
            let child = &mut self.child;
            let received = self.link.receive::<Message>(|| matches!(child.try_wait(), Ok(None)));
            self.printed.forward();
            match received {
                Err(error) => return Err(self.death(&error, doing)),
                Ok((Message { progress: Some(progress), .. }, _)) => {
                    let stop = services::asks_to_stop(&progress);
                    self.send(&json!({ "stop": stop }), &[], doing)?;
                }
                Ok((Message { error: Some(error), .. }, _)) => return Err(error.into()),
                Ok(answer) => return Ok(answer),
            }
        }
    }

    /// What the module says of its modality, after it was read as the contract's description.
    ///
    /// # Errors
    /// What the module reports; a description that is not as the contract says.
    pub(crate) fn describe(&mut self) -> Result<Value, Failure> {
        let request = json!({ "operation": "describe" });
        let (mut message, _) = self.call(&request, &[], "it described the module")?;
        let description = message.rest.remove("description").unwrap_or_default();
        match serde_json::from_value::<Description>(description.clone()) {
            Ok(_) => Ok(description),
            Err(error) => Err(Failure::fault(format!("the module's description is not as expected: {error}"))),
        }
    }

    /// Makes room for samples in the shared memory, and behind them for the slot of the sample that is being loaded.
    ///
    /// # Errors
    /// Memory that the system refuses.
    pub(crate) fn reserve(&mut self, n_bytes: u64) -> Result<(), Failure> {
        let needed = n_bytes + NO_SLOT.len() as u64;
        let grown = if needed > self.memory_bytes { self.memory.set_len(needed) } else { Ok(()) };
        let written = grown.and_then(|()| self.memory.write_all_at(&NO_SLOT, n_bytes));
        written.map_err(|error| Failure::fault(format!("{needed} bytes cannot be shared with a worker: {error}")))?;
        self.memory_bytes = self.memory_bytes.max(needed);
        Ok(())
    }

    /// The slot of the sample that was being loaded, where so many bytes are reserved for samples.
    pub(crate) fn slot_at_end(&self, n_bytes: u64) -> Option<usize> {
        let mut slot = NO_SLOT;
        self.memory.read_exact_at(&mut slot, n_bytes).ok()?;
        usize::try_from(u64::from_ne_bytes(slot)).ok()
    }

    /// Reads a part of the shared memory.
    ///
    /// # Errors
    /// Memory that the worker made smaller.
    pub(crate) fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Failure> {
        let read = self.memory.read_exact_at(bytes, offset);
        read.map_err(|error| {
            Failure::fault(format!("the memory shared with a worker of {} cannot be read: {error}", self.id))
        })
    }

    /// Ends a worker whose answer does not fit the request.
    pub(crate) fn refuse(&mut self, what: &str, doing: &str) -> Failure {
        self.death(&io::Error::other(what), doing)
    }

    /// Says how the worker ended, after a message failed. A worker that still runs is killed.
    fn death(&mut self, error: &io::Error, doing: &str) -> Failure {
        let is_late = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        self.is_alive = false;
        let has_closed = matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
        );
        let status = if has_closed { self.ended() } else { None };
        self.kill();
        let id = &self.id;
        let what = match status {
            Some(status) => format!("the worker of {id} ended {} while {doing}", in_words(status)),
            None if is_late => {
                let limit = self.time_limit.as_secs_f64();
                format!("the worker of {id} did not answer within {limit} s while {doing}, and was killed")
            }
            None => format!("the worker of {id} sent what is no answer while {doing}, and was killed: {error}"),
        };
        Failure::fault(match self.printed.last_words() {
            "" => what,
            words => format!("{what}; it last printed: {words}"),
        })
    }

    /// The status of a worker that closed its end of the socket.
    fn ended(&mut self) -> Option<ExitStatus> {
        for _ in 0..N_LOOKS {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(LOOK);
        }
        None
    }

    /// Ends the process and those that it started, and waits for it.
    fn kill(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.is_alive {
            self.kill();
        }
    }
}

/// `by signal 11 (SIGSEGV)`, `with exit code 3`.
fn in_words(status: ExitStatus) -> String {
    let Some(signal) = status.signal() else {
        return format!("with exit code {}", status.code().unwrap_or_default());
    };
    let name = match signal {
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL, as when memory runs out)",
        11 => " (SIGSEGV)",
        _ => "",
    };
    format!("by signal {signal}{name}")
}
