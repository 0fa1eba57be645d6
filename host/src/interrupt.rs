//! Signals that ask to stop while a run is written: Ctrl-C (INT), TERM, HUP, and USR1, which mpirun passes on to its ranks. The
//! first request lets the run finish its present update and write a checkpoint. The second ends the program at once and loses
//! only the time since the last checkpoint.

use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

/// Exit code after Ctrl-C, as shells expect it: 128 plus the number of the signal.
pub const EXIT_CODE: u8 = 130;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Listens for requests to stop from now on; `promise` names the result that stopping leaves. Called once in a process.
/// Where listening fails, the signals end the program at once as usual.
pub(crate) fn listen(promise: &'static str) {
    let mut signals = match Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1]) {
        Ok(signals) => signals,
        Err(error) => return tracing::debug!("signals are not listened to: {error}"),
    };
    let wait = move || {
        for _ in signals.forever() {
            if REQUESTED.swap(true, Ordering::Relaxed) {
                std::process::exit(EXIT_CODE.into());
            }
            tracing::warn!("stopping after this step, {promise}; once more stops at once");
        }
    };
    if let Err(error) = std::thread::Builder::new().name("signals".into()).spawn(wait) {
        tracing::debug!("signals are not listened to: {error}");
    }
}

/// Whether someone has asked to stop.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}
