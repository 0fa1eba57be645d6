//! The border: the only place with unsafe code and with `libloading`.
//!
//! The life of a plugin library:
//! 1. `symbols` has read the ids from the file; nothing of it has run.
//! 2. [`header_of`] opens it: its constructors run, its symbols stay its own (`RTLD_LOCAL`), all of its references are
//!    resolved at once (`RTLD_NOW`), so that a missing one is an error now and not a crash later.
//! 3. The header's magic, version, size and layout are compared (`PluginHeader::check`).
//! 4. [`attach`] gives it the host's services, once; then it is described, and used.
//! 5. It is never unloaded: its threads' local values, its tables and its strings may be referred to until the end.
//!
//! Plugins are native code: whatever is checked here guards against mistakes, not against malice.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use medcoss_abi::{DatasetHandle, PluginHeader, PluginTable, SYMBOL_PREFIX};

use crate::log;

/// Opens the library and takes the header of the plugin `id` from it.
///
/// # Errors
/// What the dynamic loader says.
pub(crate) fn header_of(path: &Path, id: &str) -> Result<&'static PluginHeader, String> {
    // Without a slash in it, a name would be looked for in the system's folders.
    let whole = path.canonicalize().map_err(|error| error.to_string())?;
    let told = |error: libloading::Error| match std::error::Error::source(&error) {
        Some(beneath) => beneath.to_string(),
        None => error.to_string(),
    };
    // SAFETY: constructors of a plugin may do what safe code may; the contract says so and nothing can check it.
    let library = unsafe { Library::open(Some(whole.as_path()), RTLD_NOW | RTLD_LOCAL) }.map_err(told)?;
    let symbol = format!("{SYMBOL_PREFIX}{id}");
    // SAFETY: the symbol has at least the size of a header (`symbols` has seen to it) and, by the contract behind its
    // name, is a header; `check` reads it field by field, each only after the ones before were accepted.
    let header: *const PluginHeader = *unsafe { library.get::<*const PluginHeader>(symbol.as_str()) }.map_err(told)?;
    // The library stays for good, which is what makes the header static.
    std::mem::forget(library);
    if header.is_null() || !header.is_aligned() {
        return Err(format!("symbol {symbol} has no valid address"));
    }
    // SAFETY: not null, aligned, large enough, never unloaded, and nobody writes to it.
    Ok(unsafe { &*header })
}

/// Gives a plugin the host's services, the first time it is used in this process.
pub(super) fn attach(table: &'static PluginTable) {
    static ATTACHED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let address = std::ptr::from_ref(table).addr();
    let mut attached = ATTACHED.lock().unwrap_or_else(PoisonError::into_inner);
    if !attached.contains(&address) {
        (table.attach)(log::services());
        attached.push(address);
    }
}

/// An open dataset's handle; closes it when dropped.
#[derive(Debug)]
pub(super) struct OpenHandle {
    handle: DatasetHandle,
    close: extern "C" fn(DatasetHandle),
}

// SAFETY: the handle is a pointer that only the plugin follows, and the contract lets a dataset be used from many
// threads at once and each function of the table be called from any thread.
unsafe impl Send for OpenHandle {}
// SAFETY: as above.
unsafe impl Sync for OpenHandle {}

impl OpenHandle {
    /// Takes over a handle that `open` of this table gave. None when it is null, which is no dataset.
    pub(super) fn new(handle: DatasetHandle, table: &'static PluginTable) -> Option<Self> {
        // Not `then_some`: a value that is made and dropped would close the handle.
        (!handle.0.is_null()).then(|| Self { handle, close: table.close })
    }

    /// For calls of the same table.
    pub(super) fn get(&self) -> DatasetHandle {
        self.handle
    }
}

impl Drop for OpenHandle {
    fn drop(&mut self) {
        (self.close)(self.handle);
    }
}
