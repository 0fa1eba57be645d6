//! Images and DICOM files of several frames, read as B-scans of the retina; PGM among them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_fuzz::open_and_load;
use medcoss_oct::Oct;
use medcoss_sdk::serde_json::json;

fuzz_target!(|content: &[u8]| {
    let options = json!({ "size": [2, 32, 32], "patch_size": [1, 16, 16], "mask_ratio": 0.5 });
    open_and_load::<Oct>("input_1", content, options);
});
