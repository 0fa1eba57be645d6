//! PNG, JPEG, TIFF and BMP images, recognised by their content.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_fuzz::{open_and_load, open_and_load_as};
use medcoss_pathology::Pathology;
use medcoss_sdk::serde_json::json;
use medcoss_xray::Xray;

fuzz_target!(|content: &[u8]| {
    open_and_load::<Xray>("input.png", content, json!({ "size": 32 }));
    open_and_load_as::<Pathology>("input.png", json!({ "size": 32, "stain_jitter": 0.1 }));
});
