//! Configuration of a run: an accepted one can be recorded with all defaults, is read again, and continues its own run.
//! Needs the feature `run-folder`, and with it Burn.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_core::run::RunLayout;
use medcoss_fuzz::{folder, put};
use medcoss_runtime::config::RunConfig;
use medcoss_runtime::plugins_lock::PluginsLock;
use medcoss_runtime::record::write_with_checksum;

fuzz_target!(|content: &[u8]| {
    put("run.toml", content);
    let path = folder().join("run.toml");
    let run = RunLayout::open(folder()).expect("a folder");
    // A text without a checksum is not a record.
    let _ = (RunConfig::read_record(&run.record()), PluginsLock::read(&run.record()));
    // With a checksum it may be a record, of this format or of an earlier one.
    if let Ok(text) = std::str::from_utf8(content) {
        let path = run.folder().join("record.toml");
        write_with_checksum(&path, text).expect("room for an input");
        if let Ok(config) = RunConfig::read_record(&path) {
            config.continues(&config).expect("the same run");
        }
    }
    let Ok(config) = RunConfig::read(&path, &[]) else { return };
    let record = run.folder().join("again.toml");
    config.write_record(&record).expect("what is accepted can be recorded");
    let again = RunConfig::read_record(&record).expect("what was recorded is read");
    again.continues(&config).expect("the same run");
});
