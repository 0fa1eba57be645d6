//! Messages while a command works: the host's own and those of plugins, on one way to standard error.
//!
//! Everything goes through one sink, which a progress display replaces while it owns the terminal. Results are not
//! messages: they go to standard output, see `output`.

use std::cell::RefCell;
use std::io::Write;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use medcoss_abi::HostServices;
use medcoss_abi::abi_stable::std_types::RStr;

use crate::plugins::foreign_bytes;

/// How much a message matters. The numbers are those of the plugin contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error = 1,
    /// The work goes on, but the user should know.
    Warning = 2,
    /// Of interest.
    Information = 3,
    /// For finding faults.
    Debugging = 4,
}

/// Takes one message, with its level as first word and without a line end.
pub type Sink = Arc<dyn Fn(&str) + Send + Sync>;

/// The least important level that is shown.
static SHOWN: AtomicU8 = AtomicU8::new(Level::Warning as u8);
static SINK: RwLock<Option<Sink>> = RwLock::new(None);

thread_local! {
    /// The plugin that this thread is calling. Plugins spawn no threads, so their messages come on the caller's. Without a
    /// destructor, so that it can be asked when the process ends, see [`calling`].
    static CALLING: RefCell<ManuallyDrop<Option<Arc<str>>>> = const { RefCell::new(ManuallyDrop::new(None)) };
}

/// Sets what is shown: 0 warnings and errors, 1 also information, 2 and more everything.
pub fn set_verbosity(verbosity: u8) {
    SHOWN.store((Level::Warning as u8).saturating_add(verbosity), Ordering::Relaxed);
}

/// Sends messages to `sink` until the answer is dropped; then to the sink before.
pub fn redirect(sink: Sink) -> Redirection {
    let mut current = SINK.write().unwrap_or_else(PoisonError::into_inner);
    Redirection { before: current.replace(sink) }
}

/// Ends a redirection when it is dropped.
#[must_use = "messages go back to where they went when this is dropped"]
pub struct Redirection {
    before: Option<Sink>,
}

impl Drop for Redirection {
    fn drop(&mut self) {
        *SINK.write().unwrap_or_else(PoisonError::into_inner) = self.before.take();
    }
}

/// Something the user should know of although the work goes on.
pub fn warn(message: &str) {
    emit(Level::Warning, message);
}

/// Something of interest.
pub fn info(message: &str) {
    emit(Level::Information, message);
}

/// Detail for finding faults.
pub fn debug(message: &str) {
    emit(Level::Debugging, message);
}

fn emit(level: Level, message: &str) {
    if level as u8 > SHOWN.load(Ordering::Relaxed) {
        return;
    }
    let word = match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Information => "info",
        Level::Debugging => "debug",
    };
    let line = format!("{word}: {message}");
    let sink = SINK.read().unwrap_or_else(PoisonError::into_inner).clone();
    match sink {
        Some(sink) => sink(&line),
        // A closed standard error is no reason to stop.
        None => drop(writeln!(std::io::stderr().lock(), "{line}")),
    }
}

/// What plugins are given.
pub(crate) fn services() -> HostServices {
    HostServices { log: from_plugin }
}

/// Runs a call into the plugin `name`, so that its messages can be told from others'.
pub(crate) fn during<T>(name: &Arc<str>, call: impl FnOnce() -> T) -> T {
    let before = CALLING.with(|calling| calling.replace(ManuallyDrop::new(Some(name.clone()))));
    let answer = call();
    let own = CALLING.with(|calling| calling.replace(before));
    drop(ManuallyDrop::into_inner(own));
    answer
}

/// The plugin that this thread is calling, if it is.
pub(crate) fn calling() -> Option<Arc<str>> {
    CALLING.with(|calling| (**calling.borrow()).clone())
}

/// A sink that panics must not unwind into the plugin.
extern "C" fn from_plugin(level: u32, message: RStr<'_>) {
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let level = match level {
            0 | 1 => Level::Error,
            2 => Level::Warning,
            3 => Level::Information,
            _ => Level::Debugging,
        };
        // Nothing says that it is UTF-8, but the plugin.
        let message = foreign_bytes(message.as_rslice().as_slice());
        emit(level, &format!("plugin {}: {message}", calling().as_deref().unwrap_or("(unknown)")));
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// One test, because sink and verbosity belong to the process.
    #[test]
    fn messages_are_filtered_named_and_go_to_the_sink_in_force() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let copy = lines.clone();
        let redirection = redirect(Arc::new(move |line: &str| copy.lock().unwrap().push(line.to_string())));
        let name: Arc<str> = "gait 0.1.0".into();
        let log = services().log;
        during(&name, || {
            log(3, "not shown".into());
            log(2, "two\u{1b}[31m leads".into());
        });
        log(1, "from nowhere".into());
        set_verbosity(1);
        info("now shown");
        debug("still not");
        set_verbosity(0);
        drop(redirection);
        let expected = [
            "warning: plugin gait 0.1.0: two\u{fffd}[31m leads",
            "error: plugin (unknown): from nowhere",
            "info: now shown",
        ];
        assert_eq!(*lines.lock().unwrap(), expected);
        assert!(SINK.read().unwrap().is_none());
    }
}
