//! Vocabularies that are learned from the input.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_fuzz::open_and_load;
use medcoss_sdk::serde_json::json;
use medcoss_text::Text;

fuzz_target!(|content: &[u8]| {
    open_and_load::<Text>("input.txt", content, json!({ "vocab_size": 160, "max_length": 16 }));
});
