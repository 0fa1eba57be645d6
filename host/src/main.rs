//! The program `medcoss`: command line, progress on the terminal, tables. What it does is in `medcoss-runtime`, and how plugins are found and
//! called in `medcoss-plugin-host`.

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
mod progress;
mod tables;

/// Tensors of a step are freed and made again in the next. The usual allocator gives large ones back to the kernel, which then clears
/// fresh pages for each: a third of the time of a step. This one keeps them, and asks for large pages.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Read by the allocator when the process begins: freed pages are kept, allocations of any size are reused, large pages where the system has
/// them. One arena for all threads: each keeps its own pages, and those of data loading, which come and go with the epochs, would pile up.
/// Freed pages that have grown together are taken for tensors of any size; by default not for those below a 64th, for which new pages would be
/// asked for in every step.
#[allow(non_upper_case_globals)]
#[allow(unsafe_code, reason = "the allocator reads the symbol; nothing else has its name")]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static malloc_conf: &[u8] =
    b"narenas:1,dirty_decay_ms:-1,muzzy_decay_ms:-1,oversize_threshold:0,thp:always,lg_extent_max_active_fit:32\0";

fn main() -> std::process::ExitCode {
    // In the child of a probe this does not return.
    medcoss_plugin_host::serve_if_asked();
    cli::run(std::env::args_os())
}
