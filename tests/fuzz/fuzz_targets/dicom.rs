//! DICOM files, read as a radiograph, as a scan, as a tile or a slide, and as a clip.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_ct::Ct;
use medcoss_echo::Echo;
use medcoss_fuzz::{open_and_load, open_and_load_as};
use medcoss_pathology::Pathology;
use medcoss_sdk::serde_json::json;
use medcoss_xray::Xray;

fuzz_target!(|content: &[u8]| {
    open_and_load::<Xray>("input.dcm", content, json!({ "size": 32 }));
    open_and_load_as::<Ct>("input.dcm", json!({ "size": [16, 32, 32], "cache_mb": 16 }));
    let clip = json!({ "num_frames": 2, "frame_stride": 1, "size": 32, "mask_ratio": 0.5 });
    open_and_load_as::<Echo>("input.dcm", clip);
    open_and_load_as::<Pathology>("input.dcm", json!({ "size": 32, "tile_size": 64, "min_tissue_ratio": 0.0 }));
});
