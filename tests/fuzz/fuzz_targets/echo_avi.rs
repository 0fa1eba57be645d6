//! AVI files with motion JPEG, read as an ultrasound clip.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_echo::Echo;
use medcoss_fuzz::open_and_load;
use medcoss_sdk::serde_json::json;

fuzz_target!(|content: &[u8]| {
    let options = json!({ "num_frames": 2, "frame_seconds": 0.04, "size": 32, "mask_ratio": 0.5 });
    open_and_load::<Echo>("input.avi", content, options);
});
