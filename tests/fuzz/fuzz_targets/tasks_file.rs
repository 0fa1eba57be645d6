//! Tasks files of evaluations. Needs the feature `run-folder`, and with it Burn.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_fuzz::{folder, put};
use medcoss_runtime::evaluation::TasksFile;

fuzz_target!(|content: &[u8]| {
    put("tasks.toml", content);
    if let Err(error) = TasksFile::read(&folder().join("tasks.toml")) {
        assert!(format!("{error:#}").contains("tasks"), "{error:#}");
    }
});
