//! NRRD: the input as one file, and the input up to its first zero byte as a header beside voxels.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_ct::Ct;
use medcoss_fuzz::{first_input, open_and_load, open_and_load_as, put};
use medcoss_sdk::serde_json::json;

const HEADER: &str = "NRRD0005\ntype: short\ndimension: 4\nspace: RAS\nsizes: 2 5 4 3\n\
                      space directions: none (0,0.5,0) (0,0,0.7) (2.5,0,0)\nkinds: list domain domain domain\nendian: little\n\
                      byte skip: -1\nspace units: \"mm\" \"mm\" \"mm\"\nencoding: ";

fuzz_target!(
    init: {
        first_input("nrrd", "raw", &[HEADER.as_bytes(), b"raw\n\n", &[1; 240]].concat());
        first_input("nrrd", "gzip", &[HEADER.as_bytes(), b"gzip\nline skip: 1\n\n", &[1; 240]].concat());
        first_input("nrrd", "detached", &[HEADER.as_bytes(), b"raw\ndata file: r.raw\n\0", &[1; 240]].concat());
        let plain = "NRRD0001\ntype: uchar\ndimension: 3\nsizes: 5 4 3\nspacings: 1 1 2.5\nunits: \"cm\" um m\nencoding: raw\n\n";
        first_input("nrrd", "spacings", &[plain.as_bytes(), &[1; 60]].concat());
    },
    |content: &[u8]| {
        open_and_load::<Ct>("input.nrrd", content, json!({ "size": [16, 32, 32], "cache_mb": 16 }));
        let end = content.iter().position(|&byte| byte == 0).unwrap_or(content.len());
        put("r.raw", content.get(end + 1..).unwrap_or_default());
        put("input.nhdr", &content[..end]);
        let options = json!({ "size": [16, 32, 32], "cache_mb": 0, "spacing_mm": [2.0, 1.5, 1.0], "stride": 7 });
        open_and_load_as::<Ct>("input.nhdr", options);
    }
);
