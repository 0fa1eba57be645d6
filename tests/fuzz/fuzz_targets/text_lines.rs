//! Plain text by lines, as a document and as a table, and labelled sentences with either unit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_fuzz::{open_and_load, open_and_load_as, text_options};
use medcoss_sdk::serde_json::json;
use medcoss_text::Text;

fuzz_target!(|content: &[u8]| {
    open_and_load::<Text>("input.txt", content, text_options(json!({})));
    for text_files in ["documents", "tables"] {
        open_and_load_as::<Text>("input.txt", text_options(json!({ "text_files": text_files })));
    }
    if content.contains(&b'\t') {
        open_and_load_as::<Text>("input.txt", text_options(json!({ "unit": "sentence" })));
    }
});
