//! The program. Everything is in the library, where tests reach it.

fn main() -> std::process::ExitCode {
    medcoss_host::cli::run(std::env::args_os())
}
