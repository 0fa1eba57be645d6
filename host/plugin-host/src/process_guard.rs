//! The guard of a process against the plugins in it. From the first loaded library on:
//!
//! - a plugin that ends the process is named, with exit code 2 (`exit(0)` in the middle of a call would look like
//!   success);
//! - a plugin that crashes is named, and the program ends with exit code 2;
//! - text that a plugin prints to standard output goes to standard error, so that results stay separate.
//!
//! The thread that called the plugin reports all of this. A plugin must not start threads; the report cannot name the
//! plugin of such threads. The guard replaces the handler of segmentation faults, and so Rust's own message on a stack
//! overflow.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::{Once, OnceLock};

use crate::calls;

/// Exit code for a failure inside of a plugin.
const ENDED_BY_PLUGIN: i32 = 2;
/// Numbers of the signals for illegal instruction, abort, bus error, arithmetic error and segmentation fault, the same
/// on all supported Linux machines.
const CRASHES: [i32; 5] = [4, 6, 7, 8, 11];
/// The system's default handling of a signal.
const DEFAULT: usize = 0;

/// Standard output before the redirection.
static STDOUT: OnceLock<File> = OnceLock::new();

unsafe extern "C" {
    fn atexit(handler: extern "C" fn()) -> i32;
    fn _exit(code: i32) -> !;
    fn signal(number: i32, handler: usize) -> usize;
    fn dup2(from: i32, to: i32) -> i32;
    fn write(descriptor: i32, bytes: *const u8, n: usize) -> isize;
}

/// Installs the guard, once.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: the handler is a plain function that lives as long as the program.
        let _ = unsafe { atexit(at_exit) };
        for number in CRASHES {
            // SAFETY: as above; the function does only what a signal handler may do.
            unsafe { signal(number, at_crash as *const () as usize) };
        }
        if let Ok(own) = std::io::stdout().as_fd().try_clone_to_owned() {
            // SAFETY: both descriptors stay open while the program runs; the file for results has a descriptor of its own.
            if unsafe { dup2(2, 1) } == 1 {
                let _ = STDOUT.set(File::from(own));
            }
        }
    });
}

/// The standard output that the process began with, or `None` before it was redirected to standard error.
pub fn original_stdout() -> Option<&'static File> {
    STDOUT.get()
}

extern "C" fn at_exit() {
    let Some(name) = calls::current() else { return };
    // A closed standard error cannot be reported.
    let _ = writeln!(std::io::stderr(), "error: plugin {name} ended the program in the middle of a call\n{HINT}");
    // SAFETY: ends the process and touches nothing.
    unsafe { _exit(ENDED_BY_PLUGIN) }
}

const HINT: &str = "hint: this is a fault in the plugin; report it to its authors, or use another version; what was written before is complete and can be continued";

/// Handles a crash signal. Allocates nothing and locks nothing, as a signal handler must not.
extern "C" fn at_crash(number: i32) {
    if let Some(name) = calls::current() {
        // The message is written in one piece, so that no other thread prints in between.
        let mut message = [0; 512];
        let mut n = 0;
        let parts = ["error: plugin ", &name, " crashed in the middle of a call\n", HINT, "\n"];
        for (place, &byte) in message.iter_mut().zip(parts.iter().flat_map(|part| part.as_bytes())) {
            *place = byte;
            n += 1;
        }
        // SAFETY: the bytes are valid for reading; a closed standard error cannot be reported.
        let _ = unsafe { write(2, message.as_ptr(), n) };
        // SAFETY: ends the process at once; the plugin may have damaged any other state.
        unsafe { _exit(ENDED_BY_PLUGIN) };
    }
    // SAFETY: the system's default handling takes over when this returns, since the same instruction crashes again.
    unsafe { signal(number, DEFAULT) };
}
