//! Libraries in a plugin folder: header and symbols of a file are read, and none of its code runs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_fuzz::{folder, put};
use medcoss_plugin_host::{Folder, Loading, Origin, PluginRegistry, Search};

fuzz_target!(|content: &[u8]| {
    std::fs::create_dir_all(folder().join("plugins")).expect("a folder for libraries");
    put("plugins/libinput.so", content);
    let folders = vec![Folder { path: folder().join("plugins"), origin: Origin::Named }];
    let registry = PluginRegistry::discover(&Search { folders, builtin: false }, Vec::new(), Loading::Unprobed);
    for found in &registry.found {
        assert!(!found.id.is_empty() && found.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
    }
    for refused in &registry.refused {
        let message = refused.to_string();
        assert!(!message.is_empty() && message.len() < 8192, "a message of {} bytes", message.len());
    }
});
