//! The memory allocator of the program.
//!
//! Each training step frees tensors and allocates them again in the next step. The default allocator returns large
//! tensors to the kernel, which then clears fresh pages for each: a third of the time of a step. jemalloc keeps the pages,
//! and requests large pages.

#![allow(unsafe_code, reason = "an allocator is unsafe by its trait, and finds its options by the name of a symbol")]

use std::alloc::{GlobalAlloc, Layout};

use tikv_jemallocator::Jemalloc;

/// jemalloc, which notes allocations that fail: if the program cannot go on without one, it says so when it ends.
pub(crate) struct Allocator;

/// Options that jemalloc reads at the start of the process: freed pages are kept, allocations of any size are reused,
/// and large pages are used where the system has them. All threads share one arena. With an arena each, the pages of
/// worker threads, which start and end with the epochs, would accumulate. Merged free pages serve tensors of any size;
/// by default tensors below a 64th of them would request new pages in every step.
#[allow(non_upper_case_globals)]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static malloc_conf: &[u8] =
    b"narenas:1,dirty_decay_ms:-1,muzzy_decay_ms:-1,oversize_threshold:0,thp:always,lg_extent_max_active_fit:32\0";

fn noted(memory: *mut u8, bytes: usize) -> *mut u8 {
    if memory.is_null() {
        medcoss_plugin_host::allocation_failed(bytes);
    }
    memory
}

// SAFETY: every call is passed on to jemalloc's allocator, and its answer is returned unchanged; noting a number allocates
// nothing and does not unwind.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        noted(unsafe { Jemalloc.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        noted(unsafe { Jemalloc.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        noted(unsafe { Jemalloc.realloc(memory, layout, bytes) }, bytes)
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { Jemalloc.dealloc(memory, layout) }
    }
}
