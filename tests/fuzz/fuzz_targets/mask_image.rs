//! Masks of an image: PNG, TIFF and BMP.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_fuzz::{label_map, put};
use medcoss_sdk::{encode_png, serde_json::json};
use medcoss_xray::Xray;

fuzz_target!(|content: &[u8]| {
    put("image.png", &encode_png(&[0.5; 16 * 16], 16, 16, 1).expect("an image"));
    label_map::<Xray>("image.png", "mask.png", content, json!({ "size": 32 }));
});
