//! The program `medcoss`: command line, progress on the terminal, tables. `medcoss-runtime` trains and evaluates, and
//! `medcoss-plugin-host` finds and calls plugins.

#![deny(unsafe_code)]

mod arguments;
mod builtin;
mod cli;
mod commands;
mod failure;
mod hints;
mod interrupt;
mod messages;
mod output;
mod pace;
mod progress;
mod tables;

/// Memory allocator. Each training step frees tensors and allocates them again in the next step. The default allocator
/// returns large tensors to the kernel, which then clears fresh pages for each: a third of the time of a step. jemalloc
/// keeps the pages, and requests large pages.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Options that jemalloc reads at the start of the process: freed pages are kept, allocations of any size are reused,
/// and large pages are used where the system has them. All threads share one arena. With an arena each, the pages of
/// worker threads, which start and end with the epochs, would accumulate. Merged free pages serve tensors of any size;
/// by default tensors below a 64th of them would request new pages in every step.
#[allow(non_upper_case_globals)]
#[allow(unsafe_code, reason = "the allocator reads the symbol; nothing else has its name")]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static malloc_conf: &[u8] =
    b"narenas:1,dirty_decay_ms:-1,muzzy_decay_ms:-1,oversize_threshold:0,thp:always,lg_extent_max_active_fit:32\0";

fn main() -> std::process::ExitCode {
    // In the child process of a probe this call does not return.
    medcoss_plugin_host::serve_if_asked();
    cli::run(std::env::args_os())
}
