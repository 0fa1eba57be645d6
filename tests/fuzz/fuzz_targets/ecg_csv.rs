//! ECG records as CSV.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_ecg::Ecg;
use medcoss_fuzz::open_and_load;
use medcoss_sdk::serde_json::json;

fuzz_target!(|content: &[u8]| {
    open_and_load::<Ecg>(
        "input.csv",
        content,
        json!({ "seconds": 1, "leads": ["I", "II"], "sampling_rate_hz": 100, "patch_size": 50 }),
    );
});
