//! The last allocation of a thread that failed, so that a process that ends for want of memory can say so.

use std::cell::Cell;

thread_local! {
    /// Size in bytes. Without a destructor, so that an allocator and a signal handler can use it.
    static FAILED_ALLOCATION: Cell<usize> = const { Cell::new(0) };
}

/// For the allocator of a program: an allocation of this many bytes failed. If the thread ends the process next, memory is
/// named as the reason.
pub fn allocation_failed(bytes: usize) {
    FAILED_ALLOCATION.set(bytes);
}

/// Forgets an allocation that failed without an end of the process, before a plugin is called that may end it.
pub(crate) fn forget() {
    FAILED_ALLOCATION.set(0);
}

/// Size in bytes of the last allocation of this thread that failed; 0 for none.
pub(crate) fn bytes() -> usize {
    FAILED_ALLOCATION.get()
}
