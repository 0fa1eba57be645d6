//! EDF, EDF+ and BDF recordings, with their annotations as labels.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_eeg::Eeg;
use medcoss_fuzz::open_and_load;
use medcoss_sdk::serde_json::json;

fuzz_target!(|content: &[u8]| {
    let options = json!({
        "channels": ["Cz", "Fp1-F7", "O1"], "min_channels_ratio": 0.3, "sampling_rate_hz": 100, "seconds": 1.0,
        "patch_size": 50, "band_hz": [0.5, 40.0], "annotation_labels": true,
    });
    open_and_load::<Eeg>("input.edf", content, options);
});
