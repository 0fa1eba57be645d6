//! The program as a process, and what it says.

#![allow(dead_code)] // each test crate uses its own part

use std::path::Path;
use std::process::{Command, Output};

/// The program, without the built-in plugins: what it uses was loaded from files.
pub fn medcoss(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_medcoss"))
        .args(arguments)
        .env_remove("MEDCOSS_PLUGIN_PATH")
        .output()
        .expect("the program starts")
}

pub fn succeeded(output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What a failing command says; it must end with exit code 1 and without a panic.
pub fn refused(output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    let told = errors.lines().any(|line| line.starts_with("error: "));
    assert!(told && !errors.contains("panicked"), "{errors}");
    errors
}

pub fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_string()
}
