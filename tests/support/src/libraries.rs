//! Libraries of test plugins, outside of the folders in which the program looks for plugins. A separate cargo builds
//! them in the same build folder, so that their dependencies are built already.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

use crate::program::{profile_folder, target_folder};
use crate::repository;

fn cargo_build(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.args(["build", "--locked", "--quiet"]).args(arguments).current_dir(folder);
    if profile_folder().ends_with("release") {
        command.arg("--release");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The plugin for the frozen version 1 of the contract, with its own dependencies.
pub fn contract_v1() -> PathBuf {
    let target = target_folder().join("contract-v1");
    cargo_build(&repository().join("tests/contract-v1"), &["--target-dir", target.to_str().unwrap()]);
    target.join(profile_folder().file_name().unwrap()).join("libmedcoss_contract_v1.so")
}

/// A library of the crate `tests/misbehaving`.
pub fn misbehaving(name: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let target = target_folder().to_str().unwrap();
        // The whole workspace is named, so that its dependencies are those of the program's own build.
        cargo_build(
            &repository(),
            &[
                "--workspace",
                "--example",
                "misbehaving",
                "--example",
                "misbehaving_sdk",
                "--example",
                "two_contracts",
                "--target-dir",
                target,
            ],
        );
    });
    profile_folder().join(format!("examples/lib{name}.so"))
}
