//! Animated GIF, read as a clip.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_fuzz::open_and_load;
use medcoss_sdk::serde_json::json;
use medcoss_video::Video;

fuzz_target!(|content: &[u8]| {
    open_and_load::<Video>(
        "input.gif",
        content,
        json!({ "num_frames": 2, "frame_stride": 1, "size": 32, "mask_ratio": 0.5 }),
    );
});
