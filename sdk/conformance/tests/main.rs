//! Tests of the crate from outside, in one binary.

use std::sync::{Mutex, MutexGuard, PoisonError};

mod faults;
mod honest;
mod raw_plugin;

/// One check at a time: rules measure the memory, the threads and the open files of the process, to which a plugin's fault belongs, too.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}
