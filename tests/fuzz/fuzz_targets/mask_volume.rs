//! Masks of a scan: NIfTI.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_ct::Ct;
use medcoss_fuzz::{folder, label_map};
use medcoss_sdk::{Modality, serde_json::json};

fuzz_target!(
    init: {
        let scans = folder().join("scans");
        std::fs::create_dir_all(&scans).expect("a folder for a scan");
        Ct::synthesise(&scans, 1, 1).expect("a scan");
    },
    |content: &[u8]| {
        let options = json!({ "size": [16, 32, 32], "cache_mb": 16 });
        label_map::<Ct>("scans/scan_0000.nii.gz", "mask.nii", content, options);
    }
);
