//! MetaImage: the input as one file, and the input up to its first zero byte as a header beside voxels.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_ct::Ct;
use medcoss_fuzz::{first_input, open_and_load, open_and_load_as, put};
use medcoss_sdk::serde_json::json;

const HEADER: &str = "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = False\n\
                      TransformMatrix = 0 1 0 0 0 1 -1 0 0\nElementSpacing = 0.5 0.7 2.5\nDimSize = 5 4 3\nHeaderSize = -1\n\
                      ElementType = MET_SHORT\nElementDataFile = ";

fuzz_target!(
    init: {
        first_input("meta_image", "local", &[HEADER.as_bytes(), b"LOCAL\n", &[1; 120]].concat());
        first_input("meta_image", "detached", &[HEADER.as_bytes(), b"r.raw\n\0", &[1; 120]].concat());
    },
    |content: &[u8]| {
        open_and_load::<Ct>("input.mha", content, json!({ "size": [16, 32, 32], "cache_mb": 16 }));
        let end = content.iter().position(|&byte| byte == 0).unwrap_or(content.len());
        put("r.raw", content.get(end + 1..).unwrap_or_default());
        put("input.mhd", &content[..end]);
        let options = json!({ "size": [16, 32, 32], "cache_mb": 0, "spacing_mm": [2.0, 1.5, 1.0], "stride": 7 });
        open_and_load_as::<Ct>("input.mhd", options);
    }
);
