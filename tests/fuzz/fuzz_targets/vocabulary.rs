//! Files `vocab.txt`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_fuzz::{open_and_load, put};
use medcoss_sdk::serde_json::json;
use medcoss_text::Text;

const TEXT: &[u8] = "Clear lungs, no Pleural effusion.\né 漢字 [MASK] a\u{301} 12\u{200b}3\n".as_bytes();

fuzz_target!(|content: &[u8]| {
    put("any.txt", content);
    for lowercase in [true, false] {
        open_and_load::<Text>(
            "input.txt",
            TEXT,
            json!({ "tokenizer": "any.txt", "lowercase": lowercase, "max_length": 16 }),
        );
    }
});
