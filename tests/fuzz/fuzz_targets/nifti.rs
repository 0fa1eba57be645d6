//! NIfTI volumes, header and voxels, cut into sub-volumes with and without resampling to a spacing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_ct::Ct;
use medcoss_fuzz::{open_and_load, open_and_load_as};
use medcoss_sdk::serde_json::json;

fuzz_target!(|content: &[u8]| {
    open_and_load::<Ct>("input.nii", content, json!({ "size": [16, 32, 32], "cache_mb": 16 }));
    open_and_load_as::<Ct>(
        "input.nii",
        json!({ "size": [16, 32, 32], "cache_mb": 16, "spacing_mm": [2.0, 1.5, 1.0], "stride": 7 }),
    );
});
