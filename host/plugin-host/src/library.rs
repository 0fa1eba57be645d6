//! Opening plugin libraries: the only file that uses `libloading`. Unsafe code is here, in `contracts` and in
//! `process_guard`.
//!
//! The life of a plugin library:
//! 1. `symbols` has read the ids from the file; no code of it has run.
//! 2. `library_file` has read the file; its digest is known. [`header_of`] loads the bytes that were read: its constructors run, its symbols stay local (`RTLD_LOCAL`), and all references
//!    are resolved at once (`RTLD_NOW`), so that a missing one is an error now and not a crash later.
//! 3. The header's magic, version, size and layout are compared (`PluginHeader::check`).
//! 4. [`attach`] passes the host's services to the plugin once; then the plugin is described and used.
//! 5. The library is never unloaded: thread-local values, tables and strings of it may be referred to until the process
//!    ends.
//!
//! Plugins are native code: these checks guard against mistakes, not against malice.

use std::ffi::{CString, c_char, c_int, c_void};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use medcoss_abi::{DatasetHandle, PluginHeader, PluginTable, Rejection};

use crate::calls;
use crate::contracts::{Contract, V1};
use crate::library_file::LibraryFile;
use crate::symbols::needs;

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

/// A library in this process, with what it was loaded from.
struct OpenLibrary {
    path: PathBuf,
    sha256: Arc<str>,
    library: Library,
    /// The dynamic loader knows the library by the number of this descriptor, which must not become another file's.
    _copy: Arc<File>,
}

/// All loaded libraries. A library is loaded once, and never unloaded.
static OPEN: Mutex<Vec<OpenLibrary>> = Mutex::new(Vec::new());

/// Opens the library and reads the header of the plugin `id`, by the first of the contracts that the library supports.
///
/// # Errors
/// A library that the dynamic loader refuses, with its message.
pub(crate) fn header_of(file: &LibraryFile, id: &str, contracts: &[Contract]) -> Result<Loaded, String> {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let is_it = |open: &OpenLibrary| open.path == file.canonical() && *open.sha256 == *file.sha256();
    let at = match open.iter().position(is_it) {
        Some(at) => at,
        None => {
            open.push(load(file)?);
            open.len() - 1
        }
    };
    let library = &open[at].library;
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
                found = found.or(Err(in_words(&error)));
                continue;
            }
        }
        break;
    }
    found
}

fn load(file: &LibraryFile) -> Result<OpenLibrary, String> {
    let path = file.path_for_loader().map_err(|error| error.to_string())?;
    // SAFETY: the contract allows a plugin's constructors only what safe code may do; no check can prove it.
    let library = unsafe { Library::open(Some(path.as_path()), RTLD_NOW | RTLD_LOCAL) };
    // The loader knows no other name of the library.
    let real_name = |text: String| text.replace(&*path.to_string_lossy(), &file.canonical().to_string_lossy());
    let library = library.map_err(|error| {
        let text = real_name(in_words(&error));
        missing_library(&text, file).unwrap_or(text)
    })?;
    let library = with_name(library, file.canonical());
    let unchanged = file.check_unchanged();
    let (path, sha256) = (file.canonical().to_path_buf(), file.shared_sha256().clone());
    let open = OpenLibrary { path, sha256, library, _copy: file.copy().clone() };
    match unchanged {
        Ok(()) => Ok(open),
        Err(error) => {
            // Its code has run, so it stays loaded.
            std::mem::forget(open);
            Err(error.to_string())
        }
    }
}

fn in_words(error: &libloading::Error) -> String {
    match std::error::Error::source(error) {
        Some(beneath) => beneath.to_string(),
        None => error.to_string(),
    }
}

/// What is missing, where the loader's message is that it does not find a library that this one needs: which, and where
/// it looked.
fn missing_library(text: &str, file: &LibraryFile) -> Option<String> {
    let (name, _) = text.split_once(": cannot open shared object file")?;
    let needs = needs(file.copy());
    let mut places = needs.folders;
    if let Some(path) = std::env::var_os("LD_LIBRARY_PATH").filter(|path| !path.is_empty()) {
        places.push(format!("LD_LIBRARY_PATH ({})", path.to_string_lossy()));
    }
    places.push("the system's folders (ldconfig -p lists them)".into());
    let by = match needs.libraries.iter().any(|needed| needed == name) {
        true => "it needs",
        false => "a library that it needs needs",
    };
    Some(format!(
        "{by} the library {name}, which was not found; looked for in {}\nhint: install the package that holds {name}, or put \
         it beside the plugin and link with -C link-arg=-Wl,-rpath,$ORIGIN",
        places.join(", ")
    ))
}

/// The start of what the dynamic loader says of a library, as `link.h` defines it.
#[repr(C)]
struct LinkMap {
    address: usize,
    name: *const c_char,
}

/// Tells the dynamic loader the real path of a library that it opened by a descriptor, so that debuggers and `dladdr`,
/// by which a plugin may look for files beside itself, name this path.
fn with_name(library: Library, path: &Path) -> Library {
    const RTLD_DI_LINKMAP: c_int = 2;
    unsafe extern "C" {
        fn dlinfo(handle: *mut c_void, request: c_int, answer: *mut c_void) -> c_int;
    }
    let handle = library.into_raw();
    let mut map: *mut LinkMap = std::ptr::null_mut();
    if let Ok(name) = CString::new(path.as_os_str().as_bytes()) {
        // SAFETY: the handle is that of an open library, and the answer to this request a pointer to its `link_map`.
        let known = unsafe { dlinfo(handle, RTLD_DI_LINKMAP, (&raw mut map).cast()) } == 0;
        if known && !map.is_null() {
            // SAFETY: `link_map` begins with these fields, and stays as long as the library, which is never unloaded. The
            // name is never freed, and neither is the one before, which another thread may be reading.
            unsafe { (&raw mut (*map).name).write(name.into_raw()) };
        }
    }
    // SAFETY: the handle of the library that was taken apart above.
    unsafe { Library::from_raw(handle) }
}

/// Opens the library and reads the header of the plugin `id` by version 1 of the contract. The header is not yet
/// compared.
///
/// # Errors
/// A library that the dynamic loader refuses, with its message.
pub fn v1_header_of(file: &LibraryFile, id: &str) -> Result<&'static PluginHeader, String> {
    let loaded = header_of(file, id, &[V1])?;
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
