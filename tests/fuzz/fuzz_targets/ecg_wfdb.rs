//! WFDB records: the input up to its first zero byte is the header, and the rest is the signals.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_ecg::Ecg;
use medcoss_fuzz::{open_and_load, put};
use medcoss_sdk::serde_json::json;

fuzz_target!(|content: &[u8]| {
    let end = content.iter().position(|&byte| byte == 0).unwrap_or(content.len());
    put("r.dat", content.get(end + 1..).unwrap_or_default());
    let options =
        json!({ "seconds": 1, "leads": ["I", "II"], "sampling_rate_hz": 100, "patch_size": 50, "label_comment": "Dx" });
    open_and_load::<Ecg>("r.hea", &content[..end], options);
});
