//! The program `medcoss`: command line, progress on the terminal, tables. `medcoss-runtime` trains and evaluates, and
//! `medcoss-plugin-host` finds and calls plugins.

#![deny(unsafe_code)]
// `terminal` writes.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod allocator;
mod arguments;
mod builtin;
mod cli;
mod commands;
mod default_device;
mod failure;
mod hints;
mod interrupt;
mod messages;
#[cfg(feature = "mpi")]
mod mpi;
mod open_progress;
mod output;
mod pace;
mod progress;
mod tables;
mod terminal;

#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator;

fn main() -> std::process::ExitCode {
    default_device::choose_the_processor();
    // In the child process of a probe this call does not return.
    medcoss_plugin_host::serve_if_asked();
    medcoss_plugin_host::catch_crashes();
    cli::run(std::env::args_os())
}
