//! Support for the tests of several crates: the program as a process, a sandbox around it, libraries of plugins,
//! reference numbers, and data beside the checkout.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

pub mod folders;
pub mod libraries;
pub mod process;
pub mod program;
pub mod sandbox;

mod data;
mod golden_arrays;

pub use data::data;
pub use golden_arrays::GoldenArrays;

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the checkout is still there")
}

/// A file of numbers that the reference implementation computed, see `core/tests/golden/README.md`.
pub fn golden(name: &str) -> PathBuf {
    let path = repository().join("core/tests/golden").join(name);
    assert!(path.is_file(), "{} is missing; it is part of the repository", path.display());
    path
}
