//! A library that is replaced between its digest and its loading: what is loaded is what was compared.

use std::ffi::CStr;
use std::fs;
use std::mem::MaybeUninit;
use std::path::Path;

use medcoss_plugin_host::{CONTRACTS, LibraryFile, Loading, Plugin, PluginRegistry, v1_header_of};
use medcoss_test_support::sandbox::{build_folder, fixture};

/// Replaces a library by another one, first in place and then under its name.
fn replace(path: &Path) {
    let other = fs::read(build_folder().join("libmedcoss_xray.so")).unwrap();
    fs::write(path, &other).unwrap();
    let beside = path.with_extension("new");
    fs::write(&beside, &other).unwrap();
    fs::rename(beside, path).unwrap();
}

#[test]
fn a_library_that_is_replaced_after_it_was_read_is_loaded_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.so");
    fs::copy(fixture(), &path).unwrap();
    let registry = PluginRegistry::of_file(&path, Loading::Unprobed).unwrap();
    let opened = registry.open("fixture").unwrap();
    let digest = opened.sha256().unwrap().to_string();
    replace(&path);
    let plugin = opened.load().unwrap();
    assert_eq!((plugin.name(), plugin.sha256()), ("fixture 0.3.1", Some(digest.as_str())));
    // The new file has another digest, and another plugin.
    let registry = PluginRegistry::of_file(&path, Loading::Unprobed).unwrap();
    assert!(registry.load("fixture").is_err());
    let other = registry.load("xray").unwrap();
    assert_ne!(other.sha256(), Some(digest.as_str()));
}

#[test]
fn a_loaded_library_bears_its_real_path_and_is_loaded_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.so");
    fs::copy(fixture(), &path).unwrap();
    let header = || v1_header_of(&LibraryFile::open(&path).unwrap(), "fixture").unwrap();
    let address: *const () = std::ptr::from_ref(header()).cast();
    assert_eq!(address, std::ptr::from_ref(header()).cast());
    let mut found = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: the address is that of a static of a loaded library; the answer is read only where there is one.
    let name = unsafe {
        assert_ne!(libc::dladdr(address.cast(), found.as_mut_ptr()), 0);
        CStr::from_ptr(found.assume_init().dli_fname)
    };
    assert_eq!(name.to_str().unwrap(), path.canonicalize().unwrap().to_str().unwrap());
}

#[test]
fn the_dynamic_loader_names_the_real_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.so");
    let mut bytes = fs::read(fixture()).unwrap();
    // The library now needs another one that nobody has.
    let name = b"libc.so.6";
    let at = bytes.windows(name.len()).position(|window| window == name).expect("it needs libc");
    bytes[at..at + name.len()].copy_from_slice(b"libc.so.9");
    fs::write(&path, bytes).unwrap();
    let file = LibraryFile::open(&path).unwrap();
    let error = Plugin::load_file(&file, "fixture", CONTRACTS).unwrap_err().to_string();
    assert!(error.contains("libc.so.9") && !error.contains("/proc/"), "{error}");
}
