//! Gzipped NIfTI volumes: the input is the stream. Checksums stop most changes early; the target `nifti` reaches the
//! code behind them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_ct::Ct;
use medcoss_fuzz::open_and_load;
use medcoss_sdk::serde_json::json;

fuzz_target!(|content: &[u8]| {
    open_and_load::<Ct>("input.nii.gz", content, json!({ "size": [16, 32, 32], "cache_mb": 16 }));
});
