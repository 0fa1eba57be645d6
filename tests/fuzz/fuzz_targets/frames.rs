//! PNG and JPEG as the frames of a clip: the first frame is valid, the second is the input.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_fuzz::{open_and_load_as, put};
use medcoss_sdk::{encode_png, serde_json::json};
use medcoss_video::Video;

fuzz_target!(|content: &[u8]| {
    std::fs::create_dir_all(medcoss_fuzz::folder().join("clip")).expect("a folder for frames");
    put("clip/1.png", &encode_png(&[0.5; 16 * 16], 16, 16, 1).expect("a frame"));
    put("clip/2.png", content);
    open_and_load_as::<Video>("clip", json!({ "num_frames": 2, "frame_stride": 1, "size": 32, "mask_ratio": 0.5 }));
    put("clip/1.png", content);
    open_and_load_as::<Video>("clip", json!({ "num_frames": 2, "frame_stride": 1, "size": 32, "mask_ratio": 0.5 }));
});
