//! Ctrl-C and requests to terminate while a run is written. The first request lets the run finish its present update
//! and write a checkpoint. The second ends the program at once and loses only the time since the last checkpoint.

use std::sync::atomic::{AtomicBool, Ordering};

/// Exit code after Ctrl-C, as shells expect it: 128 plus the number of the signal.
pub const EXIT_CODE: u8 = 130;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Listens for requests to stop from now on; `promise` names the result that stopping leaves. Called once in a process.
/// Where listening fails, Ctrl-C ends the program at once as usual.
pub(crate) fn listen(promise: &'static str) {
    let heard = move || {
        if REQUESTED.swap(true, Ordering::Relaxed) {
            std::process::exit(EXIT_CODE.into());
        }
        tracing::warn!("stopping after this step, {promise}; once more stops at once");
    };
    if let Err(error) = ctrlc::set_handler(heard) {
        tracing::debug!("Ctrl-C is not listened to: {error}");
    }
}

/// Whether someone has asked to stop.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}
