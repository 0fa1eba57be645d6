//! Opening plugin libraries: the only file that uses `libloading`. Unsafe code is here, in `contracts` and in
//! `process_guard`.
//!
//! The life of a plugin library:
//! 1. `symbols` has read the ids from the file; no code of it has run.
//! 2. [`header_of`] opens the library: its constructors run, its symbols stay local (`RTLD_LOCAL`), and all references
//!    are resolved at once (`RTLD_NOW`), so that a missing one is an error now and not a crash later.
//! 3. The header's magic, version, size and layout are compared (`PluginHeader::check`).
//! 4. [`attach`] passes the host's services to the plugin once; then the plugin is described and used.
//! 5. The library is never unloaded: thread-local values, tables and strings of it may be referred to until the process
//!    ends.
//!
//! Plugins are native code: these checks guard against mistakes, not against malice.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use medcoss_abi::{DatasetHandle, PluginHeader, PluginTable, Rejection};

use crate::calls;
use crate::contracts::{Contract, V1};

/// A plugin's header in an open library.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loaded {
    contract: Contract,
    header: *const (),
}

impl Loaded {
    /// The plugin's functions, after the header was compared with the host's own definition.
    pub(crate) fn table(self) -> Result<&'static PluginTable, Rejection> {
        // SAFETY: `header_of` has checked the pointer and `symbols` the size; the library is never unloaded.
        unsafe { (self.contract.accept)(self.header) }
    }
}

/// Opens the library and reads the header of the plugin `id`, by the first of the contracts that the library supports.
///
/// # Errors
/// A library that the dynamic loader refuses, with its message.
pub(crate) fn header_of(path: &Path, id: &str, contracts: &[Contract]) -> Result<Loaded, String> {
    // The loader would search a name without a slash in the system's folders.
    let whole = path.canonicalize().map_err(|error| error.to_string())?;
    let message = |error: libloading::Error| match std::error::Error::source(&error) {
        Some(beneath) => beneath.to_string(),
        None => error.to_string(),
    };
    // SAFETY: the contract allows a plugin's constructors only what safe code may do; no check can prove it.
    let library = unsafe { Library::open(Some(whole.as_path()), RTLD_NOW | RTLD_LOCAL) }.map_err(message)?;
    let mut found = Err(format!("it has no plugin {id}"));
    for &contract in contracts {
        let symbol = contract.symbol(id);
        // SAFETY: only the symbol's address is taken; no memory behind it is read.
        match unsafe { library.get::<*const ()>(symbol.as_str()) } {
            Ok(header) if header.is_null() || !header.cast::<PluginHeader>().is_aligned() => {
                found = Err(format!("symbol {symbol} has no valid address"));
            }
            Ok(header) => found = Ok(Loaded { contract, header: *header }),
            Err(error) => {
                found = found.or(Err(message(error)));
                continue;
            }
        }
        break;
    }
    // The library is never unloaded, so the header is static.
    std::mem::forget(library);
    found
}

/// Opens the library and reads the header of the plugin `id` by version 1 of the contract. The header is not yet
/// compared.
///
/// # Errors
/// A library that the dynamic loader refuses, with its message.
pub fn v1_header_of(path: &Path, id: &str) -> Result<&'static PluginHeader, String> {
    let loaded = header_of(path, id, &[V1])?;
    // SAFETY: not null, aligned (`header_of`), large enough (`symbols`), never unloaded; by the contract behind its name it is a
    // header, whose `check` reads field by field, each only after the ones before were accepted.
    Ok(unsafe { &*loaded.header.cast::<PluginHeader>() })
}

/// Gives a plugin the host's services, the first time it is used in this process.
pub(crate) fn attach(table: &'static PluginTable) {
    static ATTACHED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let address = std::ptr::from_ref(table).addr();
    let mut attached = ATTACHED.lock().unwrap_or_else(PoisonError::into_inner);
    if !attached.contains(&address) {
        (table.attach)(calls::services());
        attached.push(address);
    }
}

/// The handle of an open dataset. Dropping it closes the dataset.
#[derive(Debug)]
pub(crate) struct OpenHandle {
    handle: DatasetHandle,
    close: extern "C" fn(DatasetHandle),
    /// Name of the plugin.
    name: Arc<str>,
}

// SAFETY: the handle is a pointer that only the plugin follows, and the contract lets a dataset be used from many
// threads at once and each function of the table be called from any thread.
unsafe impl Send for OpenHandle {}
// SAFETY: as above.
unsafe impl Sync for OpenHandle {}

impl OpenHandle {
    /// Takes over a handle that `open` of this table returned. `None` for a null handle, which stands for no dataset.
    pub(crate) fn new(handle: DatasetHandle, table: &'static PluginTable, name: &Arc<str>) -> Option<Self> {
        // Not `then_some`: it would construct and drop a value, which closes the handle.
        (!handle.0.is_null()).then(|| Self { handle, close: table.close, name: name.clone() })
    }

    /// The raw handle, for calls of the same table.
    pub(crate) fn get(&self) -> DatasetHandle {
        self.handle
    }
}

impl Drop for OpenHandle {
    fn drop(&mut self) {
        calls::during(&self.name, || (self.close)(self.handle));
    }
}
