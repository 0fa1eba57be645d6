//! The Python interpreter that workers run.

use std::ffi::OsString;
use std::io;
use std::process::Command;

use crate::Failure;

/// Environment variable that names the interpreter.
const VARIABLE: &str = "MEDCOSS_PYTHON";
/// The interpreter where the variable is not set, looked for in `PATH`.
const DEFAULT: &str = "python3";
/// First lines of a worker.
const BOOTSTRAP: &str = include_str!("../worker/bootstrap.py");
/// Threads that numerical libraries start: workers are the parallelism, and sums must not depend on a machine's cores.
const THREADS: [&str; 4] = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"];

/// The interpreter's name or path.
fn name() -> OsString {
    std::env::var_os(VARIABLE).filter(|name| !name.is_empty()).unwrap_or_else(|| DEFAULT.into())
}

/// The command that starts a worker; `id` is for people who look at the processes.
pub(crate) fn command(id: &str) -> Command {
    let mut command = Command::new(name());
    // Nothing is written beside modules, texts are UTF-8, and a crash of a C library prints the Python frames.
    command.args(["-B", "-u", "-X", "utf8", "-X", "faulthandler", "-c", BOOTSTRAP, id]);
    // The order of sets must not differ between workers.
    command.env("PYTHONHASHSEED", "0");
    for variable in THREADS.iter().filter(|variable| std::env::var_os(variable).is_none()) {
        command.env(variable, "1");
    }
    command
}

/// Why the interpreter cannot be started.
pub(crate) fn cannot_start(error: &io::Error) -> Failure {
    let name = name();
    let name = name.display();
    let remedy = format!("install Python 3.9 or later with NumPy, or name an interpreter in {VARIABLE}");
    Failure::bad_request(match error.kind() {
        io::ErrorKind::NotFound => format!("the Python interpreter {name} was not found\nhint: {remedy}"),
        _ => format!("the Python interpreter {name} cannot be started: {error}\nhint: {remedy}"),
    })
}
