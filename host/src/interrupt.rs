//! Ctrl-C and requests to terminate, while a run is being written: the first one lets it finish the update that it is in and
//! write a checkpoint, the second one ends the program at once, which costs the time since the last checkpoint and nothing else.

use std::sync::atomic::{AtomicBool, Ordering};

/// What a program ends with after Ctrl-C, as shells expect it: 128 and the number of the signal.
pub const EXIT_CODE: u8 = 130;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Listens from now on; `promise` says what stopping leaves behind. Called once for a process; without a way to listen, Ctrl-C ends the
/// program at once as it always does.
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
