//! FreeSurfer: plain and gzipped.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_ct::Ct;
use medcoss_fuzz::{first_input, open_and_load, open_and_load_as};
use medcoss_sdk::serde_json::json;

fuzz_target!(
    init: {
        let mut file: Vec<u8> = [1, 5, 4, 3, 1, 4, 0].into_iter().flat_map(i32::to_be_bytes).collect();
        file.extend(1_i16.to_be_bytes());
        let numbers: [f32; 12] = [0.5, 0.7, 2.5, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0];
        file.extend(numbers.into_iter().flat_map(f32::to_be_bytes));
        file.resize(284 + 120, 1);
        first_input("freesurfer", "plain", &file);
    },
    |content: &[u8]| {
        open_and_load::<Ct>("input.mgz", content, json!({ "size": [16, 32, 32], "cache_mb": 16 }));
        let options = json!({ "size": [16, 32, 32], "cache_mb": 0, "spacing_mm": [2.0, 1.5, 1.0], "stride": 7 });
        open_and_load_as::<Ct>("input.mgz", options);
    }
);
