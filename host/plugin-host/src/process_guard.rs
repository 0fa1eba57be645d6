//! The guard of a process against the plugins in it. From the first loaded library on:
//!
//! - a plugin that ends the process is named, with exit code 2 (`exit(0)` in the middle of a call would look like
//!   success);
//! - a plugin that crashes or overflows its stack is named, and the program ends with exit code 2;
//! - text that a plugin prints to standard output goes to standard error, so that results stay separate.
//!
//! The thread that called the plugin reports all of this. A plugin must not start threads; the report cannot name the
//! plugin of such threads.
//!
//! A program that catches crashes from its start ([`catch_crashes`]) also says that it ran out of memory. The handler
//! runs on the stack that Rust gives each thread for signals: the thread's own may be used up.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::{Once, OnceLock};

use libc::{_exit, SA_ONSTACK, SA_RESTART, SA_SIGINFO, c_int, c_void, sigaction, siginfo_t};

use crate::{calls, failed_allocation};

/// Exit code for a failure inside of a plugin.
const ENDED_BY_PLUGIN: i32 = 2;
/// Exit code for a process without memory, which the user can fix.
const OUT_OF_MEMORY: i32 = 1;
/// Signals of crashes.
pub(crate) const CRASHES: [c_int; 5] = [libc::SIGILL, libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGSEGV];
/// A fault this close to the end of the stack, in bytes, is an overflow: a function's frame may be large.
const NEAR_THE_STACK: usize = 1 << 20;

/// Standard output before the redirection.
static STDOUT: OnceLock<File> = OnceLock::new();

/// The handlers that were there before, by the places in [`CRASHES`]: Rust's own name a thread that overflows its stack.
static BEFORE: OnceLock<[sigaction; CRASHES.len()]> = OnceLock::new();

/// Catches signals of crashes, once in a process.
pub fn catch_crashes() {
    static CAUGHT: Once = Once::new();
    CAUGHT.call_once(|| {
        let handlers = CRASHES.map(|number| {
            // SAFETY: all fields are numbers or addresses, for which zero is valid: no flags, no signal blocked.
            let [mut action, mut before] = unsafe { std::mem::zeroed::<[sigaction; 2]>() };
            action.sa_sigaction = at_crash as *const () as usize;
            action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
            // SAFETY: the handler is a plain function that lives as long as the program, and does only what a signal handler
            // may do.
            unsafe { sigaction(number, &raw const action, &raw mut before) };
            before
        });
        let _ = BEFORE.set(handlers);
    });
}

/// Installs the guard, once.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: the handler is a plain function that lives as long as the program.
        let _ = unsafe { libc::atexit(at_exit) };
        catch_crashes();
        if let Ok(own) = std::io::stdout().as_fd().try_clone_to_owned() {
            // SAFETY: both descriptors stay open while the program runs; the file for results has a descriptor of its own.
            if unsafe { libc::dup2(2, 1) } == 1 {
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
extern "C" fn at_crash(number: c_int, info: *const siginfo_t, context: *const c_void) {
    let bytes = failed_allocation::bytes();
    if number == libc::SIGABRT && bytes > 0 {
        let mut digits = [0; 20];
        let bytes = decimal(bytes, &mut digits);
        end(
            &[
                "error: out of memory: ",
                bytes,
                " bytes cannot be allocated\nhint: use a smaller batch, model or image size, or a machine with more memory; what was written before is complete and can be continued\n",
            ],
            OUT_OF_MEMORY,
        );
    }
    if let Some(name) = calls::current() {
        let deed = match is_stack_overflow(number, info, context) {
            true => " overflowed its stack in the middle of a call\n",
            false => " crashed in the middle of a call\n",
        };
        end(&["error: plugin ", &name, deed, HINT, "\n"], ENDED_BY_PLUGIN);
    }
    // The handler that was there before takes over when this returns, since the same instruction crashes again.
    let before = CRASHES.iter().position(|crash| *crash == number).and_then(|at| Some(&BEFORE.get()?[at]));
    match before {
        // SAFETY: a handler that the system gave.
        Some(before) => drop(unsafe { sigaction(number, std::ptr::from_ref(before), std::ptr::null_mut()) }),
        // SAFETY: the default is always valid.
        None => drop(unsafe { libc::signal(number, libc::SIG_DFL) }),
    }
}

/// Writes a message in one piece, so that no other thread prints in between, and ends the process at once: any other state
/// may be damaged.
fn end(parts: &[&str], code: i32) -> ! {
    let mut message = [0; 512];
    let mut n = 0;
    for (place, &byte) in message.iter_mut().zip(parts.iter().flat_map(|part| part.as_bytes())) {
        *place = byte;
        n += 1;
    }
    // SAFETY: the bytes are valid for reading; a closed standard error cannot be reported.
    let _ = unsafe { libc::write(2, message.as_ptr().cast(), n) };
    // SAFETY: ends the process and touches nothing.
    unsafe { _exit(code) }
}

/// A number in decimal digits, without memory of its own.
fn decimal(number: usize, digits: &mut [u8; 20]) -> &str {
    let mut rest = number;
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    str::from_utf8(&digits[start..]).unwrap_or("?")
}

/// Whether a segmentation fault is that of a full stack: the address lies just beyond the place that the stack reaches.
fn is_stack_overflow(number: c_int, info: *const siginfo_t, context: *const c_void) -> bool {
    if ![libc::SIGSEGV, libc::SIGBUS].contains(&number) || info.is_null() || context.is_null() {
        return false;
    }
    // SAFETY: the system passes both to a handler with SA_SIGINFO, and for these signals the address is set.
    let (address, stack) = unsafe { ((*info).si_addr() as usize, stack_pointer(&*context.cast())) };
    stack.is_some_and(|stack| address > stack.saturating_sub(NEAR_THE_STACK) && address < stack + (1 << 16))
}

#[cfg(target_arch = "x86_64")]
fn stack_pointer(context: &libc::ucontext_t) -> Option<usize> {
    Some(context.uc_mcontext.gregs[libc::REG_RSP as usize] as usize)
}

#[cfg(target_arch = "aarch64")]
fn stack_pointer(context: &libc::ucontext_t) -> Option<usize> {
    Some(context.uc_mcontext.sp as usize)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn stack_pointer(_: &libc::ucontext_t) -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_without_memory() {
        assert_eq!(decimal(0, &mut [0; 20]), "0");
        assert_eq!(decimal(usize::MAX, &mut [0; 20]), usize::MAX.to_string());
    }
}
