//! A run's configuration: what is accepted can be written out with every default, is accepted again, and continues itself.
//! Needs the feature `run-folder`, and with it Burn.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_fuzz::{folder, put};
use medcoss_host::config::RunConfig;

fuzz_target!(|content: &[u8]| {
    put("run.toml", content);
    let Ok(config) = RunConfig::read(&folder().join("run.toml"), &[]) else { return };
    let Ok(explicit) = config.to_toml() else { return };
    put("again.toml", explicit.as_bytes());
    let again = RunConfig::read(&folder().join("again.toml"), &[]).expect("what was written is read");
    again.continues(&config).expect("the same run");
    assert_eq!(again.to_toml().ok().as_deref(), Some(explicit.as_str()));
});
