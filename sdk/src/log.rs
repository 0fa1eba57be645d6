//! Messages to the host's log, and the progress of long calls. Before the host has attached, and in tests without one, they go nowhere.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use medcoss_abi::message::{Progress, Stop};
use medcoss_abi::{HostServices, code, service};

use crate::Error;

static HOST: OnceLock<HostServices> = OnceLock::new();

pub(crate) fn attach(services: HostServices) {
    let _ = HOST.set(services);
}

fn send(level: u32, message: &str) {
    if let Some(host) = HOST.get() {
        (host.log)(level, message.into());
    }
}

/// A warning: the user should know, and the work goes on.
pub fn warn(message: &str) {
    send(2, message);
}

/// Logs a message at the level of information.
pub fn info(message: &str) {
    send(3, message);
}

/// Detail for debugging.
pub fn debug(message: &str) {
    send(4, message);
}

/// Progress of a long call, reported to the host ten times a second at most.
#[derive(Debug)]
pub struct Paced {
    what: &'static str,
    total: u64,
    done: u64,
    last: Instant,
}

impl Paced {
    /// Things done before the clock is looked at.
    const EVERY: u64 = 64;

    /// A call in which `what` is counted ("files listed"); `total` is 0 where it is not known.
    pub fn new(what: &'static str, total: u64) -> Self {
        Self { what, total, done: 0, last: Instant::now() }
    }

    /// One thing more is done.
    ///
    /// # Errors
    /// The host asks to stop: return the error as it is.
    pub fn step(&mut self) -> Result<(), Error> {
        self.done += 1;
        if self.done.is_multiple_of(Self::EVERY) && self.last.elapsed() >= Duration::from_millis(100) {
            self.last = Instant::now();
            return progress(self.done, self.total, self.what);
        }
        Ok(())
    }

    /// Everything is done.
    pub fn finish(self) {
        if self.done >= Self::EVERY {
            // Whoever wants to stop now can do so after the call.
            let _ = progress(self.done, self.done, self.what);
        }
    }
}

/// Tells the host how far a long call (`open`, `save_samples`) is; at most ten times a second is enough. `total` is 0 where it is not
/// known; `what` is what is counted: "slides surveyed".
///
/// # Errors
/// The host asks to stop: return the error as it is.
pub fn progress(done: u64, total: u64, what: &str) -> Result<(), Error> {
    let Some(host) = HOST.get() else { return Ok(()) };
    let body = serde_json::to_string(&Progress { done, total, what: what.into() }).unwrap_or_default();
    let answer = (host.ask)(service::PROGRESS.into(), body.as_str().into());
    let answer: Stop = serde_json::from_str(answer.as_str()).unwrap_or_default();
    match answer.stop {
        true => Err(Error::new(code::STOPPED, "stopped, as the host asked")),
        false => Ok(()),
    }
}
