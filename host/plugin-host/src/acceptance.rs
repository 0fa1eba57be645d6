//! The libraries whose code may run at all. Without such a choice, looking at a library runs its code, in a child process
//! first.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A library that is about to run code for the first time in this process.
#[derive(Debug, Clone, Copy)]
pub struct NewLibrary<'a> {
    /// Id of the plugin.
    pub id: &'a str,
    /// Path of the library file.
    pub path: &'a Path,
    /// SHA-256 of the library file, as 64 hexadecimal digits.
    pub sha256: &'a str,
}

/// The choice of the libraries whose code may run. A library that is not accepted is found and listed, with the reason;
/// none of its code runs, not even in a child process.
#[derive(Clone)]
pub struct Acceptance(Arc<Accepts>);

type Accepts = dyn Fn(NewLibrary<'_>) -> Result<(), String> + Send + Sync;

impl Acceptance {
    /// A choice by a function; its error is the remedy for a library that is not accepted.
    pub fn new(accepts: impl Fn(NewLibrary<'_>) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(accepts))
    }

    /// # Errors
    /// The remedy.
    pub(crate) fn check(&self, library: NewLibrary<'_>) -> Result<(), String> {
        (self.0)(library)
    }
}

impl fmt::Debug for Acceptance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acceptance")
    }
}
