//! Records about plugins: `plugins.lock` of a run and `trusted.toml` of a user. Needs the feature `run-folder`, and
//! with it Burn.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use medcoss_core::run::RunLayout;
use medcoss_fuzz::{first_input, folder, put};
use medcoss_plugin_host::PluginLocation;
use medcoss_runtime::plugins_lock::PluginsLock;
use medcoss_runtime::record::write_with_checksum;
use medcoss_runtime::trust::{Candidate, Trusted};

const DIGEST: &str = "abababababababababababababababababababababababababababababababab";

fn first() {
    let file =
        format!("[[plugin]]\nid = \"gait\"\nversion = \"1.0.0\"\nfile = \"libgait.so\"\nsha256 = \"{DIGEST}\"\n");
    first_input("plugin_records", "file", file.as_bytes());
    let source = "[[plugin]]\nid = \"text\"\nversion = \"0.1.0\"\nsource = \"built-in\"\n";
    first_input("plugin_records", "built-in", source.as_bytes());
}

fuzz_target!(init: first(), |content: &[u8]| {
    put("trusted.toml", content);
    let trusted = Trusted::read(Some(&folder().join("trusted.toml")));
    if let Ok(trusted) = &trusted {
        let again = folder().join("again.toml");
        trusted.write(&again).expect("what is read can be written");
        assert_eq!(&Trusted::read(Some(&again)).expect("what was written is read"), trusted);
    }
    let Ok(text) = std::str::from_utf8(content) else { return };
    let run = RunLayout::open(folder()).expect("a folder");
    let path = run.plugins_lock();
    write_with_checksum(&path, text).expect("room for an input");
    let Ok(mut lock) = PluginsLock::read(&path) else { return };
    let location = PluginLocation::Library { path: "libgait.so".into() };
    for locked in &lock.plugin {
        let candidate = Candidate { run: Path::new("run"), location: &location, sha256: Some(DIGEST), is_own: false };
        let trusted = || trusted.as_ref().map(Clone::clone).map_err(|error| anyhow::anyhow!("{error}"));
        if let Err(error) = candidate.check(locked, trusted) {
            assert!(!error.to_string().is_empty());
        }
    }
    // Two builds of each plugin.
    let mut other = lock.clone();
    other.plugin.iter_mut().for_each(|plugin| plugin.version.push('1'));
    lock.compare(&other);
    lock.keep(other);
    lock.write(&path).expect("room for the plugins");
    assert_eq!(PluginsLock::read(&path).expect("what was written is read"), lock);
});
