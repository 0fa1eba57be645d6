//! Cache of probed plugins, `plugins.json`: the input is the file, and once more the list of its entries, with a
//! correct checksum. No child process starts, since its program cannot be executed. `LIBRARY` in the input stands for
//! the path of the library.
#![no_main]

use std::fs::File;
use std::time::SystemTime;

use libfuzzer_sys::fuzz_target;
use medcoss_fuzz::{first_input, folder, put};
use medcoss_plugin_host::{Loading, PluginRegistry, Probe, Search};
use medcoss_sdk::serde_json;
use medcoss_text as _;
use sha2::{Digest, Sha256};

const LIBRARY: &str = "libgait.so";

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn first() {
    let search = Search { folders: Vec::new(), builtin: true };
    let registry = PluginRegistry::discover(&search, medcoss_abi::builtins(), Loading::Unprobed);
    let mut description = registry.load("text").expect("a plugin that is linked").description().clone();
    description.id = "gait".into();
    let description = serde_json::to_string(&description).expect("a description");
    let sha256 = hexadecimal(&Sha256::digest("library"));
    let refused = r#"{"refused":{"reason":"it crashed","hint":null,"printed":"once"}}"#.to_owned();
    for (name, outcome) in [("accepted", format!("{{\"accepted\":{description}}}")), ("refused", refused)] {
        let times = "\"modified\":[0,0]";
        let entry = format!(
            "[{{\"program\":{{\"size\":7,{times}}},\"path\":\"LIBRARY\",\"id\":\"gait\",\"stamp\":{{\"size\":7,{times},\"changed\":[0,0]}},\"sha256\":\"{sha256}\",\"outcome\":{outcome}}}]"
        );
        first_input("probe_cache", name, entry.as_bytes());
    }
}

fuzz_target!(init: first(), |content: &[u8]| {
    look_at(content);
    let library = folder().join(LIBRARY);
    if let (Ok(entries), Some(library)) = (std::str::from_utf8(content), library.to_str()) {
        let entries = entries.trim_end().replace("LIBRARY", library);
        let checksum = hexadecimal(&Sha256::digest(&entries));
        look_at(format!("{{\"checksum\":\"{checksum}\",\"entries\":{entries}}}").as_bytes());
    }
});

fn look_at(content: &[u8]) {
    put("plugins.json", content);
    for (name, content) in [("medcoss", "program"), (LIBRARY, "library")] {
        put(name, content.as_bytes());
        let file = File::options().append(true).open(folder().join(name)).expect("what was written");
        file.set_modified(SystemTime::UNIX_EPOCH).expect("a time of one's own");
    }
    let probe = Probe::by_program(folder().join("medcoss"), Some(folder().join("plugins.json")));
    match probe.describe(&folder().join(LIBRARY), "gait") {
        Ok(info) => assert!(info.description.id == "gait" && info.shape.n_values() > 0),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
